//! A curve in pieces: comparisons with public thresholds, then one polynomial of the value and the bits.

use tercet_share::fixed::MAX_FRAC;

use super::{
    comparison_width, drop_to,
    fit::fit,
    pieces::{encodable, join},
};
use crate::{Engine, EngineError, Meta, Shared, Sign};

/// Degree of the pieces.
const DEGREE: usize = 3;

/// Advice for a curve that needs room only.
pub(super) const WIDER: &str = "use a wider ring or a smaller range";

/// What a curve is beyond its outermost threshold.
#[derive(Clone, Copy)]
pub(super) enum Tail {
    /// A line, for ever: value at zero, slope.
    Line(f64, f64),
    /// A cubic like the other pieces, up to this bound of the domain.
    Until(f64),
}

/// A function of one variable, cut into pieces.
pub(super) struct Curve<'a> {
    /// Its name, for errors.
    pub(super) name: &'static str,
    /// The function. It must give the same bits on every machine.
    pub(super) f: &'a dyn Fn(f64) -> f64,
    /// The error allowed to a fit at x.
    pub(super) tolerance: &'a dyn Fn(f64) -> f64,
    /// Thresholds, ascending.
    pub(super) cuts: Vec<f64>,
    /// Below the first threshold.
    pub(super) below: Tail,
    /// From the last threshold on.
    pub(super) above: Tail,
    /// |f| ≤ 2^size on the whole domain; for a result that is summed up, the size of the sum.
    pub(super) size: u32,
    /// Fractional bits of x that must stay for the error of the whole to be as stated.
    pub(super) least_frac: u32,
    /// What to do instead if the ring is too narrow, for errors.
    pub(super) otherwise: &'static str,
}

/// Coefficients of all pieces for one scale of the variable.
pub(super) struct Fitted {
    /// Fractional bits of the result.
    pub(super) frac: u32,
    /// One polynomial more than thresholds, constant first.
    pieces: Vec<Vec<f64>>,
}

impl Curve<'_> {
    /// Coefficients for a variable with `frac_x` fractional bits in a ring of `ring` bits; `None` if the grid is too coarse for the
    /// tolerance.
    pub(super) fn fit(&self, frac_x: u32, ring: u32) -> Option<Fitted> {
        let most = ring.checked_sub(self.size.saturating_add(3))?.min(MAX_FRAC);
        for frac in (most.saturating_sub(8)..=most).rev() {
            let pieces = self.pieces(frac_x, frac)?;
            // Coefficients may be larger than the function; they must fit too.
            if encodable(&pieces, frac_x, frac) {
                return Some(Fitted { frac, pieces });
            }
        }
        None
    }

    fn pieces(&self, frac_x: u32, frac: u32) -> Option<Vec<Vec<f64>>> {
        let weight = |x: f64| 1.0 / (self.tolerance)(x);
        let inner = |bounds: (f64, f64)| {
            let fitted = fit(self.f, &weight, bounds, DEGREE, frac_x, frac);
            (fitted.worst <= 1.0).then_some(fitted.coefficients)
        };
        let tail = |tail: Tail, cut: f64| match tail {
            Tail::Line(..) if frac < frac_x => None,
            Tail::Line(at_zero, slope) => Some(vec![at_zero, slope]),
            Tail::Until(end) => inner((cut.min(end), cut.max(end))),
        };
        let (first, last) = (*self.cuts.first()?, *self.cuts.last()?);
        let mut pieces = vec![tail(self.below, first)?];
        for pair in self.cuts.windows(2) {
            pieces.push(inner((pair[0], pair[1]))?);
        }
        pieces.push(tail(self.above, last)?);
        Some(pieces)
    }

    /// The most fractional bits, at most `frac` and at least `self.least_frac`, that a variable in a ring of `ring` bits may have. If
    /// `dropping`, the ring loses as many bits as the variable.
    pub(super) fn best_frac(&self, frac: u32, ring: u32, dropping: bool) -> Result<u32, EngineError> {
        let ring_at = |kept: u32| if dropping { ring.saturating_sub(frac - kept) } else { ring };
        (self.least_frac.min(frac)..=frac)
            .rev()
            .find(|&kept| self.fit(kept, ring_at(kept)).is_some())
            .ok_or_else(|| self.too_narrow(ring))
    }

    /// True if the curve is defined for x ≤ 0 only, or for x ≥ 0 only.
    fn domain_has_one_sign(&self) -> bool {
        matches!(self.above, Tail::Until(end) if end <= 0.0)
            || matches!(self.below, Tail::Until(end) if end >= 0.0)
    }

    fn too_narrow(&self, ring: u32) -> EngineError {
        let otherwise = self.otherwise;
        let why = format!("a ring of {ring} bits is too narrow for its accuracy on this domain; {otherwise}");
        EngineError::parameter(self.name, why)
    }
}

/// Evaluates curves at x, all in the same rounds: at most one truncation of x, one batch of comparisons, one polynomial per
/// curve. Needs |x| and |thresholds| < 2^whole_bits.
///
/// Results are half-finished; the ring is x's, less the bits that were dropped from x.
pub(super) fn evaluate<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    curves: &[&Curve<'_>],
    whole_bits: u32,
) -> Result<Vec<E::Offset>, EngineError> {
    let (frac, fitted) = plan(&x.meta(), curves)?;
    let x = drop_to(engine, x, frac)?;
    // x and a threshold of the other sign differ by more than either.
    let one_sided = curves.iter().all(|c| c.domain_has_one_sign());
    let width = comparison_width(frac, if one_sided { whole_bits } else { whole_bits + 1 });
    let cuts: Vec<f64> = curves.iter().flat_map(|c| &c.cuts).copied().collect();
    let (bits, _) = engine.nonnegative(&[Sign { value: &x, width, out: None, cuts: &cuts }], &[])?;
    let mut rest = bits.as_slice();
    let mut results = Vec::new();
    for (curve, fitted) in curves.iter().zip(&fitted) {
        let (mine, others) = rest.split_at(curve.cuts.len().min(rest.len()));
        rest = others;
        results.push(join(engine, &x, mine, &fitted.pieces, fitted.frac)?);
    }
    Ok(results)
}

/// Fractional bits to keep of a variable, and the coefficients of each curve for it.
fn plan(x: &Meta, curves: &[&Curve<'_>]) -> Result<(u32, Vec<Fitted>), EngineError> {
    let ring = x.ring.bits();
    let mut frac = x.frac;
    for curve in curves {
        frac = frac.min(curve.best_frac(x.frac, ring, true)?);
    }
    let kept = ring.saturating_sub(x.frac - frac);
    let fitted = curves.iter().map(|c| c.fit(frac, kept).ok_or_else(|| c.too_narrow(ring)));
    Ok((frac, fitted.collect::<Result<_, _>>()?))
}
