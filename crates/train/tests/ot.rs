//! Training by three parties without a dealer, in one process.

mod common;

use std::thread;

use common::{classifier, data, images, normalised, seen_by, train};
use tercet_engine::{Cost, Engine};
use tercet_net::memory::{self, MemoryTransport};
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::{CostEngine, join_session};
use tercet_share::EphemeralKey;
use tercet_train::spec::{LayerSpec, Loss, ModelSpec};
use tercet_train::{DataSets, Outcome, TrainError, TrainingJob, plaintext};

fn job(model: ModelSpec, momentum: f64) -> TrainingJob {
    common::job(model, momentum, 2)
}

fn party(
    transport: MemoryTransport,
    key: EphemeralKey,
    job: &TrainingJob,
    data: DataSets,
) -> Result<(Outcome, Cost), TrainError> {
    let identities = [[1; 32], [2; 32], [3; 32]];
    let engine = join_session(transport, FieldBits::default(), key, identities, job.policy())?;
    train(engine, job, data).map(|(o, c, _)| (o, c))
}

fn three_parties(job: &TrainingJob, data: &DataSets) -> Vec<(Outcome, Cost)> {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        ..memory::Options::default()
    };
    let mesh = memory::mesh_with(["P0", "P1", "P2"], options).unwrap();
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
    let (_, _, counter) = train(CostEngine::new(FieldBits::default()), &job, data.clone()).unwrap();
    let declared = counter.measured();
    for (i, (_, measured)) in three_parties(&job, &data).into_iter().enumerate() {
        assert_eq!(measured.online[i], declared.online[i], "party {i}");
        assert_eq!(measured.offline[i], declared.offline[i], "party {i}");
    }
}
