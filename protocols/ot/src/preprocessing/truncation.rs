//! Masks of truncations: a random number whose high bits are doubly shared.
//!
//! What an evaluator drops before it opens needs no mask at all, so that only the L − s high bits of λ are made. The low bits of
//! the mask are a share of zero: it makes the dropped bits of any two summands uniform and independent, which centres the
//! rounding, and is of no other use.

use rayon::prelude::*;
use tercet_online::plan::TruncPlan;
use tercet_share::PackedBits;

use super::correlations::Correlations;
use crate::dabit;
use crate::error::OtError;
use crate::product::{Moduli, Ring};

/// This party's shares of one truncation mask λ = 2^s·λ'.
pub(super) struct TruncMask {
    /// λ' modulo 2^max(r, L − s).
    pub high: Vec<u64>,
    /// μ, the top bit of λ'; its low bits suffice for every product with it.
    pub top: Vec<u64>,
    /// XOR shares of the bits of λ', lowest first.
    pub planes: Vec<PackedBits>,
}

/// Numbers made at a time: their bits are kept as one word each.
const BATCH: usize = 1 << 13;

/// Bits of λ'.
pub(super) fn bits(plan: &TruncPlan) -> usize {
    plan.high_bits() as usize
}

/// A mask from this party's random bits, `bits(plan)` for each element.
pub(super) fn mask<B: Correlations>(
    by: &mut B,
    plan: &TruncPlan,
    random: &PackedBits,
) -> Result<TruncMask, OtError> {
    let period = bits(plan);
    let wide = plan.r.max(plan.high_bits());
    let moduli = Moduli::falling(Ring::new(wide as u8)?, period)?;
    let mut made = TruncMask {
        high: Vec::with_capacity(plan.n),
        top: Vec::with_capacity(plan.n),
        planes: planes(random, plan.n, period),
    };
    for start in (0..plan.n).step_by(BATCH) {
        let count = BATCH.min(plan.n - start) * period;
        let chunk = random.slice(start * period, count);
        let values = by.to_ring(moduli, count, chunk.words())?;
        made.high.extend_from_slice(&dabit::compose(moduli, &values)?);
        made.top.extend(values.iter().skip(period - 1).step_by(period));
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
