//! The state in a checkpoint, as a training takes it up: what a broken disk or a bug could put behind a good seal.

use std::cell::RefCell;
use std::num::NonZeroU64;

use ndarray::Array2;
use tercet_clear::ClearEngine;
use tercet_engine::checks;
use tercet_node::checkpoint::format;
use tercet_train::spec::{
    Adam, FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec,
    TrainingSpec,
};
use tercet_train::{DataSets, Metric, Release, RowValues, Rows, Snapshot, Trainer, TrainingJob};

thread_local! {
    /// A training with momentum and one with Adam, which keep more of each weight.
    static TRAINERS: RefCell<Trainers> = RefCell::new(Trainers { left: 0, both: trainers() });
}

struct Trainers {
    /// Inputs until they are made anew: their engines list every value that leaves its range.
    left: u32,
    both: [Trainer<ClearEngine>; 2],
}

fn trainers() -> [Trainer<ClearEngine>; 2] {
    [Optimiser::Sgd, Optimiser::Adam(Adam::default())].map(trainer)
}

fn trainer(optimiser: Optimiser) -> Trainer<ClearEngine> {
    let layers = vec![LayerSpec::Dense { units: 2 }, LayerSpec::Relu {}, LayerSpec::Dense { units: 1 }];
    let momentum = if optimiser == Optimiser::Sgd { 0.5 } else { 0.0 };
    let training = TrainingSpec {
        epochs: 30,
        batch: 2,
        learning_rate: 0.25,
        momentum,
        weight_decay: 0.0,
        seed: 3,
        schedule: Schedule::default(),
        optimiser,
        max_steps: None,
        evaluate_every: 0,
    };
    let job = TrainingJob {
        model: ModelSpec { input: InputSpec::Features(2), layers, loss: Loss::MeanSquaredError },
        training,
        fixed_point: FixedPointSpec::default(),
        standardise: false,
        privacy: None,
        targets: TargetsSpec::default(),
        release: Release { model: vec![0], accuracy: vec![], loss: vec![] },
    };
    let values = RowValues {
        features: Array2::from_shape_fn((4, 2), |(row, column)| {
            (row as f32 - 1.5) * (column as f32 + 0.5) / 3.0
        }),
        targets: Array2::from_shape_fn((4, 1), |(row, _)| f32::from(u8::from(row < 2))),
    };
    let train = vec![Rows { owner: 0, rows: 4, values: Some(values) }];
    let engine = ClearEngine::new(job.policy());
    Trainer::new(engine, &job, DataSets { train, test: Vec::new() }).expect("a training of four rows")
}

/// The first byte chooses the training, the second is the step.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((&[choice, step], bytes)) = bytes.split_first_chunk::<2>() else { return false };
    let step = u64::from(step);
    let Some((snapshot, reservation)) = format::decode(step, bytes) else { return false };
    assert_eq!(&format::encode(&snapshot, reservation)[..], bytes, "a state has one spelling");
    assert_eq!(snapshot.metas.len(), snapshot.summands.len());
    // An evaluator takes summands of the shapes stated, a dealer none.
    for (meta, summand) in snapshot.metas.iter().zip(&snapshot.summands) {
        let taken = [true, false].map(|holds| checks::import(*meta, summand.as_ref(), holds).is_ok());
        assert!(!(taken[0] && taken[1]));
    }
    TRAINERS.with_borrow_mut(|trainers| {
        trainers.left = match trainers.left.checked_sub(1) {
            Some(left) => left,
            None => {
                trainers.both = self::trainers();
                1000
            }
        };
        let trainer = &mut trainers.both[usize::from(choice & 1)];
        let elements = |snapshot: &Snapshot| -> Vec<Option<Vec<u64>>> {
            snapshot.summands.iter().map(|summand| summand.as_ref().map(|t| t.data().to_vec())).collect()
        };
        let (taken, steps) = (elements(&snapshot), trainer.steps());
        if trainer.resume(snapshot).is_err() {
            return false;
        }
        assert!(step <= steps && taken.iter().all(Option::is_some));
        let again = trainer.snapshot().expect("what was taken up can be given away");
        assert_eq!((again.step, elements(&again)), (step, taken), "a state is taken up as it is");
        if step < steps {
            // Values beyond their ranges give wrong numbers or an error, no more.
            let _ = trainer.step();
        }
        true
    })
}

/// A good state of one of the trainings.
pub(crate) fn bytes(choice: u8) -> Vec<u8> {
    TRAINERS.with_borrow_mut(|trainers| {
        let trainer = &mut trainers.both[usize::from(choice & 1)];
        trainer.keep_every(NonZeroU64::MIN);
        let mut snapshot = trainer.snapshot().expect("a training can be interrupted");
        let metric = |step, accuracy, loss| Metric { step, epoch: 1, rows: 4, accuracy, loss };
        snapshot.metrics =
            vec![metric(0, Some(0.5), None), metric(1, None, Some(0.25)), metric(2, None, None)];
        snapshot.seconds = 1.5;
        format::encode(&snapshot, Some(7)).to_vec()
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let of = |choice: u8| [&[choice, 50][..], &bytes(choice)].concat();
    let done = |choice: u8| [&[choice, 60][..], &bytes(choice)].concat();
    vec![of(0), of(1), done(0), done(1)]
}

#[cfg(test)]
mod tests {
    use tercet_engine::Meta;
    use tercet_share::{Ring, Tensor};

    use super::*;

    #[test]
    fn a_state_without_summands_or_with_other_shapes_is_no_evaluator_s() {
        let meta = Meta { rows: 2, cols: 2, frac: 16, ring: Ring::FULL };
        let state = |summand: Option<Tensor>| {
            let (metas, summands) = (vec![meta], vec![summand]);
            let snapshot = Snapshot { step: 50, metas, summands, metrics: vec![], seconds: 0.0 };
            [&[0, 50][..], &format::encode(&snapshot, None)].concat()
        };
        assert!(!run(&state(None)));
        assert!(!run(&state(Some(Tensor::zeros(2, 2)))));
    }
}
