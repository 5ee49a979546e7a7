//! Three parties as three threads of one process, with the behaviour of the real network.
//!
//! For tests, benches and the plaintext-beside-secure comparison. Deadlines, bounds, header checks,
//! goodbyes and metering are the ones of the QUIC transport, because both share the code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::links::{Agreed, Bounds, Link, Links, Queues};
use crate::queue::{End, FrameQueue};
use crate::{Meter, NetError, Party, PartyId, PerPhase, Phase, SessionId, Tag, Transport};

/// Settings of an in-memory mesh.
#[derive(Clone)]
pub struct Options {
    /// How long a send or a receive waits without any progress. Default 30 s.
    pub deadline: Duration,
    /// Bytes that a queue from one party to another holds before `send` blocks.
    /// Default 256 MiB offline, 64 MiB online.
    pub capacity: PerPhase<usize>,
    /// The longest payload in bytes. Default 64 MiB.
    pub max_frame: usize,
    /// The session of all three parties. Default: fresh from the operating system's randomness.
    pub session: Option<SessionId>,
    /// What [`Transport::peer_key`] returns for each party. Default: empty.
    pub keys: [Vec<u8>; PartyId::COUNT],
    /// Records every message for tests of what a party sees. Default: none.
    pub tap: Option<Tap>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            capacity: PerPhase { offline: 256 << 20, online: 64 << 20 },
            max_frame: 64 << 20,
            session: None,
            keys: Default::default(),
            tap: None,
        }
    }
}

/// One recorded message. It has no `Debug`: the payload is a share or a mask.
#[derive(Clone)]
pub struct Record {
    /// The sender.
    pub from: PartyId,
    /// The receiver.
    pub to: PartyId,
    /// Offline or online.
    pub phase: Phase,
    /// Step, operation and label.
    pub tag: Tag,
    /// The payload as sent.
    pub payload: Vec<u8>,
}

/// Records the messages of a mesh in the order of sending. Clones share one record.
#[derive(Clone, Default)]
pub struct Tap(Arc<Mutex<Vec<Record>>>);

impl Tap {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything recorded so far.
    pub fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What one party received: its view of the network.
    pub fn view_of(&self, party: PartyId) -> Vec<Record> {
        let mut records = self.records();
        records.retain(|record| record.to == party);
        records
    }

    fn record(&self, record: Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }
}

/// Three joined parties with default [`Options`]; element `i` is party `i`.
///
/// # Errors
/// [`NetError::NoRandomness`] when the operating system gives no randomness for the session.
pub fn mesh(names: [&str; PartyId::COUNT]) -> Result<[MemoryTransport; PartyId::COUNT], NetError> {
    mesh_with(names, Options::default())
}

/// Three joined parties; element `i` is party `i`.
///
/// # Errors
/// [`NetError::NoRandomness`] when no session is given and the operating system gives no randomness.
pub fn mesh_with(
    names: [&str; PartyId::COUNT],
    options: Options,
) -> Result<[MemoryTransport; PartyId::COUNT], NetError> {
    let session = match options.session {
        Some(session) => session,
        None => SessionId::fresh()?,
    };
    let parties = Party::all(names);
    let queue = |phase| Arc::new(FrameQueue::new(*options.capacity.of(phase)));
    let queues: [[Queues; PartyId::COUNT]; PartyId::COUNT] = std::array::from_fn(|_| {
        std::array::from_fn(|_| PerPhase { offline: queue(Phase::Offline), online: queue(Phase::Online) })
    });
    let bounds = Bounds { deadline: options.deadline, max_frame: options.max_frame };
    Ok(PartyId::ALL.map(|me| {
        let link = |peer: PartyId| Link {
            outgoing: queues[me.index()][peer.index()].clone(),
            incoming: queues[peer.index()][me.index()].clone(),
        };
        let links = PartyId::ALL.map(|peer| (peer != me).then(|| link(peer)));
        let agreed = Agreed { me, parties: parties.clone(), session, keys: options.keys.clone() };
        MemoryTransport { links: Links::new(agreed, links, bounds), tap: options.tap.clone(), closed: false }
    }))
}

/// One party's end of an in-memory mesh.
pub struct MemoryTransport {
    pub(crate) links: Links,
    tap: Option<Tap>,
    closed: bool,
}

impl Transport for MemoryTransport {
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
        // Recorded before it can be answered, so that the record keeps cause before effect.
        if let Some(tap) = &self.tap {
            tap.record(Record { from: self.me(), to, phase, tag: *tag, payload: payload.clone() });
        }
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
        self.closed = true;
        self.leave(&End::Finished);
        Ok(())
    }
}

impl MemoryTransport {
    fn leave(&self, end: &End) {
        self.links.end_sending(end);
        self.links.end_receiving(end);
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        if !self.closed {
            self.leave(&End::Lost(self.links.parting_words()));
        }
    }
}
