//! Small models and data for the tests of this crate.

use ndarray::Array2;

use crate::init::{self, Purpose, public_rng, uniform};
use crate::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec, TrainingSpec,
};
use crate::{Architecture, DataSets, Release, RowValues, Rows, TrainedModel, TrainingJob};

pub(crate) fn dense(units: usize) -> LayerSpec {
    LayerSpec::Dense { units }
}

pub(crate) const RELU: LayerSpec = LayerSpec::Relu {};

pub(crate) const NORM: LayerSpec = LayerSpec::BatchNorm { momentum: 0.1, epsilon: 0.001 };

pub(crate) fn features(n: usize, layers: Vec<LayerSpec>, loss: Loss) -> ModelSpec {
    ModelSpec { input: InputSpec::Features(n), layers, loss }
}

pub(crate) fn image(side: usize, layers: Vec<LayerSpec>, loss: Loss) -> ModelSpec {
    ModelSpec { input: InputSpec::Image { channels: 2, height: side, width: side }, layers, loss }
}

/// A model for every layer and every loss.
pub(crate) fn models() -> Vec<(&'static str, ModelSpec)> {
    use Loss::*;
    let conv = |channels, stride, padding| LayerSpec::Conv2d { channels, kernel: 3, stride, padding };
    let (flatten, sigmoid) = (LayerSpec::Flatten {}, LayerSpec::Sigmoid {});
    let (max, avg) = (|size| LayerSpec::MaxPool { size }, |size| LayerSpec::AvgPool { size });
    let drop = |rate| LayerSpec::Dropout { rate };
    vec![
        ("linear", features(5, vec![dense(3)], MeanSquaredError)),
        ("dense and relu", features(6, vec![dense(7), RELU, dense(5), RELU, dense(3)], SoftmaxCrossEntropy)),
        ("sigmoid inside", features(6, vec![dense(5), sigmoid.clone(), dense(3)], MeanSquaredError)),
        ("sigmoid last", features(6, vec![dense(3), sigmoid.clone()], MeanSquaredError)),
        ("one output", features(6, vec![dense(8), RELU, dense(1)], BinaryCrossEntropy)),
        ("many outputs", features(6, vec![dense(3)], BinaryCrossEntropy)),
        (
            "convolution",
            image(
                6,
                vec![conv(3, 2, 1), RELU, conv(2, 1, 1), RELU, flatten.clone(), dense(3)],
                SoftmaxCrossEntropy,
            ),
        ),
        (
            "max-pool after relu",
            image(7, vec![conv(3, 1, 1), RELU, max(2), flatten.clone(), dense(3)], SoftmaxCrossEntropy),
        ),
        (
            "relu after max-pool",
            image(
                6,
                vec![conv(3, 1, 0), max(2), RELU, conv(2, 1, 1), flatten.clone(), dense(3)],
                MeanSquaredError,
            ),
        ),
        (
            "avg-pool of two",
            image(
                6,
                vec![conv(2, 1, 1), RELU, avg(2), conv(2, 1, 1), flatten.clone(), dense(3)],
                MeanSquaredError,
            ),
        ),
        (
            "avg-pool of three before relu",
            image(6, vec![conv(2, 1, 1), avg(3), RELU, flatten.clone(), dense(3)], MeanSquaredError),
        ),
        (
            "batch-norm",
            features(
                6,
                vec![dense(7), NORM, RELU, drop(0.25), dense(5), NORM, dense(3)],
                SoftmaxCrossEntropy,
            ),
        ),
        (
            "batch-norm of channels",
            image(
                6,
                vec![conv(3, 2, 1), NORM, RELU, conv(2, 1, 1), NORM, max(2), flatten.clone(), dense(3)],
                SoftmaxCrossEntropy,
            ),
        ),
        (
            "dropout",
            features(
                8,
                vec![drop(0.2), dense(8), drop(0.5), RELU, dense(6), RELU, drop(0.25), dense(3)],
                MeanSquaredError,
            ),
        ),
    ]
}

/// Rows of three clouds around different centres; a third of them held by each party, in order.
pub(crate) fn clouds(model: &ModelSpec, rows: usize, seed: u64, owners: usize) -> Vec<Rows> {
    let (inputs, outputs) = (model.input.len(), Architecture::new(model).unwrap().outputs());
    let mut centres = public_rng(5, Purpose::Weights, 999);
    let centre = Array2::from_shape_simple_fn((outputs.max(2), inputs), || 2.0 * uniform(&mut centres) - 1.0);
    let mut rng = public_rng(seed, Purpose::Weights, 998);
    let x_and_t: Vec<(Vec<f32>, usize)> = (0..rows)
        .map(|r| {
            let class = r % outputs.max(2);
            let x = (0..inputs)
                .map(|c| {
                    let noise: f32 = (0..4).map(|_| uniform(&mut rng) - 0.5).sum();
                    centre[(class, c)] + 0.8 * noise
                })
                .collect();
            (x, class)
        })
        .collect();
    let share = rows.div_ceil(owners);
    x_and_t
        .chunks(share)
        .enumerate()
        .map(|(owner, part)| {
            let features = Array2::from_shape_fn((part.len(), inputs), |(r, c)| part[r].0[c]);
            let targets = Array2::from_shape_fn((part.len(), outputs), |(r, k)| {
                let hit = if outputs == 1 { part[r].1 == 1 } else { part[r].1 == k };
                f32::from(u8::from(hit))
            });
            Rows { owner, rows: part.len(), values: Some(RowValues { features, targets }) }
        })
        .collect()
}

pub(crate) fn training(epochs: u32, batch: usize, learning_rate: f64) -> TrainingSpec {
    TrainingSpec {
        epochs,
        batch,
        learning_rate,
        momentum: 0.0,
        weight_decay: 0.0,
        seed: 11,
        schedule: Schedule::default(),
        optimiser: Optimiser::Sgd,
        max_steps: None,
        evaluate_every: 0,
    }
}

pub(crate) fn job(model: ModelSpec, training: TrainingSpec, fixed_point: FixedPointSpec) -> TrainingJob {
    let everything = Release { model: vec![0], accuracy: vec![0], loss: vec![0] };
    TrainingJob {
        model,
        training,
        fixed_point,
        standardise: false,
        privacy: None,
        targets: TargetsSpec::default(),
        release: everything,
    }
}

/// Training and test rows of one owner, party 0.
pub(crate) fn data(model: &ModelSpec, train: usize, test: usize) -> DataSets {
    DataSets { train: clouds(model, train, 1, 1), test: clouds(model, test, 2, 1) }
}

/// Initial weights with biases that are not zero: at zero, a ReLU whose inputs are all dropped has no derivative. Nor are scales of
/// a batch normalisation all one.
pub(crate) fn weights(architecture: &Architecture, seed: u64) -> TrainedModel {
    let mut model = init::weights(architecture, seed, 16);
    let mut rng = public_rng(seed, Purpose::Weights, 997);
    for layer in &mut model.layers {
        if matches!(architecture.layers()[layer.index].node, crate::Node::BatchNorm { .. }) {
            layer.weight.mapv_inplace(|w| w + ((uniform(&mut rng) - 0.5) * 65536.0).round() / 65536.0);
        }
        layer.bias.mapv_inplace(|_| ((uniform(&mut rng) - 0.5) * 65536.0).round() / 65536.0);
    }
    model
}
