//! Extension of 128 base transfers to any number: SoftSpokenOT (Roy, CRYPTO 2022), semi-honest.
//!
//! A field parameter k cuts the 128 bits of the sender's secret Δ into blocks of k bits. For every block the
//! receiver holds a tree of 2^k seeds and the sender all of them but the one that its Δ-block names. Both expand the
//! seeds and fold them (module `fold`): the receiver gets columns u and v_l, the sender w_l = v_l ⊕ Δ_l·u.
//! The receiver sends u ⊕ c for each block, c its choice bits, which turns u into c. Transposed, row i reads
//! q_i = t_i ⊕ c_i·Δ. Hashing the rows gives random transfers.
//!
//! Bits sent per transfer: ⌈128/k⌉, from receiver to sender, in one message. Seeds expanded per transfer: about
//! 2^k·128/k bits on each side. k = 1 is the protocol of Ishai, Kilian, Nissim, Petrank (CRYPTO 2003).
//!
//! Difference from the paper: no consistency check (semi-honest only); choice bits are always chosen.

mod columns;
mod receiver;
mod rows;
mod sender;

pub use receiver::{ExtensionReceiver, ReceiverSetup};
pub use rows::{ReceiverRows, SenderRows};
pub use sender::{ExtensionSender, SenderSetup};

use crate::channel::Channel;
use crate::error::OtError;
use crate::{base, pprf};

/// Bits of Δ: the computational security parameter.
pub const SECURITY: usize = 128;

/// Most transfers that one call extends.
pub const MAX_BATCH: usize = 1 << 26;

/// The field parameter k of SoftSpokenOT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldBits(u8);

impl FieldBits {
    /// k from 1 (least work, 128 bits sent per transfer) to 8 (16 bits sent, 256 leaves per block).
    ///
    /// # Errors
    /// [`OtError::BadArgument`] outside 1..=8.
    pub fn new(k: u8) -> Result<Self, OtError> {
        if (1..=8).contains(&k) {
            Ok(Self(k))
        } else {
            Err(OtError::BadArgument { what: "the field parameter k", got: u64::from(k), wanted: "1 to 8" })
        }
    }

    /// k itself.
    pub fn get(self) -> u8 {
        self.0
    }

    /// ⌈128/k⌉ blocks of Δ.
    pub fn blocks(self) -> usize {
        SECURITY.div_ceil(usize::from(self.0))
    }

    /// The bits of Δ in one block: k, but fewer in the last where k does not divide 128.
    pub(crate) fn span(self, block: usize) -> std::ops::Range<usize> {
        let k = usize::from(self.0);
        block * k..SECURITY.min((block + 1) * k)
    }

    /// Leaves of all trees together.
    pub(crate) fn leaves(self) -> usize {
        (0..self.blocks()).map(|block| 1 << self.span(block).len()).sum()
    }

    /// Bytes of the receiver's message for `count` transfers: ⌈128/k⌉·⌈count/8⌉.
    pub fn extension_bytes(self, count: usize) -> usize {
        self.blocks() * count.div_ceil(8)
    }

    /// Bytes of the tree message of the set-up, from the extension's receiver.
    pub fn tree_bytes(self) -> usize {
        (0..self.blocks()).map(|block| pprf::message_bytes(self.span(block).len())).sum()
    }

    /// Bytes that the extension's sender sends at set-up (it is the base receiver).
    pub fn sender_setup_bytes(self) -> usize {
        base::receiver_bytes(SECURITY)
    }

    /// Bytes that the extension's receiver sends at set-up, in two messages.
    pub fn receiver_setup_bytes(self) -> usize {
        base::SENDER_BYTES + self.tree_bytes()
    }
}

impl Default for FieldBits {
    /// k = 4: 4 bytes per transfer, faster than a gigabit link.
    fn default() -> Self {
        Self(4)
    }
}

/// The sender of correlated transfers: learns q, where the receiver learns t = q ⊕ c·Δ.
pub trait CotSender {
    /// Runs `count` transfers over `channel`; one message from the receiver.
    ///
    /// # Errors
    /// [`OtError`] if the channel fails or the message is malformed.
    fn send_correlated<C: Channel>(&mut self, channel: &mut C, count: usize) -> Result<SenderRows, OtError>;
}

/// The receiver of correlated transfers.
pub trait CotReceiver {
    /// Runs `count` transfers over `channel` with packed choice bits (bit i of word i/64 first).
    ///
    /// # Errors
    /// [`OtError`] if the channel fails or `choices` is too short.
    fn receive_correlated<C: Channel>(
        &mut self,
        channel: &mut C,
        choices: &[u64],
        count: usize,
    ) -> Result<ReceiverRows, OtError>;
}

/// The sender of random transfers: learns two random 128-bit messages for each.
pub trait RotSender: CotSender {
    /// Runs `count` transfers: see [`CotSender::send_correlated`].
    ///
    /// # Errors
    /// As [`CotSender::send_correlated`].
    fn send_random<C: Channel>(
        &mut self,
        channel: &mut C,
        count: usize,
    ) -> Result<[crate::Secret<u128>; 2], OtError> {
        Ok(self.send_correlated(channel, count)?.messages())
    }
}

/// The receiver of random transfers: learns the message of its choice.
pub trait RotReceiver: CotReceiver {
    /// Runs `count` transfers: see [`CotReceiver::receive_correlated`].
    ///
    /// # Errors
    /// As [`CotReceiver::receive_correlated`].
    fn receive_random<C: Channel>(
        &mut self,
        channel: &mut C,
        choices: &[u64],
        count: usize,
    ) -> Result<crate::Secret<u128>, OtError> {
        Ok(self.receive_correlated(channel, choices, count)?.messages())
    }
}

impl CotSender for ExtensionSender {
    fn send_correlated<C: Channel>(&mut self, channel: &mut C, count: usize) -> Result<SenderRows, OtError> {
        let message =
            crate::channel::receive(channel, "extension", self.field_bits().extension_bytes(count))?;
        self.extend(count, &message)
    }
}

impl CotReceiver for ExtensionReceiver {
    fn receive_correlated<C: Channel>(
        &mut self,
        channel: &mut C,
        choices: &[u64],
        count: usize,
    ) -> Result<ReceiverRows, OtError> {
        let (rows, message) = self.extend(choices, count)?;
        channel.send(message)?;
        Ok(rows)
    }
}

impl RotSender for ExtensionSender {}
impl RotReceiver for ExtensionReceiver {}

/// Checks the size of a batch.
pub(crate) fn check_batch(count: usize) -> Result<(), OtError> {
    if count <= MAX_BATCH {
        Ok(())
    } else {
        Err(OtError::BadArgument {
            what: "the number of transfers in one batch",
            got: count as u64,
            wanted: "at most 2^26",
        })
    }
}
