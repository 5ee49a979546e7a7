//! The interface between a protocol and the network.

use crate::{Meter, NetError, Party, PartyId, Phase, SessionId, Tag};

/// Messages between this party and the two others, in order, checked, metered and bounded in time.
///
/// A protocol sends everything of a round before it receives anything, so that three parties which
/// all do so never wait in a circle. Methods block; one thread drives one transport.
pub trait Transport: Send {
    /// Which party this is.
    fn me(&self) -> PartyId;

    /// A party with its name, for messages to people.
    fn party(&self, id: PartyId) -> &Party;

    /// The session that all three parties agreed on: fresh for every run.
    fn session(&self) -> SessionId;

    /// The opaque public key bytes that this party gave in the handshake, for key agreement between pairs.
    /// Empty when the party gave none. For `me()` it is the key this party gave itself.
    fn peer_key(&self, party: PartyId) -> &[u8];

    /// Queues one message and returns. Blocks only while the bounded queue to `to` is full.
    ///
    /// # Errors
    /// [`NetError::SendStalled`] when the peer took nothing for the whole deadline,
    /// [`NetError::PeerLost`] and [`NetError::PeerFinished`] when it is gone,
    /// [`NetError::FrameTooLarge`] for a payload over the frame limit, [`NetError::OwnParty`] for `to == me`.
    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError>;

    /// The next message of `from` in `phase`, which must carry this session, `tag` and exactly
    /// `expected_bytes` of payload. Messages sent before a goodbye or a loss are still delivered.
    ///
    /// # Errors
    /// [`NetError::Mismatch`] or [`NetError::SessionMismatch`] when the header differs (it is compared before
    /// the payload is taken; after a mismatch the stream is out of step and the run must end),
    /// [`NetError::PeerSilent`] when nothing arrived for the whole deadline, [`NetError::PeerLost`] when the
    /// connection broke, [`NetError::PeerFinished`] when the peer closed in good order.
    fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError>;

    /// What was sent and received so far.
    fn meter(&self) -> &Meter;

    /// The meter, so that a protocol can count its rounds with [`Meter::round`].
    fn meter_mut(&mut self) -> &mut Meter;

    /// Delivers everything queued, says goodbye to both peers and leaves.
    ///
    /// A transport that is dropped without `close` looks like a crash to its peers, on purpose.
    ///
    /// # Errors
    /// The same as [`Transport::send`], when something queued could not be delivered within the deadline.
    fn close(self: Box<Self>) -> Result<(), NetError>;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn me(&self) -> PartyId {
        (**self).me()
    }

    fn party(&self, id: PartyId) -> &Party {
        (**self).party(id)
    }

    fn session(&self) -> SessionId {
        (**self).session()
    }

    fn peer_key(&self, party: PartyId) -> &[u8] {
        (**self).peer_key(party)
    }

    fn send(&mut self, to: PartyId, phase: Phase, tag: &Tag, payload: Vec<u8>) -> Result<(), NetError> {
        (**self).send(to, phase, tag, payload)
    }

    fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<Vec<u8>, NetError> {
        (**self).recv(from, phase, tag, expected_bytes)
    }

    fn meter(&self) -> &Meter {
        (**self).meter()
    }

    fn meter_mut(&mut self) -> &mut Meter {
        (**self).meter_mut()
    }

    fn close(self: Box<Self>) -> Result<(), NetError> {
        (*self).close()
    }
}
