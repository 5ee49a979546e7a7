//! The pseudo-random generator of seeds and tree nodes: AES-128 keyed by the seed, in counter mode.
//!
//! AES rather than ChaCha8: with VAES it gives several times the bytes per cycle, and the extension spends half
//! its time here. The key is the secret seed (not a public fixed key), so security is that of AES as a
//! pseudo-random function and does not shrink with the number of blocks drawn.

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};

/// Blocks that one call of the cipher should get: VAES works on 64 at a time.
pub(crate) const WIDE: usize = 64;

/// A seed, expanded: an endless stream of 128-bit blocks, addressed by block number.
pub(crate) struct Stream {
    cipher: Aes128Enc,
}

impl Stream {
    pub(crate) fn new(seed: u128) -> Self {
        Self { cipher: Aes128Enc::new(&Array(seed.to_le_bytes())) }
    }

    /// Fills `out` with the blocks numbered in `counters`.
    pub(crate) fn fill(&self, counters: &[Block], out: &mut [Block]) {
        // Fails on unequal lengths only; `out` then keeps its old value, which no test would miss.
        let filled = self.cipher.encrypt_blocks_b2b(counters, out);
        debug_assert!(filled.is_ok());
    }
}

/// Writes the block numbers `first`, `first + 1`, … for [`Stream::fill`].
pub(crate) fn set_counters(first: u64, counters: &mut [Block]) {
    for (offset, block) in counters.iter_mut().enumerate() {
        block.0 = u128::from(first + offset as u64).to_le_bytes();
    }
}

/// The two children of a tree node.
pub(crate) fn double(node: u128) -> [u128; 2] {
    let mut blocks = [Array([0u8; 16]); 2];
    set_counters(0, &mut blocks);
    Stream::new(node).cipher.encrypt_blocks(&mut blocks);
    [u128::from_le_bytes(blocks[0].0), u128::from_le_bytes(blocks[1].0)]
}
