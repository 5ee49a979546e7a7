//! Faults on purpose: one party that breaks the rules, for tests of what the others do about it.
//!
//! Nothing but tests makes a [`FaultTransport`]; no setting of the node leads here. A fault acts on the sender's side,
//! after encryption keys and sessions were agreed on in good order: it is what a broken or cheating party could do,
//! not what the network can (QUIC repairs or detects that).

use std::time::Duration;

use crate::memory::MemoryTransport;
use crate::quic::QuicTransport;
use crate::{Meter, NetError, Party, PartyId, Phase, SessionId, Tag, Transport};

/// What happens to one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is never sent.
    Drop,
    /// The party stands still for this long before it sends the message.
    Delay(Duration),
    /// It is sent after the next message to the same party in the same phase, or before the goodbye.
    Reorder,
    /// It is sent twice.
    Duplicate,
    /// The last byte is missing. A message without payload stays as it is.
    Truncate,
    /// One bit of the payload is flipped. A message without payload stays as it is. No transport detects this: the
    /// bytes are the sender's own, and a semi-honest protocol believes them.
    Corrupt,
    /// It claims the next step.
    WrongStep,
    /// It claims the same label with other parameters.
    WrongLabel,
    /// It claims another session.
    WrongSession,
    /// It has this many bytes more than agreed.
    Oversize {
        /// Bytes of zero after the payload.
        extra: usize,
    },
    /// The party leaves without a goodbye instead of sending it.
    Disconnect,
}

/// Which message meets which fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultPlan {
    /// The receiver of the message.
    pub to: PartyId,
    /// Its phase.
    pub phase: Phase,
    /// Its place among the messages to that party in that phase, counted from 0.
    pub message: u64,
    /// What happens to it.
    pub fault: Fault,
}

/// A transport that writes headers itself, and can be made to write a wrong session: [`MemoryTransport`] and
/// [`QuicTransport`].
pub trait BaseTransport: Transport + sealed::Headers {}

impl BaseTransport for MemoryTransport {}
impl BaseTransport for QuicTransport {}

mod sealed {
    use crate::SessionId;
    use crate::memory::MemoryTransport;
    use crate::quic::QuicTransport;

    /// Access to the session that goes into headers.
    pub trait Headers {
        /// Puts `session` into the headers from now on, and returns the one before.
        fn swap_session(&mut self, session: SessionId) -> SessionId;
    }

    impl Headers for MemoryTransport {
        fn swap_session(&mut self, session: SessionId) -> SessionId {
            std::mem::replace(&mut self.links.agreed.session, session)
        }
    }

    impl Headers for QuicTransport {
        fn swap_session(&mut self, session: SessionId) -> SessionId {
            std::mem::replace(&mut self.links.agreed.session, session)
        }
    }
}

/// A party's end of a mesh, with faults in what it sends. Receiving is not touched.
pub struct FaultTransport<T: BaseTransport> {
    /// `None` after [`Fault::Disconnect`].
    inner: Option<T>,
    plans: Vec<FaultPlan>,
    /// Messages so far, by receiver and phase.
    counts: [[u64; Phase::COUNT]; PartyId::COUNT],
    held: Vec<Held>,
    struck: usize,
    agreed: Agreed,
    /// The meter as it was when the party left.
    last_meter: Meter,
}

/// A message that waits for its successor.
struct Held {
    to: PartyId,
    phase: Phase,
    tag: Tag,
    payload: Vec<u8>,
}

/// What the handshake settled, kept beyond a disconnection.
struct Agreed {
    me: PartyId,
    parties: [Party; PartyId::COUNT],
    session: SessionId,
    keys: [Vec<u8>; PartyId::COUNT],
}

impl<T: BaseTransport> FaultTransport<T> {
    /// Wraps a joined transport. Messages that no plan names pass as they are; of several plans for one message the
    /// first counts.
    pub fn new(inner: T, plans: impl IntoIterator<Item = FaultPlan>) -> Self {
        let agreed = Agreed {
            me: inner.me(),
            parties: PartyId::ALL.map(|id| inner.party(id).clone()),
            session: inner.session(),
            keys: PartyId::ALL.map(|id| inner.peer_key(id).to_vec()),
        };
        Self {
            inner: Some(inner),
            plans: plans.into_iter().collect(),
            counts: Default::default(),
            held: Vec::new(),
            struck: 0,
            agreed,
            last_meter: Meter::new(),
        }
    }

    /// How many messages have met their fault so far.
    pub fn struck(&self) -> usize {
        self.struck
    }

    fn strike(
        &mut self,
        fault: Fault,
        to: PartyId,
        phase: Phase,
        tag: &Tag,
        mut payload: Vec<u8>,
    ) -> Result<(), NetError> {
        self.struck += 1;
        let Tag { step, op, label } = *tag;
        let inner = connected(&mut self.inner)?;
        match fault {
            Fault::Drop => Ok(()),
            Fault::Delay(time) => {
                std::thread::sleep(time);
                inner.send(to, phase, tag, payload)
            }
            Fault::Reorder => {
                self.held.push(Held { to, phase, tag: *tag, payload });
                Ok(())
            }
            Fault::Duplicate => {
                inner.send(to, phase, tag, payload.clone())?;
                inner.send(to, phase, tag, payload)
            }
            Fault::Truncate => {
                payload.pop();
                inner.send(to, phase, tag, payload)
            }
            Fault::Corrupt => {
                if let Some(byte) = payload.last_mut() {
                    *byte ^= 1;
                }
                inner.send(to, phase, tag, payload)
            }
            Fault::WrongStep => inner.send(to, phase, &Tag::new(step.wrapping_add(1), op, label), payload),
            Fault::WrongLabel => inner.send(to, phase, &Tag::new(step, op, label.with(&[u64::MAX])), payload),
            Fault::WrongSession => {
                let other = self.agreed.session.as_bytes().map(|byte| !byte);
                let right = inner.swap_session(SessionId::from_bytes(other));
                let sent = inner.send(to, phase, tag, payload);
                inner.swap_session(right);
                sent
            }
            Fault::Oversize { extra } => {
                payload.resize(payload.len().saturating_add(extra), 0);
                inner.send(to, phase, tag, payload)
            }
            Fault::Disconnect => {
                self.last_meter = inner.meter().clone();
                self.inner = None;
                self.held.clear();
                Err(gone())
            }
        }
    }

    /// Sends what waited for its successor.
    fn release(&mut self, due: impl Fn(&Held) -> bool) -> Result<(), NetError> {
        let (released, held) = std::mem::take(&mut self.held).into_iter().partition(due);
        self.held = held;
        let inner = connected(&mut self.inner)?;
        let send = |Held { to, phase, tag, payload }: Held| inner.send(to, phase, &tag, payload);
        Vec::into_iter(released).try_for_each(send)
    }
}

fn connected<T>(inner: &mut Option<T>) -> Result<&mut T, NetError> {
    inner.as_mut().ok_or_else(gone)
}

/// What the faulty party itself sees after its disconnection.
fn gone() -> NetError {
    NetError::Thread { reason: "a fault on purpose disconnected it".to_owned() }
}

impl<T: BaseTransport> Transport for FaultTransport<T> {
    fn me(&self) -> PartyId {
        self.agreed.me
    }

    fn party(&self, id: PartyId) -> &Party {
        &self.agreed.parties[id.index()]
    }

    fn session(&self) -> SessionId {
        self.agreed.session
    }

    fn peer_key(&self, party: PartyId) -> &[u8] {
        &self.agreed.keys[party.index()]
    }

    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        let count = &mut self.counts[to.index()][phase.index()];
        let message = *count;
        *count += 1;
        let here = |plan: &&FaultPlan| plan.to == to && plan.phase == phase && plan.message == message;
        match self.plans.iter().find(here).map(|plan| plan.fault) {
            // A held message waits for the next one: not for itself.
            Some(Fault::Reorder) => self.strike(Fault::Reorder, to, phase, tag, payload),
            Some(fault) => {
                self.strike(fault, to, phase, tag, payload)?;
                self.release(|held| held.to == to && held.phase == phase)
            }
            None => {
                connected(&mut self.inner)?.send(to, phase, tag, payload)?;
                self.release(|held| held.to == to && held.phase == phase)
            }
        }
    }

    fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        connected(&mut self.inner)?.recv(from, phase, tag, expected_bytes)
    }

    fn meter(&self) -> &Meter {
        self.inner.as_ref().map_or(&self.last_meter, |inner| inner.meter())
    }

    fn meter_mut(&mut self) -> &mut Meter {
        match &mut self.inner {
            Some(inner) => inner.meter_mut(),
            None => &mut self.last_meter,
        }
    }

    fn close(mut self: Box<Self>) -> Result<(), NetError> {
        self.release(|_| true)?;
        Box::new(self.inner.take().ok_or_else(gone)?).close()
    }
}
