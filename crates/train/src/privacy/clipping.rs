//! Bounding each row's gradient on shares, without forming it.
//!
//! For a dense layer with input a and gradient δ of its output, a row's gradient is the outer product of (a, 1) and δ, whose
//! squared norm is (‖a‖² + 1)·‖δ‖²; s is the sum over the layers. The factor c is applied to the rows of δ, before the
//! products that sum the gradients up over the rows.
//!
//! Upper bounds: a truncation may come out low by [`TRUNCATION_UNITS`]; each is followed by adding as much, so that the s
//! computed is never below the true s of the integers that the gradients are products of.
//!
//! Rounds: 15 in the `helper` engine, whatever the number of layers: norms 2, s and its root 6, the check 5, scaling 2; one less where
//! the ring of δ spares an opening, and one where no comparison of the root has more than 20 bits. All but the last truncation is on one number per row and layer.

use tercet_engine::functions;
use tercet_engine::{Engine, EngineError, Meta, Shared, Sign, Term, Truncate, Var};
use tercet_share::{Bilinear, Ring, Tensor, fixed};

use crate::layers::{Factors, only};
use crate::scales::NumericPlan;

use super::plan::{NormScales, PrivacyPlan};
use super::{KAPPA, TRUNCATION_UNITS};

/// Fractional bits of c²·s that are compared with the limit: four units are a sixteenth of the slack that κ leaves.
const CHECK_BITS: u32 = 12;

/// The same factors with every row's δ times c: the gradient of a row over all layers then has norm at most 1 + κ, up to the
/// rounding that the sensitivity counts.
pub(crate) fn bounded<E: Engine>(
    engine: &mut E,
    numeric: &NumericPlan,
    plan: &PrivacyPlan,
    factors: Vec<Factors<E>>,
) -> Result<Vec<Factors<E>>, EngineError> {
    let total = squared_norm(engine, &plan.norms, &factors)?;
    let factor = checked_factor(engine, plan, &total)?;
    scaled(engine, numeric, &factor, factors)
}

/// s of each row in its unit, `rows × 1`, half-finished, never below the true value.
pub(super) fn squared_norm<E: Engine>(
    engine: &mut E,
    scales: &NormScales,
    factors: &[Factors<E>],
) -> Result<E::Offset, EngineError> {
    let mut sums = Vec::with_capacity(2 * factors.len());
    for Factors { input, delta } in factors {
        for (x, frac) in [(input, scales.input), (delta, scales.delta)] {
            sums.push((engine.product(&Bilinear::RowDots, x, x)?, frac));
        }
    }
    let batch = sums.iter().map(|(value, frac)| shortened(value, *frac)).collect::<Result<Vec<_>, _>>()?;
    let norms = engine.truncate(&batch)?;
    let mut total: Option<E::Offset> = None;
    for pair in norms.chunks_exact(2) {
        let (input, delta) = (above(engine, &pair[0], 1.0)?, above(engine, &pair[1], 0.0)?);
        let delta = engine.reread(&delta, scales.delta + scales.unit)?;
        let part = engine.product(&Bilinear::Hadamard, &input, &delta)?;
        match &mut total {
            Some(total) => engine.accumulate(total, &part, 1, 0)?,
            None => total = Some(part),
        }
    }
    total.ok_or_else(|| EngineError::parameter("a squared norm", "there is no layer"))
}

fn shortened<O: Shared>(value: &O, frac: u32) -> Result<Truncate<'_, O>, EngineError> {
    let has = value.meta().frac;
    let shift = has.checked_sub(frac).ok_or_else(|| {
        EngineError::parameter("a squared norm", format!("it has {has} fractional bits, fewer than {frac}"))
    })?;
    Ok(Truncate { value, shift, out: Ring::FULL })
}

/// A truncated value plus `by`, raised so that it is not below the exact one.
fn above<E: Engine>(engine: &mut E, x: &E::Masked, by: f64) -> Result<E::Masked, EngineError> {
    let meta = x.meta();
    let margin = constant(engine, meta, by + margin(meta.frac))?;
    engine.add(x, &margin, false)
}

/// What a truncation to `frac` bits may be off by.
pub(super) fn margin(frac: u32) -> f64 {
    TRUNCATION_UNITS * (-f64::from(frac)).exp2()
}

/// c of each row, `rows × 1`: 1 / √(s + γ²) or 1 / √max(s, C²), and 0 where c²·s > (1 + κ)², from the s of [`squared_norm`].
pub(super) fn checked_factor<E: Engine>(
    engine: &mut E,
    plan: &PrivacyPlan,
    total: &E::Offset,
) -> Result<E::Masked, EngineError> {
    let NormScales { factor, square: frac, low, high, unit, .. } = plan.norms;
    let shift = shortened(total, frac + unit)?.shift;
    let rooted = plan.root.evaluate(engine, total, shift)?;
    // From here on in units of 1: s is 2^unit times as large, its root 2^(unit / 2) times, and c as much smaller.
    let c = functions::finish(engine, &rooted.root, factor - unit / 2, Ring::FULL)?;
    let c = engine.reread(&c, factor)?;
    let square = engine.reread(&rooted.value, frac)?;
    let square = above(engine, &square, 0.0)?;
    enforced(engine, &c, &square, (high - low) as u32)
}

/// c where c²·s ≤ (1 + κ)², 0 elsewhere; what is below the limit by less than four units of [`CHECK_BITS`] may count as above it.
/// `whole_bits` bounds c²·s.
pub(super) fn enforced<E: Engine>(
    engine: &mut E,
    c: &E::Masked,
    square: &E::Masked,
    whole_bits: u32,
) -> Result<E::Masked, EngineError> {
    let frac = 2 * c.meta().frac + square.meta().frac;
    let term = Term { coefficient: -1.0, powers: vec![2, 1] };
    let limit = Term { coefficient: (1.0 + KAPPA).powi(2), powers: vec![0, 0] };
    let room = engine.polynomial(&[Var::Masked(c), Var::Masked(square)], &[term, limit], frac)?;
    // The comparison is exact; before it, a truncation may come out high by as much as is subtracted.
    let keep = frac.min(CHECK_BITS);
    let ring = Ring::new(Ring::FULL.bits() - (frac - keep))?;
    let room = functions::finish(engine, &room, keep, ring)?;
    let safe = constant(engine, room.meta(), margin(keep))?;
    let room = engine.add(&room, &safe, true)?;
    let width = keep + whole_bits + 3;
    let (bits, _) =
        engine.nonnegative(&[Sign { value: &room, width, out: Some(Ring::FULL), cuts: &[0.0] }], &[])?;
    let within = only("a comparison", bits)?;
    let kept = times_bit(engine, c, &within)?;
    only("a re-masking", engine.remask(&[&kept])?)
}

fn times_bit<E: Engine>(engine: &mut E, x: &E::Masked, bit: &E::Bit) -> Result<E::Offset, EngineError> {
    let term = Term { coefficient: 1.0, powers: vec![1, 1] };
    engine.polynomial(&[Var::Masked(x), Var::Bit(bit)], &[term], x.meta().frac)
}

/// δ of every layer times c, truncated to f_δ bits in one call: the rounding that the sensitivity counts. Only gradients are made of
/// it, so the ring of the master weights is enough.
pub(super) fn scaled<E: Engine>(
    engine: &mut E,
    numeric: &NumericPlan,
    c: &E::Masked,
    factors: Vec<Factors<E>>,
) -> Result<Vec<Factors<E>>, EngineError> {
    let shift = c.meta().frac;
    // Either the ring of δ is wide enough for one opening in that of the master weights, or the first of two openings is narrow:
    // what passed the check is at most 1 + κ.
    let spares = numeric.delta_ring.bits() >= numeric.master_ring.bits() + shift;
    let narrow = match spares {
        true => None,
        false => Some(Ring::new((numeric.gradient + shift + 3).min(numeric.delta_ring.bits()))?),
    };
    let mut products = Vec::with_capacity(factors.len());
    for Factors { delta, .. } in &factors {
        let product = match narrow {
            Some(ring) => {
                let delta = engine.narrow(delta, ring)?;
                let c = engine.narrow(c, ring)?;
                engine.product(&Bilinear::RowScale, &c, &delta)?
            }
            None => engine.product(&Bilinear::RowScale, c, delta)?,
        };
        products.push(product);
    }
    let batch: Vec<Truncate<'_, E::Offset>> =
        products.iter().map(|value| Truncate { value, shift, out: numeric.master_ring }).collect();
    let deltas = engine.truncate(&batch)?;
    Ok(factors.into_iter().zip(deltas).map(|(f, delta)| Factors { input: f.input, delta }).collect())
}

fn constant<E: Engine>(engine: &mut E, meta: Meta, value: f64) -> Result<E::Masked, EngineError> {
    let v = fixed::encode(value, meta.frac, meta.ring)?;
    engine.public(&Tensor::filled(meta.rows, meta.cols, v), meta)
}
