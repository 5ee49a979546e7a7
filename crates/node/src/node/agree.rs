//! The two rounds beside the training: offers before it, and the news that all have their results after it.

use anyhow::Result;
use tercet_net::{Label, NetError, PartyId, Phase, Tag, Transport};

use crate::job::Job;
use crate::recovery::{Decision, Offer, agree};

/// Label of the offers.
pub(super) const OFFER: &str = "offer";

/// Label of the last message.
pub(super) const DONE: &str = "done";

/// Exchanges offers with both peers, and decides.
///
/// # Errors
/// A peer is lost or sends no offer; or what the parties hold does not fit together.
pub(super) fn decide(transport: &mut impl Transport, job: &Job, own: &Offer) -> Result<Decision> {
    let me = transport.me();
    let tag = Tag::new(0, 0, Label::new(OFFER));
    for peer in me.others() {
        transport.send(peer, Phase::Online, &tag, own.encode())?;
    }
    let mut offers = [own.clone(), own.clone(), own.clone()];
    for peer in me.others() {
        let message = transport.recv(peer, Phase::Online, &tag, Offer::BYTES)?;
        offers[peer.index()] = Offer::decode(&message).ok_or_else(|| NetError::Malformed {
            party: transport.party(peer).clone(),
            what: "its offer of checkpoints does not decode".to_owned(),
        })?;
    }
    let names = PartyId::ALL.map(|party| job.parties[party.index()].name.as_str());
    Ok(agree(&offers, names, job.protocol, job.training.privacy.is_some())?)
}

/// Tells both peers that this party has its results, and waits until both have theirs.
///
/// # Errors
/// A peer is lost or silent.
pub(super) fn all_done(transport: &mut impl Transport, steps: u64) -> Result<(), NetError> {
    let tag = Tag::new(steps, u64::MAX, Label::new(DONE));
    let others = transport.me().others();
    for peer in others {
        transport.send(peer, Phase::Online, &tag, vec![1])?;
    }
    for peer in others {
        transport.recv(peer, Phase::Online, &tag, 1)?;
    }
    Ok(())
}
