//! Three parties as three processes, joined pairwise over QUIC with mutual TLS 1.3.
//!
//! A party is known by its certificate's fingerprint, pinned in the [`Roster`]. Each party has one UDP
//! socket; of each pair the party with the higher index dials. After the TLS handshake the READY exchange
//! compares protocol version, job and step, carries each party's public key, and agrees on a fresh
//! session. Only then does a message pass.
//!
//! One thread runs the network; the protocol's thread talks to it through bounded queues.

mod certificate;
mod fault;
#[cfg(test)]
mod hostile;
pub mod inspect;
mod join;
mod options;
mod ready;
mod stream;
mod thread;
mod tls;
mod tuning;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use quinn::Connection;
use serde::Serialize;
use tokio::sync::oneshot;

pub(crate) use certificate::check_dates;
pub use options::{Arrivals, Congestion, Job, MAX_JOB_TEXT, MAX_KEY, MAX_PURPOSE, Options, Path};
pub use ready::PROTOCOL_VERSION;

use crate::identity::Identity;
use crate::links::{Bounds, Links};
use crate::queue::End;
use crate::{Fingerprint, Meter, NetError, Party, PartyId, Phase, Roster, SessionId, Tag, Transport};
use join::Local;
use ready::{Hello, Ready};
use thread::{Leave, Mesh, Undelivered};
use tls::OwnKey;

/// A bound socket and an identity: ready to join a mesh.
pub struct QuicListener {
    own: OwnKey,
    fingerprint: Fingerprint,
    socket: UdpSocket,
    address: SocketAddr,
}

impl QuicListener {
    /// Binds `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`NetError::Bind`], for instance when the port is in use; [`NetError::OwnIdentity`] when key and
    /// certificate do not belong together.
    pub fn bind(identity: Identity, address: SocketAddr) -> Result<Self, NetError> {
        let own = tls::own_key(&identity)?;
        let socket = tuning::socket(address)?;
        let address = socket
            .local_addr()
            .map_err(|error| NetError::Bind { address: address.to_string(), reason: error.to_string() })?;
        Ok(Self { own, fingerprint: identity.fingerprint(), socket, address })
    }

    /// The bound address, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Joins the two peers of the roster and agrees with them on job and session. Blocks until both are
    /// there or [`Options::join_deadline`] has passed. Which party this is follows from the certificate.
    ///
    /// # Errors
    /// [`NetError::NotInRoster`], [`NetError::PeerAbsent`], [`NetError::Certificate`],
    /// [`NetError::RefusedByPeer`], [`NetError::VersionDiffers`], [`NetError::JobDiffers`],
    /// [`NetError::JobDigestDiffers`], [`NetError::StepDiffers`], [`NetError::PurposeDiffers`], [`NetError::SessionDiffers`],
    /// [`NetError::PeerLost`], [`NetError::TooLong`], [`NetError::NoRandomness`], [`NetError::Thread`].
    pub fn connect(self, roster: &Roster, job: Job, options: Options) -> Result<QuicTransport, NetError> {
        self.connect_as(PROTOCOL_VERSION, roster, job, options)
    }

    fn connect_as(
        self,
        version: u32,
        roster: &Roster,
        job: Job,
        options: Options,
    ) -> Result<QuicTransport, NetError> {
        let fingerprint = self.fingerprint;
        let me = roster.owner(&fingerprint).ok_or(NetError::NotInRoster { fingerprint })?.id();
        let bounds = Bounds { deadline: options.deadline, max_frame: options.max_frame };
        let ready = opening(version, job)?;
        let local = Local { me, roster: roster.clone(), own: self.own, ready, options };

        let (ready, joined) = mpsc::channel();
        let (leave, leaving) = oneshot::channel();
        let failed = |error: std::io::Error| NetError::Thread { reason: error.to_string() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let network = thread::run(local, self.socket, ready, leaving);
        let thread = std::thread::Builder::new()
            .name("tercet-net".to_owned())
            .spawn(move || runtime.block_on(network))
            .map_err(failed)?;
        let ended = |_| NetError::Thread { reason: "it ended while joining".to_owned() };
        let Mesh { agreed, links, connections } = joined.recv().map_err(ended)??;
        Ok(QuicTransport {
            links: Links::new(agreed, links, bounds),
            connections,
            leave: Some(leave),
            thread: Some(thread),
        })
    }
}

/// Checks the limits of what this party brings, before any peer has to.
fn opening(version: u32, job: Job) -> Result<Ready, NetError> {
    let within = |what, bytes: usize, limit| match bytes > limit {
        true => Err(NetError::TooLong { what, bytes, limit }),
        false => Ok(()),
    };
    within("job text", job.text.as_ref().map_or(0, String::len), MAX_JOB_TEXT)?;
    within("public key", job.key.len(), MAX_KEY)?;
    within("purpose", job.purpose.len(), MAX_PURPOSE)?;
    let mut contribution = [0; 32];
    getrandom::fill(&mut contribution)
        .map_err(|error| NetError::NoRandomness { reason: error.to_string() })?;
    let Job { hash: job_hash, text, step, purpose, key } = job;
    let hello = Hello { job_hash, step, purpose, contribution, key };
    Ok(Ready { version, hello, text })
}

/// What one connection put on the wire, with all overhead of QUIC, TLS and UDP payload.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct WireStats {
    /// UDP payload bytes sent.
    pub sent_bytes: u64,
    /// UDP payload bytes received.
    pub received_bytes: u64,
    /// Datagrams sent.
    pub sent_datagrams: u64,
    /// Datagrams received.
    pub received_datagrams: u64,
    /// Packets that were lost and sent again.
    pub lost_packets: u64,
    /// The current estimate of the round trip.
    pub round_trip: Duration,
    /// The current datagram size in bytes.
    pub datagram_bytes: u16,
}

/// One party's end of a QUIC mesh.
pub struct QuicTransport {
    pub(crate) links: Links,
    connections: [Option<Connection>; PartyId::COUNT],
    leave: Option<oneshot::Sender<Leave>>,
    thread: Option<JoinHandle<()>>,
}

impl QuicTransport {
    /// Statistics of the connection to a peer; `None` for this party itself.
    pub fn wire_stats(&self, peer: PartyId) -> Option<WireStats> {
        let stats = self.connections[peer.index()].as_ref()?.stats();
        Some(WireStats {
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            sent_datagrams: stats.udp_tx.datagrams,
            received_datagrams: stats.udp_rx.datagrams,
            lost_packets: stats.path.lost_packets,
            round_trip: stats.path.rtt,
            datagram_bytes: stats.path.current_mtu,
        })
    }

    /// Leaves without a goodbye, and tells the peers why: one public sentence, or part of one.
    pub fn leave(mut self, reason: &str) {
        self.links.leave_because(reason);
    }

    fn undelivered(&self, what: Undelivered) -> NetError {
        let step = self.links.step();
        match what {
            Undelivered::Lost { peer, after, reason } => {
                NetError::PeerLost { party: self.party(peer).clone(), step, after, reason }
            }
            Undelivered::Stalled { peer, waited, queued } => NetError::SendStalled {
                party: self.party(peer).clone(),
                step,
                label: "close",
                waited,
                queued,
            },
            Undelivered::Thread(reason) => NetError::Thread { reason },
        }
    }

    fn join_thread(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there was already reported as a lost answer or a silent peer.
            let _ = thread.join();
        }
    }
}

impl Transport for QuicTransport {
    fn me(&self) -> PartyId {
        self.links.agreed.me
    }

    fn party(&self, id: PartyId) -> &Party {
        &self.links.agreed.parties[id.index()]
    }

    fn session(&self) -> SessionId {
        self.links.agreed.session
    }

    fn peer_key(&self, party: PartyId) -> &[u8] {
        &self.links.agreed.keys[party.index()]
    }

    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        self.links.send(to, phase, tag, payload)
    }

    fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        self.links.recv(from, phase, tag, expected_bytes)
    }

    fn meter(&self) -> &Meter {
        &self.links.meter
    }

    fn meter_mut(&mut self) -> &mut Meter {
        &mut self.links.meter
    }

    fn close(mut self: Box<Self>) -> Result<(), NetError> {
        self.links.end_sending(&End::Finished);
        let (answer, answered) = mpsc::channel();
        let gone = || NetError::Thread { reason: "it ended before the transport was closed".to_owned() };
        let leave = self.leave.take().ok_or_else(gone)?;
        leave.send(Leave::Close(answer)).map_err(|_| gone())?;
        let flushed = answered.recv().map_err(|_| gone())?;
        self.join_thread();
        flushed.map_err(|what| self.undelivered(what))
    }
}

impl Drop for QuicTransport {
    fn drop(&mut self) {
        if let Some(leave) = self.leave.take() {
            // When the thread has ended, nobody is left to tell.
            let _ = leave.send(Leave::Abort(self.links.parting_words()));
        }
        self.join_thread();
    }
}
