//! The breast cancer job of the testnet with Adam, on the same fixed point in the open.
#![allow(clippy::print_stdout)]

use std::path::Path;

use tercet_clear::ClearEngine;
use tercet_data::{Limits, load};
use tercet_node::job::Job;
use tercet_node::sources;
use tercet_train::spec::{Adam, Optimiser, Schedule};
use tercet_train::{DataSets, RowValues, Rows, Trainer, plaintext, targets};

const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testnet/jobs/breast-cancer.toml");

/// All rows as party 0's, which is the party that the clear engine is.
fn rows(job: &Job) -> DataSets {
    let path = sources::beside_job(Path::new(JOB));
    let all = sources::read(&path).unwrap();
    let mut sets = DataSets::default();
    for (_, own) in sources::of_parties(job, &all, &path).unwrap() {
        for (source, into) in [(&own.train, &mut sets.train), (&own.test, &mut sets.test)] {
            let Some(source) = source else { continue };
            let set = load(&job.data, source, Path::new(""), &Limits::default()).unwrap();
            let targets = targets(set.labels(), set.classes(), &job.training.model).unwrap();
            let values = RowValues { features: set.features().to_owned(), targets };
            into.push(Rows { owner: 0, rows: set.rows(), values: Some(values) });
        }
    }
    sets
}

#[test]
fn adam_on_breast_cancer_is_as_accurate_as_adam_in_floating_point() {
    let mut job = Job::read(Path::new(JOB)).unwrap();
    job.training.training.optimiser = Optimiser::Adam(Adam::default());
    job.training.training.learning_rate = 1.0 / 64.0;
    job.training.training.schedule = Schedule::Cosine { least: 0.05, warm_up: 15 };
    let rows = rows(&job);
    for seed in 1..=3 {
        job.training.training.seed = seed;
        let float = plaintext::train(&job.training, &rows, &mut |_| {}).unwrap().metrics[0];
        let engine = ClearEngine::new(job.training.release.policy()).strict();
        let mut trainer = Trainer::new(engine, &job.training, rows.clone()).unwrap();
        let shares = trainer.run(&mut |_, _| {}).unwrap().metrics[0];
        println!("seed {seed}: {:?}, in floating point {:?}", shares.accuracy, float.accuracy);
        assert!(float.accuracy.unwrap() >= 0.955, "{float:?}");
        // One row of 114 either way.
        assert!(
            (shares.accuracy.unwrap() - float.accuracy.unwrap()).abs() < 1.5 / 114.0,
            "{shares:?} {float:?}"
        );
    }
}
