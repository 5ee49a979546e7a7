//! The trained model as its two files.

use std::path::Path;

use anyhow::{Context, Result};
use ndarray::IxDyn;
use tercet_data::model::{
    self, Description, FixedPoint, Image, JobHash, Layer, Model, Parameters, TrainingSummary,
};
use tercet_train::spec::{InputSpec, Loss};
use tercet_train::{Architecture, LayerShape, Node, Outcome, TrainedLayer, TrainedModel};

use crate::job::Job;

/// Writes `trained` to the folder `folder`.
///
/// # Errors
/// When a weight is not finite, or the files cannot be written.
pub(super) fn write(folder: &Path, job: &Job, trained: &TrainedModel, outcome: &Outcome) -> Result<()> {
    let architecture = Architecture::new(&job.training.model)?;
    let mut layers: Vec<Layer> = architecture.layers().iter().map(described).collect();
    // The trained network ends at the logits; the loss says how they become probabilities.
    match job.training.model.loss {
        Loss::SoftmaxCrossEntropy => layers.push(Layer::Softmax),
        Loss::BinaryCrossEntropy => layers.push(Layer::Sigmoid),
        Loss::MeanSquaredError => {}
    }
    let description = Description {
        layers,
        input: job.data.clone(),
        image: match job.training.model.input {
            InputSpec::Features(_) => None,
            InputSpec::Image { channels, height, width } => Some(Image { channels, height, width }),
        },
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
            privacy: crate::privacy::spent(job),
        },
    };
    let parameters = trained.layers.iter().zip(description.weights());
    let parameters = parameters.map(|(layer, (_, shape))| laid_out(layer, &shape)).collect::<Result<_>>()?;
    Ok(model::write(folder, &Model::new(description, parameters)?)?)
}

/// A layer as the file describes it. Places in the file are those in the job, so that nothing needs a second numbering.
fn described(layer: &LayerShape) -> Layer {
    match layer.node {
        Node::Dense { inputs, units } => Layer::Dense { inputs, outputs: units },
        Node::Conv2d { geometry, filters } => Layer::Conv2d {
            inputs: geometry.channels,
            outputs: filters,
            kernel: geometry.kernel_h,
            stride: geometry.stride,
            padding: geometry.padding,
        },
        Node::Relu => Layer::Relu,
        Node::Sigmoid => Layer::Sigmoid,
        Node::MaxPool(windows) => Layer::MaxPool { size: windows.size },
        Node::AvgPool(windows) => Layer::AvgPool { size: windows.size },
        Node::Flatten => Layer::Flatten,
        Node::Dropout { rate } => Layer::Dropout { rate },
        Node::BatchNorm { .. } => Layer::FoldedBatchNorm,
    }
}

/// Weights as trained, inputs of one unit × units, in the file's order: units first, and the inputs of a filter, which
/// are ordered by channel, row and column, each with its own dimension.
fn laid_out(layer: &TrainedLayer, shape: &[usize]) -> Result<Parameters> {
    let by_unit = layer.weight.t().as_standard_layout().into_owned();
    // Into the wiped type first; only the reading of its dimensions changes after that.
    let mut parameters = Parameters { weight: by_unit.into_dyn(), bias: layer.bias.clone() };
    let weight = std::mem::take(&mut parameters.weight).into_shape_with_order(IxDyn(shape));
    parameters.weight =
        weight.with_context(|| format!("layer {} has another shape than its description", layer.index))?;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use tercet_data::Limits;
    use tercet_train::{RowValues, Rows, init, plaintext, targets};

    use super::*;

    const JOB: &str = include_str!("../../../../testnet/jobs/mnist.toml");

    /// Every kind of layer that takes images, with sizes that all differ.
    const CONVOLUTIONAL: &str = r#"
input = { channels = 1, height = 28, width = 28 }
layers = [
    { kind = "conv2d", channels = 3, kernel = 5, stride = 2, padding = 1 },
    { kind = "relu" },
    { kind = "max-pool", size = 2 },
    { kind = "conv2d", channels = 4, kernel = 3, padding = 2 },
    { kind = "batch-norm" },
    { kind = "sigmoid" },
    { kind = "avg-pool", size = 2 },
    { kind = "dropout", rate = 0.25 },
    { kind = "flatten" },
    { kind = "dense", units = 10 },
]
loss = "softmax-cross-entropy"
"#;

    fn job() -> Job {
        let (before, rest) = JOB.split_once("[model]").unwrap();
        let (_, after) = rest.split_once("[training]").unwrap();
        Job::parse(&format!("{before}[model]{CONVOLUTIONAL}[training]{after}")).unwrap()
    }

    /// One channel-major row through one layer of a file, by the definition of the layer.
    fn apply(layer: &Layer, tensors: Option<&Parameters>, x: &[f32], side: &mut usize) -> Vec<f32> {
        let windows = |size: usize, join: &dyn Fn(&[f32]) -> f32| {
            let after = *side / size;
            let mut out = Vec::new();
            for channel in x.chunks_exact(*side * *side) {
                for (top, left) in (0..after * after).map(|at| (at / after * size, at % after * size)) {
                    let window: Vec<f32> = (0..size * size)
                        .map(|i| channel[(top + i / size) * *side + left + i % size])
                        .collect();
                    out.push(join(&window));
                }
            }
            (out, after)
        };
        let (out, after) = match (*layer, tensors) {
            (Layer::Dense { .. }, Some(p)) => {
                let unit = |o: usize| x.iter().enumerate().map(|(i, x)| x * p.weight[[o, i]]).sum::<f32>();
                ((0..p.bias.len()).map(|o| unit(o) + p.bias[o]).collect(), 0)
            }
            (Layer::Conv2d { inputs, outputs, kernel, stride, padding }, Some(p)) => {
                let after = (*side + 2 * padding - kernel) / stride + 1;
                let mut out = Vec::new();
                for (o, y, x_) in ndarray::indices((outputs, after, after)) {
                    let mut sum = p.bias[o];
                    for (c, ky, kx) in ndarray::indices((inputs, kernel, kernel)) {
                        let at = |start: usize, k: usize| (start * stride + k).checked_sub(padding);
                        if let (Some(row), Some(col)) = (at(y, ky), at(x_, kx))
                            && row < *side
                            && col < *side
                        {
                            sum += p.weight[[o, c, ky, kx]] * x[(c * *side + row) * *side + col];
                        }
                    }
                    out.push(sum);
                }
                (out, after)
            }
            (Layer::MaxPool { size }, None) => windows(size, &|w| w.iter().copied().fold(f32::MIN, f32::max)),
            (Layer::AvgPool { size }, None) => windows(size, &|w| w.iter().sum::<f32>() / w.len() as f32),
            (Layer::Relu, None) => (x.iter().map(|x| x.max(0.0)).collect(), *side),
            (Layer::Sigmoid, None) => (x.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect(), *side),
            (Layer::Softmax, None) => {
                let sum: f32 = x.iter().map(|x| x.exp()).sum();
                (x.iter().map(|x| x.exp() / sum).collect(), 0)
            }
            (Layer::Flatten | Layer::Dropout { .. } | Layer::FoldedBatchNorm, None) => (x.to_vec(), *side),
            _ => panic!("{layer:?} has the wrong tensors"),
        };
        *side = after;
        out
    }

    #[test]
    fn a_convolutional_model_from_disk_computes_what_was_trained() {
        let job = job();
        let architecture = Architecture::new(&job.training.model).unwrap();
        let mut trained = init::weights(&architecture, 5, 16);
        // What is released has a batch normalisation in the weights before it.
        let normal = |i: usize| matches!(architecture.layers()[i].node, Node::BatchNorm { .. });
        trained.layers.retain(|layer| !normal(layer.index));
        trained.layers.iter_mut().for_each(|layer| layer.bias = layer.weight.row(0).to_owned());
        let outcome = Outcome {
            steps: 1,
            epochs: 1,
            seconds: 1.0,
            metrics: Vec::new(),
            met_target: None,
            model: Some(trained.clone()),
        };
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &job, &trained, &outcome).unwrap();
        let model = model::read(folder.path(), &Limits::default()).unwrap();
        let places: Vec<_> = model.description().weights().into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, trained.layers.iter().map(|layer| layer.index).collect::<Vec<_>>());

        let images = Array2::from_shape_fn((6, 784), |(r, c)| ((r * 31 + c * 17) % 101) as f32 / 101.0 - 0.3);
        let labels: Vec<u32> = (0..6).collect();
        let mut loss = 0.0;
        for (image, &label) in images.outer_iter().zip(&labels) {
            let (mut row, mut side) = (image.to_vec(), 28);
            let mut tensors = model.parameters().iter();
            for layer in &model.description().layers {
                let own = layer.weight_shape().and_then(|_| tensors.next());
                row = apply(layer, own, &row, &mut side);
            }
            loss -= f64::from(row[label as usize]).ln() / 6.0;
        }
        let values =
            RowValues { features: images, targets: targets(&labels, 10, &job.training.model).unwrap() };
        let rows = [Rows { owner: 0, rows: 6, values: Some(values) }];
        let (_, expected) = plaintext::evaluate(&job.training.model, &trained, &rows).unwrap();
        assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
    }
}
