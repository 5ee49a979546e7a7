//! The comparison in AVX-512: 32 digits at a time, table lookup by VPERMW, parity by VPOPCNTW.
#![allow(unsafe_code)]

use super::DigitTables;
use std::arch::x86_64::*;

/// See [`super::compare_digits`]; lengths have been checked, and that the CPU has AVX-512.
pub(super) fn compare(
    values: &[u64],
    shift: u32,
    width: u32,
    shares: &[u16],
    tables: &DigitTables,
    less: &mut [u64],
    equal: &mut [u64],
) {
    // SAFETY: only called for `Isa::Avx512`.
    unsafe { compare_blocks(values, shift, width, shares, tables, less, equal) }
}

/// See [`super::one_hot`]; lengths have been checked, and that the CPU has AVX-512.
pub(super) fn one_hot(values: &[u64], shift: u32, width: u32, out: &mut [u16]) {
    // SAFETY: only called for `Isa::Avx512`.
    unsafe { one_hot_blocks(values, shift, width, out) }
}

/// Digits of up to 32 elements as 16-bit lanes; lanes beyond are those of the value zero.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn digits(values: &[u64], shift: __m128i, mask: __m512i) -> __m512i {
    let quarter = |q: usize| {
        let part = &values[(q * 8).min(values.len())..(q * 8 + 8).min(values.len())];
        let lanes = ((1u32 << part.len()) - 1) as u8;
        // SAFETY: the mask covers the elements of the part.
        let x = unsafe { _mm512_maskz_loadu_epi64(lanes, part.as_ptr().cast()) };
        _mm512_cvtepi64_epi16(_mm512_srl_epi64(x, shift))
    };
    let low = _mm256_inserti64x2::<1>(_mm256_castsi128_si256(quarter(0)), quarter(1));
    let high = _mm256_inserti64x2::<1>(_mm256_castsi128_si256(quarter(2)), quarter(3));
    _mm512_and_si512(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high), mask)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn table(entries: &[u16; 16]) -> __m512i {
    // SAFETY: the table has 32 bytes.
    _mm512_broadcast_i64x4(unsafe { _mm256_loadu_si256(entries.as_ptr().cast()) })
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bitalg")]
fn compare_blocks(
    values: &[u64],
    shift: u32,
    width: u32,
    shares: &[u16],
    tables: &DigitTables,
    less: &mut [u64],
    equal: &mut [u64],
) {
    let (less_table, equal_table) = (table(&tables.less), table(&tables.equal));
    let count = _mm_cvtsi32_si128(shift as i32);
    let mask = _mm512_set1_epi16((1 << width) - 1);
    let one = _mm512_set1_epi16(1);
    let half = |values: &[u64], shares: &[u16]| {
        let lanes = ((1u64 << shares.len()) - 1) as u32;
        // SAFETY: the mask covers the shares. Lanes beyond are zero, and so are their parities.
        let t = unsafe { _mm512_maskz_loadu_epi16(lanes, shares.as_ptr().cast()) };
        let d = digits(values, count, mask);
        let parity = |table| {
            let selected = _mm512_and_si512(t, _mm512_permutexvar_epi16(d, table));
            u64::from(_mm512_test_epi16_mask(_mm512_popcnt_epi16(selected), one))
        };
        (parity(less_table), parity(equal_table))
    };
    let blocks = values.chunks(64).zip(shares.chunks(64));
    for ((values, shares), (less, equal)) in blocks.zip(less.iter_mut().zip(equal)) {
        let middle = values.len().min(32);
        let (less_low, equal_low) = half(&values[..middle], &shares[..middle]);
        let (less_high, equal_high) = half(&values[middle..], &shares[middle..]);
        *less = less_low | less_high << 32;
        *equal = equal_low | equal_high << 32;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn one_hot_blocks(values: &[u64], shift: u32, width: u32, out: &mut [u16]) {
    let count = _mm_cvtsi32_si128(shift as i32);
    let mask = _mm512_set1_epi16((1 << width) - 1);
    let one = _mm512_set1_epi16(1);
    for (values, out) in values.chunks(32).zip(out.chunks_mut(32)) {
        let lanes = ((1u64 << out.len()) - 1) as u32;
        let hot = _mm512_sllv_epi16(one, digits(values, count, mask));
        // SAFETY: the mask covers the elements of the output.
        unsafe { _mm512_mask_storeu_epi16(out.as_mut_ptr().cast(), lanes, hot) };
    }
}
