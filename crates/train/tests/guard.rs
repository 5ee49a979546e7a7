//! The range guard: a training that leaves its ranges is stopped by all parties, and named; one that does not goes on unhurt.

use std::thread;

use ndarray::Array2;
use tercet_clear::ClearEngine;
use tercet_engine::{Cost, Engine, Reason};
use tercet_helper::{CostEngine, Role, Roles, join_session};
use tercet_net::PartyId;
use tercet_net::memory::{self, MemoryTransport};
use tercet_share::EphemeralKey;
use tercet_train::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec, TrainingSpec,
};
use tercet_train::{DataSets, Outcome, Quantity, Release, RowValues, Rows, TrainError, Trainer, TrainingJob};

fn job(learning_rate: f64, guard_every: Option<u32>) -> TrainingJob {
    let layers = vec![LayerSpec::Dense { units: 5 }, LayerSpec::Relu {}, LayerSpec::Dense { units: 2 }];
    let model = ModelSpec { input: InputSpec::Features(4), layers, loss: Loss::MeanSquaredError };
    let training = TrainingSpec {
        epochs: 8,
        batch: 8,
        learning_rate,
        momentum: 0.0,
        weight_decay: 0.0,
        seed: 3,
        schedule: Schedule::default(),
        optimiser: Optimiser::Sgd,
        max_steps: None,
        evaluate_every: 0,
    };
    let fixed_point = FixedPointSpec {
        activations: Some(12),
        gradients: Some(12),
        range_bits: 6,
        guard_every,
        ..FixedPointSpec::default()
    };
    let release = Release { model: vec![0, 1, 2], ..Release::default() };
    TrainingJob {
        model,
        training,
        fixed_point,
        standardise: false,
        privacy: None,
        targets: TargetsSpec::default(),
        release,
    }
}

/// Rows by a fixed rule; those of others than `me` are missing.
fn data(me: usize) -> DataSets {
    let rows = |owner: usize| {
        let features =
            Array2::from_shape_fn((8, 4), |(r, c)| ((r * 5 + c * 3 + owner) % 7) as f32 / 3.5 - 1.0);
        let targets = Array2::from_shape_fn((8, 2), |(r, k)| f32::from(u8::from(r % 2 == k)));
        let values = (owner == me).then_some(RowValues { features, targets });
        Rows { owner, rows: 8, values }
    };
    DataSets { train: (0..3).map(rows).collect(), test: Vec::new() }
}

/// What a party ended with, what it cost, and how many bits the guard opened.
type Ended = (Result<Outcome, TrainError>, Cost, usize);

fn train<E: Engine + 'static>(engine: E, job: &TrainingJob, data: DataSets) -> Ended {
    let mut trainer = Trainer::new(engine, job, data).unwrap();
    let outcome = trainer.run(&mut |_, _| {});
    let engine = trainer.into_engine();
    let guards = engine.openings().iter().filter(|opening| opening.opening.reason == Reason::RangeGuard);
    let bits = guards.map(|opening| opening.values).sum();
    (outcome, engine.measured(), bits)
}

fn party(transport: MemoryTransport, key: EphemeralKey, job: &TrainingJob, me: usize) -> Ended {
    let [e0, e1, dealer] = PartyId::ALL;
    let roles = Roles { evaluators: [e0, e1], dealer };
    match join_session(transport, roles, key, [[1; 32], [2; 32], [3; 32]], job.policy()).unwrap() {
        Role::Evaluator(engine) => train(*engine, job, data(me)),
        Role::Dealer(engine) => train(*engine, job, data(me)),
    }
}

fn three_parties(job: &TrainingJob) -> Vec<Ended> {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        ..memory::Options::default()
    };
    let mesh = memory::mesh_with(["E0", "E1", "H"], options).unwrap();
    thread::scope(|scope| {
        let parties = mesh.into_iter().zip(keys).enumerate();
        let threads: Vec<_> = parties
            .map(|(me, (transport, key))| scope.spawn(move || party(transport, key, job, me)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn in_the_open(job: &TrainingJob) -> Ended {
    // One party has it all: the same rows in the same order.
    let all = (0..3).map(|owner| Rows { owner: 0, ..data(owner).train.swap_remove(owner) });
    train(ClearEngine::new(job.policy()), job, DataSets { train: all.collect(), test: Vec::new() })
}

fn breach(ended: &Ended) -> (u64, Quantity, String) {
    match &ended.0 {
        Err(error @ TrainError::OutOfRange { step, quantity, .. }) => (*step, *quantity, error.to_string()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the training was not stopped"),
    }
}

#[test]
fn a_diverging_training_is_stopped_by_every_party_at_the_same_step_and_layer() {
    let job = job(32.0, Some(1));
    let (step, _, sentence) = breach(&in_the_open(&job));
    assert!(step > 1, "the first step is in range: {sentence}");
    assert!(sentence.contains(&format!("step {step}: ")) && sentence.contains("of layer "), "{sentence}");
    assert!(sentence.contains("lower the learning rate"), "{sentence}");
    for ended in three_parties(&job) {
        let (at, _, found) = breach(&ended);
        assert_eq!((at, found), (step, sentence.clone()));
        assert_eq!(ended.2, 6 * step as usize + step as usize * 2, "a bit for each tensor and check");
    }
}

#[test]
fn the_same_training_without_a_guard_ends_in_nonsense_and_with_a_low_rate_the_guard_changes_nothing() {
    assert!(three_parties(&job(32.0, None)).iter().all(|ended| ended.0.is_ok()), "nobody notices");
    let (calm, guarded) = (three_parties(&job(0.25, None)), three_parties(&job(0.25, Some(5))));
    let model = |ended: &Ended| ended.0.as_ref().unwrap().model.clone().unwrap();
    for (calm, guarded) in calm.iter().zip(&guarded) {
        for (a, b) in model(calm).layers.iter().zip(&model(guarded).layers) {
            // Rounding on shares is random.
            assert!(a.weight.iter().zip(&b.weight).all(|(a, b)| (a - b).abs() < 0.01));
        }
        assert_eq!(calm.2, 0);
        // Steps 1, 6, 11, 16 and 21 of 24.
        assert_eq!(guarded.2, 5 * 8);
    }
}

#[test]
fn a_guard_s_cost_is_declared() {
    let job = job(0.25, Some(5));
    let [e0, e1, dealer] = PartyId::ALL;
    let counter = CostEngine::new(Roles { evaluators: [e0, e1], dealer });
    let mut counted = Trainer::without_values(counter, &job, data(9)).unwrap();
    counted.run(&mut |_, _| {}).unwrap();
    let declared = counted.into_engine().measured();
    for (me, (outcome, measured, _)) in three_parties(&job).iter().enumerate() {
        assert!(outcome.is_ok());
        assert_eq!((measured.online[me], measured.offline[me]), (declared.online[me], declared.offline[me]));
    }
    let unguarded = three_parties(&self::job(0.25, None));
    assert!(unguarded[0].1.rounds < declared.rounds);
}

#[test]
fn a_private_training_takes_no_guard_and_zero_is_no_interval() {
    let zero = job(0.25, Some(0)).validate().unwrap_err().to_string();
    assert!(zero.contains("guard_every"), "{zero}");
    assert_eq!(job(0.25, None).policy().recipients(Reason::RangeGuard), [0; 0]);
}
