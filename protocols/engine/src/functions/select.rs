//! Selection by bits: of two values, of the largest, of a sign.

use tercet_share::Linear;

use super::{comparison_width, constant, single};
use crate::{Engine, EngineError, Shared, Sign, Term, Var};

/// `bit ? x : y`, element-wise; x and y of equal scale. No round; exact.
pub fn select<E: Engine>(
    engine: &mut E,
    bit: &E::Bit,
    x: &E::Masked,
    y: &E::Masked,
) -> Result<E::Offset, EngineError> {
    let difference = engine.add(x, y, true)?;
    let mut chosen = times_bit(engine, bit, &difference, 1.0)?;
    let y = engine.lift(y)?;
    engine.accumulate(&mut chosen, &y, 1, 0)?;
    Ok(chosen)
}

/// The largest of every `group` neighbouring columns: `rows × cols` gives `rows × (cols / group)`.
///
/// Differences must be below 2^`whole_bits`. Exact. Rounds: those of one argmax.
pub fn max<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    group: usize,
    whole_bits: u32,
) -> Result<E::Offset, EngineError> {
    let bits = engine.argmax(x, group, comparison_width(x.meta().frac, whole_bits), x.meta().ring)?;
    let marked = times_bit(engine, &bits, x, 1.0)?;
    engine.linear_offset(&marked, &Linear::SumGroups(group))
}

/// |x|, for |x| < 2^`whole_bits`. Exact. Rounds: those of one comparison.
pub fn abs<E: Engine>(engine: &mut E, x: &E::Masked, whole_bits: u32) -> Result<E::Offset, EngineError> {
    let width = comparison_width(x.meta().frac, whole_bits);
    let (bits, _) = engine.nonnegative(&[Sign { value: x, width, out: None, cuts: &[0.0] }], &[])?;
    let bit = single(bits)?;
    let mut twice = times_bit(engine, &bit, x, 2.0)?;
    let x = engine.lift(x)?;
    engine.accumulate(&mut twice, &x, -1, 0)?;
    Ok(twice)
}

/// `factor · bit · x` at the scale of x.
fn times_bit<E: Engine>(
    engine: &mut E,
    bit: &E::Bit,
    x: &E::Masked,
    factor: f64,
) -> Result<E::Offset, EngineError> {
    let term = Term { coefficient: factor, powers: vec![1, 1] };
    engine.polynomial(&[Var::Masked(x), Var::Bit(bit)], &[term], x.meta().frac)
}

/// `1 − x` at the scale of x.
pub(super) fn complement<E: Engine>(engine: &mut E, x: &E::Offset) -> Result<E::Offset, EngineError> {
    let one = constant(engine, 1.0, x.meta())?;
    let mut result = engine.lift(&one)?;
    engine.accumulate(&mut result, x, -1, 0)?;
    Ok(result)
}
