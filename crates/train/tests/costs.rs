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

/// Rounds and megabytes (both phases, all parties) of one more step, with the scales of the MNIST jobs.
fn step(model: ModelSpec) -> (u64, f64) {
    let cost = |steps| -> Cost {
        let job = TrainingJob {
            model: model.clone(),
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
        };
        let rows = Rows { owner: 0, rows: 2 * BATCH, values: None };
        let [e0, e1, dealer] = PartyId::ALL;
        let engine = CostEngine::new(Roles { evaluators: [e0, e1], dealer });
        let data = DataSets { train: vec![rows], test: vec![] };
        let mut trainer = Trainer::without_values(engine, &job, data).unwrap();
        trainer.run(&mut |_, _| {}).unwrap();
        trainer.engine().measured()
    };
    let (two, one) = (cost(2), cost(1));
    (two.rounds - one.rounds, (two.total_bytes() - one.total_bytes()) as f64 / 1e6)
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
