//! Mean over windows: a local sum, and one truncation for the division, left to the next layer.

use std::sync::Arc;

use tercet_engine::{Engine, EngineError};
use tercet_share::Linear;

use crate::architecture::Windows;
use crate::scales::{Dyadic, KEEP_BITS};

use super::value::scaled;
use super::{Backward, Context, Layer, Value, Weights};

/// Mean over windows.
pub(crate) struct AvgPool {
    index: Arc<[usize]>,
    windows: Windows,
}

impl AvgPool {
    /// A layer over `windows`.
    pub(crate) fn new(windows: Windows) -> AvgPool {
        AvgPool { index: windows.index().into(), windows }
    }

    fn share(&self) -> Dyadic {
        Dyadic::reciprocal(self.windows.group(), KEEP_BITS)
    }
}

impl<E: Engine> Layer<E> for AvgPool {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        let x = x.finish(cx, cx.plan.ring)?;
        let x = cx.engine.linear(&x, &Linear::GatherCols(self.index.clone()))?;
        let sum = cx.engine.linear(&x, &Linear::SumGroups(self.windows.group()))?;
        scaled(cx.engine, &sum, self.share())
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError> {
        if !input_needed {
            return Ok(Backward::nothing());
        }
        let delta = delta.finish(cx, cx.plan.ring)?;
        let each = self.windows.repeat();
        let delta = cx.engine.linear(&delta, &Linear::GatherCols(each))?;
        let scatter = Linear::ScatterCols { index: self.index.clone(), cols: self.windows.inputs() };
        let delta = cx.engine.linear(&delta, &scatter)?;
        Ok(Backward::input(scaled(cx.engine, &delta, self.share())?))
    }
}
