//! The transport's meter as a cost.

use tercet_engine::Cost;
use tercet_net::{PartyId, Phase, Transport};

/// Rounds and payload bytes that this party sent and received.
pub fn cost<T: Transport>(transport: &T) -> Cost {
    let snapshot = transport.meter().snapshot();
    let me = transport.me().index();
    let mut cost = Cost { rounds: snapshot.rounds(), ..Cost::default() };
    for peer in PartyId::ALL {
        if peer.index() == me {
            continue;
        }
        let bytes = |phase| {
            (snapshot.sent_to(peer, phase).payload_bytes, snapshot.received_from(peer, phase).payload_bytes)
        };
        let p = peer.index();
        (cost.online[me][p], cost.online[p][me]) = bytes(Phase::Online);
        (cost.offline[me][p], cost.offline[p][me]) = bytes(Phase::Offline);
    }
    cost
}
