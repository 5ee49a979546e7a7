//! Pseudo-random streams that two parties share: each stream is opened once, in increasing order, by construction.
//!
//! ChaCha with 12 rounds: the best published attack reaches 7 rounds (Aumasson, "Too Much Crypto", 2019), and 12 rounds is
//! what the `rand` project uses for its own secure generator.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{PackedBits, ShareError, Tensor, kernel};

/// Most purposes that one operation may draw for.
pub const PURPOSES_PER_OP: u64 = 1 << 20;

/// A secret 32-byte key that two parties share for one session.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PairKey([u8; 32]);

impl PairKey {
    /// Wraps key bytes that came out of a key derivation; they must never be used elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> PairKey {
        PairKey(bytes)
    }
}

/// The generator of one pair of parties. Streams are addressed by (operation, purpose); both parties open the same
/// streams in the same order, and an address that is not above the last one is refused, so that no mask is drawn twice.
pub struct PairPrg {
    key: PairKey,
    next: u64,
}

impl PairPrg {
    /// A generator whose streams are all unused. `key` must be fresh for the session.
    pub fn new(key: PairKey) -> PairPrg {
        PairPrg { key, next: 0 }
    }

    /// Opens the stream for (`op`, `purpose`); an error if that address, or a later one, was opened before.
    pub fn stream(&mut self, op: u64, purpose: u64) -> Result<Stream, ShareError> {
        let address = op
            .checked_mul(PURPOSES_PER_OP)
            .filter(|_| purpose < PURPOSES_PER_OP)
            .and_then(|a| a.checked_add(purpose))
            .ok_or(ShareError::StreamsExhausted)?;
        if address < self.next {
            return Err(ShareError::MaskReuse { op, purpose });
        }
        self.next = address + 1;
        Ok(Stream { key: self.key.clone(), address })
    }
}

/// One stream, consumed by exactly one draw.
#[must_use]
pub struct Stream {
    key: PairKey,
    address: u64,
}

impl Stream {
    fn fill(&self, out: &mut [u64]) {
        kernel::chacha::key_stream(&self.key.0, self.address, out);
    }

    /// `n` uniform elements of `bits` bits each (1 to 64): element i is bits i·`bits` and on of the stream.
    pub fn elements(self, n: usize, bits: u32) -> Vec<u64> {
        let mut out = vec![0u64; n];
        kernel::chacha::key_stream_elements(&self.key.0, self.address, bits, &mut out);
        out
    }

    /// A `rows × cols` tensor of uniform elements of `bits` bits.
    pub fn tensor(self, rows: usize, cols: usize, bits: u32) -> Tensor {
        Tensor::from_vec(rows, cols, self.elements(rows * cols, bits))
    }

    /// `n` uniform bits.
    pub fn bits(self, n: usize) -> PackedBits {
        let mut words = vec![0u64; n.div_ceil(64)];
        self.fill(&mut words);
        PackedBits::from_words(n, words)
    }

    /// `n` uniform words of `bits` bits each (1 to 16).
    pub fn words16(self, n: usize, bits: u32) -> Vec<u16> {
        let mut words = vec![0u64; n.div_ceil(4)];
        self.fill(&mut words);
        let mask = ((1u32 << bits) - 1) as u16;
        let halves =
            words.iter().flat_map(|w| [*w as u16, (w >> 16) as u16, (w >> 32) as u16, (w >> 48) as u16]);
        let out = halves.take(n).map(|v| v & mask).collect();
        words.zeroize();
        out
    }
}
