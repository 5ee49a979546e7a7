//! What a layer of the plaintext network does. Values are row-major slices of the rows of one batch; buffers belong to
//! the network and are allocated once.

use super::Real;
use crate::layers::batch_norm::fold::Scaled;

/// Weights of one layer with everything that descent needs.
pub(super) struct Parameters<F> {
    /// Position in `model.layers`.
    pub(super) index: usize,
    pub(super) inputs: usize,
    pub(super) units: usize,
    /// Whether weight decay shrinks the weights.
    pub(super) decays: bool,
    /// `inputs × units`.
    pub(super) weight: Vec<F>,
    pub(super) bias: Vec<F>,
    pub(super) weight_grad: Vec<F>,
    pub(super) bias_grad: Vec<F>,
    /// Velocities, or averages of gradients; empty where descent needs none.
    pub(super) weight_velocity: Vec<F>,
    pub(super) bias_velocity: Vec<F>,
    /// Averages of squared gradients; empty but for Adam.
    pub(super) weight_square: Vec<F>,
    pub(super) bias_square: Vec<F>,
}

impl<F: Real> Parameters<F> {
    pub(super) fn new(index: usize, inputs: usize, units: usize) -> Parameters<F> {
        Parameters {
            index,
            inputs,
            units,
            decays: true,
            weight: vec![F::zero(); inputs * units],
            bias: vec![F::zero(); units],
            weight_grad: vec![F::zero(); inputs * units],
            bias_grad: vec![F::zero(); units],
            weight_velocity: Vec::new(),
            bias_velocity: Vec::new(),
            weight_square: Vec::new(),
            bias_square: Vec::new(),
        }
    }
}

/// Seed and step of a training pass; `None` in an evaluation.
pub type Pass = Option<(u64, u64)>;

/// One layer.
pub(super) trait Stage<F: Real>: Send {
    /// Writes the output of `x`.
    fn forward(&mut self, x: &[F], rows: usize, pass: Pass, y: &mut [F]);

    /// From the gradient `dy` of the output `y`, adds nothing to but overwrites the weights' gradients and, if asked for,
    /// the gradient `dx` of the input.
    fn backward(&mut self, x: &[F], y: &[F], dy: &[F], rows: usize, pass: Pass, dx: Option<&mut [F]>);

    /// The weights, if there are some.
    fn parameters(&mut self) -> Option<&mut Parameters<F>> {
        None
    }

    /// What it does to a released model, if it is a batch normalisation.
    fn folded(&self) -> Option<Scaled> {
        None
    }
}
