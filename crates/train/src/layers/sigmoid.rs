//! Sigmoid s(x) = 1 / (1 + e^−x). The backward pass is δ·s·(1 − s), one polynomial, no round of its own.

use tercet_engine::{Engine, EngineError, Term, Var, functions};
use tercet_share::Ring;

use super::{Backward, Context, Layer, Value, Weights, no_forward};

/// The sigmoid.
pub(crate) struct SigmoidLayer<E: Engine> {
    output: Option<E::Masked>,
}

impl<E: Engine> Default for SigmoidLayer<E> {
    fn default() -> SigmoidLayer<E> {
        SigmoidLayer { output: None }
    }
}

impl<E: Engine> Layer<E> for SigmoidLayer<E> {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        let x = x.finish(cx, Ring::FULL)?;
        let s = functions::sigmoid(cx.engine, &x, cx.plan.range_bits)?;
        let s = functions::finish(cx.engine, &s, cx.plan.activation, cx.plan.ring)?;
        self.output = cx.training.map(|_| s.clone());
        Ok(Value::Masked(s))
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError> {
        let s = self.output.take().ok_or_else(|| no_forward("a sigmoid"))?;
        if !input_needed {
            return Ok(Backward::nothing());
        }
        let delta = delta.finish(cx, cx.plan.ring)?;
        let terms =
            [Term { coefficient: 1.0, powers: vec![1, 1] }, Term { coefficient: -1.0, powers: vec![1, 2] }];
        let frac = cx.plan.gradient + 2 * cx.plan.activation;
        let offset = cx.engine.polynomial(&[Var::Masked(&delta), Var::Masked(&s)], &terms, frac)?;
        Ok(Backward::input(Value::Pending { offset, frac: cx.plan.gradient }))
    }
}
