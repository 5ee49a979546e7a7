//! The first stage with AVX2: eight candidates at a time, their arithmetic in two halves of four 64-bit lanes.

use super::{BLOCK, Decided, LANES, POWER, Stage, U_BITS};
use std::arch::x86_64::*;

/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn decide(stage: &Stage, block: &[u8; BLOCK], values: &mut [i64; LANES]) -> Decided {
    let mut decided = Decided::default();
    let start = block.as_ptr();
    let zero = _mm256_setzero_si256();
    let one = _mm256_set1_epi64x(1);
    // Comparisons are signed: both sides are moved by 2^31.
    let bias = _mm256_set1_epi32(i32::MIN);
    let thresholds = stage.thresholds.map(|entry| _mm256_set1_epi32((entry ^ 1 << 31) as i32));
    let mask = _mm256_set1_epi64x(i64::from(stage.mask));
    let rate = _mm256_set1_epi64x(i64::from(stage.rate));
    let fraction = _mm256_set1_epi64x((1 << 28) - 1);
    let slack = _mm256_set1_epi64x(i64::from(stage.slack));
    let width = _mm256_set1_epi64x(2 * i64::from(stage.slack));
    let u_shift = _mm_cvtsi64_si128(i64::from(U_BITS - stage.step_bits));
    let z_shift = _mm_cvtsi64_si128(i64::from(stage.step_bits));
    for group in 0..LANES / 8 {
        let at = 8 * group;
        // SAFETY: the block holds 64 words a from its byte 0 on, and `at` is at most 56; unaligned loads have no other requirement.
        let table = unsafe { _mm256_loadu_si256(start.add(4 * at).cast()) };
        let table = _mm256_xor_si256(table, bias);
        let (mut z, mut ties) = (zero, zero);
        for threshold in thresholds {
            z = _mm256_sub_epi32(z, _mm256_cmpgt_epi32(table, threshold));
            ties = _mm256_or_si256(ties, _mm256_cmpeq_epi32(table, threshold));
        }
        let ties = _mm256_movemask_ps(_mm256_castsi256_ps(ties)) as u64;
        let halves = [_mm256_castsi256_si128(z), _mm256_extracti128_si256::<1>(z)];
        for (half, z) in halves.into_iter().enumerate() {
            let lane = at + 4 * half;
            let z = _mm256_cvtepu32_epi64(z);
            // SAFETY: the block holds 64 words b from 256 on, 64 words h from 512 on and 64 bytes l from 768 on; `lane` is at most 60.
            let (accept, h, l) = unsafe {
                (
                    _mm256_cvtepu32_epi64(_mm_loadu_si128(start.add(4 * (LANES + lane)).cast())),
                    _mm256_cvtepu32_epi64(_mm_loadu_si128(start.add(4 * (2 * LANES + lane)).cast())),
                    _mm256_cvtepu8_epi64(_mm_loadu_si32(start.add(12 * LANES + lane))),
                )
            };
            let t = _mm256_and_si256(h, mask);
            let s = _mm256_or_si256(_mm256_slli_epi64::<27>(z), _mm256_srli_epi64::<6>(t));
            let x = _mm256_srli_epi64::<32>(_mm256_mul_epu32(s, t));
            let g = _mm256_srli_epi64::<32>(_mm256_mul_epu32(x, rate));
            let f = _mm256_slli_epi64::<4>(_mm256_andnot_si256(g, fraction));
            let mut power = _mm256_set1_epi64x(i64::from(POWER[7]));
            for coefficient in POWER[..7].iter().rev() {
                let product = _mm256_srli_epi64::<32>(_mm256_mul_epu32(power, f));
                power = _mm256_add_epi64(_mm256_set1_epi64x(i64::from(*coefficient)), product);
            }
            let threshold = _mm256_srlv_epi64(power, _mm256_srli_epi64::<28>(g));
            // b − threshold + slack: from 0 to 2·slack undecided, negative accepted.
            let above = _mm256_add_epi64(_mm256_sub_epi64(accept, threshold), slack);
            let refused = _mm256_cmpgt_epi64(above, width);
            let accepted = bits(above);
            let undecided = !(accepted | bits(refused)) & 15 | ties >> (4 * half) & 15;
            let u = _mm256_or_si256(_mm256_slli_epi64::<7>(h), _mm256_srli_epi64::<1>(l));
            let x = _mm256_add_epi64(_mm256_sll_epi64(z, z_shift), _mm256_srl_epi64(u, u_shift));
            let negative = _mm256_sub_epi64(zero, _mm256_and_si256(l, one));
            let minus_zero = bits(_mm256_and_si256(negative, _mm256_cmpeq_epi64(x, zero)));
            let value = _mm256_sub_epi64(_mm256_xor_si256(x, negative), negative);
            // SAFETY: `values` has 64 elements.
            unsafe { _mm256_storeu_si256(values.as_mut_ptr().add(lane).cast(), value) };
            decided.undecided |= undecided << lane;
            decided.kept |= (accepted & !undecided & !minus_zero) << lane;
        }
    }
    decided
}

/// The sign bits of four lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(lanes: __m256i) -> u64 {
    _mm256_movemask_pd(_mm256_castsi256_pd(lanes)) as u64
}
