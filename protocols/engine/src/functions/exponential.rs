//! The exponential.

use super::{
    curve::{Curve, Tail, WIDER, evaluate},
    fit::pow2,
    single,
};
use crate::{Engine, EngineError};

/// Below the first threshold e^x < 2^−14 counts as zero. The others are about as far apart as [`tolerance`] allows.
const CUTS: [f64; 5] = [-9.75, -6.6875, -4.375, -2.6875, -1.3125];

/// Distance of the thresholds of [`exp`], whose large results leave its cubics a coarser grid.
const STEP: f64 = 1.25;

/// Upper end of the domain of [`exp`].
const MOST: f64 = 10.0;

fn tolerance(x: f64) -> f64 {
    0.99 * (pow2(-10) * libm::exp(x) + pow2(-14))
}

/// The curve of e^x for x ≤ 0; `size` leaves room for a sum of 2^size results.
pub(super) fn nonpositive_curve(size: u32) -> Curve<'static> {
    Curve {
        name: "the exponential of a non-positive number",
        f: &libm::exp,
        tolerance: &tolerance,
        cuts: CUTS.to_vec(),
        below: Tail::Line(0.0, 0.0),
        above: Tail::Until(0.0),
        size,
        least_frac: 10,
        otherwise: WIDER,
    }
}

/// e^x for −2^`whole_bits` < x ≤ 0; zero below −9.75. Error at most 2^−10 · e^x + 2^−14.
///
/// Rounds: those of one comparison, of five thresholds per element.
pub fn exp_nonpositive<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    whole_bits: u32,
) -> Result<E::Offset, EngineError> {
    single(evaluate(engine, x, &[&nonpositive_curve(0)], whole_bits)?)
}

/// e^x for −2^`whole_bits` < x ≤ 10, zero below −9.75. Error at most 2^−9 · e^x + 2^−14,
/// of which half comes from the rounding of x.
///
/// Results go up to e^10 < 2^15, which leaves fewer fractional bits: x is truncated to 10 to 12 of them first, in
/// one round. Then the rounds of one comparison, of 16 thresholds per element.
pub fn exp<E: Engine>(engine: &mut E, x: &E::Masked, whole_bits: u32) -> Result<E::Offset, EngineError> {
    let cuts = (0..).map(|j| CUTS[0] + STEP * f64::from(j)).take_while(|cut| *cut < MOST).collect();
    let curve = Curve {
        name: "the exponential",
        f: &libm::exp,
        tolerance: &tolerance,
        cuts,
        below: Tail::Line(0.0, 0.0),
        above: Tail::Until(MOST),
        size: 15,
        least_frac: 10,
        otherwise: WIDER,
    };
    single(evaluate(engine, x, &[&curve], whole_bits)?)
}
