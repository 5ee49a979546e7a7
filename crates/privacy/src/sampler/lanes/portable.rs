//! The first stage in plain Rust: what the vector code must equal bit for bit.

use super::{BLOCK, Decided, LANES, POWER, Stage, U_BITS, words};

pub(super) fn decide(stage: &Stage, block: &[u8; BLOCK], values: &mut [i64; LANES]) -> Decided {
    let mut decided = Decided::default();
    for (lane, value) in values.iter_mut().enumerate() {
        let words = words(block, lane);
        let (mut z, mut tie) = (0u64, false);
        for &threshold in &stage.thresholds {
            z += u64::from(threshold < words.table);
            tie |= threshold == words.table;
        }
        let u = words.u >> (U_BITS - stage.step_bits);
        let t = words.u >> (U_BITS - 32) & u64::from(stage.mask);
        // Below 2^63 / 2^32: z is at most 31.
        let x = (t * (z << 27 | t >> 6)) >> 32;
        let g = (x * u64::from(stage.rate)) >> 32;
        let f = (!g & ((1 << 28) - 1)) << 4;
        let mut power = u64::from(POWER[7]);
        for coefficient in POWER[..7].iter().rev() {
            power = u64::from(*coefficient) + ((power * f) >> 32);
        }
        let threshold = (power >> (g >> 28)) as i64;
        let above = i64::from(words.accept) - threshold;
        let slack = i64::from(stage.slack);
        let undecided = tie | (above >= -slack) & (above <= slack);
        let x = (z << stage.step_bits) + u;
        let minus_zero = words.negative & (x == 0);
        let sign = u64::from(words.negative);
        *value = (x ^ sign.wrapping_neg()).wrapping_add(sign) as i64;
        decided.undecided |= u64::from(undecided) << lane;
        decided.kept |= u64::from((above < 0) & !undecided & !minus_zero) << lane;
    }
    decided
}

pub(super) fn compact(values: &[i64; LANES], kept: u64, out: &mut [i64; LANES]) -> usize {
    let mut count = 0;
    for (lane, value) in values.iter().enumerate() {
        // A value that is not kept is overwritten by the next one. `count` is at most `lane`.
        out[count % LANES] = *value;
        count += (kept >> lane & 1) as usize;
    }
    count
}
