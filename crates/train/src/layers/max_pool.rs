//! Maximum over windows: an argmax whose bits also route the gradient back.

use std::sync::Arc;

use tercet_engine::{Engine, EngineError, Term, Var};
use tercet_share::Linear;

use crate::architecture::Windows;

use super::value::only;
use super::{Backward, Context, Layer, Value, Weights, no_forward};

/// Maximum over windows.
pub(crate) struct MaxPool<E: Engine> {
    index: Arc<[usize]>,
    windows: Windows,
    /// Marks the largest entry of each window.
    bits: Option<E::Bit>,
}

impl<E: Engine> MaxPool<E> {
    /// A layer over `windows`.
    pub(crate) fn new(windows: Windows) -> MaxPool<E> {
        MaxPool { index: windows.index().into(), windows, bits: None }
    }
}

fn product() -> Vec<Term> {
    vec![Term { coefficient: 1.0, powers: vec![1, 1] }]
}

impl<E: Engine> Layer<E> for MaxPool<E> {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        let x = x.finish(cx, cx.plan.ring)?;
        let x = cx.engine.linear(&x, &Linear::GatherCols(self.index.clone()))?;
        // One bit more than an activation: differences of two of them are compared.
        let bits = cx.engine.argmax(&x, self.windows.group(), cx.plan.width + 1)?;
        let picked =
            cx.engine.polynomial(&[Var::Masked(&x), Var::Bit(&bits)], &product(), cx.plan.activation)?;
        let largest = cx.engine.linear_offset(&picked, &Linear::SumGroups(self.windows.group()))?;
        self.bits = cx.training.map(|_| bits);
        Ok(Value::Masked(only("a max-pool layer", cx.engine.remask(&[&largest])?)?))
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError> {
        let bits = self.bits.take().ok_or_else(|| no_forward("a max-pool layer"))?;
        if !input_needed {
            return Ok(Backward::nothing());
        }
        let delta = delta.finish(cx, cx.plan.ring)?;
        let delta = cx.engine.linear(&delta, &Linear::GatherCols(self.windows.repeat()))?;
        // The scale of a product, so that a ReLU below gates it in the rounds of its truncation.
        let frac = cx.plan.gradient + cx.plan.weight;
        let routed = cx.engine.polynomial(&[Var::Masked(&delta), Var::Bit(&bits)], &product(), frac)?;
        let scatter = Linear::ScatterCols { index: self.index.clone(), cols: self.windows.inputs() };
        let offset = cx.engine.linear_offset(&routed, &scatter)?;
        Ok(Backward::input(Value::Pending { offset, frac: cx.plan.gradient }))
    }
}
