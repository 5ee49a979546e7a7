//! Batch normalisation (Ioffe and Szegedy, ICML 2015) of the dense or convolution layer before it.
//!
//! For the n numbers x of a unit or channel in a batch, with d = x − mean, var = mean(d²), r = 1 / √(var + ε), x̂ = r·d and the gradient
//! δ of the output:
//!
//! * forward: y = γ·x̂ + β = s∘d + β, with s = γ·r;
//! * of the parameters: Σδ of β, and Σδ∘x̂ = r·Σδ∘d of γ;
//! * of the input: s∘(δ − mean δ) − a∘d, with a = γ·r²·mean(δ∘x̂), for r depends on x through var, and d through the mean.
//!
//! x̂ is never finished: y and the gradient of x are products of d, which is x less one number for each channel, with numbers of
//! channels. So what is opened for every number is x, once, and the gradient of x, in the layer below; d is used again in the
//! backward pass. Everything else is as long as there are channels. Scales, rings and why they suffice: [`crate::scales::NormPlan`].
//!
//! # Rounds, on the `helper` engine
//! Forward 14: x, γ and β 2; mean 2; variance, and the running mean 2; root 5; its truncation, and the running variance 2; s 1.
//! Backward 5: mean δ, Σδ∘d and γ·r² 2; mean(δ∘x̂) and γ's gradient 2; a 1. The layer below finishes its gradient by itself, 2 more.
//! Calls are the same whatever the number of channels. An evaluation takes none: see [`fold`].
//!
//! # Error
//! A truncation is off by at most 1.5 units. x is exact to 1.5·2^−f_x and the mean to 2.5·2^−f_x, the root to 2^−10 of it and 2^−15, and y is
//! off by |s| times the former and |s·d| times the latter, and 1.5·2^−f_x. The mean's part is the same for a whole batch: it moves β
//! by |s|·2.5·2^−f_x in that step, with a new sign in every one. mean δ has four bits more than δ for the same reason. The
//! second term of the gradient of x is off by σ²·2^−f_q of itself, which matters only where deviations σ come near the range. In tests over
//! the clear engine gradients are within the error of softmax of those in floating point, and trained weights within 0.015.

mod channels;
pub(crate) mod fold;

use std::sync::Arc;

use tercet_engine::{Engine, EngineError, Shared, Term, Truncate, Var};
use tercet_share::{Bilinear, Linear, Ring};

use crate::scales::{MEAN, NormPlan, NumericPlan};

use channels::{Count, average, batch, keep, mean, root, scale, times_rest};

use super::value::only;
use super::{Backward, Context, Factors, Gradient, Layer, Running, Value, Weights, no_forward};

const WHAT: &str = "a batch normalisation";

/// Batch normalisation.
pub(crate) struct BatchNorm<E: Engine> {
    layer: usize,
    positions: usize,
    kept: Option<Kept<E>>,
    running: Option<Running<E>>,
}

/// What the backward pass needs; all but d are numbers of channels.
struct Kept<E: Engine> {
    /// f_x fractional bits, ring D.
    d: E::Masked,
    /// f_r, full ring.
    root: E::Masked,
    /// γ: f_γ, full ring.
    gamma: E::Masked,
    /// s: f_s, in the ring of the products.
    scale: E::Masked,
}

impl<E: Engine> BatchNorm<E> {
    /// Of layer number `layer`, with `positions` numbers of a channel in one row.
    pub(crate) fn new(layer: usize, positions: usize) -> BatchNorm<E> {
        BatchNorm { layer, positions, kept: None, running: None }
    }

    fn plan(&self, plan: &NumericPlan) -> Result<NormPlan, EngineError> {
        let found = plan.norm(self.layer).copied();
        found.ok_or_else(|| EngineError::parameter(WHAT, "the numeric plan has no scales for it"))
    }

    /// One number for each channel as one for each number of a row, `rows` times.
    fn spread(&self, engine: &mut E, x: &E::Masked, rows: usize) -> Result<E::Masked, EngineError> {
        let channels = x.meta().cols;
        let index: Arc<[usize]> = (0..channels * self.positions).map(|i| i / self.positions).collect();
        let row =
            if self.positions == 1 { x.clone() } else { engine.linear(x, &Linear::GatherCols(index))? };
        engine.linear(&row, &Linear::RepeatRows(rows))
    }

    /// The sums of all channels.
    fn sums(&self, engine: &mut E, x: &E::Masked) -> Result<E::Masked, EngineError> {
        let row = engine.linear(x, &Linear::SumRows)?;
        engine.linear(&row, &Linear::SumGroups(self.positions))
    }

    /// The sums over all channels of products of numbers, divided by 2^k.
    fn products(
        &self,
        engine: &mut E,
        x: &E::Masked,
        y: &E::Masked,
        count: Count,
    ) -> Result<E::Offset, EngineError> {
        let y = engine.reread(y, y.meta().frac + count.bits)?;
        let all = engine.product(&Bilinear::Hadamard, x, &y)?;
        let row = engine.linear_offset(&all, &Linear::SumRows)?;
        engine.linear_offset(&row, &Linear::SumGroups(self.positions))
    }

    /// y in a training.
    fn train(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        weights: &Weights<E>,
        step: u64,
    ) -> Result<Value<E>, EngineError> {
        let norm = self.plan(cx.plan)?;
        let [gamma, beta, x] = finish(cx, &norm, x, weights)?;
        let rows = x.meta().rows;
        let count = Count::new(rows * self.positions, &norm);
        let Some(running) = &weights.running else {
            return Err(EngineError::parameter(WHAT, "it was given no running averages"));
        };

        let sum = self.sums(cx.engine, &x)?;
        let mean = mean(cx.engine, &sum, count)?;
        let frac = mean.meta().frac;
        let to = |frac_out: u32| Truncate { value: &mean, shift: frac - frac_out, out: Ring::FULL };
        let [mean, fine] = batch(cx.engine, &[to(cx.plan.activation), to(cx.plan.activation + MEAN)])?;
        let mean = cx.engine.narrow(&mean, x.meta().ring)?;
        let mean = self.spread(cx.engine, &mean, rows)?;
        let d = cx.engine.add(&x, &mean, true)?;

        let squares = self.products(cx.engine, &d, &d, count)?;
        let running_mean = average(cx.engine, &running.0, &fine, norm.average, step)?;
        let [variance, running_mean] = batch(
            cx.engine,
            &[
                Truncate { value: &squares, shift: squares.meta().frac - norm.variance, out: Ring::FULL },
                Truncate { value: &running_mean, shift: norm.average.shift, out: Ring::FULL },
            ],
        )?;
        let variance = times_rest(cx.engine, &variance, count)?;

        let running_variance = average(cx.engine, &running.1, &variance, norm.average, step)?;
        let root = root(cx.engine, &norm, &variance)?;
        let [root, running_variance] = batch(
            cx.engine,
            &[
                Truncate { value: &root, shift: root.meta().frac - norm.root, out: Ring::FULL },
                Truncate { value: &running_variance, shift: norm.average.shift, out: Ring::FULL },
            ],
        )?;
        self.running = Some((
            keep(cx.engine, &running_mean, norm.average)?,
            keep(cx.engine, &running_variance, norm.average)?,
        ));

        let scale = scale(cx.engine, &norm, &gamma, &root, norm.scale_ring())?;
        let y = {
            let s = cx.engine.narrow(&scale, norm.forward)?;
            let s = self.spread(cx.engine, &s, rows)?;
            let d = cx.engine.narrow(&d, norm.forward)?;
            let mut y = cx.engine.product(&Bilinear::Hadamard, &s, &d)?;
            let beta = self.spread(cx.engine, &beta, rows)?;
            let beta = cx.engine.lift(&beta)?;
            let up = y.meta().frac - norm.parameter;
            cx.engine.accumulate(&mut y, &beta, 1, up)?;
            y
        };
        self.kept = Some(Kept { d, root, gamma, scale });
        Ok(Value::Pending { offset: y, frac: cx.plan.activation })
    }

    /// The gradient of x, half-finished, and that of γ.
    fn gradients(
        &self,
        cx: &mut Context<'_, E>,
        delta: &E::Masked,
        kept: &Kept<E>,
    ) -> Result<(E::Offset, E::Masked), EngineError> {
        let norm = self.plan(cx.plan)?;
        let engine = &mut *cx.engine;
        let rows = delta.meta().rows;
        let count = Count::new(rows * self.positions, &norm);

        let sum = self.sums(engine, delta)?;
        let mean = mean(engine, &sum, count)?;
        let together = self.products(engine, delta, &kept.d, count)?;
        let term = Term { coefficient: 1.0, powers: vec![1, 2] };
        let frac = norm.parameter + 2 * norm.root;
        let square =
            engine.polynomial(&[Var::Masked(&kept.gamma), Var::Masked(&kept.root)], &[term], frac)?;
        let together_shift = together.meta().frac - count.bits - norm.sum;
        let mean_shift = mean.meta().frac - cx.plan.gradient - MEAN;
        let [together, mean, square] = batch(
            engine,
            &[
                Truncate { value: &together, shift: together_shift, out: Ring::FULL },
                Truncate { value: &mean, shift: mean_shift, out: norm.backward },
                Truncate { value: &square, shift: frac - norm.square, out: Ring::FULL },
            ],
        )?;

        // mean(δ∘x̂), and the gradient of γ, n times that: the sum without its division by 2^k.
        let whole = engine.reread(&together, norm.sum)?;
        let gamma = engine.product(&Bilinear::Hadamard, &kept.root, &whole)?;
        let together = times_rest(engine, &together, count)?;
        let correlation = engine.product(&Bilinear::Hadamard, &kept.root, &together)?;
        let to = |value, shift| Truncate { value, shift, out: Ring::FULL };
        let [correlation, gamma] = batch(
            engine,
            &[
                to(&correlation, correlation.meta().frac - norm.correlation),
                to(&gamma, gamma.meta().frac - norm.parameter_gradient),
            ],
        )?;

        let slope = engine.product(&Bilinear::Hadamard, &square, &correlation)?;
        let shift = slope.meta().frac - norm.slope;
        let slope = engine.truncate(&[Truncate { value: &slope, shift, out: norm.backward }])?;
        let slope = only(WHAT, slope)?;

        let scale = engine.narrow(&kept.scale, norm.backward)?;
        let scale = self.spread(engine, &scale, rows)?;
        let centred = {
            let delta = engine.narrow(delta, norm.backward)?;
            let delta = engine.linear(&delta, &Linear::Scale(1 << MEAN))?;
            let delta = engine.reread(&delta, cx.plan.gradient + MEAN)?;
            let mean = self.spread(engine, &mean, rows)?;
            engine.add(&delta, &mean, true)?
        };
        let mut below = engine.product(&Bilinear::Hadamard, &scale, &centred)?;
        let slope = self.spread(engine, &slope, rows)?;
        let d = engine.narrow(&kept.d, norm.backward)?;
        let along = engine.product(&Bilinear::Hadamard, &slope, &d)?;
        engine.accumulate(&mut below, &along, -1, 0)?;
        Ok((below, gamma))
    }
}

impl<E: Engine> Layer<E> for BatchNorm<E> {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        weights: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        // In an evaluation the weights of the layer before hold it.
        let Some(training) = cx.training else { return Ok(x) };
        let weights = weights.ok_or_else(|| EngineError::parameter(WHAT, "it was given no weights"))?;
        self.train(cx, x, weights, training.step)
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        _: bool,
    ) -> Result<Backward<E>, EngineError> {
        let delta = delta.finish(cx, cx.plan.delta_ring)?;
        let kept = self.kept.take().ok_or_else(|| no_forward(WHAT))?;
        let (offset, input) = self.gradients(cx, &delta, &kept)?;
        let below = Value::Pending { offset, frac: cx.plan.gradient };
        Ok(Backward { input: Some(below), factors: Some(Factors { input, delta }) })
    }

    fn gradient(&self, cx: &mut Context<'_, E>, factors: &Factors<E>) -> Result<Gradient<E>, EngineError> {
        let frac = cx.plan.activation + cx.plan.gradient;
        let mut on_grid = |x: &E::Masked| {
            let up = frac - x.meta().frac;
            let x = cx.engine.linear(x, &Linear::Scale(1 << up))?;
            let x = cx.engine.reread(&x, cx.plan.summed)?;
            cx.engine.lift(&x)
        };
        let weight = on_grid(&factors.input)?;
        let bias = self.sums(cx.engine, &factors.delta)?;
        let bias = {
            let x = cx.engine.linear(&bias, &Linear::Scale(1 << cx.plan.activation))?;
            let x = cx.engine.reread(&x, cx.plan.summed)?;
            cx.engine.lift(&x)?
        };
        Ok(Gradient { weight, bias })
    }

    fn running(&mut self) -> Option<Running<E>> {
        self.running.take()
    }
}

/// γ and β with the bits that the layer uses, and x: one truncation call, two rounds.
fn finish<E: Engine>(
    cx: &mut Context<'_, E>,
    norm: &NormPlan,
    x: Value<E>,
    weights: &Weights<E>,
) -> Result<[E::Masked; 3], EngineError> {
    let Value::Pending { offset, frac } = x else {
        return Err(EngineError::parameter(WHAT, "it does not come directly after a product"));
    };
    let parameters = [cx.engine.lift(&weights.weight)?, cx.engine.lift(&weights.bias)?];
    let [gamma, beta] = parameters.each_ref().map(|value| Truncate {
        value,
        shift: value.meta().frac - norm.parameter,
        out: Ring::FULL,
    });
    let x = Truncate { value: &offset, shift: offset.meta().frac - frac, out: norm.input };
    batch(cx.engine, &[gamma, beta, x])
}

#[cfg(test)]
mod tests;
