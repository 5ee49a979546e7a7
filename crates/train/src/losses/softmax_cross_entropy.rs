//! −Σ t log softmax(z): δ = softmax(z) − t.

use tercet_engine::{Engine, EngineError, Shared, functions};

use crate::layers::{Context, Value};

use super::{less_targets, sum_finished, wide};

/// δ = softmax(z) − t, in one truncation.
pub(super) fn gradient<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: Value<E>,
    targets: &E::Masked,
) -> Result<E::Masked, EngineError> {
    let z = wide(cx, outputs)?;
    // Differences of logits need one bit more than a logit.
    let p = functions::softmax(cx.engine, &z, z.meta().cols, cx.plan.range_bits + 1)?;
    less_targets(cx, p, targets)
}

/// −Σ t log softmax(z).
pub(super) fn total<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: &E::Masked,
    targets: &E::Masked,
) -> Result<E::Offset, EngineError> {
    let (classes, whole_bits, frac) = (outputs.meta().cols, cx.plan.range_bits + 1, cx.plan.activation);
    let (_, loss) = functions::softmax_cross_entropy(cx.engine, outputs, targets, classes, whole_bits, frac)?;
    sum_finished(cx.engine, &loss)
}
