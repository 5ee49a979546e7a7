//! The portable version, on the `aes` crate.

use super::{LANE_BLOCKS, Lane};
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use zeroize::Zeroize;

/// Blocks handed to the cipher at once.
const CHUNK: usize = 64;

pub(super) fn cipher(key: u128) -> Aes128Enc {
    Aes128Enc::new(&Array(key.to_le_bytes()))
}

pub(super) fn expand_keys(seeds: &[u128]) -> Vec<Aes128Enc> {
    seeds.iter().map(|&seed| cipher(seed)).collect()
}

/// See [`super::Streams::fill`].
pub(super) fn fill(ciphers: &[Aes128Enc], first: u64, lanes: usize, out: &mut [Lane]) {
    let mut blocks = [Block::default(); CHUNK];
    for (cipher, out) in ciphers.iter().zip(out.chunks_exact_mut(lanes)) {
        for (part, out) in out.chunks_mut(CHUNK / LANE_BLOCKS).enumerate() {
            let blocks = &mut blocks[..out.len() * LANE_BLOCKS];
            for (i, block) in blocks.iter_mut().enumerate() {
                block.0 = u128::from(first + (part * CHUNK + i) as u64).to_le_bytes();
            }
            cipher.encrypt_blocks(blocks);
            let (words, _) = Array::slice_as_flattened(blocks).as_chunks::<8>();
            for (to, word) in out.as_flattened_mut().iter_mut().zip(words) {
                *to = u64::from_le_bytes(*word);
            }
        }
    }
    Array::slice_as_flattened_mut(&mut blocks).zeroize();
}

/// See [`super::double`].
pub(super) fn double(nodes: &mut [u128]) {
    let (left, right) = nodes.split_at_mut(nodes.len() / 2);
    for (left, right) in left.iter_mut().zip(right) {
        let mut blocks = [Array(0u128.to_le_bytes()), Array(1u128.to_le_bytes())];
        cipher(*left).encrypt_blocks(&mut blocks);
        *left = u128::from_le_bytes(blocks[0].0);
        *right = u128::from_le_bytes(blocks[1].0);
    }
}

/// See [`super::Tmmo::hash`].
pub(super) fn hash(cipher: &Aes128Enc, first: u64, rows: &[u128], offset: u128, out: &mut [u128]) {
    let mut inner = [Block::default(); CHUNK];
    let mut outer = inner;
    for (part, (rows, out)) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)).enumerate() {
        let tweak = first + (part * CHUNK) as u64;
        let (inner, outer) = (&mut inner[..rows.len()], &mut outer[..rows.len()]);
        for (block, row) in inner.iter_mut().zip(rows) {
            block.0 = (row ^ offset).to_le_bytes();
        }
        cipher.encrypt_blocks(inner);
        for (i, (to, from)) in outer.iter_mut().zip(inner.iter()).enumerate() {
            to.0 = (u128::from_le_bytes(from.0) ^ u128::from(tweak + i as u64)).to_le_bytes();
        }
        cipher.encrypt_blocks(outer);
        for ((to, a), b) in out.iter_mut().zip(inner.iter()).zip(outer.iter()) {
            *to = u128::from_le_bytes(a.0) ^ u128::from_le_bytes(b.0);
        }
    }
    Array::slice_as_flattened_mut(&mut inner).zeroize();
    Array::slice_as_flattened_mut(&mut outer).zeroize();
}
