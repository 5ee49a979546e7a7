//! The trained model as its two files.

use std::path::Path;

use anyhow::{Result, bail};
use tercet_data::model::{
    self, Dense, Description, FixedPoint, JobHash, Layer, Model, TrainingSummary,
};
use tercet_train::spec::{LayerSpec, Loss};
use tercet_train::{Outcome, TrainedModel};

use crate::job::Job;

/// Writes `trained` to the folder `folder`.
///
/// # Errors
/// When a weight is not finite, or the files cannot be written.
pub(super) fn write(folder: &Path, job: &Job, trained: &TrainedModel, outcome: &Outcome) -> Result<()> {
    let mut layers = Vec::new();
    let mut width = job.training.model.input.len();
    for (index, spec) in job.training.model.layers.iter().enumerate() {
        match *spec {
            LayerSpec::Dense { units } => {
                layers.push(Layer::Dense { inputs: width, outputs: units });
                width = units;
            }
            LayerSpec::Relu {} => layers.push(Layer::Relu),
            LayerSpec::Sigmoid {} => layers.push(Layer::Sigmoid),
            // Both leave a row as it is once training is over; the keep probability is folded into the weights.
            LayerSpec::Flatten {} | LayerSpec::Dropout { .. } => {}
            _ => bail!("layer {index} ({}) has no form in a model file yet", spec.kind()),
        }
    }
    // The trained network ends at the logits; the loss says how they become probabilities.
    match job.training.model.loss {
        Loss::SoftmaxCrossEntropy => layers.push(Layer::Softmax),
        Loss::BinaryCrossEntropy => layers.push(Layer::Sigmoid),
        Loss::MeanSquaredError => {}
    }
    let description = Description {
        layers,
        input: job.data.clone(),
        moments: None,
        classes: job.data.class_names(),
        fixed_point: FixedPoint { ring_bits: 64, fraction_bits: job.training.fixed_point.weight_frac() },
        job_hash: JobHash(*job.hash().as_bytes()),
        training: TrainingSummary {
            protocol: job.protocol.name().to_owned(),
            rows: job.train_rows() as u64,
            epochs: u64::from(outcome.epochs),
            steps: outcome.steps,
            batch: job.training.training.batch as u64,
            seconds: outcome.seconds,
            accuracy: outcome.metrics.last().and_then(|metric| metric.accuracy),
            privacy: None,
        },
    };
    let dense = trained.layers.iter();
    let dense = dense.map(|layer| Dense { weight: layer.weight.clone(), bias: layer.bias.clone() }).collect();
    Ok(model::write(folder, &Model::new(description, dense)?)?)
}
