//! What comes out of a training.

use ndarray::{Array1, Array2};
use serde::Serialize;

/// Progress, reported after every step and after every evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole training.
    pub steps: u64,
    /// Epoch of this step, from 1.
    pub epoch: u32,
    /// Epochs of the whole training.
    pub epochs: u32,
    /// Seconds since the first step began.
    pub seconds: f64,
    /// Set after an evaluation.
    pub metric: Option<Metric>,
}

impl Progress {
    /// Steps per second so far.
    pub fn steps_per_second(&self) -> f64 {
        self.step as f64 / self.seconds.max(1e-9)
    }
}

/// Result of one evaluation of the test rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Steps done before it.
    pub step: u64,
    /// Epochs done before it.
    pub epoch: u32,
    /// Test rows.
    pub rows: usize,
    /// Share of test rows classified correctly, 0 to 1; only at its receivers.
    pub accuracy: Option<f64>,
    /// Mean loss over the test rows; only at its receivers.
    pub loss: Option<f64>,
}

/// What a training gives a party.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Steps done.
    pub steps: u64,
    /// Epochs begun.
    pub epochs: u32,
    /// Seconds from the first step on, the opening of the model included.
    pub seconds: f64,
    /// One entry per evaluation.
    pub metrics: Vec<Metric>,
    /// Whether the model met the job's least accuracy; `None` if the job asks for none.
    pub met_target: Option<bool>,
    /// The weights, at their receivers.
    pub model: Option<TrainedModel>,
}

/// Trained weights, for use on features as they were shared. In layers after a dropout, the keep probability is folded into
/// the weights: use them without dropout. If features were standardised on shares, that is folded into the first layer.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedModel {
    /// The layers that have weights, in order.
    pub layers: Vec<TrainedLayer>,
}

/// Weights of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedLayer {
    /// Position in `model.layers`, from 0.
    pub index: usize,
    /// `inputs × units`; of a convolution `(channels · kernel · kernel) × filters`.
    pub weight: Array2<f32>,
    /// One per unit or filter.
    pub bias: Array1<f32>,
}
