//! The decisions of the first stage with AVX2: sixteen candidates at a time in 16-bit lanes.

use super::{BLOCK, Decided, LANES, POWER, Stage};
use std::arch::x86_64::*;

/// # Safety
/// The CPU must have AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn decide(stage: &Stage, block: &[u8; BLOCK], z: &mut [u16; LANES]) -> Decided {
    let mut decided = Decided::default();
    let start = block.as_ptr();
    let zero = _mm256_setzero_si256();
    let ones = _mm256_set1_epi16(-1);
    let mask = _mm256_set1_epi16(stage.mask as i16);
    let rate = _mm256_set1_epi16(stage.rate as i16);
    let slack = _mm256_set1_epi16(stage.slack as i16);
    // Comparisons are signed: both sides are moved by 2^15.
    let bias = _mm256_set1_epi16(i16::MIN);
    for group in 0..LANES / 16 {
        let at = 16 * group;
        // SAFETY: the block holds 64 words a from its byte 0 on, 64 words b from 128 on and 64 words h from 256 on; `at` is at most 48.
        // Unaligned loads have no other requirement.
        let (table, accept, h0, h1) = unsafe {
            (
                _mm256_loadu_si256(start.add(2 * at).cast()),
                _mm256_loadu_si256(start.add(2 * (LANES + at)).cast()),
                _mm256_loadu_si256(start.add(4 * (LANES + at)).cast()),
                _mm256_loadu_si256(start.add(4 * (LANES + at + 8)).cast()),
            )
        };
        let biased = _mm256_xor_si256(table, bias);
        let (mut found, mut ties) = (zero, zero);
        let mut z_rate = _mm256_set1_epi16(stage.rates[0] as i16);
        for (threshold, rates) in stage.thresholds.iter().zip(stage.rates.windows(2)) {
            let entry = _mm256_set1_epi16(*threshold as i16);
            let below = _mm256_cmpgt_epi16(biased, _mm256_xor_si256(entry, bias));
            found = _mm256_sub_epi16(found, below);
            let more = _mm256_set1_epi16((rates[1] - rates[0]) as i16);
            z_rate = _mm256_add_epi16(z_rate, _mm256_and_si256(below, more));
            ties = _mm256_or_si256(ties, _mm256_cmpeq_epi16(table, entry));
        }
        // The upper halves of h. Packing interleaves the two vectors by their halves.
        let t = _mm256_packus_epi32(_mm256_srli_epi32::<16>(h0), _mm256_srli_epi32::<16>(h1));
        let t = _mm256_and_si256(_mm256_permute4x64_epi64::<0b11_01_10_00>(t), mask);
        let s = _mm256_add_epi16(_mm256_mulhi_epu16(t, rate), z_rate);
        let e = _mm256_mulhi_epu16(t, s);
        let f = _mm256_slli_epi16::<2>(_mm256_xor_si256(e, ones));
        let mut power = _mm256_set1_epi16(POWER[4] as i16);
        for coefficient in POWER[..4].iter().rev() {
            power = _mm256_add_epi16(_mm256_set1_epi16(*coefficient as i16), _mm256_mulhi_epu16(power, f));
        }
        // Right by the upper two bits of e, bit by bit: there is no shift by 16-bit lanes.
        let by_one = _mm256_srai_epi16::<15>(_mm256_slli_epi16::<1>(e));
        let threshold = _mm256_blendv_epi8(power, _mm256_srli_epi16::<1>(power), by_one);
        let by_two = _mm256_srai_epi16::<15>(e);
        let threshold = _mm256_blendv_epi8(threshold, _mm256_srli_epi16::<2>(threshold), by_two);
        // Unsigned: a < b where b − a, saturated, is not 0, and a ≤ b where a − b is.
        let low = _mm256_subs_epu16(threshold, slack);
        let refused = _mm256_cmpeq_epi16(_mm256_subs_epu16(low, accept), zero);
        let high = _mm256_adds_epu16(threshold, slack);
        let possible = _mm256_cmpeq_epi16(_mm256_subs_epu16(accept, high), zero);
        let undecided = _mm256_or_si256(ties, _mm256_and_si256(possible, refused));
        // SAFETY: `z` has 64 elements.
        unsafe { _mm256_storeu_si256(z.as_mut_ptr().add(at).cast(), found) };
        decided.undecided |= bits(undecided) << at;
        decided.kept |= bits(_mm256_andnot_si256(_mm256_or_si256(refused, undecided), ones)) << at;
    }
    decided
}

/// One bit of each of sixteen lanes that are all ones or all zeros.
#[inline]
#[target_feature(enable = "avx2")]
fn bits(lanes: __m256i) -> u64 {
    let bytes = _mm256_packs_epi16(lanes, _mm256_setzero_si256());
    let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
    u64::from(_mm256_movemask_epi8(bytes) as u32 & 0xffff)
}
