//! ½ Σ (z − t)²: δ = z − t.

use tercet_engine::{Engine, EngineError, Meta, Shared, Term, Truncate, Var, functions};

use crate::layers::{Context, Value, only};

use super::sum_finished;

/// δ = z − t; the truncation of z goes straight to f_δ bits.
pub(super) fn gradient<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: Value<E>,
    targets: &E::Masked,
) -> Result<E::Masked, EngineError> {
    let (ring, frac) = (cx.plan.ring, cx.plan.gradient);
    let z = match outputs {
        Value::Pending { offset, .. } if offset.meta().frac >= frac => {
            Value::Pending { offset, frac }.finish(cx, ring)?
        }
        outputs => {
            let z = outputs.finish(cx, ring)?;
            at(cx, &z, frac)?
        }
    };
    let targets = cx.engine.narrow(targets, z.meta().ring)?;
    cx.engine.add(&z, &targets, true)
}

/// ½ Σ (z² − 2zt + t²).
pub(super) fn total<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: &E::Masked,
    targets: &E::Masked,
) -> Result<E::Offset, EngineError> {
    let Meta { frac: f_z, .. } = outputs.meta();
    let f_t = targets.meta().frac;
    let terms = [(0.5, [2, 0]), (-1.0, [1, 1]), (0.5, [0, 2])];
    let terms = terms.map(|(coefficient, powers)| Term { coefficient, powers: powers.to_vec() });
    // One bit for the coefficient ½.
    let frac = 2 * f_z.max(f_t) + 1;
    let squares = cx.engine.polynomial(&[Var::Masked(outputs), Var::Masked(targets)], &terms, frac)?;
    let squares = functions::finish(cx.engine, &squares, f_z, outputs.meta().ring)?;
    sum_finished(cx.engine, &squares)
}

/// `x` with `frac` fractional bits.
fn at<E: Engine>(cx: &mut Context<'_, E>, x: &E::Masked, frac: u32) -> Result<E::Masked, EngineError> {
    let Meta { frac: now, ring, .. } = x.meta();
    if now == frac {
        return Ok(x.clone());
    }
    if now > frac {
        let value = &cx.engine.lift(x)?;
        return only(
            "a truncation",
            cx.engine.truncate(&[Truncate { value, shift: now - frac, out: ring }])?,
        );
    }
    let raised = cx.engine.linear(x, &tercet_share::Linear::Scale(1 << (frac - now)))?;
    cx.engine.reread(&raised, frac)
}
