//! One polynomial per piece, joined by the bits between the pieces.

use super::fit::pow2;
use crate::{Engine, EngineError, Term, Var};

/// P_0(x) + Σ_j b_j (P_j(x) − P_{j−1}(x)), half-finished with `frac` fractional bits; coefficients constant first.
pub(super) fn join<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    bits: &[E::Bit],
    pieces: &[Vec<f64>],
    frac: u32,
) -> Result<E::Offset, EngineError> {
    let mut vars = vec![Var::Masked(x)];
    vars.extend(bits.iter().map(Var::Bit));
    let mut terms = Vec::new();
    for (j, i, coefficient) in steps(pieces) {
        let mut powers = vec![0; vars.len()];
        powers[0] = i as u32;
        if j > 0 {
            powers[j] = 1;
        }
        terms.push(Term { coefficient, powers });
    }
    engine.polynomial(&vars, &terms, frac)
}

/// True if the integers that [`join`] needs are all below 2^62.
pub(super) fn encodable(pieces: &[Vec<f64>], frac_x: u32, frac: u32) -> bool {
    steps(pieces).all(|(_, i, c)| c.abs() * pow2(frac as i32 - i as i32 * frac_x as i32) < pow2(62))
}

/// (piece, power, coefficient minus the coefficient of the piece before), without zeros.
///
/// Coefficients lie on dyadic grids, so that differences of leading ones are exact and terms that cancel beyond the last
/// threshold cancel in integers, however large x is.
fn steps(pieces: &[Vec<f64>]) -> impl Iterator<Item = (usize, usize, f64)> {
    let coefficient = |j: usize, i: usize| pieces[j].get(i).copied().unwrap_or(0.0);
    let length = pieces.iter().map(Vec::len).max().unwrap_or(0);
    (0..pieces.len()).flat_map(move |j| {
        (0..length).filter_map(move |i| {
            let before = if j == 0 { 0.0 } else { coefficient(j - 1, i) };
            let step = coefficient(j, i) - before;
            (step != 0.0).then_some((j, i, step))
        })
    })
}
