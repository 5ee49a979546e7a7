//! Training by three parties over the helper protocol, in one process.
#![allow(clippy::print_stdout)]

mod common;

use std::thread;

use common::{classifier, data, images, normalised, seen_by, train};
use tercet_engine::{Cost, Engine};
use tercet_helper::{CostEngine, Role, Roles, join_session};
use tercet_net::PartyId;
use tercet_net::memory::{self, MemoryTransport};
use tercet_share::EphemeralKey;
use tercet_train::spec::{
    Adam, BoundMode, FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, NoiseKind, Optimiser,
    PrivacySpec, TargetsSpec,
};
use tercet_train::{DataSets, Outcome, Privacy, Release, Rows, TrainError, Trainer, TrainingJob, plaintext};

fn roles() -> Roles {
    let [e0, e1, h] = PartyId::ALL;
    Roles { evaluators: [e0, e1], dealer: h }
}

fn job(model: ModelSpec, momentum: f64) -> TrainingJob {
    common::job(model, momentum, 3)
}

fn party(
    transport: MemoryTransport,
    key: EphemeralKey,
    job: &TrainingJob,
    data: DataSets,
) -> Result<(Outcome, Cost), TrainError> {
    let identities = [[1; 32], [2; 32], [3; 32]];
    match join_session(transport, roles(), key, identities, job.policy())? {
        Role::Evaluator(e) => train(*e, job, data).map(|(o, c, _)| (o, c)),
        Role::Dealer(d) => train(*d, job, data).map(|(o, c, _)| (o, c)),
    }
}

fn three_parties(job: &TrainingJob, data: &DataSets) -> Vec<(Outcome, Cost)> {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        ..memory::Options::default()
    };
    let mesh = memory::mesh_with(["E0", "E1", "H"], options).unwrap();
    thread::scope(|scope| {
        let threads: Vec<_> = mesh
            .into_iter()
            .zip(keys)
            .enumerate()
            .map(|(i, (transport, key))| {
                scope.spawn(move || party(transport, key, job, seen_by(data, i)).unwrap())
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

fn largest_difference(a: &Outcome, b: &Outcome) -> f32 {
    let (a, b) = (a.model.as_ref().unwrap(), b.model.as_ref().unwrap());
    let layers = a.layers.iter().zip(&b.layers);
    layers
        .flat_map(|(a, b)| a.weight.iter().zip(&b.weight).chain(a.bias.iter().zip(&b.bias)))
        .fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

fn follows(job: &TrainingJob, bound: f32) {
    let data = data(job.model.input.len());
    let float = plaintext::train(job, &data, &mut |_| {}).unwrap();
    let parties = three_parties(job, &data);
    let (e0, e1, h) = (&parties[0].0, &parties[1].0, &parties[2].0);
    let worst = largest_difference(e0, &float);
    assert!(worst < bound, "weights differ by {worst}");
    assert_eq!(e0.model, h.model);
    assert!(e1.model.is_none());
    let accuracy = float.metrics[0].accuracy.unwrap();
    for outcome in [e0, e1, h] {
        assert!((outcome.metrics[0].accuracy.unwrap() - accuracy).abs() < 0.07, "{:?}", outcome.metrics);
    }
    let loss = e1.metrics[0].loss.unwrap();
    assert!((loss - float.metrics[0].loss.unwrap()).abs() < 0.02, "{loss}");
    assert!(e0.metrics[0].loss.is_none() && h.metrics[0].loss.is_none());
}

#[test]
fn three_parties_train_as_in_floating_point() {
    follows(&job(classifier(), 0.0), 0.02);
}

#[test]
fn three_parties_train_with_momentum() {
    let mut job = job(classifier(), 0.5);
    job.training.weight_decay = 0.01;
    follows(&job, 0.03);
}

#[test]
fn three_parties_train_a_convolution_with_batch_norm_pooling_and_dropout() {
    follows(&job(images(), 0.0), 0.03);
}

#[test]
fn three_parties_standardise_features_without_opening_any() {
    let mut job = job(classifier(), 0.0);
    job.standardise = true;
    follows(&job, 0.03);
}

#[test]
fn three_parties_train_with_sigmoid_and_squared_error() {
    let mut model = classifier();
    model.layers[1] = LayerSpec::Sigmoid {};
    model.loss = Loss::MeanSquaredError;
    follows(&job(model, 0.0), 0.02);
}

/// The classifier with Adam.
fn with_adam() -> TrainingJob {
    let mut job = job(classifier(), 0.0);
    job.training.optimiser = Optimiser::Adam(Adam { epsilon: 1e-3, ..Adam::default() });
    job.training.learning_rate = 1.0 / 64.0;
    job.training.epochs = 10;
    job
}

#[test]
fn three_parties_train_with_adam_as_in_floating_point_at_the_declared_cost() {
    let job = with_adam();
    let data = data(6);
    let float = plaintext::train(&job, &data, &mut |_| {}).unwrap();
    let parties = three_parties(&job, &data);
    // Every step divides by the size of a gradient, so that weights whose gradients are mostly rounding differ more.
    let worst = largest_difference(&parties[0].0, &float);
    assert!(worst < 0.1, "weights differ by {worst}");
    for (outcome, _) in &parties {
        let (found, expected) = (outcome.metrics[0].accuracy.unwrap(), float.metrics[0].accuracy.unwrap());
        assert!((found - expected).abs() < 0.07, "{found} for {expected}");
    }
    let loss = parties[1].0.metrics[0].loss.unwrap();
    assert!((loss - float.metrics[0].loss.unwrap()).abs() < 0.02, "{loss}");
    let (_, _, counter) = train(CostEngine::new(roles()), &job, data).unwrap();
    let declared = counter.measured();
    for (i, (_, measured)) in parties.into_iter().enumerate() {
        assert_eq!(measured.online[i], declared.online[i], "party {i}");
        assert_eq!(measured.offline[i], declared.offline[i], "party {i}");
    }
}

#[test]
fn a_step_of_adam_takes_16_rounds_more_whatever_the_number_of_layers() {
    let mut deep = classifier();
    deep.layers.splice(0..0, [LayerSpec::Dense { units: 8 }, LayerSpec::Relu {}]);
    for model in [classifier(), deep] {
        let cost = |optimiser, steps| {
            let mut job = with_adam();
            (job.model, job.training.optimiser) = (model.clone(), optimiser);
            job.training.max_steps = Some(steps);
            job.release = Release::default();
            // With decay the weights are truncated in two rounds whatever the optimiser.
            job.training.weight_decay = 0.01;
            train(CostEngine::new(roles()), &job, data(6)).unwrap().1
        };
        let step = |optimiser| cost(optimiser, 2) - cost(optimiser, 1);
        let (adam, sgd) = (step(with_adam().training.optimiser), step(Optimiser::Sgd));
        assert_eq!(adam.rounds - sgd.rounds, 16);
        let parameters: usize = {
            let architecture = tercet_train::Architecture::new(&model).unwrap();
            architecture.parameters()
        };
        let bits = 8.0 * (adam.total_bytes() - sgd.total_bytes()) as f64 / parameters as f64;
        println!("{parameters} parameters: {bits:.0} bits more for each");
        assert!(bits < 5000.0, "{bits}");
    }
}

/// The classifier, two private steps on all rows.
fn private(mode: BoundMode) -> TrainingJob {
    let mut job = job(classifier(), 0.0);
    (job.training.batch, job.training.epochs, job.training.learning_rate) = (50, 2, 0.5);
    job.fixed_point = FixedPointSpec { range_bits: 16, weight_bits: 9, ..FixedPointSpec::default() };
    let spec = PrivacySpec {
        unit: "record".to_owned(),
        unit_rows: None,
        unit_owners: None,
        noise: NoiseKind::default(),
        epsilon: 50.0,
        delta: 1e-3,
        mode,
        clip: 1.0,
        gamma: None,
        row_norm: None,
    };
    job.privacy = Some(Privacy { spec, corrupt: 1 });
    job
}

#[test]
fn three_parties_train_privately_at_the_declared_cost_and_agree_on_the_model() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let job = private(mode);
        let data = data(6);
        let parties = three_parties(&job, &data);
        assert_eq!(parties[0].0.model, parties[2].0.model);
        let accuracy = parties[0].0.metrics[0].accuracy.unwrap();
        assert!(accuracy > 0.6, "{mode:?}: {accuracy}");
        let (_, _, counter) = train(CostEngine::new(roles()), &job, data.clone()).unwrap();
        let declared = counter.measured();
        for (i, (_, measured)) in parties.into_iter().enumerate() {
            assert_eq!(measured.online[i], declared.online[i], "{mode:?} party {i}");
            assert_eq!(measured.offline[i], declared.offline[i], "{mode:?} party {i}");
        }
    }
}

#[test]
fn a_private_step_takes_the_rounds_that_bounding_takes_and_none_for_noise() {
    let rounds = |job: &TrainingJob, steps| {
        let mut job = job.clone();
        job.training.max_steps = Some(steps);
        job.release = Release::default();
        train(CostEngine::new(roles()), &job, data(6)).unwrap().1.rounds
    };
    let step = |job: &TrainingJob| rounds(job, 2) - rounds(job, 1);
    // Norms that are clipped here span so few bits that their comparisons join in one round.
    for (mode, extra) in [(BoundMode::Normalise, 15), (BoundMode::Clip, 14)] {
        let private = private(mode);
        let mut open = private.clone();
        open.privacy = None;
        assert_eq!(step(&private) - step(&open), extra, "{mode:?}");
    }
}

#[test]
fn three_parties_train_with_batch_norm() {
    follows(&job(normalised(), 0.0), 0.03);
}

#[test]
fn the_cost_engine_declares_what_a_training_sends() {
    declares(job(classifier(), 0.0));
    declares(job(normalised(), 0.0));
}

fn declares(job: TrainingJob) {
    let data = data(6);
    let (_, _, counter) = train(CostEngine::new(roles()), &job, data.clone()).unwrap();
    let declared = counter.measured();
    for (i, (_, measured)) in three_parties(&job, &data).into_iter().enumerate() {
        assert_eq!(measured.online[i], declared.online[i], "party {i}");
        assert_eq!(measured.offline[i], declared.offline[i], "party {i}");
    }
}

#[test]
fn a_step_of_two_layers_takes_at_most_26_rounds() {
    let job = job(classifier(), 0.0);
    let rounds = |steps| {
        let mut one = job.clone();
        one.training.max_steps = Some(steps);
        one.release = Release::default();
        train(CostEngine::new(roles()), &one, data(6)).unwrap().1.rounds
    };
    let step = rounds(3) - rounds(2);
    assert!((10..=26).contains(&step), "{step} rounds");
}

#[test]
fn three_parties_agree_on_a_target_and_open_the_model_only_if_it_is_met() {
    let mut job = job(classifier(), 0.0);
    let data = data(6);
    for (accuracy, met) in [(0.05, true), (1.0, false)] {
        // One step of a low rate leaves some of the test rows wrong.
        (job.training.max_steps, job.training.learning_rate) = (Some(1), 0.0625);
        job.targets = TargetsSpec { accuracy: Some(accuracy), ..TargetsSpec::default() };
        let parties = three_parties(&job, &data);
        let (_, _, counter) = train(CostEngine::new(roles()), &job, data.clone()).unwrap();
        let declared = counter.measured();
        for (i, (outcome, measured)) in parties.into_iter().enumerate() {
            assert_eq!(outcome.met_target, Some(met), "party {i}");
            assert_eq!(outcome.model.is_some(), met && job.release.model.contains(&i), "party {i}");
            // Declared is the run that opens the model, for which the dealer sends nothing.
            assert_eq!(measured.online[i] == declared.online[i], met || i == 2, "party {i}");
        }
    }
}

/// Network A of the cost tables at batch 128 for 60 steps, with and without privacy, at the same scales and bounds.
fn network_a(mode: Option<BoundMode>) -> TrainingJob {
    let relu = LayerSpec::Relu {};
    let dense = |units| LayerSpec::Dense { units };
    let model = ModelSpec {
        input: InputSpec::Features(784),
        layers: vec![dense(128), relu.clone(), dense(128), relu, dense(10)],
        loss: Loss::SoftmaxCrossEntropy,
    };
    let mut job = job(model, 0.0);
    (job.training.batch, job.training.learning_rate, job.training.max_steps) = (128, 0.25, Some(60));
    job.release = Release::default();
    job.fixed_point =
        FixedPointSpec { frac: 14, range_bits: 18, weight_bits: 7, ..FixedPointSpec::default() };
    job.privacy = mode.map(|mode| {
        let spec = PrivacySpec {
            unit: "record".to_owned(),
            unit_rows: None,
            unit_owners: None,
            noise: NoiseKind::default(),
            epsilon: 3.0,
            delta: 1e-5,
            mode,
            clip: 0.25,
            gamma: (mode == BoundMode::Normalise).then_some(1.0),
            row_norm: Some(9.0),
        };
        Privacy { spec, corrupt: 1 }
    });
    job
}

#[test]
fn a_private_step_of_network_a_sends_at_most_15_percent_more_bytes() {
    let bytes_of_a_step = |mode| {
        let rows = DataSets { train: vec![Rows { owner: 0, rows: 12_800, values: None }], test: vec![] };
        let mut trainer = Trainer::without_values(CostEngine::new(roles()), &network_a(mode), rows).unwrap();
        let mut sent = Vec::new();
        for _ in 0..3 {
            trainer.step().unwrap();
            let cost = trainer.engine().measured();
            sent.push(cost.online_bytes() + cost.offline_bytes());
        }
        assert_eq!(sent[2] - sent[1], sent[1] - sent[0]);
        (sent[2] - sent[1]) as f64
    };
    let open = bytes_of_a_step(None);
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let ratio = bytes_of_a_step(Some(mode)) / open;
        assert!(ratio <= 1.15, "{mode:?}: {ratio}");
    }
}
