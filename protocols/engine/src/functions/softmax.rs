//! Softmax over groups of columns, and its cross-entropy.

use std::sync::Arc;

use tercet_share::{Bilinear, Linear, Ring};

use super::{
    bounded::{log_curve, reciprocal_curve},
    curve::{Curve, evaluate},
    exponential::nonpositive_curve,
    finish, finish_difference,
    logistic::{sigmoid_curve, softplus_curve},
    missing, narrow_finish,
    newton::Start,
    normalised,
    select::{complement, max},
    single,
};
use crate::{Engine, EngineError, Shared, Term, Truncate, Var};

const WHAT: &str = "a softmax";

/// Fractional bits of the exponentials and of their sum in the quotient.
const FRAC_EXP: u32 = 15;

/// Fractional bits of the approximate reciprocal that the quotient refines.
const FRAC_START: u32 = 14;

/// With more classes the sum has too many orders of magnitude for cubics of itself.
const MOST_IN_PIECES: usize = 128;

/// Rows of logits relative to a reference, and what their exponentials add up to.
struct Parts<E: Engine> {
    probabilities: E::Offset,
    /// z − c with the same c in every column of a group.
    centred: E::Masked,
    /// ln Σ e^(z − c), one column per group; only if the loss is wanted.
    log_sum: Option<E::Offset>,
}

/// Softmax of every `group` neighbouring columns: probabilities, half-finished, in the shape of `z`.
///
/// Differences of logits must be below 2^`whole_bits`. Error at most 2^−10. For the gradient of the cross-entropy the
/// caller subtracts the labels before it finishes the value.
///
/// Method and rounds on the `helper` engine:
/// * 2 classes: the logistic function of the difference; 3 rounds.
/// * 3 to 10 classes: maximum (5), difference to it (1), exponentials (3), truncation of them and of their sum S (2), a
///   polynomial r ≈ 1/S on 1 ≤ S ≤ group (2), and e · r · (2 − S · r) as one polynomial, a Newton step at no round; 13 rounds.
/// * up to 128: 1/S in pieces instead (5), and e · (1/S); 16 rounds.
/// * more: 1/S by its magnitude (7); 18 rounds.
pub fn softmax<E: Engine>(
    engine: &mut E,
    z: &E::Masked,
    group: usize,
    whole_bits: u32,
) -> Result<E::Offset, EngineError> {
    Ok(parts(engine, z, group, whole_bits, false)?.probabilities)
}

/// [`softmax`], and the cross-entropy ln Σ e^z − Σ y·z of each group with the one-hot labels `y` (at any scale): one column per
/// group, with `frac` fractional bits. Error of the loss at most 2^−9.
///
/// The loss takes a comparison and a truncation more than softmax (a truncation only, for two classes).
pub fn softmax_cross_entropy<E: Engine>(
    engine: &mut E,
    z: &E::Masked,
    y: &E::Masked,
    group: usize,
    whole_bits: u32,
    frac: u32,
) -> Result<(E::Offset, E::Masked), EngineError> {
    let parts = parts(engine, z, group, whole_bits, true)?;
    let Some(log_sum) = parts.log_sum else {
        return Err(missing());
    };
    let chosen = engine.product(&Bilinear::Hadamard, y, &parts.centred)?;
    let chosen = engine.linear_offset(&chosen, &Linear::SumGroups(group))?;
    let loss = finish_difference(engine, &log_sum, &chosen, frac)?;
    Ok((parts.probabilities, loss))
}

fn parts<E: Engine>(
    engine: &mut E,
    z: &E::Masked,
    group: usize,
    whole_bits: u32,
    with_loss: bool,
) -> Result<Parts<E>, EngineError> {
    let cols = z.meta().cols;
    if group < 2 || !cols.is_multiple_of(group) {
        let why =
            format!("{cols} columns cannot be split into groups of {group}; 2 or more columns make a group");
        return Err(EngineError::parameter(WHAT, why));
    }
    if group == 2 {
        return pairs(engine, z, whole_bits, with_loss);
    }
    // The sum of a group must fit as well.
    let curve = nonpositive_curve(usize::BITS - (group - 1).leading_zeros());
    let frac = curve.best_frac(z.meta().frac, z.meta().ring.bits(), true)?;
    let centred = centre(engine, z, group, whole_bits, frac)?;
    let exponentials = single(evaluate(engine, &centred, &[&curve], whole_bits)?)?;
    let sum = engine.linear_offset(&exponentials, &Linear::SumGroups(group))?;
    let (probabilities, log_sum) = match Start::new(group as f64) {
        Some(start) => refined(engine, &exponentials, &sum, group, &start, with_loss)?,
        None if group <= MOST_IN_PIECES => in_pieces(engine, &exponentials, &sum, group, with_loss)?,
        None => by_magnitude(engine, &exponentials, &sum, group, with_loss)?,
    };
    Ok(Parts { probabilities, centred, log_sum })
}

/// Two classes: σ(z_1 − z_0), and ln(1 + e^(z_1 − z_0)).
fn pairs<E: Engine>(
    engine: &mut E,
    z: &E::Masked,
    whole_bits: u32,
    with_loss: bool,
) -> Result<Parts<E>, EngineError> {
    let cols = z.meta().cols;
    let even: Arc<[usize]> = (0..cols).step_by(2).collect();
    let odd: Arc<[usize]> = (1..cols).step_by(2).collect();
    let first = engine.linear(z, &Linear::GatherCols(Arc::clone(&even)))?;
    let second = engine.linear(z, &Linear::GatherCols(Arc::clone(&odd)))?;
    let difference = engine.add(&second, &first, true)?;
    let (sigmoid, softplus) = (sigmoid_curve(), softplus_curve(whole_bits));
    let curves: &[&Curve<'_>] = if with_loss { &[&sigmoid, &softplus] } else { &[&sigmoid] };
    let mut values = evaluate(engine, &difference, curves, whole_bits)?.into_iter();
    let Some(p) = values.next() else {
        return Err(missing());
    };
    let rest = complement(engine, &p)?;
    let mut probabilities =
        engine.linear_offset(&p, &Linear::ScatterCols { index: Arc::clone(&odd), cols })?;
    let rest = engine.linear_offset(&rest, &Linear::ScatterCols { index: even, cols })?;
    engine.accumulate(&mut probabilities, &rest, 1, 0)?;
    let centred = engine.linear(&difference, &Linear::ScatterCols { index: odd, cols })?;
    Ok(Parts { probabilities, centred, log_sum: values.next() })
}

/// z minus the largest of its group, with `frac` fractional bits: dropping others here costs no round.
fn centre<E: Engine>(
    engine: &mut E,
    z: &E::Masked,
    group: usize,
    whole_bits: u32,
    frac: u32,
) -> Result<E::Masked, EngineError> {
    let largest = max(engine, z, group, whole_bits)?;
    let largest = engine.linear_offset(&largest, &Linear::GatherCols(repeated(z.meta().cols, group)))?;
    let mut difference = engine.lift(z)?;
    engine.accumulate(&mut difference, &largest, -1, 0)?;
    narrow_finish(engine, &difference, frac)
}

/// For each column, the index of its group.
fn repeated(cols: usize, group: usize) -> Arc<[usize]> {
    (0..cols).map(|j| j / group).collect()
}

/// e · r · (2 − S·r), r from a polynomial of low degree.
fn refined<E: Engine>(
    engine: &mut E,
    exponentials: &E::Offset,
    sum: &E::Offset,
    group: usize,
    start: &Start,
    with_loss: bool,
) -> Result<(E::Offset, Option<E::Offset>), EngineError> {
    let frac = exponentials.meta().frac;
    let log = log_curve(1.0, group as f64);
    let frac_log = log.best_frac(FRAC_EXP, Ring::FULL.bits(), false)?;
    let to = |value, to: u32| Truncate { value, shift: frac.saturating_sub(to), out: Ring::FULL };
    let mut batch = vec![to(exponentials, FRAC_EXP), to(sum, FRAC_EXP), to(sum, start.frac_sum)];
    if with_loss {
        batch.push(to(sum, frac_log));
    }
    let finished = engine.truncate(&batch)?;
    let [e, s, s_start, rest @ ..] = finished.as_slice() else {
        return Err(missing());
    };
    let r = start.evaluate(engine, s_start, FRAC_START)?;
    let columns = Linear::GatherCols(repeated(e.meta().cols, group));
    let r = engine.linear(&r, &columns)?;
    let s = engine.linear(s, &columns)?;
    // The step gives (1 − ε²)/S with |ε| ≤ error; half of the largest ε² is added back.
    let centre = 1.0 + start.error * start.error / 2.0;
    let terms = [
        Term { coefficient: 2.0 * centre, powers: vec![1, 1, 0] },
        Term { coefficient: -centre, powers: vec![1, 2, 1] },
    ];
    let vars = [Var::Masked(e), Var::Masked(&r), Var::Masked(&s)];
    let probabilities = engine.polynomial(&vars, &terms, 2 * FRAC_EXP + 2 * FRAC_START)?;
    let log_sum = match rest.first() {
        Some(s) => Some(single(evaluate(engine, s, &[&log], whole_bits_of(group))?)?),
        None => None,
    };
    Ok((probabilities, log_sum))
}

/// e · (1/S), the reciprocal in pieces.
fn in_pieces<E: Engine>(
    engine: &mut E,
    exponentials: &E::Offset,
    sum: &E::Offset,
    group: usize,
    with_loss: bool,
) -> Result<(E::Offset, Option<E::Offset>), EngineError> {
    let frac = exponentials.meta().frac;
    let (reciprocal, log) = (reciprocal_curve(1.0, group as f64), log_curve(1.0, group as f64));
    let curves: &[&Curve<'_>] = if with_loss { &[&reciprocal, &log] } else { &[&reciprocal] };
    let mut frac_sum = FRAC_EXP;
    for curve in curves {
        frac_sum = frac_sum.min(curve.best_frac(FRAC_EXP, Ring::FULL.bits(), false)?);
    }
    let to = |value, to: u32| Truncate { value, shift: frac.saturating_sub(to), out: Ring::FULL };
    let finished = engine.truncate(&[to(exponentials, FRAC_EXP), to(sum, frac_sum)])?;
    let [e, s] = finished.as_slice() else {
        return Err(missing());
    };
    let mut values = evaluate(engine, s, curves, whole_bits_of(group))?.into_iter();
    let Some(r) = values.next() else {
        return Err(missing());
    };
    Ok((quotient(engine, e, &r, group)?, values.next()))
}

/// e · (1/S), the reciprocal after a normalisation of S.
fn by_magnitude<E: Engine>(
    engine: &mut E,
    exponentials: &E::Offset,
    sum: &E::Offset,
    group: usize,
    with_loss: bool,
) -> Result<(E::Offset, Option<E::Offset>), EngineError> {
    let shift = exponentials.meta().frac.saturating_sub(FRAC_EXP);
    let batch = [exponentials, sum].map(|value| Truncate { value, shift, out: Ring::FULL });
    let finished = engine.truncate(&batch)?;
    let [e, s] = finished.as_slice() else {
        return Err(missing());
    };
    let high = whole_bits_of(group) as i32;
    let r = normalised::reciprocal(engine, s, 0, high)?;
    let probabilities = quotient(engine, e, &r, group)?;
    let log_sum = if with_loss { Some(normalised::log(engine, s, 0, high)?) } else { None };
    Ok((probabilities, log_sum))
}

/// e · r, where r = 1/S gets as many more fractional bits as S may have whole bits.
fn quotient<E: Engine>(
    engine: &mut E,
    e: &E::Masked,
    r: &E::Offset,
    group: usize,
) -> Result<E::Offset, EngineError> {
    let r = finish(engine, r, FRAC_EXP + whole_bits_of(group), Ring::FULL)?;
    let r = engine.linear(&r, &Linear::GatherCols(repeated(e.meta().cols, group)))?;
    engine.product(&Bilinear::Hadamard, e, &r)
}

/// Whole bits of a sum of `group` numbers up to 1.
fn whole_bits_of(group: usize) -> u32 {
    usize::BITS - group.leading_zeros()
}
