//! An inverse square root for factors of gradients, which need no more than nine bits: fewer bytes for one round more.

use tercet_share::{Bilinear, Ring};

use super::{
    constant, finish,
    fit::{fit, pow2},
    pieces::encodable,
    single,
};
use crate::{Engine, EngineError, Meta, Shared, Sign, Term, Truncate, Var};

const WHAT: &str = "an inverse square root";

/// Powers of two in a piece: x = v · 2^top with v in [1/4, 1).
const OCTAVES: i32 = 2;

/// Largest relative error, a truncation of v that is off by 1.5 units included.
const LARGEST_ERROR: f64 = 1.0 / 160.0;

/// A truncated value, and the inverse square root of what is made of it.
pub struct Rooted<M, O> {
    /// The truncated value, in the full ring.
    pub value: M,
    /// Half-finished.
    pub root: O,
}

/// What is under a root: a value plus a constant, or a floor if that is larger.
#[derive(Clone, Copy, Debug)]
pub struct Radicand {
    /// Added to the value.
    pub plus: f64,
    /// Least value under the root, below 2^(`low` + 1).
    pub floor: Option<f64>,
    /// What is under the root is between 2^low and 2^high.
    pub low: i32,
    /// See `low`.
    pub high: i32,
}

/// 1 / √x for 2^`low` ≤ x ≤ 2^`high`, where [`coarse_fits`]. Error at most 2^−7.3 / √x + 2^−15, truncations on shares included.
///
/// As [`super::inverse_sqrt`], with comparisons at every other power of two, and with 2^−top and 2^(−top/2), both linear in the bits,
/// opened under masks before they are multiplied: no monomial then has a bit in it. Rounds: one comparison, of
/// (`high` − `low`) / 2 − 1 thresholds per element, one re-masking and one truncation. A value below 2^low gives a finite result of
/// no meaning.
///
/// # Errors
/// A domain that does not fit the ring.
pub fn inverse_sqrt_coarse<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    low: i32,
    high: i32,
) -> Result<E::Offset, EngineError> {
    let pieces = Pieces::new(&x.meta(), Radicand { plus: 0.0, floor: None, low, high })?;
    let shifted = pieces.shifted(engine, x)?;
    let signs = pieces.signs(&shifted, x.meta().ring);
    let bits = if signs.is_empty() { Vec::new() } else { engine.nonnegative(&signs, &[])?.0 };
    pieces.root(engine, x, &bits)
}

/// Truncates, and takes the root of what `radicand` makes of the result, with the error of [`inverse_sqrt_coarse`].
///
/// The comparisons begin as soon as the truncated value is opened in the ring that the truncation leaves, and its way into the full ring
/// goes beside them. A floor is one more threshold. Rounds: one opening, one comparison, one re-masking and one truncation. The
/// value that is compared and the one that is returned may differ by the rounding of truncations: next to a threshold
/// a piece is used that far beyond its end.
///
/// # Errors
/// A domain that does not fit the full ring, or not what the truncation leaves of it.
pub fn truncated_inverse_sqrt<E: Engine>(
    engine: &mut E,
    value: &E::Offset,
    shift: u32,
    radicand: Radicand,
) -> Result<Rooted<E::Masked, E::Offset>, EngineError> {
    let meta = value.meta();
    let out = Ring::FULL;
    let whole = Truncate { value, shift, out };
    let frac = meta.frac.saturating_sub(shift);
    let pieces = Pieces::new(&Meta { frac, ring: out, ..meta }, radicand)?;
    if pieces.cuts().next().is_none() {
        let value = single(engine.truncate(&[whole])?)?;
        let root = pieces.root(engine, &value, &[])?;
        return Ok(Rooted { value, root });
    }
    let left = meta.ring.bits().saturating_sub(shift);
    if pieces.width > left {
        let why = format!(
            "comparisons need {} bits, but {left} are left of the ring: use a smaller domain",
            pieces.width
        );
        return Err(EngineError::parameter(WHAT, why));
    }
    let opened = single(engine.truncate(&[Truncate { value, shift, out: Ring::new(left)? }])?)?;
    let shifted = pieces.shifted(engine, &opened)?;
    let (bits, values) = engine.nonnegative(&pieces.signs(&shifted, out), &[whole])?;
    let value = single(values)?;
    let root = pieces.root(engine, &value, &bits)?;
    Ok(Rooted { value, root })
}

/// How a domain is cut.
struct Pieces {
    radicand: Radicand,
    /// What each piece is below, a power of two.
    tops: Vec<i32>,
    curve: Curve,
    /// Bits of a comparison.
    width: u32,
}

impl Pieces {
    /// For values of `meta`.
    fn new(meta: &Meta, radicand: Radicand) -> Result<Pieces, EngineError> {
        let Radicand { low, high, floor, .. } = radicand;
        // Whole pieces, from the top down.
        let low = low - (high - low) % OCTAVES;
        let refused = || {
            let why = format!(
                "the domain 2^{low} to 2^{high} does not fit {} fractional bits in a ring of {}: use a smaller one",
                meta.frac,
                meta.ring.bits()
            );
            EngineError::parameter(WHAT, why)
        };
        let most = meta.ring.bits() as i32 - 3 - meta.frac as i32;
        if low >= high || high > most || low < -(meta.frac as i32) {
            return Err(refused());
        }
        // The floor is a part of the first piece.
        if floor.is_some_and(|floor| floor < pow2(low) || floor >= pow2(low + OCTAVES)) {
            return Err(refused());
        }
        let tops: Vec<i32> = (low + OCTAVES..=high).step_by(OCTAVES as usize).collect();
        let curve = Curve::new(meta.ring.bits(), low, high).ok_or_else(refused)?;
        let width = (meta.frac as i32 + high + 1).max(2) as u32;
        Ok(Pieces { radicand, tops, curve, width })
    }

    /// Thresholds: between the pieces, and the floor.
    fn cuts(&self) -> impl Iterator<Item = f64> {
        let between = self.tops.iter().rev().skip(1).rev().map(|top| pow2(*top));
        between.chain(self.radicand.floor)
    }

    /// The value less each threshold.
    fn shifted<E: Engine>(&self, engine: &mut E, x: &E::Masked) -> Result<Vec<E::Masked>, EngineError> {
        let mut shifted = Vec::new();
        for cut in self.cuts() {
            let cut = constant(engine, cut - self.radicand.plus, x.meta())?;
            shifted.push(engine.add(x, &cut, true)?);
        }
        Ok(shifted)
    }

    /// Their comparisons, with bits for products in the ring `out`.
    fn signs<'a, M>(&self, shifted: &'a [M], out: Ring) -> Vec<Sign<'a, M>> {
        shifted.iter().map(|value| Sign { value, width: self.width, out: Some(out) }).collect()
    }

    /// The root, from the value and the bits of [`Pieces::signs`].
    fn root<E: Engine>(
        &self,
        engine: &mut E,
        x: &E::Masked,
        bits: &[E::Bit],
    ) -> Result<E::Offset, EngineError> {
        let Pieces { radicand, tops, curve, .. } = self;
        let meta = x.meta();
        let x = match radicand.plus {
            0.0 => x.clone(),
            plus => {
                let plus = constant(engine, plus, meta)?;
                engine.add(x, &plus, false)?
            }
        };
        let (bits, over) = match radicand.floor {
            Some(_) => bits.split_last().map_or((bits, None), |(over, bits)| (bits, Some(over))),
            None => (bits, None),
        };
        // 2^−top, so that v = x · 2^−top, and 2^(−top/2) over that of the first piece.
        let frac_down = (radicand.high.max(0) as u32).max((curve.frac_v + 1).saturating_sub(meta.frac));
        let down: Vec<f64> = tops.iter().map(|top| pow2(-top)).collect();
        let root: Vec<f64> = (0..tops.len() as i32).map(|piece| pow2(-piece)).collect();
        let (down, root) = match bits.is_empty() {
            true => {
                let alike = |frac: u32| Meta { frac, ..meta };
                let down = constant(engine, down[0], alike(frac_down))?;
                (down, constant(engine, root[0], alike(curve.frac_root))?)
            }
            false => {
                let down = stairs(engine, bits, &down, frac_down)?;
                let root = stairs(engine, bits, &root, curve.frac_root)?;
                let mut both = engine.remask(&[&down, &root])?.into_iter();
                both.next()
                    .zip(both.next())
                    .ok_or_else(|| EngineError::parameter(WHAT, "a re-masking lost a value"))?
            }
        };
        let v = match (radicand.floor, over) {
            (Some(floor), Some(over)) => {
                // (floor + over · (x − floor)) · 2^−top: above the first piece the bit is 1.
                let term = |coefficient: f64, x: u32, bit: u32| Term { coefficient, powers: vec![x, 1, bit] };
                let terms = [term(floor, 0, 0), term(1.0, 1, 1), term(-floor, 0, 1)];
                let vars = [Var::Masked(&x), Var::Masked(&down), Var::Bit(over)];
                engine.polynomial(&vars, &terms, meta.frac + frac_down)?
            }
            _ => engine.product(&Bilinear::Hadamard, &x, &down)?,
        };
        let v = finish(engine, &v, curve.frac_v, meta.ring)?;
        let terms: Vec<Term> = curve
            .coefficients
            .iter()
            .enumerate()
            .map(|(i, &coefficient)| Term { coefficient, powers: vec![i as u32, 1] })
            .collect();
        engine.polynomial(&[Var::Masked(&v), Var::Masked(&root)], &terms, curve.frac)
    }
}

/// Whether the full ring holds this domain with the stated error.
pub fn coarse_fits(low: i32, high: i32) -> bool {
    let low = low - (high - low) % OCTAVES;
    low < high && Curve::new(64, low, high).is_some()
}

/// The value of each piece, from the bits between the pieces.
fn stairs<E: Engine>(
    engine: &mut E,
    bits: &[E::Bit],
    values: &[f64],
    frac: u32,
) -> Result<E::Offset, EngineError> {
    let vars: Vec<Var<'_, E::Masked, E::Bit>> = bits.iter().map(Var::Bit).collect();
    let mut terms = vec![Term { coefficient: values[0], powers: vec![0; bits.len()] }];
    for (j, pair) in values.windows(2).enumerate() {
        let mut powers = vec![0; bits.len()];
        powers[j] = 1;
        terms.push(Term { coefficient: pair[1] - pair[0], powers });
    }
    engine.polynomial(&vars, &terms, frac)
}

/// The polynomial of v, for the first piece.
struct Curve {
    frac_v: u32,
    frac_root: u32,
    frac: u32,
    coefficients: Vec<f64>,
}

impl Curve {
    /// The degree and the precision of v of the smallest error; `None` if the ring is too narrow.
    fn new(ring: u32, low: i32, high: i32) -> Option<Curve> {
        let top = f64::from(low + OCTAVES);
        let f = |v: f64| libm::exp2(-top / 2.0) / v.sqrt();
        let weight = |v: f64| 1.0 / (pow2(-10) * f(v) + pow2(-16));
        let frac_root = ((high - low) / OCTAVES - 1) as u32;
        let size = libm::ceil((-f64::from(low) / 2.0).max(0.0)) as u32;
        let frac = ring.checked_sub(3 + size)?.min(tercet_share::fixed::MAX_FRAC);
        let room = frac.checked_sub(frac_root)?;
        let mut best: Option<(f64, Curve)> = None;
        // The most precise v whose powers the room holds, or one bit less for the sake of the coefficients.
        let choices = (3..=5u32).flat_map(|degree| {
            let most = (room / degree).min(14);
            [(degree as usize, most), (degree as usize, most.saturating_sub(1))]
        });
        for (degree, frac_v) in choices.filter(|(_, frac_v)| *frac_v > 0) {
            let fitted = fit(&f, &weight, (0.25, 1.0), degree, frac_v, room);
            // A unit of v moves 1/√v by two of it where v is smallest.
            let error = fitted.worst * pow2(-10) + 3.0 * pow2(-(frac_v as i32));
            if error <= best.as_ref().map_or(LARGEST_ERROR, |best| best.0)
                && encodable(std::slice::from_ref(&fitted.coefficients), frac_v, room)
            {
                best = Some((error, Curve { frac_v, frac_root, frac, coefficients: fitted.coefficients }));
            }
        }
        best.map(|best| best.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_gradients_fit_and_endless_ones_do_not() {
        for (low, high) in [(0, 20), (-4, 24), (-7, 22), (4, 28), (-8, 15)] {
            assert!(coarse_fits(low, high), "{low} {high}");
        }
        assert!(!coarse_fits(-20, 30) && !coarse_fits(3, 3));
    }
}
