//! Signs of life between the evaluators and the dealer.
//!
//! The dealer runs ahead and waits for nobody, and what it dealt is used up long after it was sent. Without more, an
//! evaluator would notice a dead dealer only when the last dealt value is used, and a dealer would never notice a dead
//! evaluator. So each evaluator sends the dealer one byte about once a second, which fails if the dealer is lost, and the
//! dealer, once it has dealt everything, stays and reads them until both evaluators are done. Times depend on public
//! values only, as all control flow does.

use std::time::{Duration, Instant};

use tercet_net::{Label, Meter, NetError, Party, PartyId, Phase, SessionId, Tag, Transport};

/// Between two signs of an evaluator.
const EVERY: Duration = Duration::from_secs(1);

/// The phase of the signs. From an evaluator to the dealer nothing else travels in it.
const PHASE: Phase = Phase::Offline;

/// Their label.
pub(super) const LABEL: &str = "alive";

const ALIVE: u8 = 0;
const DONE: u8 = 1;

/// What this party does for the signs of life.
#[derive(Clone, Copy, Debug)]
pub(super) enum Duty {
    /// An evaluator: give signs to the dealer.
    ReportTo(PartyId),
    /// The dealer: stay until both evaluators are done.
    StayFor([PartyId; 2]),
    /// Without a dealer every party waits for every other in all that it does: no signs are needed.
    Nothing,
}

/// A transport whose parties give signs of life to each other.
pub(super) struct Attended<T> {
    inner: T,
    duty: Duty,
    label: Label,
    /// Signs given so far.
    count: u64,
    last: Instant,
    /// The protocol's step, for errors.
    step: u64,
}

impl<T: Transport> Attended<T> {
    pub(super) fn new(inner: T, duty: Duty) -> Self {
        Self { inner, duty, label: Label::new(LABEL), count: 0, last: Instant::now(), step: 0 }
    }

    /// After the protocol's last message. The dealer waits here until both evaluators are done.
    ///
    /// # Errors
    /// At the dealer: an evaluator was lost or is silent. An evaluator needs the dealer no more, and goes on without it.
    pub(super) fn finish(mut self) -> Result<T, NetError> {
        match self.duty {
            Duty::ReportTo(_) => {
                if let Err(error) = self.sign(DONE) {
                    tracing::warn!("this party is done, but could not say so: {error}");
                }
            }
            Duty::Nothing => {}
            Duty::StayFor(evaluators) => {
                for evaluator in evaluators {
                    self.stay_for(evaluator)?;
                }
            }
        }
        Ok(self.inner)
    }

    /// Before the end: the transport alone, to leave over.
    pub(super) fn into_inner(self) -> T {
        self.inner
    }

    /// Gives a sign if it is time to.
    fn attend(&mut self, tag: &Tag) -> Result<(), NetError> {
        self.step = tag.step;
        if matches!(self.duty, Duty::ReportTo(_)) && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            self.sign(ALIVE)?;
        }
        Ok(())
    }

    fn sign(&mut self, what: u8) -> Result<(), NetError> {
        let Duty::ReportTo(dealer) = self.duty else { return Ok(()) };
        let sent = self.inner.send(dealer, PHASE, &self.tag(self.count), vec![what]);
        self.count += 1;
        sent.map_err(|error| at_step(error, self.step))
    }

    fn stay_for(&mut self, evaluator: PartyId) -> Result<(), NetError> {
        let party = self.inner.party(evaluator).clone();
        for count in 0.. {
            let sign = self.inner.recv(evaluator, PHASE, &self.tag(count), 1);
            match sign.map_err(|error| at_step(error, self.step))?.as_slice() {
                [ALIVE] => {}
                [DONE] => break,
                _ => return Err(NetError::Malformed { party, what: "an unknown sign of life".to_owned() }),
            }
        }
        Ok(())
    }

    /// Signs are counted, and know no step: the dealer is ahead of the evaluators.
    fn tag(&self, count: u64) -> Tag {
        Tag::new(0, count, self.label)
    }
}

/// The error of a sign with the step at which the protocol is.
fn at_step(error: NetError, at: u64) -> NetError {
    match error {
        NetError::PeerLost { party, after, reason, .. } => {
            NetError::PeerLost { party, step: at, after, reason }
        }
        NetError::PeerSilent { party, label, waited, .. } => {
            NetError::PeerSilent { party, step: at, label, waited }
        }
        NetError::PeerFinished { party, label, .. } => NetError::PeerFinished { party, step: at, label },
        other => other,
    }
}

impl<T: Transport> Transport for Attended<T> {
    fn me(&self) -> PartyId {
        self.inner.me()
    }

    fn party(&self, id: PartyId) -> &Party {
        self.inner.party(id)
    }

    fn session(&self) -> SessionId {
        self.inner.session()
    }

    fn peer_key(&self, party: PartyId) -> &[u8] {
        self.inner.peer_key(party)
    }

    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        self.attend(tag)?;
        self.inner.send(to, phase, tag, payload)
    }

    fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        self.attend(tag)?;
        self.inner.recv(from, phase, tag, expected_bytes)
    }

    fn meter(&self) -> &Meter {
        self.inner.meter()
    }

    fn meter_mut(&mut self) -> &mut Meter {
        self.inner.meter_mut()
    }

    fn close(self: Box<Self>) -> Result<(), NetError> {
        Box::new(self.inner).close()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tercet_net::memory;

    use super::*;

    /// Three transports in memory, the third the dealer's, with a short deadline.
    fn attended() -> [Attended<memory::MemoryTransport>; 3] {
        let [e0, e1, dealer] = PartyId::ALL;
        let duties = [Duty::ReportTo(dealer), Duty::ReportTo(dealer), Duty::StayFor([e0, e1])];
        let mut duties = duties.into_iter();
        memory::mesh(["ada", "ben", "cyd"]).unwrap().map(|inner| match duties.next() {
            Some(duty) => Attended::new(inner, duty),
            None => unreachable!("three transports have three duties"),
        })
    }

    fn message(from: &mut Attended<memory::MemoryTransport>, to: PartyId) -> Result<(), NetError> {
        from.send(to, Phase::Online, &Tag::new(7, 1, Label::new("work")), vec![1, 2, 3])
    }

    #[test]
    fn the_dealer_stays_until_both_evaluators_are_done() {
        let [mut e0, e1, dealer] = attended();
        let stay = thread::spawn(move || dealer.finish().map(|_| Instant::now()));
        let _left = e1.finish().unwrap();
        e0.last -= EVERY;
        message(&mut e0, PartyId::ALL[1]).unwrap();
        assert_eq!(e0.count, 1, "a sign is due after a second");
        thread::sleep(Duration::from_millis(50));
        let done = Instant::now();
        let _left = e0.finish().unwrap();
        assert!(stay.join().unwrap().unwrap() >= done);
    }

    #[test]
    fn an_evaluator_that_needs_nothing_of_the_dealer_notices_that_it_is_lost() {
        let [mut e0, _e1, dealer] = attended();
        drop(dealer);
        message(&mut e0, PartyId::ALL[1]).unwrap();
        e0.last -= EVERY;
        let error = message(&mut e0, PartyId::ALL[1]).unwrap_err();
        assert!(
            matches!(&error, NetError::PeerLost { party, step: 7, .. } if party.name() == "cyd"),
            "{error}"
        );
    }

    #[test]
    fn a_dealer_that_has_dealt_everything_notices_that_an_evaluator_is_lost() {
        let [e0, e1, dealer] = attended();
        let _left = e0.finish().unwrap();
        drop(e1);
        let error = dealer.finish().map(|_| ()).unwrap_err();
        assert_eq!(error.party().map(|party| party.name()), Some("ben"), "{error}");
    }
}
