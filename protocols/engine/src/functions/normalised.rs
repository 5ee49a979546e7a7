//! Functions of positive values over many orders of magnitude.
//!
//! Comparisons with all powers of two in the domain give x = v · 2^(j+1) with v in [1/2, 1): v is a polynomial of x and the bits
//! (Catrina and Saxena, FC 2010, find the same factor by a bit decomposition). After its truncation one polynomial of v
//! and the same bits gives the result with the scale of its piece.

use tercet_share::{Ring, fixed::MAX_FRAC};

use super::{
    finish,
    fit::{fit, pow2},
    pieces::{encodable, join},
};
use crate::{Engine, EngineError, Meta, Shared, Sign};

/// Degree of the polynomial on [1/2, 1).
const DEGREE: usize = 4;

/// A function whose value at v · 2^e is `scale(e) · base(v) + offset(e)`.
struct Scaled<'a> {
    name: &'static str,
    base: &'a dyn Fn(f64) -> f64,
    scale: &'a dyn Fn(i32) -> f64,
    offset: &'a dyn Fn(i32) -> f64,
    /// Error allowed to a fit where the function has this value.
    tolerance: &'a dyn Fn(f64) -> f64,
}

/// 1 / x for 2^`low` ≤ x ≤ 2^`high`. Error at most 2^−10 / x + 2^−15.
///
/// Rounds: one comparison, of `high − low − 1` thresholds per element, and one truncation. A value below 2^low gives a finite
/// result of no meaning.
pub fn reciprocal<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    low: i32,
    high: i32,
) -> Result<E::Offset, EngineError> {
    let curve = Scaled {
        name: "a reciprocal",
        base: &|v| 1.0 / v,
        scale: &|e| pow2(-e),
        offset: &|_| 0.0,
        tolerance: &|y| pow2(-11) * y + pow2(-16),
    };
    evaluate(engine, x, low, high, &curve)
}

/// 1 / √x for 2^`low` ≤ x ≤ 2^`high`. Error at most 2^−10 / √x + 2^−15. Rounds as for [`reciprocal`].
pub fn inverse_sqrt<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    low: i32,
    high: i32,
) -> Result<E::Offset, EngineError> {
    let curve = Scaled {
        name: "an inverse square root",
        base: &|v| 1.0 / v.sqrt(),
        scale: &|e| if e % 2 == 0 { pow2(-e / 2) } else { pow2((1 - e) / 2) / 2f64.sqrt() },
        offset: &|_| 0.0,
        tolerance: &|y| pow2(-11) * y + pow2(-16),
    };
    evaluate(engine, x, low, high, &curve)
}

/// ln x for 2^`low` ≤ x ≤ 2^`high`. Error at most 2^−10. Rounds as for [`reciprocal`].
pub fn log<E: Engine>(engine: &mut E, x: &E::Masked, low: i32, high: i32) -> Result<E::Offset, EngineError> {
    let curve = Scaled {
        name: "a logarithm",
        base: &libm::log,
        scale: &|_| 1.0,
        offset: &|e| f64::from(e) * std::f64::consts::LN_2,
        tolerance: &|_| pow2(-12),
    };
    evaluate(engine, x, low, high, &curve)
}

fn evaluate<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    low: i32,
    high: i32,
    curve: &Scaled<'_>,
) -> Result<E::Offset, EngineError> {
    let meta = x.meta();
    check(curve.name, &meta, low, high)?;
    let (frac_v, frac, pieces) = plan(curve, meta.ring, low, high)?;

    // One bit per power of two inside of the domain.
    let cuts: Vec<f64> = (low + 1..high).map(pow2).collect();
    let width = (meta.frac as i32 + high + 1).max(2) as u32;
    let sign = Sign { value: x, width, out: None, cuts: &cuts };
    let bits = if cuts.is_empty() { Vec::new() } else { engine.nonnegative(&[sign], &[])?.0 };

    // v = x · 2^−(j+1) with a factor that is linear in the bits, exact.
    let frac_product = (meta.frac + high.max(0) as u32).max(frac_v + 1);
    let weights: Vec<Vec<f64>> = (low..high).map(|j| vec![0.0, pow2(-(j + 1))]).collect();
    let v = join(engine, x, &bits, &weights, frac_product)?;
    let v = finish(engine, &v, frac_v, meta.ring)?;
    join(engine, &v, &bits, &pieces, frac)
}

fn check(what: &'static str, x: &Meta, low: i32, high: i32) -> Result<(), EngineError> {
    let most = x.ring.bits() as i32 - 3 - x.frac as i32;
    // v is computed at scale frac + high, which must leave the truncation its range.
    if -(x.frac as i32) <= low && low < high && high <= most {
        return Ok(());
    }
    let why = format!(
        "the domain 2^{low} to 2^{high} must be within 2^−{} and 2^{most} for {} fractional bits in a ring of {}",
        x.frac,
        x.frac,
        x.ring.bits()
    );
    Err(EngineError::parameter(what, why))
}

/// Fractional bits of v and of the result, and the polynomial of each piece: the most precise v for which the fits are good.
fn plan(
    curve: &Scaled<'_>,
    ring: Ring,
    low: i32,
    high: i32,
) -> Result<(u32, u32, Vec<Vec<f64>>), EngineError> {
    let value = |e: i32, v: f64| (curve.scale)(e) * (curve.base)(v) + (curve.offset)(e);
    let largest = [value(low + 1, 0.5), value(low + 1, 1.0), value(high, 0.5), value(high, 1.0)]
        .into_iter()
        .fold(1.0, |m: f64, y| m.max(y.abs()));
    let size = libm::ceil(libm::log2(largest)) as u32;
    let most = ring.bits().saturating_sub(3 + size).min(MAX_FRAC);
    for frac_v in (8..=14).rev() {
        for frac in (most.saturating_sub(6)..=most).rev() {
            let Some(pieces) = pieces(curve, frac_v, frac, low, high) else { break };
            if encodable(&pieces, frac_v, frac) {
                return Ok((frac_v, frac, pieces));
            }
        }
    }
    let why =
        format!("a ring of {} bits is too narrow for 2^{low} to 2^{high}; use a smaller domain", ring.bits());
    Err(EngineError::parameter(curve.name, why))
}

/// One polynomial per power of two, or `None` if the grid is too coarse for the tolerance.
fn pieces(curve: &Scaled<'_>, frac_v: u32, frac: u32, low: i32, high: i32) -> Option<Vec<Vec<f64>>> {
    let mut all = Vec::new();
    for j in low..high {
        let f = |v: f64| (curve.scale)(j + 1) * (curve.base)(v) + (curve.offset)(j + 1);
        let weight = |v: f64| 1.0 / (curve.tolerance)(f(v));
        let fitted = fit(&f, &weight, (0.5, 1.0), DEGREE, frac_v, frac);
        if fitted.worst > 1.0 {
            return None;
        }
        all.push(fitted.coefficients);
    }
    Some(all)
}
