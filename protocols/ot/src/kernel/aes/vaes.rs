//! The VAES version: four blocks in a register, eight registers in flight.
#![allow(unsafe_code)]

use super::{LANE_BLOCKS, Lane, RoundKeys};
use std::arch::x86_64::*;

/// Registers in flight: enough to hide the latency of a round.
const WIDE: usize = 8;

/// Proof that this machine has VAES, AVX-512F and AVX-512BW.
#[derive(Clone, Copy)]
pub(super) struct Vaes(());

impl Vaes {
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("vaes")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw"))
        .then_some(Self(()))
    }

    /// The key schedules of `seeds`.
    pub(super) fn expand_keys(self, seeds: &[u128], keys: &mut [RoundKeys]) {
        // SAFETY: `self` exists only where the instructions were detected.
        unsafe { expand_keys(seeds, keys) }
    }

    /// See [`super::Streams::fill`].
    pub(super) fn fill(self, keys: &[RoundKeys], first: u64, lanes: usize, out: &mut [Lane]) {
        // SAFETY: `self` exists only where the instructions were detected.
        unsafe { fill(keys, first, lanes, out) }
    }

    /// See [`super::double`].
    pub(super) fn double(self, nodes: &mut [u128]) {
        // SAFETY: `self` exists only where the instructions were detected.
        unsafe { double(nodes) }
    }

    /// See [`super::Tmmo::hash`].
    pub(super) fn hash(self, keys: &RoundKeys, first: u64, rows: &[u128], offset: u128, out: &mut [u128]) {
        // SAFETY: `self` exists only where the instructions were detected.
        unsafe { hash(keys, first, rows, offset, out) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[u128; 4]) -> __m512i {
    // SAFETY: `from` is 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(value: __m512i, to: &mut [u128; 4]) {
    // SAFETY: `to` is 64 writable bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_lane(value: __m512i, to: &mut Lane) {
    // SAFETY: `to` is 64 writable bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(value: u128) -> __m512i {
    let (low, high) = (value as i64, (value >> 64) as i64);
    _mm512_set_epi64(high, low, high, low, high, low, high, low)
}

/// The four blocks that hold the numbers `first` to `first + 3`.
#[inline]
#[target_feature(enable = "avx512f")]
fn counters(first: u64) -> __m512i {
    let number = |i: u64| first.wrapping_add(i) as i64;
    _mm512_set_epi64(0, number(3), 0, number(2), 0, number(1), 0, number(0))
}

/// The next round keys of four schedules side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn next_round_key(key: __m512i, constant: i32) -> __m512i {
    // RotWord of the last column, in all columns: ShiftRows then changes nothing, and AESENCLAST is SubWord.
    let rotate = _mm512_set1_epi32(0x0c0f_0e0d);
    let word = _mm512_aesenclast_epi128(_mm512_shuffle_epi8(key, rotate), _mm512_set1_epi32(constant));
    let key = _mm512_xor_si512(key, _mm512_bslli_epi128::<4>(key));
    let key = _mm512_xor_si512(key, _mm512_bslli_epi128::<8>(key));
    _mm512_xor_si512(key, word)
}

/// The constants of rounds 1 to 10.
const ROUND_CONSTANTS: [i32; 10] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36];

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn expand_keys(seeds: &[u128], keys: &mut [RoundKeys]) {
    for (seeds, keys) in seeds.chunks(4).zip(keys.chunks_mut(4)) {
        let mut four = [0; 4];
        four[..seeds.len()].copy_from_slice(seeds);
        let mut key = load(&four);
        for round in 0..11 {
            if round > 0 {
                key = next_round_key(key, ROUND_CONSTANTS[round - 1]);
            }
            store(key, &mut four);
            for (keys, key) in keys.iter_mut().zip(four) {
                keys[round] = key;
            }
        }
    }
}

/// AES on N registers under one key.
#[inline]
#[target_feature(enable = "avx512f,vaes")]
fn encrypt<const N: usize>(keys: &[__m512i; 11], state: &mut [__m512i; N]) {
    for state in state.iter_mut() {
        *state = _mm512_xor_si512(*state, keys[0]);
    }
    for key in &keys[1..10] {
        for state in state.iter_mut() {
            *state = _mm512_aesenc_epi128(*state, *key);
        }
    }
    for state in state.iter_mut() {
        *state = _mm512_aesenclast_epi128(*state, keys[10]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast_keys(keys: &RoundKeys) -> [__m512i; 11] {
    let mut wide = [_mm512_setzero_si512(); 11];
    for (wide, key) in wide.iter_mut().zip(keys) {
        *wide = broadcast(*key);
    }
    wide
}

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn fill(keys: &[RoundKeys], first: u64, lanes: usize, out: &mut [Lane]) {
    for (keys, out) in keys.iter().zip(out.chunks_exact_mut(lanes)) {
        let keys = broadcast_keys(keys);
        let mut next = first;
        let (wide, rest) = out.as_chunks_mut::<WIDE>();
        for out in wide {
            next = fill_lanes(&keys, next, out);
        }
        let (pairs, rest) = rest.as_chunks_mut::<2>();
        for out in pairs {
            next = fill_lanes(&keys, next, out);
        }
        let (single, _) = rest.as_chunks_mut::<1>();
        for out in single {
            next = fill_lanes(&keys, next, out);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn fill_lanes<const N: usize>(keys: &[__m512i; 11], first: u64, out: &mut [Lane; N]) -> u64 {
    let mut state = [_mm512_setzero_si512(); N];
    let mut next = first;
    for state in state.iter_mut() {
        *state = counters(next);
        next = next.wrapping_add(LANE_BLOCKS as u64);
    }
    encrypt(keys, &mut state);
    for (state, out) in state.iter().zip(out) {
        store_lane(*state, out);
    }
    next
}

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn double(nodes: &mut [u128]) {
    let (left, right) = nodes.split_at_mut(nodes.len() / 2);
    for (left, right) in left.chunks_mut(4).zip(right.chunks_mut(4)) {
        let mut four = [0; 4];
        four[..left.len()].copy_from_slice(left);
        let mut key = load(&four);
        let one = _mm512_set_epi64(0, 1, 0, 1, 0, 1, 0, 1);
        let (mut zero, mut one) = (key, _mm512_xor_si512(key, one));
        for constant in &ROUND_CONSTANTS[..9] {
            key = next_round_key(key, *constant);
            zero = _mm512_aesenc_epi128(zero, key);
            one = _mm512_aesenc_epi128(one, key);
        }
        key = next_round_key(key, ROUND_CONSTANTS[9]);
        store(_mm512_aesenclast_epi128(zero, key), &mut four);
        left.copy_from_slice(&four[..left.len()]);
        store(_mm512_aesenclast_epi128(one, key), &mut four);
        right.copy_from_slice(&four[..right.len()]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn hash(keys: &RoundKeys, first: u64, rows: &[u128], offset: u128, out: &mut [u128]) {
    const ROWS: usize = WIDE * LANE_BLOCKS;
    let keys = broadcast_keys(keys);
    let offset = broadcast(offset);
    let (whole, rest) = rows.as_chunks::<ROWS>();
    let (out_whole, out_rest) = out.as_chunks_mut::<ROWS>();
    let mut next = first;
    for (rows, out) in whole.iter().zip(out_whole) {
        hash_rows(&keys, next, rows, offset, out);
        next = next.wrapping_add(ROWS as u64);
    }
    if !rest.is_empty() {
        let (mut rows, mut out) = ([0; ROWS], [0; ROWS]);
        rows[..rest.len()].copy_from_slice(rest);
        hash_rows(&keys, next, &rows, offset, &mut out);
        out_rest.copy_from_slice(&out[..rest.len()]);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn hash_rows(
    keys: &[__m512i; 11],
    first: u64,
    rows: &[u128; WIDE * LANE_BLOCKS],
    offset: __m512i,
    out: &mut [u128; WIDE * LANE_BLOCKS],
) {
    let mut inner = [_mm512_setzero_si512(); WIDE];
    let (rows, _) = rows.as_chunks::<4>();
    for (state, rows) in inner.iter_mut().zip(rows) {
        *state = _mm512_xor_si512(load(rows), offset);
    }
    encrypt(keys, &mut inner);
    let mut outer = inner;
    let mut next = first;
    for state in outer.iter_mut() {
        *state = _mm512_xor_si512(*state, counters(next));
        next = next.wrapping_add(LANE_BLOCKS as u64);
    }
    encrypt(keys, &mut outer);
    let (out, _) = out.as_chunks_mut::<4>();
    for ((out, inner), outer) in out.iter_mut().zip(inner).zip(outer) {
        store(_mm512_xor_si512(inner, outer), out);
    }
}
