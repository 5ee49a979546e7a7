//! The job file.

use tercet_node::job::Job;
use tercet_node::job::template::{fill, with_protocol};

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let _ = (fill(text, &[]), with_protocol(text, "ot"));
    match Job::parse(text) {
        Ok(job) => {
            assert!(job.text() == text && job.training.training.batch <= job.train_rows());
            true
        }
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.contains('\n'), "an error is one line: {sentence:?}");
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // The first are short, so that damage meets every key soon: schedules, momentum, convolutions, pooling; Adam on features of
    // images with a guard, checkpoints and a target; privacy in both modes, by records and by units, with both kinds of noise.
    [
        &include_bytes!("../seeds/small.toml")[..],
        include_bytes!("../seeds/images.toml"),
        include_bytes!("../seeds/adam.toml"),
        include_bytes!("../seeds/private.toml"),
        include_bytes!("../seeds/units.toml"),
        include_bytes!("../seeds/banded.toml"),
        include_bytes!("../../../testnet/jobs/breast-cancer.toml"),
        include_bytes!("../../../testnet/jobs/breast-cancer-private.toml"),
        include_bytes!("../../../testnet/jobs/mnist.toml"),
        include_bytes!("../../../testnet/jobs/mnist-conv.toml"),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}
