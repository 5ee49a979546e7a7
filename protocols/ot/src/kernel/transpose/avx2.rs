//! The AVX2 transpose: a byte transpose by unpacking, then one `movemask` for each 32 bits of output.
#![allow(unsafe_code)]

use super::Tile;
use std::arch::x86_64::*;

/// Proof that this machine has AVX2.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// out(j, i) = tile(i, j).
    pub(super) fn transpose(self, tile: &Tile, out: &mut Tile) {
        // SAFETY: `self` exists only where AVX2 was detected.
        unsafe { transpose(tile, out) }
    }
}

#[target_feature(enable = "avx2")]
fn transpose(tile: &Tile, out: &mut Tile) {
    let mut words = [[0u32; 4]; 128];
    for group in 0..4 {
        let mut bytes = [_mm256_setzero_si256(); 16];
        for (i, lane) in bytes.iter_mut().enumerate() {
            let (low, high) = (tile[32 * group + i], tile[32 * group + 16 + i]);
            *lane = _mm256_set_epi64x((high >> 64) as i64, high as i64, (low >> 64) as i64, low as i64);
        }
        // Four perfect shuffles transpose a 16 × 16 matrix of bytes, in each half of the lanes.
        for _ in 0..4 {
            let mut next = bytes;
            for i in 0..8 {
                next[2 * i] = _mm256_unpacklo_epi8(bytes[i], bytes[i + 8]);
                next[2 * i + 1] = _mm256_unpackhi_epi8(bytes[i], bytes[i + 8]);
            }
            bytes = next;
        }
        for (column, lane) in bytes.into_iter().enumerate() {
            let mut lane = lane;
            for bit in (0..8).rev() {
                words[8 * column + bit][group] = _mm256_movemask_epi8(lane) as u32;
                lane = _mm256_add_epi8(lane, lane);
            }
        }
    }
    for (row, words) in out.iter_mut().zip(&words) {
        *row = words.iter().rev().fold(0, |row, &word| row << 32 | u128::from(word));
    }
}
