//! The part that both transports share: four queues per pair of parties, checks, deadlines and the meter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::header::Header;
use crate::queue::{End, Frame, FrameQueue, Stopped};
use crate::{Meter, NetError, Party, PartyId, PerPhase, Phase, SessionId, Tag};

/// The queues of one direction to or from one peer.
pub(crate) type Queues = PerPhase<Arc<FrameQueue>>;

/// The two directions between this party and one peer.
pub(crate) struct Link {
    pub(crate) outgoing: Queues,
    pub(crate) incoming: Queues,
}

impl Link {
    /// Takes the next frame of a phase. A peer is silent when nothing at all arrives from it: a dealer that is far ahead waits
    /// long for an opening, while the evaluators' signs of life still come in the other phase.
    fn pop(
        &self,
        phase: Phase,
        deadline: Duration,
        check: impl Fn(&Header) -> Result<(), NetError>,
    ) -> Result<Vec<u8>, Stopped> {
        let start = Instant::now();
        let mut patience = deadline;
        loop {
            match self.incoming.of(phase).pop_blocking(patience, &check) {
                Err(Stopped::Stalled { queued, .. }) => {
                    let quiet = Phase::ALL.iter().map(|phase| self.incoming.of(*phase).quiet()).min();
                    patience = deadline.saturating_sub(quiet.unwrap_or(deadline));
                    if patience.is_zero() {
                        return Err(Stopped::Stalled { waited: start.elapsed(), queued });
                    }
                }
                other => return other,
            }
        }
    }
}

/// What a handshake settles.
pub(crate) struct Agreed {
    pub(crate) me: PartyId,
    pub(crate) parties: [Party; PartyId::COUNT],
    pub(crate) session: SessionId,
    pub(crate) keys: [Vec<u8>; PartyId::COUNT],
}

/// Bounds in time and space.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) deadline: Duration,
    pub(crate) max_frame: usize,
}

/// One party's links to the two others.
pub(crate) struct Links {
    pub(crate) agreed: Agreed,
    pub(crate) meter: Meter,
    links: [Option<Link>; PartyId::COUNT],
    bounds: Bounds,
    /// The step of the last message, for errors of `close`.
    step: u64,
    /// The first failure, told to the peers when this party leaves without a goodbye.
    failure: Option<String>,
}

impl Links {
    /// `links` has an entry for each of the two peers.
    pub(crate) fn new(agreed: Agreed, links: [Option<Link>; PartyId::COUNT], bounds: Bounds) -> Self {
        Self { agreed, links, bounds, meter: Meter::new(), step: 0, failure: None }
    }

    pub(crate) fn send(
        &mut self,
        to: PartyId,
        phase: Phase,
        tag: &Tag,
        payload: Vec<u8>,
    ) -> Result<(), NetError> {
        self.step = tag.step;
        let sent = self.try_send(to, phase, tag, payload);
        self.remember(sent)
    }

    pub(crate) fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        self.step = tag.step;
        let received = self.try_recv(from, phase, tag, expected_bytes);
        self.remember(received)
    }

    /// Nothing more will be sent: what is queued still goes out, then `end`.
    pub(crate) fn end_sending(&self, end: &End) {
        for link in self.links.iter().flatten() {
            Phase::ALL.iter().for_each(|phase| link.outgoing.of(*phase).end(end.clone()));
        }
    }

    /// Nothing more will be received.
    pub(crate) fn end_receiving(&self, end: &End) {
        for link in self.links.iter().flatten() {
            Phase::ALL.iter().for_each(|phase| link.incoming.of(*phase).refuse(end.clone()));
        }
    }

    /// The step of the last message sent or received.
    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    /// Sets the reason that the peers are told, unless a failure has set one before.
    pub(crate) fn leave_because(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| reason.to_owned());
    }

    /// Why this party leaves without a goodbye. Errors hold public values only, so peers may read it.
    pub(crate) fn parting_words(&self) -> String {
        match &self.failure {
            Some(failure) => format!("it stopped because of: {failure}"),
            None => "it left without saying goodbye".to_owned(),
        }
    }

    fn try_send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        let party = &self.agreed.parties[to.index()];
        let link = self.link(to)?;
        let length = payload.len();
        let too_large = || NetError::FrameTooLarge {
            party: party.clone(),
            bytes: length as u64,
            limit: self.bounds.max_frame,
        };
        if length > self.bounds.max_frame {
            return Err(too_large());
        }
        let bytes = u32::try_from(length).map_err(|_| too_large())?;
        let frame = Frame { header: Header::message(self.agreed.session, tag, bytes), payload };
        link.outgoing.of(phase).push_blocking(frame, self.bounds.deadline).map_err(
            |stopped| match stopped {
                Stopped::Stalled { waited, queued } => NetError::SendStalled {
                    party: party.clone(),
                    step: tag.step,
                    label: tag.label.name(),
                    waited,
                    queued,
                },
                Stopped::Ended { end, waited } => ended(party, tag, end, waited),
                Stopped::Refused(error) => error,
            },
        )?;
        self.meter.sent(to, phase, tag.label, length);
        Ok(())
    }

    fn try_recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        let party = &self.agreed.parties[from.index()];
        let link = self.link(from)?;
        if expected_bytes > self.bounds.max_frame {
            let (party, bytes, limit) = (party.clone(), expected_bytes as u64, self.bounds.max_frame);
            return Err(NetError::FrameTooLarge { party, bytes, limit });
        }
        let session = self.agreed.session;
        let check = |header: &Header| header.expect(party, session, tag, expected_bytes);
        let popped = link.pop(phase, self.bounds.deadline, check);
        let payload = popped.map_err(|stopped| match stopped {
            Stopped::Stalled { waited, .. } => {
                NetError::PeerSilent { party: party.clone(), step: tag.step, label: tag.label.name(), waited }
            }
            Stopped::Ended { end, waited } => ended(party, tag, end, waited),
            Stopped::Refused(error) => error,
        })?;
        self.meter.received(from, phase, tag.label, expected_bytes);
        Ok(payload)
    }

    fn link(&self, peer: PartyId) -> Result<&Link, NetError> {
        let own = || NetError::OwnParty { party: self.agreed.parties[peer.index()].clone() };
        self.links[peer.index()].as_ref().ok_or_else(own)
    }

    fn remember<T>(&mut self, result: Result<T, NetError>) -> Result<T, NetError> {
        if let (Err(error), None) = (&result, &self.failure) {
            self.failure = Some(error.to_string());
        }
        result
    }
}

fn ended(party: &Party, tag: &Tag, end: End, waited: Duration) -> NetError {
    match end {
        End::Finished => {
            NetError::PeerFinished { party: party.clone(), step: tag.step, label: tag.label.name() }
        }
        End::Lost(reason) => {
            NetError::PeerLost { party: party.clone(), step: tag.step, after: waited, reason }
        }
        End::Failed(error) => error,
    }
}
