//! The logistic function, its integral, and the loss of two classes.

use tercet_share::Bilinear;

use super::{
    curve::{Curve, Tail, WIDER, evaluate},
    finish_difference,
    fit::pow2,
    missing, single,
};
use crate::{Engine, EngineError};

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn log_one_plus_exp(x: f64) -> f64 {
    if x > 0.0 { x + libm::log1p(libm::exp(-x)) } else { libm::log1p(libm::exp(x)) }
}

pub(super) fn sigmoid_curve() -> Curve<'static> {
    Curve {
        name: "the logistic function",
        f: &logistic,
        tolerance: &|_| 0.75 * pow2(-11),
        cuts: vec![-8.0, -4.125, -1.1875, 1.1875, 4.125, 8.0],
        below: Tail::Line(0.0, 0.0),
        above: Tail::Line(1.0, 0.0),
        size: 0,
        least_frac: 10,
        otherwise: WIDER,
    }
}

/// The curve of ln(1 + e^x), for results up to 2^size.
pub(super) fn softplus_curve(size: u32) -> Curve<'static> {
    Curve {
        name: "softplus",
        f: &log_one_plus_exp,
        tolerance: &|_| 1.5 * pow2(-11),
        cuts: vec![-7.5, -3.4375, -1.0, 1.0, 3.4375, 7.5],
        below: Tail::Line(0.0, 0.0),
        above: Tail::Line(0.0, 1.0),
        size,
        least_frac: 11,
        otherwise: WIDER,
    }
}

/// 1 / (1 + e^−x) for |x| < 2^`whole_bits`; 0 below −8 and 1 from 8 on. Error at most 2^−11.
///
/// Rounds: those of one comparison, of six thresholds per element.
pub fn sigmoid<E: Engine>(engine: &mut E, x: &E::Masked, whole_bits: u32) -> Result<E::Offset, EngineError> {
    single(evaluate(engine, x, &[&sigmoid_curve()], whole_bits)?)
}

/// ln(1 + e^x) for |x| < 2^`whole_bits`; 0 below −7.5 and x from 7.5 on. Error at most 2^−10.
///
/// Rounds: those of one comparison, of six thresholds per element, and one more if x has more than about 12
/// fractional bits, since results up to 2^`whole_bits` leave no room for them.
pub fn softplus<E: Engine>(engine: &mut E, x: &E::Masked, whole_bits: u32) -> Result<E::Offset, EngineError> {
    single(evaluate(engine, x, &[&softplus_curve(whole_bits)], whole_bits)?)
}

/// For logits z and labels y, 0 or 1 at any scale: the probability σ(z), half-finished, and the loss
/// ln(1 + e^z) − y·z per element, with `frac` fractional bits (at most z's). Error of the loss at most 2^−9.
///
/// |z| < 2^`whole_bits`. The comparisons of both functions share their rounds.
pub fn binary_cross_entropy<E: Engine>(
    engine: &mut E,
    z: &E::Masked,
    y: &E::Masked,
    whole_bits: u32,
    frac: u32,
) -> Result<(E::Offset, E::Masked), EngineError> {
    let curves = [&sigmoid_curve(), &softplus_curve(whole_bits)];
    let mut results = evaluate(engine, z, &curves, whole_bits)?.into_iter();
    let (Some(probability), Some(softplus)) = (results.next(), results.next()) else {
        return Err(missing());
    };
    let chosen = engine.product(&Bilinear::Hadamard, y, z)?;
    let loss = finish_difference(engine, &softplus, &chosen, frac)?;
    Ok((probability, loss))
}
