//! ReLU, fused with the truncation of the product before it. The backward pass gates the gradient with the stored bits,
//! fused with its truncation; no comparison is made again.

use tercet_engine::{Engine, EngineError, Gate, Relu, Shared, Sign, Term, Truncate, Var};

use super::value::only;
use super::{Backward, Context, Layer, Value, Weights, no_forward};

/// max(0, x).
pub(crate) struct ReluLayer<E: Engine> {
    bit: Option<E::Bit>,
}

impl<E: Engine> Default for ReluLayer<E> {
    fn default() -> ReluLayer<E> {
        ReluLayer { bit: None }
    }
}

impl<E: Engine> Layer<E> for ReluLayer<E> {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        let (y, bit) = match x {
            Value::Pending { offset, frac } if offset.meta().frac > frac => {
                let shift = offset.meta().frac - frac;
                let truncate = Truncate { value: &offset, shift, out: cx.plan.ring };
                only("a ReLU", cx.engine.relu(&[Relu { truncate, width: cx.plan.width }])?)?
            }
            x => {
                let x = x.finish(cx, cx.plan.ring)?;
                let (bits, _) = cx
                    .engine
                    .nonnegative(&[Sign { value: &x, width: cx.plan.width, out: None, cuts: &[0.0] }], &[])?;
                let bit = only("a ReLU", bits)?;
                (gate_finished(cx.engine, &x, &bit)?, bit)
            }
        };
        self.bit = cx.training.map(|_| bit);
        Ok(Value::Masked(y))
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError> {
        let bit = self.bit.take().ok_or_else(|| no_forward("a ReLU"))?;
        if !input_needed {
            return Ok(Backward::nothing());
        }
        let gated = match delta {
            Value::Pending { offset, frac } if offset.meta().frac > frac => {
                let shift = offset.meta().frac - frac;
                let truncate = Truncate { value: &offset, shift, out: cx.plan.delta_ring };
                only("a gate", cx.engine.gate(&[Gate { truncate, bit: &bit }])?)?
            }
            delta => {
                let delta = delta.finish(cx, cx.plan.delta_ring)?;
                gate_finished(cx.engine, &delta, &bit)?
            }
        };
        Ok(Backward::input(Value::Masked(gated)))
    }
}

/// bit · x for a finished x: one round.
fn gate_finished<E: Engine>(engine: &mut E, x: &E::Masked, bit: &E::Bit) -> Result<E::Masked, EngineError> {
    let product = engine.polynomial(
        &[Var::Masked(x), Var::Bit(bit)],
        &[Term { coefficient: 1.0, powers: vec![1, 1] }],
        x.meta().frac,
    )?;
    only("a gate", engine.remask(&[&product])?)
}
