//! Relays between the nodes of a testnet: each two nodes are joined by one, which makes loopback behave like a network.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use serde::Serialize;
use tercet_relay::Relay;

use crate::job::{Job, JobParty};
use crate::link::Link;

/// What went through all relays, in both directions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Wire {
    /// Bytes of UDP payload that were sent, acknowledgements and repetitions included.
    bytes: u64,
    /// Datagrams that were sent.
    datagrams: u64,
    /// Datagrams that were lost: by chance, or because the queue before the link was full.
    lost: u64,
}

/// The relays of a testnet. None for [`Link::Local`].
pub(super) struct Relays {
    /// The dialling node, the node that it reaches, and the relay between them.
    links: Vec<(usize, usize, Relay)>,
}

impl Relays {
    /// Starts a relay for each two of the nodes that will listen at `addresses`, by role.
    ///
    /// # Errors
    /// The system gives no socket or thread.
    pub(super) fn start(link: Link, addresses: &[SocketAddr; 3]) -> Result<Relays> {
        let mut links = Vec::new();
        if let Link::Shaped(profile) = link {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            for dialling in 0..addresses.len() {
                // Of each two, the party with the higher index dials.
                for (reached, &address) in addresses.iter().enumerate().take(dialling) {
                    links.push((dialling, reached, Relay::start(any, address, profile)?));
                }
            }
        }
        Ok(Relays { links })
    }

    /// Whether there are any.
    pub(super) fn shape(&self) -> bool {
        !self.links.is_empty()
    }

    /// The addresses that `party` dials in place of the job's, by name.
    pub(super) fn peers_of<'a>(&self, party: &JobParty, job: &'a Job) -> BTreeMap<&'a str, String> {
        let own = self.links.iter().filter(|(dialling, ..)| *dialling == party.role.index());
        let peers = own
            .map(|(_, reached, relay)| (job.parties[*reached].name.as_str(), relay.local_addr().to_string()));
        peers.collect()
    }

    /// Ends all relays and adds up what went through them; `None` if there were none.
    ///
    /// # Errors
    /// A relay had ended before.
    pub(super) fn stop(self) -> Result<Option<Wire>> {
        if self.links.is_empty() {
            return Ok(None);
        }
        let mut wire = Wire::default();
        for (_, _, relay) in self.links {
            let stats = relay.stop()?;
            for way in [stats.to_target, stats.to_client] {
                wire.bytes += way.received_bytes;
                wire.datagrams += way.received;
                wire.lost += way.lost + way.overflowed + way.partitioned;
            }
        }
        Ok(Some(wire))
    }
}

impl std::fmt::Display for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Wire { bytes, datagrams, lost } = *self;
        let [datagrams, lost] = [datagrams, lost].map(crate::text::grouped);
        write!(f, "{} in {datagrams} datagrams, {lost} of them lost", crate::text::bytes(bytes))
    }
}
