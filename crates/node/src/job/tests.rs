//! The jobs of the testnet are good jobs, and nothing that is not a job gets through or panics.

use proptest::prelude::*;

use super::template::{Place, fill, with_checkpoints, with_epochs, with_protocol};
use super::*;

const BATCH_NORM: &str = include_str!("../../../../testnet/jobs/mnist-batch-norm.toml");
const BREAST_CANCER: &str = include_str!("../../../../testnet/jobs/breast-cancer.toml");
const CONVOLUTIONAL: &str = include_str!("../../../../testnet/jobs/mnist-conv.toml");
const MNIST: &str = include_str!("../../../../testnet/jobs/mnist.toml");

fn places(job: &Job) -> Vec<Place> {
    let place = |party: &JobParty| Place {
        name: party.name.clone(),
        address: format!("127.0.0.1:{}", 9000 + party.role.index()),
        fingerprint: format!("sha256:{}", party.role.index().to_string().repeat(64)),
    };
    job.parties.iter().map(place).collect()
}

#[test]
fn the_testnet_s_jobs_are_templates_that_become_jobs() {
    for text in [BREAST_CANCER, MNIST, BATCH_NORM] {
        let template = Job::parse(text).unwrap();
        assert!(matches!(template.parties[0].address(), Err(JobError::Unfilled { what: "address", .. })));
        assert!(matches!(template.parties[0].fingerprint(), Err(JobError::Unfilled { .. })));
        let job = Job::parse(&fill(text, &places(&template)).unwrap()).unwrap();
        for (party, place) in job.parties.iter().zip(places(&job)) {
            assert_eq!(party.address().unwrap(), place.address);
            assert_eq!(party.fingerprint().unwrap().to_string(), place.fingerprint);
        }
        assert_eq!(job.training, template.training);
        assert_ne!(job.hash(), template.hash());
    }
}

#[test]
fn filling_in_changes_the_empty_strings_and_nothing_else() {
    let job = Job::parse(MNIST).unwrap();
    let filled = fill(MNIST, &places(&job)).unwrap();
    let changed: Vec<_> =
        MNIST.lines().zip(filled.lines()).filter(|(before, after)| before != after).collect();
    assert_eq!(MNIST.lines().count(), filled.lines().count());
    assert_eq!(changed.len(), 6);
    for (before, after) in changed {
        let key = before.split(" = ").next().unwrap();
        assert!(key == "address" || key == "fingerprint", "{before}");
        assert_eq!(before.split('#').nth(1), after.split('#').nth(1), "comments stay");
    }
    assert_eq!(with_protocol(MNIST, "helper").unwrap(), MNIST);
    assert!(with_protocol(MNIST, "ot").unwrap().contains("protocol = \"ot\""));
}

#[test]
fn epochs_and_checkpoints_of_a_template_can_be_changed() {
    let changed = with_checkpoints(&with_epochs(MNIST, 7).unwrap(), 12).unwrap();
    let job = Job::parse(&changed).unwrap();
    assert_eq!((job.training.training.epochs, job.checkpoint.unwrap().every.get()), (7, 12));
    assert_eq!(changed.lines().count(), MNIST.lines().count());
    let added = with_checkpoints(CONVOLUTIONAL, 30).unwrap();
    assert_eq!(Job::parse(&added).unwrap().checkpoint.unwrap().every.get(), 30);
}

#[test]
fn the_order_of_parties_in_the_file_does_not_matter() {
    let job = Job::parse(MNIST).unwrap();
    let swapped =
        MNIST.replace("evaluator-1", "x").replace("dealer", "evaluator-1").replace("\"x\"", "\"dealer\"");
    let swapped = Job::parse(&swapped).unwrap();
    assert_eq!(job.parties.each_ref().map(|party| party.name.as_str()), ["north", "east", "west"]);
    assert_eq!(swapped.parties.each_ref().map(|party| party.name.as_str()), ["north", "west", "east"]);
    assert_eq!(swapped.parties.each_ref().map(|party| party.role), Role::ALL);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Job::parse(&text);
        let _ = fill(&text, &[]);
    }

    #[test]
    fn no_damage_to_a_job_makes_the_parser_panic(
        start in 0..BREAST_CANCER.len(), length in 0..80usize, put in "[ -~\n]{0,12}",
    ) {
        let end = (start + length).min(BREAST_CANCER.len());
        let damaged = format!("{}{put}{}", &BREAST_CANCER[..start], &BREAST_CANCER[end..]);
        let _ = Job::parse(&damaged);
        let _ = fill(&damaged, &[]);
    }
}

#[test]
fn checkpoints_are_agreed_on_and_out_of_range_ones_are_refused() {
    let without = MNIST.replace("[checkpoint]\nevery = 50\nrejoin_seconds = 600\n", "");
    assert_eq!(Job::parse(&without).unwrap().checkpoint, None);
    let with = |section: &str| Job::parse(&without.replace("[release]", &format!("{section}\n\n[release]")));
    let job = with("[checkpoint]\nevery = 50").unwrap();
    let spec = job.checkpoint.unwrap();
    assert_eq!((spec.every.get(), spec.rejoin), (50, Duration::from_secs(600)));
    assert!(with("[checkpoint]\nevery = 50\nrejoin_seconds = 5").is_ok());
    for (section, part) in [
        ("[checkpoint]\nevery = 0", "`checkpoint.every` is 0"),
        ("[checkpoint]\nevery = 5\nrejoin_seconds = 0", "`checkpoint.rejoin_seconds` is 0"),
        ("[checkpoint]\nevery = 5\nkeep = 2", "unknown field `keep`"),
        ("[checkpoint]\nrejoin_seconds = 5", "missing field `every`"),
    ] {
        let error = with(section).unwrap_err().to_string();
        assert!(error.contains(part), "{part:?} in {error}");
    }
}
