//! Masks of truncations: a random number whose high bits are doubly shared.
//!
//! What an evaluator drops before it opens needs no mask at all, so that only the L − s high bits of λ are made. The low bits of
//! the mask are a share of zero: it makes the dropped bits of any two summands uniform and independent, which centres the
//! rounding, and is of no other use.

use std::collections::BTreeSet;

use rayon::prelude::*;
use tercet_online::plan::TruncPlan;
use tercet_share::PackedBits;

use super::correlations::Correlations;
use crate::dabit;
use crate::error::OtError;
use crate::product::{Moduli, Ring};
use crate::secret::Secret;

/// This party's shares of one truncation mask λ = 2^s·λ'.
pub(super) struct TruncMask {
    /// λ' modulo 2^max(r, L − s).
    pub high: Secret<u64>,
    /// μ, the top bit of λ'; its low bits suffice for every product with it.
    pub top: Secret<u64>,
    /// XOR shares of the bits of λ', lowest first.
    pub planes: Vec<PackedBits>,
}

/// Numbers made at a time: their bits are kept as one word each.
const BATCH: usize = 1 << 13;

/// Bits of λ'.
pub(super) fn bits(plan: &TruncPlan) -> usize {
    plan.high_bits() as usize
}

/// Masks from this party's random bits, `bits(plan)` for each element of each plan. Those of one width are made together.
pub(super) fn masks<B: Correlations>(
    by: &mut B,
    plans: &[TruncPlan],
    random: &[PackedBits],
) -> Result<Vec<TruncMask>, OtError> {
    let empty = || Secret::new(Vec::new());
    let mut made: Vec<TruncMask> = plans
        .iter()
        .zip(random)
        .map(|(plan, random)| TruncMask {
            high: empty(),
            top: empty(),
            planes: planes(random, plan.n, bits(plan)),
        })
        .collect();
    let widths = |plan: &TruncPlan| (plan.r.max(plan.high_bits()), bits(plan));
    for (wide, period) in plans.iter().map(widths).collect::<BTreeSet<_>>() {
        let alike = || (0..plans.len()).filter(|&i| widths(&plans[i]) == (wide, period));
        let mut all = PackedBits::zeros(0);
        alike().for_each(|i| all.append(&random[i]));
        let moduli = Moduli::falling(Ring::new(wide as u8)?, period)?;
        let n = all.len() / period;
        let (mut high, mut top) = (Secret::zeros(n), Secret::zeros(n));
        for start in (0..n).step_by(BATCH) {
            let range = start..n.min(start + BATCH);
            let bits = all.slice(range.start * period, range.len() * period);
            let values = by.to_ring(moduli, bits.len(), bits.words())?;
            high[range.clone()].copy_from_slice(&dabit::compose(moduli, &values)?);
            for (top, number) in top[range].iter_mut().zip(values.chunks_exact(period)) {
                *top = number[period - 1];
            }
        }
        let mut start = 0;
        for i in alike() {
            let range = start..start + plans[i].n;
            start = range.end;
            made[i].high = Secret::new(high[range.clone()].to_vec());
            made[i].top = Secret::new(top[range].to_vec());
        }
    }
    Ok(made)
}

/// Bit j of every number, from numbers of `period` bits one after the other.
fn planes(random: &PackedBits, n: usize, period: usize) -> Vec<PackedBits> {
    (0..period)
        .into_par_iter()
        .map(|j| {
            let words = (0..n.div_ceil(64))
                .map(|w| {
                    let numbers = 64 * w..n.min(64 * w + 64);
                    numbers
                        .enumerate()
                        .fold(0, |word, (i, number)| word | random.bit(number * period + j) << i)
                })
                .collect();
            PackedBits::from_words(n, words)
        })
        .collect()
}
