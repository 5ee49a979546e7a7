//! Maximum over windows: an argmax whose bits also route the gradient back.
//!
//! The entries of all windows are compared and picked in a ring that only just holds them: a truncation into it needs one
//! opening instead of two, and no correction for wraps. They keep one bit more than an activation, so that the next layer can
//! truncate the picked ones, a fraction of them, into the ring of activations together with its own work.

use std::sync::Arc;

use tercet_engine::{Engine, EngineError, Shared, Term, Truncate, Var};
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

/// The value in the ring of comparisons with one fractional bit more than an activation.
fn entries<E: Engine>(cx: &mut Context<'_, E>, x: Value<E>) -> Result<E::Masked, EngineError> {
    let plan = cx.plan;
    if let Value::Pending { offset, .. } = &x
        && let Some(shift @ 1..) = offset.meta().frac.checked_sub(plan.activation + 1)
    {
        let truncate = Truncate { value: offset, shift, out: plan.pool_ring };
        return only("a max-pool layer", cx.engine.truncate(&[truncate])?);
    }
    let x = x.finish(cx, plan.ring)?;
    let x = cx.engine.linear(&x, &Linear::Scale(2))?;
    let x = cx.engine.reread(&x, plan.activation + 1)?;
    cx.engine.narrow(&x, plan.pool_ring)
}

impl<E: Engine> Layer<E> for MaxPool<E> {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        let x = entries(cx, x)?;
        let x = cx.engine.linear(&x, &Linear::GatherCols(self.index.clone()))?;
        let group = self.windows.group();
        // The backward pass needs the bits in the ring of gradients.
        let out = if cx.training.is_some() { cx.plan.ring } else { cx.plan.pool_ring };
        let bits = cx.engine.argmax(&x, group, cx.plan.pool_ring.bits(), out)?;
        let picked = cx.engine.polynomial(&[Var::Masked(&x), Var::Bit(&bits)], &product(), x.meta().frac)?;
        let offset = cx.engine.linear_offset(&picked, &Linear::SumGroups(group))?;
        self.bits = cx.training.map(|_| bits);
        Ok(Value::Pending { offset, frac: cx.plan.activation })
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
        let frac = cx.plan.gradient;
        let routed = cx.engine.polynomial(&[Var::Masked(&delta), Var::Bit(&bits)], &product(), frac)?;
        let scatter = Linear::ScatterCols { index: self.index.clone(), cols: self.windows.inputs() };
        let offset = cx.engine.linear_offset(&routed, &scatter)?;
        Ok(Backward::input(Value::Pending { offset, frac }))
    }
}
