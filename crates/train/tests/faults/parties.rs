//! A small training that uses every interactive operation, by three parties in one process, one of which may be faulty.

use std::thread;
use std::time::Duration;

use ndarray::Array2;
use tercet_engine::Engine;
use tercet_helper::{Role, Roles};
use tercet_net::PartyId;
use tercet_net::fault::{FaultPlan, FaultTransport};
use tercet_net::memory::{self, MemoryTransport, Tap};
use tercet_ot::extension::FieldBits;
use tercet_share::EphemeralKey;
use tercet_train::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec, TrainingSpec,
};
use tercet_train::{DataSets, Outcome, Release, RowValues, Rows, TrainError, Trainer, TrainingJob};

#[derive(Clone, Copy)]
pub enum Protocol {
    Helper,
    Ot,
}

const FEATURES: usize = 3;

/// Standardised on shares, momentum, ReLU and sigmoid, accuracy and loss: one step of it meets every operation.
fn job() -> TrainingJob {
    let layers = vec![
        LayerSpec::Dense { units: 2 },
        LayerSpec::Relu {},
        LayerSpec::Dense { units: 2 },
        LayerSpec::Sigmoid {},
        LayerSpec::Dense { units: 2 },
    ];
    let model = ModelSpec { input: InputSpec::Features(FEATURES), layers, loss: Loss::SoftmaxCrossEntropy };
    let training = TrainingSpec {
        epochs: 1,
        batch: 4,
        learning_rate: 0.25,
        momentum: 0.5,
        weight_decay: 0.0,
        seed: 3,
        schedule: Schedule::default(),
        optimiser: Optimiser::Sgd,
        max_steps: Some(1),
        evaluate_every: 0,
    };
    let fixed_point = FixedPointSpec {
        activations: Some(10),
        gradients: Some(12),
        range_bits: 4,
        ..FixedPointSpec::default()
    };
    let release = Release { model: vec![0, 1, 2], accuracy: vec![0, 1, 2], loss: vec![0, 1, 2] };
    TrainingJob {
        model,
        training,
        fixed_point,
        standardise: true,
        privacy: None,
        targets: TargetsSpec::default(),
        release,
    }
}

/// The rows as `me` has them: those of others are missing.
fn data(me: usize) -> DataSets {
    let rows = |owner: usize, rows: usize| {
        let values = RowValues {
            features: Array2::from_shape_fn((rows, FEATURES), |(r, c)| {
                ((r * 5 + c * 3 + owner) % 7) as f32 / 7.0
            }),
            targets: Array2::from_shape_fn((rows, 2), |(r, k)| f32::from(u8::from(r % 2 == k))),
        };
        Rows { owner, rows, values: (owner == me).then_some(values) }
    };
    DataSets { train: (0..3).map(|owner| rows(owner, 2)).collect(), test: vec![rows(1, 3)] }
}

type Transport = FaultTransport<MemoryTransport>;

fn train<E: Engine + 'static>(engine: E, me: usize) -> Result<Outcome, TrainError> {
    Trainer::new(engine, &job(), data(me))?.run(&mut |_, _| {})
}

fn party(
    protocol: Protocol,
    transport: Transport,
    me: usize,
    key: EphemeralKey,
) -> Result<Outcome, TrainError> {
    let identities = [[1; 32], [2; 32], [3; 32]];
    let policy = job().release.policy();
    match protocol {
        Protocol::Helper => {
            let [e0, e1, dealer] = PartyId::ALL;
            let roles = Roles { evaluators: [e0, e1], dealer };
            match tercet_helper::join_session(transport, roles, key, identities, policy)? {
                Role::Evaluator(engine) => train(*engine, me),
                Role::Dealer(engine) => train(*engine, me),
            }
        }
        Protocol::Ot => {
            let bits = FieldBits::default();
            train(tercet_ot::preprocessing::join_session(transport, bits, key, identities, policy)?, me)
        }
    }
}

/// What each party ends with. A party that panics fails the test.
pub fn run(
    protocol: Protocol,
    fault: Option<(PartyId, FaultPlan)>,
    tap: Option<Tap>,
    deadline: Duration,
) -> [Result<Outcome, TrainError>; 3] {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        deadline,
        tap,
        ..memory::Options::default()
    };
    let mesh = memory::mesh_with(["ada", "ben", "cyd"], options).unwrap();
    let mut keys = keys.into_iter();
    thread::scope(|scope| {
        let threads = mesh.map(|transport| {
            use tercet_net::Transport as _;
            let me = transport.me();
            let plans = fault.filter(|(faulty, _)| *faulty == me).map(|(_, plan)| plan);
            let (transport, key) = (FaultTransport::new(transport, plans), keys.next().unwrap());
            scope.spawn(move || party(protocol, transport, me.index(), key))
        });
        threads.map(|thread| thread.join().unwrap())
    })
}
