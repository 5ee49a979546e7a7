//! Functions of positive values between public bounds: thresholds in geometric progression.

use super::{
    curve::{Curve, Tail, evaluate},
    fit::pow2,
    single,
};
use crate::{Engine, EngineError};

/// Thresholds that split `lo ≤ x ≤ hi` into the fewest pieces of equal ratio, at most `ratio`; at least one threshold.
fn geometric(lo: f64, hi: f64, ratio: f64) -> Vec<f64> {
    let pieces = (libm::log(hi / lo) / libm::log(ratio)).ceil().max(2.0);
    let step = libm::exp(libm::log(hi / lo) / pieces);
    let mut cuts = Vec::new();
    let mut next = lo * step;
    for _ in 1..pieces as usize {
        cuts.push(next);
        next *= step;
    }
    cuts
}

fn check(what: &'static str, lo: f64, hi: f64) -> Result<(), EngineError> {
    if lo > 0.0 && lo < hi && hi.is_finite() && hi / lo <= pow2(20) {
        return Ok(());
    }
    let why = format!("the bounds {lo} and {hi} must be positive, in order, and at most a factor 2^20 apart");
    Err(EngineError::parameter(what, why))
}

/// Whole bits that x and all thresholds need.
fn whole_bits(hi: f64) -> u32 {
    libm::ceil(libm::log2(hi)).max(0.0) as u32 + 1
}

/// log2 of a bound of a positive number.
fn size(most: f64) -> u32 {
    libm::ceil(libm::log2(most)).max(0.0) as u32
}

/// Fractional bits of x that keep its relative rounding error below 2^−11, if it has them.
fn least_frac(lo: f64) -> u32 {
    libm::ceil(10.0 - libm::log2(lo)).max(1.0) as u32
}

pub(super) fn reciprocal_curve(lo: f64, hi: f64) -> Curve<'static> {
    Curve {
        name: "a reciprocal between bounds",
        f: &|x| 1.0 / x,
        tolerance: &|x| pow2(-11) / x + pow2(-16),
        cuts: geometric(lo, hi, 1.6),
        below: Tail::Until(lo),
        above: Tail::Until(hi),
        size: size(1.0 / lo),
        least_frac: least_frac(lo),
        otherwise: "use `reciprocal`, or closer bounds",
    }
}

pub(super) fn log_curve(lo: f64, hi: f64) -> Curve<'static> {
    Curve {
        name: "a logarithm between bounds",
        f: &libm::log,
        tolerance: &|_| pow2(-12),
        cuts: geometric(lo, hi, 1.7),
        below: Tail::Until(lo),
        above: Tail::Until(hi),
        size: size(libm::log(hi).abs().max(libm::log(lo).abs()).max(1.0)),
        least_frac: least_frac(lo),
        otherwise: "use `log`, or closer bounds",
    }
}

/// 1 / x for public bounds 0 < `lo` ≤ x ≤ `hi`. Error at most 2^−10 / x + 2^−15, and what x's own rounding makes of it.
///
/// Rounds: those of one comparison, of log(hi/lo) / log 1.6 thresholds per element; one more to truncate x if it has more
/// fractional bits than the ring has room for.
pub fn reciprocal_in<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    lo: f64,
    hi: f64,
) -> Result<E::Offset, EngineError> {
    check("a reciprocal between bounds", lo, hi)?;
    single(evaluate(engine, x, &[&reciprocal_curve(lo, hi)], whole_bits(hi))?)
}

/// 1 / √x for public bounds 0 < `lo` ≤ x ≤ `hi`. Error at most 2^−10 / √x + 2^−15, and what x's own rounding makes of it.
///
/// Rounds as for [`reciprocal_in`], with log(hi/lo) / log 1.8 thresholds.
pub fn inverse_sqrt_in<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    lo: f64,
    hi: f64,
) -> Result<E::Offset, EngineError> {
    check("an inverse square root between bounds", lo, hi)?;
    let curve = Curve {
        name: "an inverse square root between bounds",
        f: &|x| 1.0 / x.sqrt(),
        tolerance: &|x| pow2(-11) / x.sqrt() + pow2(-16),
        cuts: geometric(lo, hi, 1.8),
        below: Tail::Until(lo),
        above: Tail::Until(hi),
        size: size(1.0 / lo.sqrt()),
        least_frac: least_frac(lo),
        otherwise: "use `inverse_sqrt`, or closer bounds",
    };
    single(evaluate(engine, x, &[&curve], whole_bits(hi))?)
}

/// ln x for public bounds 0 < `lo` ≤ x ≤ `hi`. Error at most 2^−11, and what x's own rounding makes of it.
///
/// Rounds as for [`reciprocal_in`], with log(hi/lo) / log 1.7 thresholds.
pub fn log_in<E: Engine>(engine: &mut E, x: &E::Masked, lo: f64, hi: f64) -> Result<E::Offset, EngineError> {
    check("a logarithm between bounds", lo, hi)?;
    single(evaluate(engine, x, &[&log_curve(lo, hi)], whole_bits(hi))?)
}
