//! Layers on shares. One file a layer: its forward pass, and its backward pass from the values that the forward pass kept.
//!
//! # What batch normalisation costs
//! 21 rounds a layer and step on the `helper` engine, and for every number that it normalises two truncations of the four that a
//! ReLU's neighbours would do without it: x is finished by itself before the ReLU, and so is the gradient below. With L the ring of
//! products, D that of x and R that of gradients, that is 4·D + 4·R + 2·(L − f_w) bits a number, and about 18,000 bits a channel,
//! nearly all for the inverse square root. Two such layers in 784-128-128-10 at batch 128 (L = 34, D = 41, R = 52: 408 bits for each
//! of 32,768 numbers) make 7.70 MB and 70 rounds of 5.46 MB and 28; `tests/costs.rs` counts it. Convolutions have many numbers: the
//! network with two of them takes 295 MB and 107 rounds of 164 MB and 45. Formulas, rounds and errors are in [`batch_norm`].

mod affine;
mod avg_pool;
pub(crate) mod batch_norm;
pub(crate) mod dropout;
mod flatten;
mod max_pool;
mod relu;
mod sigmoid;
mod value;

use tercet_engine::{Engine, EngineError};

use crate::NumericPlan;
use crate::architecture::{Architecture, LayerShape, Node};
use crate::guard::{Quantity, Watched};

pub(crate) use value::{Value, only};

/// What a pass runs in.
pub(crate) struct Context<'a, E: Engine> {
    /// The engine.
    pub(crate) engine: &'a mut E,
    /// Scales and rings.
    pub(crate) plan: &'a NumericPlan,
    /// The training step for dropout masks; `None` in an evaluation, which keeps nothing for a backward pass.
    pub(crate) training: Option<TrainingStep>,
}

/// Public facts of a training step.
#[derive(Clone, Copy)]
pub(crate) struct TrainingStep {
    pub(crate) seed: u64,
    pub(crate) step: u64,
}

/// Truncated weights of one layer.
pub(crate) struct Weights<E: Engine> {
    /// `inputs × units`, f_w fractional bits.
    pub(crate) weight: E::Masked,
    /// `1 × units`, f_w fractional bits.
    pub(crate) bias: E::Masked,
    /// Running mean and variance of a batch normalisation, half-finished.
    pub(crate) running: Option<Running<E>>,
}

/// Running mean and variance of a batch normalisation, half-finished.
pub(crate) type Running<E> = (<E as Engine>::Offset, <E as Engine>::Offset);

/// Gradients of one layer, half-finished, summed over the rows of the batch.
pub(crate) struct Gradient<E: Engine> {
    /// Like the weight, with as many fractional bits as summed gradients have.
    pub(crate) weight: E::Offset,
    /// Like the bias, the same.
    pub(crate) bias: E::Offset,
}

/// What the gradient of one layer's weights is a product of; a record is a row of both.
pub(crate) struct Factors<E: Engine> {
    /// Input of the layer, f_x fractional bits; of a batch normalisation the gradient of its scale.
    pub(crate) input: E::Masked,
    /// Gradient of its output, f_δ fractional bits.
    pub(crate) delta: E::Masked,
}

/// What a backward pass gives.
pub(crate) struct Backward<E: Engine> {
    /// Gradient of the input, if it was asked for.
    pub(crate) input: Option<Value<E>>,
    /// Factors of the gradient of the weights, if the layer has some.
    pub(crate) factors: Option<Factors<E>>,
}

impl<E: Engine> Backward<E> {
    /// Of a layer without weights.
    fn input(value: Value<E>) -> Backward<E> {
        Backward { input: Some(value), factors: None }
    }

    /// Of a layer without weights whose input has none below it.
    fn nothing() -> Backward<E> {
        Backward { input: None, factors: None }
    }
}

/// One layer.
pub(crate) trait Layer<E: Engine> {
    /// The output for input `x`. `weights` is there for a layer that has some.
    fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: Value<E>,
        weights: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError>;

    /// From the gradient of the output, that of the input (if `input_needed`) and the factors of that of the weights (if there
    /// are some).
    fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: Value<E>,
        weights: Option<&Weights<E>>,
        input_needed: bool,
    ) -> Result<Backward<E>, EngineError>;

    /// The gradient of the weights, summed over the rows of its factors. No message.
    fn gradient(&self, _cx: &mut Context<'_, E>, _factors: &Factors<E>) -> Result<Gradient<E>, EngineError> {
        Err(EngineError::parameter("a layer", "it has no weights, and so no gradient of them"))
    }

    /// Running averages after the last forward pass of a training, if the layer has some.
    fn running(&mut self) -> Option<Running<E>> {
        None
    }
}

/// The layers of a model.
pub(crate) struct Network<E: Engine> {
    layers: Vec<Box<dyn Layer<E>>>,
    /// Products on their way to a truncation, kept while the range guard watches.
    watched: Option<Vec<Watched<E>>>,
    /// For each layer, its place among the layers with weights.
    slots: Vec<Option<usize>>,
}

impl<E: Engine + 'static> Network<E> {
    pub(crate) fn new(architecture: &Architecture) -> Network<E> {
        let mut next = 0;
        let slots = architecture.layers().iter().map(|l| {
            l.weight().map(|_| {
                next += 1;
                next - 1
            })
        });
        Network {
            watched: None,
            slots: slots.collect(),
            layers: architecture.layers().iter().enumerate().map(|(i, l)| build(i, l)).collect(),
        }
    }

    /// Outputs for the rows `x`; `weights` of the layers that have some, in order.
    pub(crate) fn forward(
        &mut self,
        cx: &mut Context<'_, E>,
        x: E::Masked,
        weights: &[Weights<E>],
    ) -> Result<Value<E>, EngineError> {
        let mut value = Value::Masked(x);
        for (index, (layer, slot)) in self.layers.iter_mut().zip(&self.slots).enumerate() {
            value = layer.forward(cx, value, slot.map(|s| &weights[s]))?;
            watch(&mut self.watched, index, Quantity::PreActivations, &value);
        }
        Ok(value)
    }

    /// Factors of the gradients of all weights, in order, from the gradient of the output of the last forward pass.
    pub(crate) fn backward(
        &mut self,
        cx: &mut Context<'_, E>,
        delta: E::Masked,
        weights: &[Weights<E>],
    ) -> Result<Vec<Factors<E>>, EngineError> {
        let first = self.slots.iter().position(Option::is_some).unwrap_or(0);
        let mut delta = Some(Value::Masked(delta));
        let mut factors = Vec::with_capacity(weights.len());
        for (index, (layer, slot)) in self.layers.iter_mut().zip(&self.slots).enumerate().skip(first).rev() {
            let Some(value) = delta.take() else { break };
            let back = layer.backward(cx, value, slot.map(|s| &weights[s]), index > first)?;
            delta = back.input;
            if let Some(below) = delta.as_ref().filter(|_| index > 0) {
                watch(&mut self.watched, index - 1, Quantity::Gradients, below);
            }
            factors.extend(back.factors);
        }
        factors.reverse();
        Ok(factors)
    }

    /// Running averages after the last forward pass of a training, for each layer with weights.
    pub(crate) fn running(&mut self) -> Vec<Option<Running<E>>> {
        let layers = self.layers.iter_mut().zip(&self.slots).filter(|(_, slot)| slot.is_some());
        layers.map(|(layer, _)| layer.running()).collect()
    }

    /// Keeps the products of the next passes for the range guard, after `first`.
    pub(crate) fn watch(&mut self, first: Vec<Watched<E>>) {
        self.watched = Some(first);
    }

    /// What was kept since; `None` if nothing was asked for.
    pub(crate) fn watched(&mut self) -> Option<Vec<Watched<E>>> {
        self.watched.take()
    }

    /// Gradients of all weights, in order, from their factors. No message.
    pub(crate) fn gradients(
        &self,
        cx: &mut Context<'_, E>,
        factors: &[Factors<E>],
    ) -> Result<Vec<Gradient<E>>, EngineError> {
        let layers = self.layers.iter().zip(&self.slots).filter(|(_, slot)| slot.is_some());
        layers.zip(factors).map(|((layer, _), factors)| layer.gradient(cx, factors)).collect()
    }
}

/// Finished values come from products that were watched.
fn watch<E: Engine>(
    watched: &mut Option<Vec<Watched<E>>>,
    layer: usize,
    quantity: Quantity,
    value: &Value<E>,
) {
    if let (Some(watched), Value::Pending { offset, .. }) = (watched, value) {
        watched.push(Watched { layer, quantity, value: offset.clone() });
    }
}

fn build<E: Engine + 'static>(index: usize, layer: &LayerShape) -> Box<dyn Layer<E>> {
    match layer.node {
        Node::Dense { .. } => Box::new(affine::Affine::dense()),
        Node::Conv2d { geometry, filters } => Box::new(affine::Affine::conv2d(geometry, filters)),
        Node::Relu => Box::new(relu::ReluLayer::default()),
        Node::Sigmoid => Box::new(sigmoid::SigmoidLayer::default()),
        Node::MaxPool(windows) => Box::new(max_pool::MaxPool::new(windows)),
        Node::AvgPool(windows) => Box::new(avg_pool::AvgPool::new(windows)),
        Node::Flatten => Box::new(flatten::Flatten),
        Node::Dropout { rate } => Box::new(dropout::Dropout::new(rate, index)),
        Node::BatchNorm { positions, .. } => Box::new(batch_norm::BatchNorm::new(index, positions)),
    }
}

/// A backward pass without its forward pass: a bug of the training loop, reported rather than panicking.
pub(crate) fn no_forward(layer: &'static str) -> EngineError {
    EngineError::parameter(layer, "its backward pass was called without a forward pass")
}
