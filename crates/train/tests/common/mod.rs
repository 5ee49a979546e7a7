//! What the trainings of every protocol share: jobs, rows, runs, and the tests themselves. A protocol's test program states how
//! many colluding parties it withstands (`CORRUPT`), which party deals (`DEALER`), what one `party` does, and what a training is
//! `declared` to cost.

mod jobs;
mod trainings;

use std::thread;

pub use jobs::{classifier, deeper, images, job, normalised, private, with_adam};
use ndarray::Array2;
use tercet_engine::{Cost, Engine};
use tercet_net::memory;
use tercet_share::EphemeralKey;
use tercet_train::{DataSets, Outcome, RowValues, Rows, TrainError, Trainer, TrainingJob};

/// Points near one corner per class, by a fixed rule.
pub fn rows(owner: usize, count: usize, inputs: usize, salt: usize) -> Rows {
    let features = Array2::from_shape_fn((count, inputs), |(r, c)| {
        let noise = ((r * 31 + c * 17 + owner * 7 + salt) * 2654435761 % 1000) as f32 / 1000.0 - 0.5;
        noise + if c % 3 == r % 3 { 0.8 } else { -0.2 }
    });
    let targets = Array2::from_shape_fn((count, 3), |(r, k)| f32::from(u8::from(r % 3 == k)));
    Rows { owner, rows: count, values: Some(RowValues { features, targets }) }
}

/// Fifty training rows of three owners, thirty test rows of one.
pub fn data(inputs: usize) -> DataSets {
    DataSets {
        train: vec![rows(0, 20, inputs, 1), rows(1, 13, inputs, 2), rows(2, 17, inputs, 3)],
        test: vec![rows(1, 30, inputs, 4)],
    }
}

/// The data as `party` has it: the others' values are missing.
pub fn seen_by(data: &DataSets, party: usize) -> DataSets {
    let mut own = data.clone();
    for set in own.train.iter_mut().chain(&mut own.test).filter(|s| s.owner != party) {
        set.values = None;
    }
    own
}

/// Trains to the end: what came out, what it cost, and the engine.
pub fn train<E: Engine + 'static>(
    engine: E,
    job: &TrainingJob,
    data: DataSets,
) -> Result<(Outcome, Cost, E), TrainError> {
    let mut trainer = Trainer::new(engine, job, data)?;
    let outcome = trainer.run(&mut |_, _| {})?;
    let cost = trainer.engine().measured();
    Ok((outcome, cost, trainer.into_engine()))
}

/// A training by all three, each with its own rows: what came out at each, and what each one's meter saw.
pub fn three_parties(job: &TrainingJob, data: &DataSets) -> Vec<(Outcome, Cost)> {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        ..memory::Options::default()
    };
    let identities = [[1; 32], [2; 32], [3; 32]];
    let mesh = memory::mesh_with(["P0", "P1", "P2"], options).unwrap();
    thread::scope(|scope| {
        let threads: Vec<_> = mesh
            .into_iter()
            .zip(keys)
            .enumerate()
            .map(|(i, (transport, key))| {
                let own = seen_by(data, i);
                scope.spawn(move || crate::party(transport, key, identities, job, own).unwrap())
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}
