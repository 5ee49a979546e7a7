//! The channel of the transfers over the transport of the online phase: its offline stream.

use std::cell::RefCell;

use tercet_net::{Label, PartyId, Phase, Transport};
use tercet_online::wire::Wire;

use crate::channel::Channel;
use crate::error::{ChannelError, OtError};
use crate::link::{Link, LinkState};

/// One peer, over a wire that is lent for the time of a call.
pub(super) struct Offline<'w, 'a, T> {
    wire: &'w RefCell<&'a mut Wire<T>>,
    peer: PartyId,
    label: Label,
}

impl<'w, 'a, T: Transport> Offline<'w, 'a, T> {
    /// A channel to `peer`.
    pub(super) fn new(wire: &'w RefCell<&'a mut Wire<T>>, peer: PartyId, label: Label) -> Self {
        Offline { wire, peer, label }
    }
}

impl<T: Transport> Channel for Offline<'_, '_, T> {
    fn peer(&self) -> u8 {
        self.peer.index() as u8
    }

    fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelError> {
        let sent = self.wire.borrow_mut().send(self.peer, Phase::Offline, self.label, message);
        sent.map_err(|source| ChannelError::Transport { peer: self.peer(), source: Box::new(source) })
    }

    fn recv(&mut self, expected: usize) -> Result<Vec<u8>, ChannelError> {
        let received = self.wire.borrow_mut().recv(self.peer, Phase::Offline, self.label, expected);
        received.map_err(|source| ChannelError::Transport { peer: self.peer(), source: Box::new(source) })
    }
}

/// Links without their channels, which a wire lends them for every call.
pub(super) struct Links {
    label: Label,
    /// Empty after a failure: both ends' positions may differ, and such a link must not be used again.
    states: Vec<LinkState>,
}

impl Links {
    /// Rests `links` until the next call.
    pub(super) fn new<T: Transport>(label: Label, links: Vec<Link<Offline<'_, '_, T>>>) -> Links {
        Links { label, states: links.into_iter().map(Link::detach).collect() }
    }

    /// Runs `protocol` on the links over `wire`. If it fails, no later call gets the links.
    pub(super) fn over<T: Transport, R, E: From<OtError>>(
        &mut self,
        wire: &mut Wire<T>,
        protocol: impl FnOnce(&mut [Link<Offline<'_, '_, T>>]) -> Result<R, E>,
    ) -> Result<R, E> {
        if self.states.is_empty() {
            return Err(OtError::LinkFailed.into());
        }
        let wire = RefCell::new(wire);
        let mut links = Vec::with_capacity(self.states.len());
        for state in std::mem::take(&mut self.states) {
            let peer = PartyId::new(state.peer()).ok_or(OtError::LinkFailed)?;
            links.push(state.attach(Offline::new(&wire, peer, self.label)));
        }
        let result = protocol(&mut links)?;
        self.states = links.into_iter().map(Link::detach).collect();
        Ok(result)
    }
}
