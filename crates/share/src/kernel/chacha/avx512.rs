//! ChaCha12 with one block per 32-bit lane: sixteen blocks in a pass, two passes at a time.

use std::arch::x86_64::*;

/// Blocks of one pass.
pub(super) const BLOCKS: usize = 16;
/// 64-bit words of one pass: sixteen blocks of 64 bytes.
pub(super) const WORDS: usize = BLOCKS * 8;

/// A column round and a diagonal round of one or two states of sixteen words, interleaved.
macro_rules! double_round {
    ($([$a0:ident $a1:ident $a2:ident $a3:ident $b0:ident $b1:ident $b2:ident $b3:ident
        $c0:ident $c1:ident $c2:ident $c3:ident $d0:ident $d1:ident $d2:ident $d3:ident]),*) => {
        quarter_rounds!($(($a0, $b0, $c0, $d0), ($a1, $b1, $c1, $d1), ($a2, $b2, $c2, $d2), ($a3, $b3, $c3, $d3)),*);
        quarter_rounds!($(($a0, $b1, $c2, $d3), ($a1, $b2, $c3, $d0), ($a2, $b3, $c0, $d1), ($a3, $b0, $c1, $d2)),*);
    };
}

/// Independent quarter rounds, interleaved.
macro_rules! quarter_rounds {
    ($(($a:ident, $b:ident, $c:ident, $d:ident)),*) => {
        quarter_rounds!(@step $(($a, $b, $d)),*; 16);
        quarter_rounds!(@step $(($c, $d, $b)),*; 12);
        quarter_rounds!(@step $(($a, $b, $d)),*; 8);
        quarter_rounds!(@step $(($c, $d, $b)),*; 7);
    };
    (@step $(($x:ident, $y:ident, $z:ident)),*; $rot:literal) => {
        $( $x = _mm512_add_epi32($x, $y); )*
        $( $z = _mm512_rol_epi32::<$rot>(_mm512_xor_si512($z, $x)); )*
    };
}

/// Writes the blocks from `counter` on into `out`.
///
/// # Safety
/// The CPU must have AVX-512F. `out` must be a multiple of [`WORDS`] long (checked).
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn blocks(key: &[u8; 32], stream: u64, counter: u64, out: &mut [u64]) {
    assert!(out.len().is_multiple_of(WORDS), "whole passes only");
    let word = |i: usize| i32::from_le_bytes([key[4 * i], key[4 * i + 1], key[4 * i + 2], key[4 * i + 3]]);
    let constants = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
    let mut start = [_mm512_setzero_si512(); 16];
    for i in 0..4 {
        start[i] = _mm512_set1_epi32(constants[i]);
    }
    for i in 0..8 {
        start[4 + i] = _mm512_set1_epi32(word(i));
    }
    start[14] = _mm512_set1_epi32(stream as u32 as i32);
    start[15] = _mm512_set1_epi32((stream >> 32) as u32 as i32);
    // Two passes at a time where there are two: the rounds of one are a chain of dependent instructions, and 32 registers hold both (19 in
    // place of 12 GB/s on Zen 5). Words are variables, not an array that is indexed: they must stay in registers.
    let mut counter = counter;
    let (pairs, last) = out.as_chunks_mut::<{ 2 * WORDS }>();
    for pair in pairs {
        let (first, second) = pair.split_at_mut(WORDS);
        let both = [counters(&start, counter), counters(&start, counter + BLOCKS as u64)];
        #[rustfmt::skip]
        let [
            mut a0, mut a1, mut a2, mut a3, mut b0, mut b1, mut b2, mut b3,
            mut c0, mut c1, mut c2, mut c3, mut d0, mut d1, mut d2, mut d3,
        ] = both[0];
        #[rustfmt::skip]
        let [
            mut e0, mut e1, mut e2, mut e3, mut f0, mut f1, mut f2, mut f3,
            mut g0, mut g1, mut g2, mut g3, mut h0, mut h1, mut h2, mut h3,
        ] = both[1];
        for _ in 0..6 {
            double_round!([a0 a1 a2 a3 b0 b1 b2 b3 c0 c1 c2 c3 d0 d1 d2 d3], [e0 e1 e2 e3 f0 f1 f2 f3 g0 g1 g2 g3 h0 h1 h2 h3]);
        }
        finish([a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3], &both[0], first);
        finish([e0, e1, e2, e3, f0, f1, f2, f3, g0, g1, g2, g3, h0, h1, h2, h3], &both[1], second);
        counter += 2 * BLOCKS as u64;
    }
    if !last.is_empty() {
        let start = counters(&start, counter);
        #[rustfmt::skip]
        let [
            mut a0, mut a1, mut a2, mut a3, mut b0, mut b1, mut b2, mut b3,
            mut c0, mut c1, mut c2, mut c3, mut d0, mut d1, mut d2, mut d3,
        ] = start;
        for _ in 0..6 {
            double_round!([a0 a1 a2 a3 b0 b1 b2 b3 c0 c1 c2 c3 d0 d1 d2 d3]);
        }
        finish([a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3], &start, last);
    }
}

/// The state before the rounds, of the blocks from `first` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn counters(start: &[__m512i; 16], first: u64) -> [__m512i; 16] {
    let low: [u32; 16] = std::array::from_fn(|lane| (first + lane as u64) as u32);
    let high: [u32; 16] = std::array::from_fn(|lane| ((first + lane as u64) >> 32) as u32);
    let mut start = *start;
    // SAFETY: both arrays are 64 bytes long; unaligned loads have no other requirement.
    unsafe {
        start[12] = _mm512_loadu_si512(low.as_ptr().cast());
        start[13] = _mm512_loadu_si512(high.as_ptr().cast());
    }
    start
}

/// Writes what sixteen blocks are after the rounds into `out`, [`WORDS`] long.
#[inline]
#[target_feature(enable = "avx512f")]
fn finish(mut v: [__m512i; 16], start: &[__m512i; 16], out: &mut [u64]) {
    for i in 0..16 {
        v[i] = _mm512_add_epi32(v[i], start[i]);
    }
    for (block, lane) in out.chunks_exact_mut(8).zip(transpose(v)) {
        // SAFETY: `block` is 64 bytes long.
        unsafe { _mm512_storeu_si512(block.as_mut_ptr().cast(), lane) };
    }
}

/// Rows become columns: vector i of the result holds word 0 to 15 of block i.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(v: [__m512i; 16]) -> [__m512i; 16] {
    let mut a = v;
    for i in 0..8 {
        a[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    let mut b = a;
    for i in 0..4 {
        b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    // b[4i + j] holds words 4i..4i+4 of blocks j, 4+j, 8+j, 12+j, one per 128-bit lane.
    let mut out = v;
    for j in 0..4 {
        let (r0, r1, r2, r3) = (b[j], b[4 + j], b[8 + j], b[12 + j]);
        let low01 = _mm512_shuffle_i32x4::<0b01_00_01_00>(r0, r1);
        let low23 = _mm512_shuffle_i32x4::<0b01_00_01_00>(r2, r3);
        let high01 = _mm512_shuffle_i32x4::<0b11_10_11_10>(r0, r1);
        let high23 = _mm512_shuffle_i32x4::<0b11_10_11_10>(r2, r3);
        out[j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low01, low23);
        out[4 + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low01, low23);
        out[8 + j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(high01, high23);
        out[12 + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(high01, high23);
    }
    out
}
