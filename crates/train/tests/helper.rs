//! Training by three parties over the helper protocol, in one process.

mod common;

use common::{classifier, data, deeper, job, train, with_adam};
use tercet_engine::{Cost, Engine};
use tercet_helper::{CostEngine, Role, Roles, join_session};
use tercet_net::PartyId;
use tercet_net::memory::MemoryTransport;
use tercet_share::EphemeralKey;
use tercet_train::spec::{
    BoundMode, FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, NoiseKind, Optimiser, PrivacySpec,
};
use tercet_train::{
    Architecture, DataSets, Outcome, Privacy, Release, Rows, TrainError, Trainer, TrainingJob,
};

/// Parties that may collude: the noise of the others must do.
const CORRUPT: u32 = 1;

/// Its index, where there is one.
const DEALER: Option<usize> = Some(2);

fn roles() -> Roles {
    let [e0, e1, h] = PartyId::ALL;
    Roles { evaluators: [e0, e1], dealer: h }
}

fn party(
    transport: MemoryTransport,
    key: EphemeralKey,
    identities: [[u8; 32]; 3],
    job: &TrainingJob,
    data: DataSets,
) -> Result<(Outcome, Cost), TrainError> {
    match join_session(transport, roles(), key, identities, job.policy())? {
        Role::Evaluator(e) => train(*e, job, data).map(|(o, c, _)| (o, c)),
        Role::Dealer(d) => train(*d, job, data).map(|(o, c, _)| (o, c)),
    }
}

fn declared(job: &TrainingJob, data: DataSets) -> Cost {
    train(CostEngine::new(roles()), job, data).unwrap().1
}

#[test]
fn a_step_of_adam_sends_at_most_5000_bits_more_for_each_weight() {
    for model in [classifier(), deeper()] {
        let cost = |optimiser, steps| {
            let mut job = TrainingJob { model: model.clone(), ..with_adam() };
            (job.training.optimiser, job.training.max_steps) = (optimiser, Some(steps));
            job.release = Release::default();
            // With decay the weights are truncated whatever the optimiser.
            job.training.weight_decay = 0.01;
            declared(&job, data(6))
        };
        let step = |optimiser| cost(optimiser, 2) - cost(optimiser, 1);
        let (adam, descent) = (step(with_adam().training.optimiser), step(Optimiser::Sgd));
        let parameters = Architecture::new(&model).unwrap().parameters();
        let bits = 8.0 * (adam.total_bytes() - descent.total_bytes()) as f64 / parameters as f64;
        assert!(bits < 5000.0, "{bits}");
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
    let mut job = job(model);
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
        Privacy { spec, corrupt: CORRUPT }
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
