//! The channel that the protocols speak over, kept as small as it can be.

use crate::error::{ChannelError, OtError, expect_length};

pub mod memory;

/// An ordered, authenticated, encrypted link to one peer.
///
/// Implementations give confidentiality against everybody else; the protocols here protect the two ends from
/// each other only. `send` must not wait for the peer to read: both ends send before they receive.
pub trait Channel {
    /// The party at the other end.
    fn peer(&self) -> u8;

    /// Queues one message.
    ///
    /// # Errors
    /// [`ChannelError`] if the peer is gone.
    fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelError>;

    /// Waits for the next message, which must have `expected` bytes.
    ///
    /// An implementation may refuse another length itself and must never allocate by a length that the peer
    /// claims; callers check the length again.
    ///
    /// # Errors
    /// [`ChannelError`] if the peer is gone or silent for too long.
    fn recv(&mut self, expected: usize) -> Result<Vec<u8>, ChannelError>;
}

/// Receives one message and checks its length.
pub(crate) fn receive<C: Channel>(
    channel: &mut C,
    what: &'static str,
    expected: usize,
) -> Result<Vec<u8>, OtError> {
    let message = channel.recv(expected)?;
    expect_length(what, &message, expected)?;
    Ok(message)
}
