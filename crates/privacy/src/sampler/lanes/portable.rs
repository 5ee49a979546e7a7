//! The first stage in plain Rust: what the vector code must equal bit for bit.

use super::{BLOCK, Decided, LANES, POWER, Stage, Tails, U_BITS, words};

pub(super) fn decide(stage: &Stage, block: &[u8; BLOCK], z: &mut [u16; LANES]) -> Decided {
    let mut decided = Decided::default();
    for (lane, z) in z.iter_mut().enumerate() {
        let words = words(block, &[0; LANES], lane);
        let (mut found, mut rate, mut tie) = (0, stage.rates[0], false);
        for (threshold, rates) in stage.thresholds.iter().zip(stage.rates.windows(2)) {
            let below = u16::from(*threshold < words.table);
            found += below;
            rate += (rates[1] - rates[0]) & below.wrapping_neg();
            tie |= *threshold == words.table;
        }
        *z = found;
        let threshold = threshold((words.u >> (U_BITS - 16)) as u16 & stage.mask, stage.rate, rate);
        let below = words.accept < threshold.saturating_sub(stage.slack);
        let undecided = tie | !below & (words.accept <= threshold.saturating_add(stage.slack));
        decided.undecided |= u64::from(undecided) << lane;
        decided.kept |= u64::from(below & !undecided) << lane;
    }
    decided
}

/// 2^16·e^{−γ} for t̂, r̂ and ẑ, to within [`super::SLACK`].
pub(super) fn threshold(t: u16, rate: u16, z_rate: u16) -> u16 {
    // Below 2^16: see `MOST_RATE`.
    let s = high(t, rate) + z_rate;
    let e = high(t, s);
    power(e) >> (e >> 14)
}

/// 2^16 times 2^f̂/2 for the fraction of `e`.
pub(super) fn power(e: u16) -> u16 {
    let f = !e << 2;
    let [constant, ..] = POWER;
    let [.., last] = POWER;
    POWER[1..4].iter().rev().chain([&constant]).fold(last, |power, c| c + high(power, f))
}

/// The upper half of a product.
fn high(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

pub(super) fn values(
    stage: &Stage,
    block: &[u8; BLOCK],
    tails: &Tails,
    z: &[u16; LANES],
    kept: u64,
    out: &mut [i64; LANES],
) -> usize {
    let mut count = 0;
    for (lane, z) in z.iter().enumerate() {
        let words = words(block, tails, lane);
        let x = (u64::from(*z) << stage.step_bits) + (words.u >> (U_BITS - stage.step_bits));
        let minus_zero = words.negative & (x == 0);
        let sign = u64::from(words.negative);
        // A value that is not kept is overwritten by the next one. `count` is at most `lane`.
        out[count % LANES] = (x ^ sign.wrapping_neg()).wrapping_add(sign) as i64;
        count += usize::from((kept >> lane & 1 == 1) & !minus_zero);
    }
    count
}
