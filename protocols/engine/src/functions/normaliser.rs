//! The inverse square root of many values over many orders of magnitude: fewer bytes for more rounds.
//!
//! [`inverse_sqrt`](super::inverse_sqrt) compares with every power of two and joins all bits in one polynomial; per element that is
//! one comparison and several dealt products for every factor of two. An optimiser needs the root of a number for every weight,
//! so that bytes matter more than rounds. Here x is brought into [1/4, 1) by powers of four in two levels, √n comparisons
//! each for n cells of the domain, of which those of the second level are narrow; then one polynomial of degree 4 gives
//! the root. The
//! normalisation is that of Catrina and Saxena (FC 2010) and of Attrapadung et al., "Adam in Private" (PETS 2022); both decompose
//! into bits instead.

use tercet_share::{Linear, Ring};

use super::{
    finish,
    fit::{fit, pow2},
    pieces::join,
    single,
};
use crate::{Engine, EngineError, Meta, Shared, Sign, Term, Var};

const WHAT: &str = "an inverse square root in parts";

/// Degree of the polynomial on [1/4, 1).
const DEGREE: usize = 4;

/// Fractional bits of its variable.
const FRAC_V: u32 = 11;

/// Fractional bits of its result.
const FRAC: u32 = 44;

/// Ring of both.
const RING: u32 = 50;

/// Fractional bits beyond the smallest value after the first level.
const PRECISION: u32 = 10;

/// Largest factor between the bounds: both levels together have 64 cells.
const MOST_OCTAVES: i32 = 128;

/// `power · root` is 1 / √x.
pub struct InverseSqrt<M> {
    /// A power of two, exact.
    pub power: M,
    /// Between 1 and 2 inside of the domain.
    pub root: M,
}

/// How a domain is cut: cells of a factor of four, in two levels.
struct Cells {
    /// x < 2^high, an even number.
    high: i32,
    /// Groups of cells, found in the first level.
    groups: u32,
    /// Cells in a group, found in the second level.
    cells: u32,
}

impl Cells {
    fn new(meta: &Meta, low: i32, high: i32) -> Result<Cells, EngineError> {
        let frac = meta.frac as i32;
        let wrong = |why: String| Err(EngineError::parameter(WHAT, why));
        if low >= high || high.abs() > 60 || low < -frac {
            return wrong(format!(
                "its domain is 2^{low} to 2^{high}; 2^−{frac} is the smallest number it is given"
            ));
        }
        let high = high + (high & 1);
        let octaves = high - low;
        if octaves > MOST_OCTAVES {
            return wrong(format!(
                "its domain is 2^{low} to 2^{high}; at most a factor 2^{MOST_OCTAVES} is possible"
            ));
        }
        let all = (octaves as u32).div_ceil(2).max(2);
        // A comparison of the first level has all bits of x, one of the second about 2 · cells + PRECISION.
        let wide = octaves as u32 + 6;
        let cost = |cells: &u32| (all.div_ceil(*cells) - 1) * wide + (cells - 1) * (2 * cells + PRECISION);
        let cells = (2..=all.min(8)).min_by_key(cost).unwrap_or(2);
        Ok(Cells { high, groups: all.div_ceil(cells), cells })
    }

    /// Fractional bits of x between the levels.
    fn frac(&self) -> u32 {
        2 * self.cells + PRECISION
    }
}

/// 1 / √x for 2^`low` ≤ x < 2^`high`, as a power of two and a number between 1 and 2 with `frac` ≤ 44 fractional bits; products with
/// them need the ring `out`. Relative error at most 2^−7, rounding of truncations included, and what x's own rounding makes of
/// it. A value below 2^low, zero and small negative ones included, gives a finite result of no meaning.
///
/// x needs a ring of `frac + high + 3` bits, with x's fractional bits.
///
/// Rounds on the `helper` engine: at most 13. Per element about 2,500 bits by all parties for a factor of 2^32, against 20,000 of
/// [`inverse_sqrt`](super::inverse_sqrt).
pub fn inverse_sqrt_parts<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    (low, high): (i32, i32),
    frac: u32,
    out: Ring,
) -> Result<InverseSqrt<E::Masked>, EngineError> {
    let cells = Cells::new(&x.meta(), low, high)?;
    let x = normalised(engine, x, &cells)?;
    // Bits multiply x as well.
    let wide = out.max(x.meta().ring);

    // First level: into [4^−cells, 1).
    let bits = thresholds(engine, &x, cells.groups, 2 * cells.cells, wide)?;
    let (coarse, power) = if bits.is_empty() {
        (engine.lift(&x)?, None)
    } else {
        let power = staircase(engine, None, &bits, pow2(cells.cells as i32))?;
        let power = single(engine.remask(&[&power])?)?;
        (staircase(engine, Some(&x), &bits, pow2(2 * cells.cells as i32))?, Some(power))
    };
    let coarse = finish(engine, &coarse, cells.frac(), Ring::new(cells.frac() + 3)?)?;

    // Second level: into [1/4, 1).
    let bits = thresholds(engine, &coarse, cells.cells, 2, wide)?;
    let power = staircase(engine, power.as_ref(), &bits, 2.0)?;
    let power = single(engine.remask(&[&power])?)?;
    let fine = staircase(engine, Some(&coarse), &bits, 4.0)?;
    let fine = finish(engine, &fine, FRAC_V, Ring::new(RING)?)?;

    let root = join(engine, &fine, &[], &[coefficients()], FRAC)?;
    let root = finish(engine, &root, frac, out)?;
    // 1 / √x = 1 / √v · 2^cell · 2^(−high/2), v in [1/4, 1).
    let half = cells.high / 2;
    let power = if half >= 0 {
        engine.reread(&power, half as u32)?
    } else {
        engine.linear(&power, &Linear::Scale(1 << -half))?
    };
    Ok(InverseSqrt { power, root })
}

/// x · 2^−high, with enough fractional bits that the first level has some to drop.
fn normalised<E: Engine>(engine: &mut E, x: &E::Masked, cells: &Cells) -> Result<E::Masked, EngineError> {
    let meta = x.meta();
    let frac = (meta.frac as i32 + cells.high).max(0) as u32;
    let raise = (cells.frac() + 1).saturating_sub(frac);
    let needs = frac + raise + 3;
    if needs > meta.ring.bits() {
        let why = format!("its operand needs a ring of {needs} bits but has one of {}", meta.ring.bits());
        return Err(EngineError::parameter(WHAT, why));
    }
    let x = if raise > 0 { engine.linear(x, &Linear::Scale(1 << raise))? } else { x.clone() };
    engine.reread(&x, frac + raise)
}

/// Bits [x ≥ 2^−(octaves · i)] for i = 1 to count − 1, for x < 1, in the ring `out`.
fn thresholds<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    count: u32,
    octaves: u32,
    out: Ring,
) -> Result<Vec<E::Bit>, EngineError> {
    let cuts: Vec<f64> = (1..count).map(|i| pow2(-((octaves * i) as i32))).collect();
    let sign = Sign { value: x, width: x.meta().frac + 1, out: Some(out), cuts: &cuts };
    if cuts.is_empty() { Ok(Vec::new()) } else { Ok(engine.nonnegative(&[sign], &[])?.0) }
}

/// step^i, where i is the number of thresholds above x, times `of` if there is one, at the scale of `of`. Half-finished.
fn staircase<E: Engine>(
    engine: &mut E,
    of: Option<&E::Masked>,
    bits: &[E::Bit],
    step: f64,
) -> Result<E::Offset, EngineError> {
    let vars: Vec<Var<'_, E::Masked, E::Bit>> =
        of.into_iter().map(Var::Masked).chain(bits.iter().map(Var::Bit)).collect();
    let at = usize::from(of.is_some());
    let power = |i: usize| (0..i).fold(1.0, |p, _| p * step);
    let term = |coefficient: f64, bit: Option<usize>| {
        let mut powers = vec![0; vars.len()];
        powers[..at].fill(1);
        bit.into_iter().for_each(|i| powers[at + i] = 1);
        Term { coefficient, powers }
    };
    // All thresholds are above x without a bit; bit i takes away one factor.
    let mut terms = vec![term(power(bits.len()), None)];
    terms.extend((0..bits.len()).map(|i| term(power(i) - power(i + 1), Some(i))));
    engine.polynomial(&vars, &terms, of.map_or(0, |x| x.meta().frac))
}

/// The polynomial of 1 / √v on [1/4, 1), constant first.
fn coefficients() -> Vec<f64> {
    fit(&|v| 1.0 / v.sqrt(), &f64::sqrt, (0.25, 1.0), DEGREE, FRAC_V, FRAC).coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_is_within_a_relative_error_of_2_to_the_minus_8() {
        let c = coefficients();
        assert_eq!(c.len(), DEGREE + 1);
        for k in 0..=1000 {
            let v = 0.25 + 0.75 * f64::from(k) / 1000.0;
            let y = c.iter().rev().fold(0.0, |y, c| y * v + c);
            assert!((y * v.sqrt() - 1.0).abs() < pow2(-8), "{y} at {v}");
        }
        // A value below the domain must not wrap in the truncation of the result.
        assert!(c[0].abs() < pow2((RING - 2 - FRAC) as i32) - 1.0, "{}", c[0]);
    }

    #[test]
    fn cells_cover_the_domain_with_few_comparisons() {
        for (low, high) in [(-28, 4), (-27, 5), (-10, 0), (-2, 0), (-40, 6), (-3, -2), (0, 60)] {
            let meta = Meta { rows: 1, cols: 1, frac: 40, ring: Ring::FULL };
            let cells = Cells::new(&meta, low, high).unwrap();
            assert!(cells.high >= high && cells.high % 2 == 0);
            assert!(cells.high - 2 * (cells.groups * cells.cells) as i32 <= low, "{low} {high}");
            assert!(cells.groups + cells.cells <= 12);
        }
    }

    #[test]
    fn a_domain_out_of_reach_is_refused() {
        let meta = Meta { rows: 1, cols: 1, frac: 20, ring: Ring::FULL };
        for (low, high) in [(2, 2), (-21, 0), (0, 61)] {
            assert!(Cells::new(&meta, low, high).is_err(), "{low} {high}");
        }
    }
}
