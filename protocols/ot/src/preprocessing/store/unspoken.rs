//! A transport that leaves the online phase out: for a program that is run for its masks alone.

use tercet_net::{Meter, NetError, Party, PartyId, Phase, SessionId, Tag, Transport};

/// Sends nothing online and receives zeros; preprocessing goes through.
///
/// The masks of a program do not depend on opened values, so that a run over this transport draws exactly those of the
/// real run. What it would open is meaningless.
pub struct Unspoken<T>(T);

impl<T: Transport> Unspoken<T> {
    /// Leaves the online phase of `inner` out.
    pub fn new(inner: T) -> Unspoken<T> {
        Unspoken(inner)
    }

    /// The transport itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: Transport> Transport for Unspoken<T> {
    fn me(&self) -> PartyId {
        self.0.me()
    }

    fn party(&self, id: PartyId) -> &Party {
        self.0.party(id)
    }

    fn session(&self) -> SessionId {
        self.0.session()
    }

    fn peer_key(&self, party: PartyId) -> &[u8] {
        self.0.peer_key(party)
    }

    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        match phase {
            Phase::Offline => self.0.send(to, phase, tag, payload),
            Phase::Online => Ok(()),
        }
    }

    fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        match phase {
            Phase::Offline => self.0.recv(from, phase, tag, expected_bytes),
            Phase::Online => Ok(vec![0; expected_bytes]),
        }
    }

    fn meter(&self) -> &Meter {
        self.0.meter()
    }

    fn meter_mut(&mut self) -> &mut Meter {
        self.0.meter_mut()
    }

    fn close(self: Box<Self>) -> Result<(), NetError> {
        Box::new(self.0).close()
    }
}
