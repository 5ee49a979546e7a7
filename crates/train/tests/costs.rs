//! Declared costs of one step of the reference networks, from shapes alone.

use tercet_engine::{Cost, Engine};
use tercet_helper::{CostEngine, Roles};
use tercet_net::PartyId;
use tercet_train::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec, TrainingSpec,
};
use tercet_train::{DataSets, Release, Rows, Trainer, TrainingJob};

const BATCH: usize = 128;

fn dense(units: usize) -> LayerSpec {
    LayerSpec::Dense { units }
}

/// 784-128-128-10 with ReLU.
fn network_a() -> ModelSpec {
    let layers = vec![dense(128), LayerSpec::Relu {}, dense(128), LayerSpec::Relu {}, dense(10)];
    ModelSpec { input: InputSpec::Features(784), layers, loss: Loss::SoftmaxCrossEntropy }
}

/// Two convolutions with pooling and two dense layers, in the order that most frameworks' examples have.
fn network_c() -> ModelSpec {
    let conv = |channels| LayerSpec::Conv2d { channels, kernel: 5, stride: 1, padding: 0 };
    let pooled = |channels| [conv(channels), LayerSpec::Relu {}, LayerSpec::MaxPool { size: 2 }];
    let end = [LayerSpec::Flatten {}, dense(500), LayerSpec::Relu {}, dense(10)];
    ModelSpec {
        input: InputSpec::Image { channels: 1, height: 28, width: 28 },
        layers: pooled(20).into_iter().chain(pooled(50)).chain(end).collect(),
        loss: Loss::SoftmaxCrossEntropy,
    }
}

/// A job of `steps` steps with the scales of the MNIST jobs.
fn job(model: ModelSpec, steps: u64) -> TrainingJob {
    TrainingJob {
        model,
        training: TrainingSpec {
            epochs: 1,
            batch: BATCH,
            learning_rate: 0.125,
            momentum: 0.0,
            weight_decay: 0.0,
            seed: 1,
            schedule: Schedule::default(),
            optimiser: Optimiser::Sgd,
            max_steps: Some(steps),
            evaluate_every: 0,
        },
        fixed_point: FixedPointSpec {
            activations: Some(10),
            weights: Some(16),
            gradients: Some(14),
            range_bits: 6,
            ..FixedPointSpec::default()
        },
        standardise: false,
        targets: TargetsSpec::default(),
        privacy: None,
        release: Release::default(),
    }
}

/// The cost of one more step.
fn cost(model: ModelSpec) -> Cost {
    let of = |steps| -> Cost {
        let rows = Rows { owner: 0, rows: 2 * BATCH, values: None };
        let [e0, e1, dealer] = PartyId::ALL;
        let engine = CostEngine::new(Roles { evaluators: [e0, e1], dealer });
        let data = DataSets { train: vec![rows], test: vec![] };
        let mut trainer = Trainer::without_values(engine, &job(model.clone(), steps), data).unwrap();
        trainer.run(&mut |_, _| {}).unwrap();
        trainer.engine().measured()
    };
    of(2) - of(1)
}

/// Rounds and megabytes (both phases, all parties) of one more step.
fn step(model: ModelSpec) -> (u64, f64) {
    let cost = cost(model);
    (cost.rounds, cost.total_bytes() as f64 / 1e6)
}

#[test]
fn a_step_of_the_dense_network_sends_at_most_6_megabytes_in_60_rounds() {
    let (rounds, megabytes) = step(network_a());
    eprintln!("{rounds} rounds, {megabytes:.2} MB");
    assert!(megabytes <= 6.0 && rounds <= 60);
}

#[test]
fn a_step_of_the_convolutional_network_sends_at_most_200_megabytes() {
    let (rounds, megabytes) = step(network_c());
    eprintln!("{rounds} rounds, {megabytes:.1} MB");
    assert!(megabytes <= 200.0);
}

/// The same with a batch normalisation after every layer with weights but the last.
fn normalised(mut model: ModelSpec) -> ModelSpec {
    let weighted = |layer: &LayerSpec| matches!(layer.kind(), "dense" | "conv2d");
    let places: Vec<usize> = (0..model.layers.len() - 1).filter(|&i| weighted(&model.layers[i])).collect();
    for place in places.into_iter().rev() {
        model.layers.insert(place + 1, LayerSpec::BatchNorm { momentum: 0.1, epsilon: 0.001 });
    }
    model
}

/// Network A of another width.
fn dense_network(width: usize) -> ModelSpec {
    let mut model = network_a();
    for layer in &mut model.layers[..3] {
        if let LayerSpec::Dense { units } = layer {
            *units = width;
        }
    }
    model
}

#[test]
fn a_batch_norm_takes_21_rounds_and_finishes_each_number_and_its_gradient_once_more() {
    let plan = job(normalised(network_a()), 1).numeric_plan().unwrap();
    let high = u64::from(plan.product_ring.bits() - plan.weight);
    // A truncation into a wide ring opens the high bits and then all, both ways; all are dealt, and the wrap of the high ones.
    let finished = |ring: u32| 2 * (high + u64::from(ring)) + u64::from(ring) + u64::from(ring) - high;
    let bits_of_a_number = finished(plan.norms[0].input.bits()) + finished(plan.ring.bits());
    let bits_of_a_channel = [64, 128].map(|width| {
        let (without, with) = (cost(dense_network(width)), cost(normalised(dense_network(width))));
        assert_eq!(with.rounds - without.rounds, 2 * 21);
        let bits = 8 * (with.total_bytes() - without.total_bytes());
        let channels = 2 * width as u64;
        assert_eq!(bits % channels, 0);
        bits / channels - BATCH as u64 * bits_of_a_number
    });
    eprintln!("{bits_of_a_number} bits a number, {} bits a channel", bits_of_a_channel[0]);
    // Nothing else grows with the batch, or with the square of the width.
    assert_eq!(bits_of_a_channel[0], bits_of_a_channel[1]);
    let (rounds, megabytes) = step(normalised(network_a()));
    eprintln!("{rounds} rounds, {megabytes:.2} MB");
    assert!(megabytes <= 7.8 && rounds == 70);
}

#[test]
fn a_batch_norm_of_channels_doubles_the_bytes_of_the_convolutional_network_at_most() {
    let (rounds, megabytes) = step(normalised(network_c()));
    eprintln!("{rounds} rounds, {megabytes:.1} MB");
    assert!(megabytes <= 300.0 && rounds <= 108);
}
