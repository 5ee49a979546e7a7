//! Σ log(1 + e^z) − t z: δ = sigmoid(z) − t.

use tercet_engine::{Engine, EngineError, functions};
use tercet_share::{Bilinear, Ring};

use crate::layers::{Context, Value};

use super::{less_targets, sum_finished, wide};

/// δ = sigmoid(z) − t, in one truncation.
pub(super) fn gradient<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: Value<E>,
    targets: &E::Masked,
) -> Result<E::Masked, EngineError> {
    let z = wide(cx, outputs)?;
    let p = functions::sigmoid(cx.engine, &z, cx.plan.range_bits)?;
    less_targets(cx, p, targets)
}

/// Σ log(1 + e^z) − t z.
pub(super) fn total<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: &E::Masked,
    targets: &E::Masked,
) -> Result<E::Offset, EngineError> {
    let softplus = functions::softplus(cx.engine, outputs, cx.plan.range_bits)?;
    let softplus = functions::finish(cx.engine, &softplus, cx.plan.activation, Ring::FULL)?;
    let product = cx.engine.product(&Bilinear::Hadamard, outputs, targets)?;
    let product = functions::finish(cx.engine, &product, cx.plan.activation, Ring::FULL)?;
    let loss = cx.engine.add(&softplus, &product, true)?;
    sum_finished(cx.engine, &loss)
}
