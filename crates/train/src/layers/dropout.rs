//! Dropout with a public seeded mask (Srivastava et al., JMLR 2014): a value is dropped in training with probability
//! `rate`; in an evaluation all values are kept and multiplied by 1 − rate. Dropping is a local selection of columns, so
//! that training pays no message for it.

use std::sync::Arc;

use rand_core::Rng;
use tercet_engine::{Engine, EngineError, Shared};
use tercet_share::{Linear, PADDING};

use crate::init::{Purpose, public_rng};
use crate::scales::Dyadic;

use super::value::scaled;
use super::{Backward, Context, Layer, Value, Weights};

/// Dropout.
pub(crate) struct Dropout {
    rate: f64,
    layer: usize,
}

impl Dropout {
    /// Dropout of layer number `layer`.
    pub(crate) fn new(rate: f64, layer: usize) -> Dropout {
        Dropout { rate, layer }
    }
}

/// The keep probability as an evaluation uses it.
pub(crate) fn keep(rate: f64) -> Dyadic {
    Dyadic::probability(1.0 - rate)
}

/// Which of `len` values of a batch are kept, in row-major order.
pub(crate) fn kept(rate: f64, layer: usize, seed: u64, step: u64, len: usize) -> Vec<bool> {
    // Layers below 2^16 and steps below 2^44 never share a stream.
    let mut rng = public_rng(seed, Purpose::Dropout, (layer as u64) << 44 | step);
    let threshold = (rate * 32f64.exp2()) as u64;
    (0..len).map(|_| u64::from(rng.next_u32()) >= threshold).collect()
}

fn mask<E: Engine>(
    cx: &mut Context<'_, E>,
    x: Value<E>,
    kept: &[bool],
    (rows, cols): (usize, usize),
) -> Result<Value<E>, EngineError> {
    let index: Arc<[usize]> = kept.iter().enumerate().map(|(i, k)| if *k { i } else { PADDING }).collect();
    x.linear(cx.engine, &Linear::Reshape(1, rows * cols))?
        .linear(cx.engine, &Linear::GatherCols(index))?
        .linear(cx.engine, &Linear::Reshape(rows, cols))
}

impl<E: Engine> Value<E> {
    fn shape(&self) -> (usize, usize) {
        match self {
            Value::Masked(m) => m.meta().shape(),
            Value::Pending { offset, .. } => offset.meta().shape(),
        }
    }
}

impl<E: Engine> Layer<E> for Dropout {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        if let Some(training) = cx.training {
            let shape = x.shape();
            let kept = kept(self.rate, self.layer, training.seed, training.step, shape.0 * shape.1);
            return mask(cx, x, &kept, shape);
        }
        let x = x.finish(cx, cx.plan.ring)?;
        scaled(cx.engine, &x, keep(self.rate))
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError> {
        let Some(training) = cx.training.filter(|_| input_needed) else { return Ok(Backward::nothing()) };
        let shape = delta.shape();
        let kept = kept(self.rate, self.layer, training.seed, training.step, shape.0 * shape.1);
        Ok(Backward::input(mask(cx, delta, &kept, shape)?))
    }
}
