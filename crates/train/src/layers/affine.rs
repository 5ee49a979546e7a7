//! Layers with weights: dense and convolution. They differ only in their bilinear maps and in how a bias spreads.
//!
//! Forward: Z = map(X, W) + b, half-finished at f_x + f_w bits, no message. Backward: the gradient of the input is a product of
//! δ and W. Gradient: that of the weights is a product of X, read with h more fractional bits (not with Adam), and δ; that of the bias is a
//! sum of δ. No message either. The opened X, W and δ of the other passes are used again.

use std::sync::Arc;

use tercet_engine::{Engine, EngineError, Shared};
use tercet_share::kernel::ConvGeometry;
use tercet_share::{Bilinear, Linear};

use super::{Backward, Context, Factors, Gradient, Layer, Value, Weights, no_forward};

/// A layer with weights.
pub(crate) struct Affine<E: Engine> {
    forward: Bilinear,
    weight_grad: Bilinear,
    input_grad: Bilinear,
    /// From one bias per unit to one per output, and back by summing; `None` if they are the same.
    spread: Option<(Linear, Linear)>,
    input: Option<E::Masked>,
}

impl<E: Engine> Affine<E> {
    /// Fully connected: X·W + b.
    pub(crate) fn dense() -> Affine<E> {
        Affine {
            forward: Bilinear::MATMUL,
            weight_grad: Bilinear::MatMul { left_t: true, right_t: false },
            input_grad: Bilinear::MatMul { left_t: false, right_t: true },
            spread: None,
            input: None,
        }
    }

    /// Convolution with `filters` output channels.
    pub(crate) fn conv2d(geometry: ConvGeometry, filters: usize) -> Affine<E> {
        let positions = geometry.output_positions();
        let index: Arc<[usize]> = (0..filters * positions).map(|i| i / positions).collect();
        Affine {
            forward: Bilinear::Conv(geometry),
            weight_grad: Bilinear::ConvWeightGrad(geometry),
            input_grad: Bilinear::ConvInputGrad(geometry),
            spread: Some((Linear::GatherCols(index), Linear::SumGroups(positions))),
            input: None,
        }
    }
}

fn weights_of<E: Engine>(weights: Option<&Weights<E>>) -> Result<&Weights<E>, EngineError> {
    weights.ok_or_else(|| EngineError::parameter("a layer", "it was given no weights"))
}

impl<E: Engine> Layer<E> for Affine<E> {
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        weights: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        let Weights { weight, bias, .. } = weights_of(weights)?;
        let x = x.finish(cx, cx.plan.ring)?;
        let rows = x.meta().rows;
        let mut z = cx.engine.product(&self.forward, &x, weight)?;
        let bias = match &self.spread {
            Some((spread, _)) => &cx.engine.linear(bias, spread)?,
            None => bias,
        };
        let bias = cx.engine.linear(bias, &Linear::RepeatRows(rows))?;
        let bias = cx.engine.lift(&bias)?;
        cx.engine.accumulate(&mut z, &bias, 1, x.meta().frac)?;
        self.input = cx.training.map(|_| x);
        Ok(Value::Pending { offset: z, frac: cx.plan.activation })
    }

    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        weights: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError> {
        let delta = delta.finish(cx, cx.plan.delta_ring)?;
        let input = self.input.take().ok_or_else(|| no_forward("a dense or convolution layer"))?;
        let below = if input_needed {
            let offset = cx.engine.product(&self.input_grad, &delta, &weights_of(weights)?.weight)?;
            Some(Value::Pending { offset, frac: cx.plan.gradient })
        } else {
            None
        };
        Ok(Backward { input: below, factors: Some(Factors { input, delta }) })
    }

    fn gradient(&self, cx: &mut Context<'_, E>, factors: &Factors<E>) -> Result<Gradient<E>, EngineError> {
        let Factors { input, delta } = factors;
        let raised = cx.engine.reread(input, cx.plan.summed - cx.plan.gradient)?;
        let weight = cx.engine.product(&self.weight_grad, &raised, delta)?;

        let mut bias = cx.engine.linear(delta, &Linear::SumRows)?;
        if let Some((_, sum)) = &self.spread {
            bias = cx.engine.linear(&bias, sum)?;
        }
        // On the grid of the weights' gradients.
        let bias = cx.engine.linear(&bias, &Linear::Scale(1 << cx.plan.activation))?;
        let bias = cx.engine.reread(&bias, cx.plan.summed)?;
        Ok(Gradient { weight, bias: cx.engine.lift(&bias)? })
    }
}
