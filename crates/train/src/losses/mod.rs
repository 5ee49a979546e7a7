//! Losses on shares: gradient of the outputs, number of correct rows, and sum of losses. One file a loss.

mod binary_cross_entropy;
mod mean_squared_error;
mod softmax_cross_entropy;

use tercet_engine::{Engine, EngineError, Meta, Shared, Sign, Term, Var, functions};
use tercet_share::{Linear, Ring, Tensor, fixed};

use crate::layers::{Context, Value, only};
use crate::spec::Loss;

/// δ, the gradient of the summed loss with respect to the outputs, at f_δ bits in the ring R.
pub(crate) fn gradient<E: Engine>(
    cx: &mut Context<'_, E>,
    loss: Loss,
    outputs: Value<E>,
    targets: &E::Masked,
) -> Result<E::Masked, EngineError> {
    match loss {
        Loss::SoftmaxCrossEntropy => softmax_cross_entropy::gradient(cx, outputs, targets),
        Loss::BinaryCrossEntropy => binary_cross_entropy::gradient(cx, outputs, targets),
        Loss::MeanSquaredError => mean_squared_error::gradient(cx, outputs, targets),
    }
}

/// Outputs of an evaluation: f_x fractional bits in the full ring, in which the functions of the losses work.
pub(crate) fn outputs<E: Engine>(
    cx: &mut Context<'_, E>,
    outputs: Value<E>,
) -> Result<E::Masked, EngineError> {
    wide(cx, outputs)
}

/// The sum of the losses of all rows, `1 × 1`, half-finished.
pub(crate) fn total<E: Engine>(
    cx: &mut Context<'_, E>,
    loss: Loss,
    outputs: &E::Masked,
    targets: &E::Masked,
) -> Result<E::Offset, EngineError> {
    match loss {
        Loss::SoftmaxCrossEntropy => softmax_cross_entropy::total(cx, outputs, targets),
        Loss::BinaryCrossEntropy => binary_cross_entropy::total(cx, outputs, targets),
        Loss::MeanSquaredError => mean_squared_error::total(cx, outputs, targets),
    }
}

/// The number of correct rows, `1 × 1`, half-finished: the largest output is the target's class; with one output, it is on
/// the target's side of the threshold.
pub(crate) fn correct<E: Engine>(
    cx: &mut Context<'_, E>,
    loss: Loss,
    outputs: &E::Masked,
    targets: &E::Masked,
) -> Result<E::Offset, EngineError> {
    let cols = outputs.meta().cols;
    // Differences of outputs need one bit more than an output.
    let width = cx.plan.width + 1;
    let right = if cols == 1 {
        let above = if loss == Loss::MeanSquaredError {
            let half = constant(cx.engine, &outputs.meta(), 0.5)?;
            cx.engine.add(outputs, &half, true)?
        } else {
            outputs.clone()
        };
        let (bits, _) =
            cx.engine.nonnegative(&[Sign { value: &above, width, out: None, cuts: &[0.0] }], &[])?;
        let bit = only("a comparison", bits)?;
        // 1 − b − t + 2bt: both or neither.
        let terms = [(1.0, [0, 0]), (-1.0, [1, 0]), (-1.0, [0, 1]), (2.0, [1, 1])];
        let terms = terms.map(|(coefficient, powers)| Term { coefficient, powers: powers.to_vec() });
        cx.engine.polynomial(&[Var::Bit(&bit), Var::Masked(targets)], &terms, targets.meta().frac)?
    } else {
        let bits = cx.engine.argmax(outputs, cols, width, outputs.meta().ring)?;
        let term = Term { coefficient: 1.0, powers: vec![1, 1] };
        cx.engine.polynomial(&[Var::Bit(&bits), Var::Masked(targets)], &[term], targets.meta().frac)?
    };
    sum(cx.engine, &right)
}

/// The value in the full ring at f_x bits.
fn wide<E: Engine>(cx: &mut Context<'_, E>, value: Value<E>) -> Result<E::Masked, EngineError> {
    value.finish(cx, Ring::FULL)
}

/// Sum of all elements.
fn sum<E: Engine>(engine: &mut E, x: &E::Offset) -> Result<E::Offset, EngineError> {
    let rows = engine.linear_offset(x, &Linear::SumRows)?;
    engine.linear_offset(&rows, &Linear::SumCols)
}

/// Sum of all elements of a finished value.
fn sum_finished<E: Engine>(engine: &mut E, x: &E::Masked) -> Result<E::Offset, EngineError> {
    let lifted = engine.lift(x)?;
    sum(engine, &lifted)
}

/// `p − targets`, truncated to a gradient: f_δ bits in the ring R.
fn less_targets<E: Engine>(
    cx: &mut Context<'_, E>,
    mut p: E::Offset,
    targets: &E::Masked,
) -> Result<E::Masked, EngineError> {
    let labels = cx.engine.lift(targets)?;
    let Some(shift) = p.meta().frac.checked_sub(cx.plan.gradient) else {
        return Err(EngineError::parameter(
            "a loss",
            "its probabilities have fewer fractional bits than gradients",
        ));
    };
    cx.engine.accumulate(&mut p, &labels, -1, shift)?;
    functions::finish(cx.engine, &p, cx.plan.gradient, cx.plan.delta_ring)
}

/// A public constant in the shape, scale and ring of `like`.
fn constant<E: Engine>(engine: &mut E, like: &Meta, value: f64) -> Result<E::Masked, EngineError> {
    let v = fixed::encode(value, like.frac, like.ring)?;
    engine.public(&Tensor::filled(like.rows, like.cols, v), *like)
}
