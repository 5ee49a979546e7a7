//! The first stage with AVX-512: decisions on 32 candidates at a time in 16-bit lanes, values of eight in 64-bit lanes.

use super::{BLOCK, Decided, H_BITS, LANES, POWER, Stage, Tails, U_BITS};
use std::arch::x86_64::*;

/// # Safety
/// The CPU must have AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn decide(stage: &Stage, block: &[u8; BLOCK], z: &mut [u16; LANES]) -> Decided {
    let mut decided = Decided::default();
    let start = block.as_ptr();
    // SAFETY: both arrays are 64 bytes long; unaligned loads have no other requirement.
    let (thresholds, rates) = unsafe {
        (
            _mm512_loadu_si512(stage.thresholds.as_ptr().cast()),
            _mm512_loadu_si512(stage.rates.as_ptr().cast()),
        )
    };
    let zero = _mm512_setzero_si512();
    let ones = _mm512_set1_epi16(-1);
    let mask = _mm512_set1_epi16(stage.mask as i16);
    let rate = _mm512_set1_epi16(stage.rate as i16);
    let slack = _mm512_set1_epi16(stage.slack as i16);
    for group in 0..LANES / 32 {
        let at = 32 * group;
        // SAFETY: the block holds 64 words a from its byte 0 on, 64 words b from 128 on and 64 words h from 256 on; `at` is at most 32.
        let (table, accept, h0, h1) = unsafe {
            (
                _mm512_loadu_si512(start.add(2 * at).cast()),
                _mm512_loadu_si512(start.add(2 * (LANES + at)).cast()),
                _mm512_loadu_si512(start.add(4 * (LANES + at)).cast()),
                _mm512_loadu_si512(start.add(4 * (LANES + at + 16)).cast()),
            )
        };
        // The number of entries below the word, by bisection: the last entry is below no word.
        let mut found = zero;
        for step in [16, 8, 4, 2, 1] {
            let probe = _mm512_add_epi16(found, _mm512_set1_epi16(step - 1));
            let below = _mm512_cmplt_epu16_mask(_mm512_permutexvar_epi16(probe, thresholds), table);
            found = _mm512_mask_add_epi16(found, below, found, _mm512_set1_epi16(step));
        }
        let ties = _mm512_cmpeq_epi16_mask(_mm512_permutexvar_epi16(found, thresholds), table);
        // The upper halves of h. Packing interleaves the two vectors by their quarters.
        let t = _mm512_packus_epi32(_mm512_srli_epi32::<16>(h0), _mm512_srli_epi32::<16>(h1));
        let t = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), t);
        let t = _mm512_and_si512(t, mask);
        let s = _mm512_add_epi16(_mm512_mulhi_epu16(t, rate), _mm512_permutexvar_epi16(found, rates));
        let e = _mm512_mulhi_epu16(t, s);
        let f = _mm512_slli_epi16::<2>(_mm512_xor_si512(e, ones));
        let mut power = _mm512_set1_epi16(POWER[4] as i16);
        for coefficient in POWER[..4].iter().rev() {
            power = _mm512_add_epi16(_mm512_set1_epi16(*coefficient as i16), _mm512_mulhi_epu16(power, f));
        }
        let threshold = _mm512_srlv_epi16(power, _mm512_srli_epi16::<14>(e));
        let accepted = _mm512_cmplt_epu16_mask(accept, _mm512_subs_epu16(threshold, slack));
        let possible = _mm512_cmple_epu16_mask(accept, _mm512_adds_epu16(threshold, slack));
        let undecided = ties | possible & !accepted;
        // SAFETY: `z` has 64 elements.
        unsafe { _mm512_storeu_si512(z.as_mut_ptr().add(at).cast(), found) };
        decided.undecided |= u64::from(undecided) << at;
        decided.kept |= u64::from(accepted & !undecided) << at;
    }
    decided
}

/// # Safety
/// The CPU must have AVX-512 F.
#[target_feature(enable = "avx2,avx512f,popcnt")]
pub(super) unsafe fn values(
    stage: &Stage,
    block: &[u8; BLOCK],
    tails: &Tails,
    z: &[u16; LANES],
    kept: u64,
    out: &mut [i64; LANES],
) -> usize {
    let zero = _mm512_setzero_si512();
    let one = _mm512_set1_epi64(1);
    let long = stage.long();
    let u_bits = if long { U_BITS } else { H_BITS };
    let u_shift = _mm_cvtsi64_si128(i64::from(u_bits - stage.step_bits));
    let z_shift = _mm_cvtsi64_si128(i64::from(stage.step_bits));
    let mut count = 0;
    for group in 0..LANES / 8 {
        let lane = 8 * group;
        // SAFETY: the block holds 64 words h from 256 on, `z` has 64 elements and `tails` 64 bytes; `lane` is at most 56.
        let (h, tail, z) = unsafe {
            (
                _mm512_cvtepu32_epi64(_mm256_loadu_si256(block.as_ptr().add(4 * (LANES + lane)).cast())),
                _mm_loadl_epi64(tails.as_ptr().add(lane).cast()),
                _mm512_cvtepu16_epi64(_mm_loadu_si128(z.as_ptr().add(lane).cast())),
            )
        };
        let mut u = _mm512_srli_epi64::<1>(h);
        if long {
            u = _mm512_or_si512(_mm512_slli_epi64::<{ U_BITS - H_BITS }>(u), _mm512_cvtepu8_epi64(tail));
        }
        let x = _mm512_add_epi64(_mm512_sll_epi64(z, z_shift), _mm512_srl_epi64(u, u_shift));
        let negative = _mm512_test_epi64_mask(h, one);
        let minus_zero = _mm512_mask_cmpeq_epi64_mask(negative, x, zero);
        let value = _mm512_mask_sub_epi64(x, negative, zero, x);
        let kept = (kept >> lane) as u8 & !minus_zero;
        let packed = _mm512_maskz_compress_epi64(kept, value);
        // SAFETY: `count` is at most `lane`, so that eight more fit into `out`.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().add(count).cast(), packed) };
        count += kept.count_ones() as usize;
    }
    count
}
