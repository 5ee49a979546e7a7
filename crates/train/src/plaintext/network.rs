//! The plaintext network: layers, their buffers, and descent.

use ndarray::{Array1, Array2};

use super::batch_norm::BatchNorm;
use super::conv2d::Conv2d;
use super::dense::Dense;
use super::descent::Descent;
use super::elementwise::{Dropout, Flatten, Relu, Sigmoid};
use super::pool::{AvgPool, MaxPool};
use super::stage::{Parameters, Pass, Stage};
use super::{Real, loss};
use crate::architecture::{Architecture, LayerShape, Node};
use crate::layers::batch_norm::fold::fold_plaintext;
use crate::outcome::{TrainedLayer, TrainedModel};
use crate::spec::Loss;

/// A network in floating point with room for batches of a fixed number of rows.
pub struct Network<F: Real> {
    stages: Vec<Box<dyn Stage<F>>>,
    /// Numbers in a row before the first layer and after each layer.
    widths: Vec<usize>,
    /// The input and the output of each layer.
    values: Vec<Vec<F>>,
    /// Their gradients; that of the input stays empty.
    deltas: Vec<Vec<F>>,
    first_weights: usize,
    loss: Loss,
    batch: usize,
}

impl<F: Real> Network<F> {
    /// A network of `architecture` with `weights`, for batches of at most `batch` rows.
    pub fn new(architecture: &Architecture, weights: &TrainedModel, batch: usize) -> Network<F> {
        let widths: Vec<usize> = std::iter::once(architecture.inputs())
            .chain(architecture.layers().iter().map(|l| l.output.len()))
            .collect();
        let first = architecture.first_weights();
        let stages = architecture.layers().iter().enumerate().map(|(i, l)| stage(i, l, weights, batch));
        Network {
            stages: stages.collect(),
            values: widths.iter().map(|w| vec![F::zero(); w * batch]).collect(),
            deltas: widths
                .iter()
                .enumerate()
                .map(|(i, w)| vec![F::zero(); if i > first { w * batch } else { 0 }])
                .collect(),
            widths,
            first_weights: first,
            loss: architecture.loss(),
            batch,
        }
    }

    /// Most rows of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Runs the rows `index` of `features` forward; the outputs stay in the network.
    pub fn forward(&mut self, features: &Array2<F>, index: &[usize], pass: Pass) {
        let (rows, width) = (index.len(), self.widths[0]);
        for (to, &from) in self.values[0].chunks_exact_mut(width).zip(index) {
            match features.row(from).as_slice() {
                Some(row) => to.copy_from_slice(row),
                None => to.iter_mut().zip(features.row(from)).for_each(|(t, f)| *t = *f),
            }
        }
        for (i, stage) in self.stages.iter_mut().enumerate() {
            let (before, after) = self.values.split_at_mut(i + 1);
            let x = &before[i][..rows * self.widths[i]];
            stage.forward(x, rows, pass, &mut after[0][..rows * self.widths[i + 1]]);
        }
    }

    /// Outputs of the first `rows` rows of the last forward pass.
    pub fn outputs(&self, rows: usize) -> &[F] {
        let last = self.widths.len() - 1;
        &self.values[last][..rows * self.widths[last]]
    }

    /// Gradients of the summed loss of the last forward pass; they stay in the layers.
    pub fn backward(&mut self, targets: &[F], rows: usize, pass: Pass) {
        let last = self.widths.len() - 1;
        let width = self.widths[last];
        let outputs = &self.values[last][..rows * width];
        loss::gradient(self.loss, outputs, targets, width, &mut self.deltas[last][..rows * width]);
        for i in (self.first_weights..self.stages.len()).rev() {
            let (below, above) = self.deltas.split_at_mut(i + 1);
            let dx = (i > self.first_weights).then(|| &mut below[i][..rows * self.widths[i]]);
            let (x, y) = (&self.values[i][..rows * self.widths[i]], &self.values[i + 1]);
            let (y, dy) = (&y[..rows * self.widths[i + 1]], &above[0][..rows * self.widths[i + 1]]);
            self.stages[i].backward(x, y, dy, rows, pass, dx);
        }
    }

    /// One step of descent along the gradients of the last backward pass.
    pub fn descend(&mut self, by: &Descent) {
        self.stages.iter_mut().filter_map(|s| s.parameters()).for_each(|p| by.apply(p));
    }

    /// Weights and biases.
    pub fn weights(&mut self) -> TrainedModel {
        self.collect(|p| (&p.weight, &p.bias))
    }

    /// Weights and biases as they are released: batch normalisations are folded into the layers before them.
    pub(crate) fn released(&mut self, architecture: &Architecture) -> TrainedModel {
        let mut model = self.weights();
        let stages = self.stages.iter().enumerate();
        let scaled: Vec<_> = stages.filter_map(|(i, stage)| Some((i, stage.folded()?))).collect();
        fold_plaintext(&mut model, architecture, &scaled);
        model
    }

    /// Gradients of the last backward pass, in the shapes of the weights.
    pub fn gradients(&mut self) -> TrainedModel {
        self.collect(|p| (&p.weight_grad, &p.bias_grad))
    }

    fn collect(&mut self, pick: impl Fn(&Parameters<F>) -> (&Vec<F>, &Vec<F>)) -> TrainedModel {
        let layers = self.stages.iter_mut().filter_map(|s| s.parameters()).map(|p| {
            let (weight, bias) = pick(p);
            let shape = (p.inputs, p.units);
            TrainedLayer {
                index: p.index,
                weight: Array2::from_shape_fn(shape, |(i, j)| weight[i * p.units + j].double() as f32),
                bias: Array1::from_iter(bias.iter().map(|b| b.double() as f32)),
            }
        });
        TrainedModel { layers: layers.collect() }
    }

    #[cfg(test)]
    pub(crate) fn parameter(&mut self, layer: usize, weight: bool, at: usize) -> &mut F {
        let p = self.stages[layer].parameters().expect("the layer has weights");
        if weight { &mut p.weight[at] } else { &mut p.bias[at] }
    }
}

fn stage<F: Real>(
    index: usize,
    layer: &LayerShape,
    weights: &TrainedModel,
    batch: usize,
) -> Box<dyn Stage<F>> {
    let parameters = || {
        let (inputs, units) = layer.weight().unwrap_or_default();
        let mut p = Parameters::new(index, inputs, units);
        if let Some(w) = weights.layers.iter().find(|w| w.index == index) {
            p.weight.iter_mut().zip(&w.weight).for_each(|(to, w)| *to = F::of(f64::from(*w)));
            p.bias.iter_mut().zip(&w.bias).for_each(|(to, b)| *to = F::of(f64::from(*b)));
        }
        p
    };
    match layer.node {
        Node::Dense { .. } => Box::new(Dense { parameters: parameters() }),
        Node::Conv2d { geometry, .. } => Box::new(Conv2d::new(geometry, parameters(), batch)),
        Node::Relu => Box::new(Relu),
        Node::Sigmoid => Box::new(Sigmoid),
        Node::MaxPool(windows) => Box::new(MaxPool::new(windows)),
        Node::AvgPool(windows) => Box::new(AvgPool::new(windows)),
        Node::Flatten => Box::new(Flatten),
        Node::Dropout { rate } => Box::new(Dropout { rate, layer: index }),
        Node::BatchNorm { positions, momentum, epsilon, .. } => {
            Box::new(BatchNorm::new(parameters(), positions, momentum, epsilon))
        }
    }
}
