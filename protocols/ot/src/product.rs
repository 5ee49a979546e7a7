//! Products of one party's private value with another's: Gilboa, "Two Party RSA Key Generation" (CRYPTO 1999).
//!
//! Party R holds x, party S holds y; after the protocol they hold additive shares of x·y. R's bits choose in
//! oblivious transfers; S answers with *corrections*. The transfer for bit j carries y·2^j, of which only the
//! lowest L − j bits of y matter modulo 2^L, so its correction has L − j bits.
//!
//! Each kind of product is a [`CrossProduct`]: a list of chunks with public sizes, and the local halves of both
//! roles. [`crate::link::exchange`] runs any of them over any number of links.

mod bits;
mod elementwise;
mod matrix;
mod packing;
mod select;

pub use bits::Ands;
pub use elementwise::Elementwise;
pub use matrix::{ChoiceSide, MatrixPlan, MatrixProduct, MatrixShape};
pub use select::{Moduli, Selections};

use crate::error::OtError;
use crate::extension::{ReceiverRows, SenderRows};
use crate::secret::Secret;

/// Transfers that a chunk aims at: 16 MiB of rows on each side.
pub(crate) const CHUNK_TRANSFERS: usize = 1 << 20;

/// The ring Z_2^L, 1 ≤ L ≤ 64; values are kept in the low bits of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ring(u8);

impl Ring {
    /// The ring of the masked shares, Z_2^64.
    pub const FULL: Self = Self(64);

    /// Z_2^`bits`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] outside 1..=64.
    pub fn new(bits: u8) -> Result<Self, OtError> {
        if (1..=64).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(OtError::BadArgument { what: "the ring width", got: u64::from(bits), wanted: "1 to 64 bits" })
        }
    }

    /// L.
    pub fn bits(self) -> usize {
        usize::from(self.0)
    }

    /// `value` modulo 2^L.
    pub fn reduce(self, value: u64) -> u64 {
        value & u64::MAX >> (64 - self.0)
    }

    /// L·(L+1)/2: the correction bits of one product, Σ_j (L − j).
    pub fn correction_bits(self) -> usize {
        self.bits() * (self.bits() + 1) / 2
    }
}

/// A product between each pair of parties, cut into chunks; holds this party's operands and its share so far.
///
/// Sizes are public and the same for all parties. The local halves never fail on their own party's data.
pub trait CrossProduct {
    /// Number of chunks.
    fn chunks(&self) -> usize;
    /// Oblivious transfers of a chunk.
    fn transfers(&self, chunk: usize) -> usize;
    /// Bytes of the corrections of a chunk.
    fn correction_bytes(&self, chunk: usize) -> usize;
    /// This party's packed choice bits for a chunk.
    fn choices(&self, chunk: usize) -> Secret<u64>;
    /// Sender's half: adds this party's share and returns the corrections.
    fn send(&mut self, chunk: usize, rows: &SenderRows) -> Vec<u8>;
    /// Receiver's half: adds this party's share.
    ///
    /// # Errors
    /// [`OtError::TrailingBits`] if the corrections end in bits that belong to no value.
    fn receive(&mut self, chunk: usize, rows: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError>;
}
