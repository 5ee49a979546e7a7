//! The first stage with AVX-512: sixteen candidates at a time, their arithmetic in two halves of eight 64-bit lanes.

use super::{BLOCK, Decided, LANES, POWER, Stage, U_BITS};
use std::arch::x86_64::*;

/// Product of two 32-bit numbers without its low 32 bits, plus `add`: `b` is given times 2^20, so that the 52 bits that the multiplier
/// drops are these.
macro_rules! high {
    ($add:expr, $a:expr, $b:expr) => {
        _mm512_madd52hi_epu64($add, $a, $b)
    };
}

/// # Safety
/// The CPU must have AVX-512 F, DQ, BW, VL and IFMA.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]
pub(super) unsafe fn decide(stage: &Stage, block: &[u8; BLOCK], values: &mut [i64; LANES]) -> Decided {
    let mut decided = Decided::default();
    let start = block.as_ptr();
    // SAFETY: the array is 128 bytes long; unaligned loads have no other requirement.
    let (first, second) = unsafe {
        let thresholds = stage.thresholds.as_ptr();
        (_mm512_loadu_si512(thresholds.cast()), _mm512_loadu_si512(thresholds.add(16).cast()))
    };
    let zero = _mm512_setzero_si512();
    let mask = _mm512_set1_epi64(i64::from(stage.mask));
    let rate = _mm512_set1_epi64(i64::from(stage.rate) << 20);
    let fraction = _mm512_set1_epi64((1 << 28) - 1);
    let slack = _mm512_set1_epi64(i64::from(stage.slack));
    let width = _mm512_set1_epi64(2 * i64::from(stage.slack));
    let u_shift = _mm_cvtsi64_si128(i64::from(U_BITS - stage.step_bits));
    let z_shift = _mm_cvtsi64_si128(i64::from(stage.step_bits));
    let one = _mm512_set1_epi64(1);
    for group in 0..LANES / 16 {
        let at = 16 * group;
        // SAFETY: the block holds 64 words a from its byte 0 on, and `at` is at most 48.
        let table = unsafe { _mm512_loadu_si512(start.add(4 * at).cast()) };
        // The number of entries below the word, by bisection: the last entry is below no word.
        let mut z = zero;
        for step in [16, 8, 4, 2, 1] {
            let probe = _mm512_add_epi32(z, _mm512_set1_epi32(step - 1));
            let below = _mm512_cmplt_epu32_mask(_mm512_permutex2var_epi32(first, probe, second), table);
            z = _mm512_mask_add_epi32(z, below, z, _mm512_set1_epi32(step));
        }
        let ties = _mm512_cmpeq_epi32_mask(_mm512_permutex2var_epi32(first, z, second), table);
        let halves = [_mm512_castsi512_si256(z), _mm512_extracti64x4_epi64::<1>(z)];
        for (half, z) in halves.into_iter().enumerate() {
            let lane = at + 8 * half;
            let z = _mm512_cvtepu32_epi64(z);
            // SAFETY: the block holds 64 words b from 256 on, 64 words h from 512 on and 64 bytes l from 768 on; `lane` is at most 56.
            let (accept, h, l) = unsafe {
                (
                    _mm512_cvtepu32_epi64(_mm256_loadu_si256(start.add(4 * (LANES + lane)).cast())),
                    _mm512_cvtepu32_epi64(_mm256_loadu_si256(start.add(4 * (2 * LANES + lane)).cast())),
                    _mm512_cvtepu8_epi64(_mm_loadl_epi64(start.add(12 * LANES + lane).cast())),
                )
            };
            let t = _mm512_and_si512(h, mask);
            let s = _mm512_or_si512(_mm512_slli_epi64::<27>(z), _mm512_srli_epi64::<6>(t));
            let x = high!(zero, s, _mm512_slli_epi64::<20>(t));
            let g = high!(zero, x, rate);
            let f = _mm512_slli_epi64::<24>(_mm512_andnot_si512(g, fraction));
            let mut power = _mm512_set1_epi64(i64::from(POWER[7]));
            for coefficient in POWER[..7].iter().rev() {
                power = high!(_mm512_set1_epi64(i64::from(*coefficient)), power, f);
            }
            let threshold = _mm512_srlv_epi64(power, _mm512_srli_epi64::<28>(g));
            // b − threshold + slack: from 0 to 2·slack undecided, negative accepted.
            let above = _mm512_add_epi64(_mm512_sub_epi64(accept, threshold), slack);
            let accepted = _mm512_movepi64_mask(above);
            let undecided = _mm512_cmple_epu64_mask(above, width) | (ties >> (8 * half)) as u8;
            let u = _mm512_or_si512(_mm512_slli_epi64::<7>(h), _mm512_srli_epi64::<1>(l));
            let x = _mm512_add_epi64(_mm512_sll_epi64(z, z_shift), _mm512_srl_epi64(u, u_shift));
            let negative = _mm512_test_epi64_mask(l, one);
            let minus_zero = _mm512_mask_cmpeq_epi64_mask(negative, x, zero);
            let value = _mm512_mask_sub_epi64(x, negative, zero, x);
            // SAFETY: `values` has 64 elements.
            unsafe { _mm512_storeu_si512(values.as_mut_ptr().add(lane).cast(), value) };
            decided.undecided |= u64::from(undecided) << lane;
            decided.kept |= u64::from(accepted & !undecided & !minus_zero) << lane;
        }
    }
    decided
}

/// # Safety
/// The CPU must have AVX-512 F.
#[target_feature(enable = "avx512f,popcnt")]
pub(super) unsafe fn compact(values: &[i64; LANES], kept: u64, out: &mut [i64; LANES]) -> usize {
    let mut count = 0;
    for group in 0..LANES / 8 {
        let mask = (kept >> (8 * group)) as u8;
        // SAFETY: `values` has 64 elements, and `count` is at most 8·group, so that eight more fit into `out`.
        unsafe {
            let value = _mm512_loadu_si512(values.as_ptr().add(8 * group).cast());
            let packed = _mm512_maskz_compress_epi64(mask, value);
            _mm512_storeu_si512(out.as_mut_ptr().add(count).cast(), packed);
        }
        count += mask.count_ones() as usize;
    }
    count
}
