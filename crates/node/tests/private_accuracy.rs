//! The private job of the testnet reaches its accuracy, on the same fixed point in the open.

use std::path::Path;

use tercet_clear::ClearEngine;
use tercet_data::{Limits, load};
use tercet_node::job::Job;
use tercet_node::sources;
use tercet_train::{DataSets, RowValues, Rows, Trainer, plaintext, targets};

const JOB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testnet/jobs/breast-cancer-private.toml");

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
fn the_private_breast_cancer_job_reaches_95_percent_within_3_points_of_float() {
    let mut job = Job::read(Path::new(JOB)).unwrap();
    let privacy = &job.training.privacy.as_ref().unwrap().spec;
    assert_eq!((privacy.epsilon, privacy.delta), (1.0, 1e-5));
    let rows = rows(&job);
    let float = plaintext::train(&job.training, &rows, &mut |_| {}).unwrap().metrics[0].accuracy.unwrap();
    let mut reached: Vec<f64> = (1..=9)
        .map(|seed| {
            job.training.training.seed = seed;
            let engine = ClearEngine::new(job.training.release.policy()).strict();
            let mut trainer = Trainer::new(engine, &job.training, rows.clone()).unwrap();
            trainer.run(&mut |_, _| {}).unwrap().metrics[0].accuracy.unwrap()
        })
        .collect();
    reached.sort_by(f64::total_cmp);
    let median = reached[reached.len() / 2];
    assert!(median >= 0.95, "{reached:?}");
    assert!(float - median <= 0.03, "{float} in floating point, {reached:?}");
}
