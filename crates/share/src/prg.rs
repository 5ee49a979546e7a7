//! Pseudo-random streams that two parties share: each stream is opened once, in increasing order, by construction.
//!
//! ChaCha with 12 rounds: the best published attack reaches 7 rounds (Aumasson, "Too Much Crypto", 2019), and 12 rounds is
//! what the `rand` project uses for its own secure generator.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
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
        let mut rng = ChaCha12Rng::from_seed(self.key.0);
        rng.set_stream(address);
        Ok(Stream { rng })
    }
}

/// One stream, consumed by exactly one draw. rand_chacha has no wiping of its own, so the cipher's block buffer stays in
/// freed stack memory until it is overwritten (stated in the README's limits).
#[must_use]
pub struct Stream {
    rng: ChaCha12Rng,
}

impl Stream {
    /// `n` uniform elements of `bits` bits each (1 to 64).
    pub fn elements(mut self, n: usize, bits: u32) -> Vec<u64> {
        let mut out = vec![0u64; n];
        if bits > 32 {
            fill_words(&mut self.rng, &mut out);
            if bits < 64 {
                kernel::mask(&mut out, bits);
            }
            return out;
        }
        let mut bytes = vec![0u8; (n * bits as usize).div_ceil(8)];
        self.rng.fill_bytes(&mut bytes);
        clear_padding(&mut bytes, n * bits as usize);
        kernel::unpack(&bytes, bits, &mut out)
            .expect("the buffer was sized for n elements and its padding cleared");
        bytes.zeroize();
        out
    }

    /// A `rows × cols` tensor of uniform elements of `bits` bits.
    pub fn tensor(self, rows: usize, cols: usize, bits: u32) -> Tensor {
        Tensor::from_vec(rows, cols, self.elements(rows * cols, bits))
    }

    /// `n` uniform bits.
    pub fn bits(mut self, n: usize) -> PackedBits {
        let mut words = vec![0u64; n.div_ceil(64)];
        fill_words(&mut self.rng, &mut words);
        PackedBits::from_words(n, words)
    }

    /// `n` uniform words of `bits` bits each (1 to 16).
    pub fn words16(mut self, n: usize, bits: u32) -> Vec<u16> {
        let mut bytes = vec![0u8; n * 2];
        self.rng.fill_bytes(&mut bytes);
        let mask = ((1u32 << bits) - 1) as u16;
        let out = bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]) & mask).collect();
        bytes.zeroize();
        out
    }
}

fn fill_words(rng: &mut ChaCha12Rng, out: &mut [u64]) {
    // Through a byte buffer that stays in the first-level cache: `fill_bytes` is the generator's vectorised path.
    let mut block = [0u8; 4096];
    for chunk in out.chunks_mut(512) {
        let bytes = &mut block[..chunk.len() * 8];
        rng.fill_bytes(bytes);
        for (word, b) in chunk.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*b);
        }
    }
    block.zeroize();
}

fn clear_padding(bytes: &mut [u8], bits: usize) {
    let used = bits % 8;
    if used != 0
        && let Some(last) = bytes.last_mut()
    {
        *last &= (1 << used) - 1;
    }
}
