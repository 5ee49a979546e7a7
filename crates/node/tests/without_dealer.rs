//! Jobs without a dealer: on the fly, and on material made ahead of time.

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::{NAMES, Net, Running, record, tercet};
use tercet_node::status::{self, Doing};

const HELPER: &str = "protocol = \"helper\"";
const OT: &str = "protocol = \"ot\"";

/// A net without a dealer whose node files have a deadline of `deadline` seconds and name a folder for material.
fn net_with_material(deadline: u64) -> Net {
    let net = Net::new(deadline);
    net.edit_jobs(HELPER, OT);
    for party in 0..3 {
        net.edit(&net.config(party), "out = \"out\"", "out = \"out\"\nmaterial = \"material\"");
    }
    net
}

fn material(net: &Net, party: usize, file: &str) -> PathBuf {
    net.home(party).join("material").join(file)
}

fn preprocessing(net: &Net) -> Vec<Running> {
    (0..3).map(|party| net.start_as(party, "preprocess", tercet())).collect()
}

/// Makes the material of all three.
fn preprocess(net: &Net) {
    for made in preprocessing(net).into_iter().map(Running::wait) {
        assert!(made.succeeded(), "{}", made.stderr());
    }
}

/// Waits until `happened` gives something.
fn until<T>(what: &str, mut happened: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = happened() {
            return seen;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until party 1 says that it has done two steps and is not at the end. A run is over before it says much of itself, so
/// that `slow`, another party, stands still most of the time from the first step on.
fn in_the_middle(net: &Net, slow: &Running) {
    let state = || status::read(&net.home(1).join("out-state")).unwrap();
    until("a first step", || state().filter(|state| matches!(state.doing, Doing::Sharing | Doing::Training)));
    until("a second step", || {
        slow.signal("-STOP");
        // Longer than between two words of a node about itself.
        std::thread::sleep(Duration::from_millis(250));
        slow.signal("-CONT");
        std::thread::sleep(Duration::from_millis(2));
        state().filter(|state| state.doing == Doing::Training && state.step >= 2)
    });
    let state = state().unwrap();
    assert!(state.step < state.steps, "{state:?}");
}

fn trained(net: &Net) {
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let accuracy =
        record(net, 0)["metrics"].as_array().unwrap().last().unwrap()["accuracy"].as_f64().unwrap();
    assert!(accuracy >= 0.8, "accuracy {accuracy}");
    for party in 0..3 {
        let record = record(net, party);
        assert_eq!(record["protocol"], "ot");
        assert_eq!(record["party"]["role"], format!("evaluator-{party}"));
        assert!(record["rounds"]["total"].as_u64().unwrap() > 0);
    }
}

#[test]
fn three_evaluators_train_without_a_dealer() {
    let net = Net::new(20);
    net.edit_jobs(HELPER, OT);
    trained(&net);
    assert!(record(&net, 1)["bytes"]["sent_offline"].as_u64().unwrap() > 1 << 20);
    for party in 0..3 {
        let record = record(&net, party);
        let seconds = |phase: &str| record["seconds"][phase].as_f64().unwrap();
        assert!(seconds("preprocessing") > 0.0);
        // The rest is the online phase, whose rounds take time.
        assert!(seconds("preprocessing") < seconds("training"), "{record}");
    }
}

#[test]
fn a_party_that_preprocesses_while_the_others_train_is_told_so() {
    let net = Net::new(20);
    net.edit_jobs(HELPER, OT);
    net.edit(&net.config(0), "out = \"out\"", "out = \"out\"\nmaterial = \"material\"");
    let running: Vec<Running> = ["preprocess", "node", "node"]
        .into_iter()
        .enumerate()
        .map(|(party, command)| net.start_as(party, command, tercet()))
        .collect();
    let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
    assert!(ended.iter().all(|ended| !ended.succeeded()));
    let said = ended[0].stderr();
    assert!(said.contains("came for training, this party for preprocessing"), "{said}");
    // Nothing was begun.
    assert!(!net.home(0).join("material").join("material").exists());
}

#[test]
fn material_made_ahead_leaves_the_online_phase_and_is_used_once() {
    let net = net_with_material(20);
    // None yet: each node says so by itself.
    net.refused(0, "there is no stored material");
    preprocess(&net);
    // Another job is told so, and leaves the material to the one that it was made for.
    net.edit_jobs("seed = 3", "seed = 4");
    net.refused(2, "was made for another job: run `tercet preprocess` with this job");
    net.edit_jobs("seed = 4", "seed = 3");
    trained(&net);
    for party in 0..3 {
        // Two messages of 16 bytes and their headers, to agree that the material was made together.
        assert!(record(&net, party)["bytes"]["sent_offline"].as_u64().unwrap() < 200);
        fs::rename(net.out(party), net.home(party).join("first")).unwrap();
    }
    net.refused(1, "was used before");
}

#[test]
fn a_run_that_is_killed_uses_its_material_up_at_all_three() {
    let net = net_with_material(4);
    preprocess(&net);
    let mut running: Vec<Running> = (0..3).map(|party| net.start(party)).collect();
    in_the_middle(&net, &running[2]);
    running.remove(1).kill();
    for survivor in running {
        let sentence = survivor.wait().sentence();
        assert!(sentence.contains("ben"), "{sentence}");
    }
    for party in [0, 2] {
        let record = record(&net, party);
        assert_eq!(record["outcome"]["status"], "failed", "{record}");
        let failed = record["outcome"]["reason"].as_str().unwrap();
        assert!(failed.contains("ben"), "{failed}");
    }
    // Whatever is started again, alone or with the others: nobody can open a frame of the first run.
    for party in 0..3 {
        fs::rename(net.out(party), net.home(party).join("first")).unwrap();
        assert!(material(&net, party, "used").exists());
        for gone in ["unused", "taken", "material"] {
            assert!(!material(&net, party, gone).exists(), "{gone} at {}", NAMES[party]);
        }
    }
    for ended in net.run(&[0, 1, 2]) {
        let sentence = ended.sentence();
        assert!(sentence.contains("was used before") && sentence.contains("run `tercet preprocess` again"));
    }
    (0..3).for_each(|party| net.nothing_left(party));
}

#[test]
fn preprocessing_that_is_killed_leaves_nothing_to_run_on_and_can_be_made_again() {
    let net = net_with_material(4);
    let mut running = preprocessing(&net);
    // The first frame is written; another one follows.
    let half = || fs::metadata(material(&net, 1, "unfinished"));
    until("material", || half().is_ok_and(|half| half.len() > 0).then_some(()));
    running.remove(1).kill();
    for survivor in running {
        let sentence = survivor.wait().sentence();
        assert!(sentence.contains("ben"), "{sentence}");
    }
    for party in 0..3 {
        assert!(material(&net, party, "unfinished").exists() && !material(&net, party, "unused").exists());
        net.refused(party, "was cut short: run `tercet preprocess` again at all three parties");
    }
    preprocess(&net);
    (0..3).for_each(|party| assert!(material(&net, party, "unused").exists()));
}

#[test]
fn a_run_killed_on_material_before_its_first_checkpoint_begins_again_and_makes_its_own() {
    let net = net_with_material(4);
    net.edit_jobs("[release]", "[checkpoint]\nevery = 1000\nrejoin_seconds = 60\n\n[release]");
    preprocess(&net);
    let mut running: Vec<Running> = (0..3).map(|party| net.start(party)).collect();
    in_the_middle(&net, &running[2]);
    running.remove(1).kill();
    running.push(net.start(1));
    for running in running {
        let ended = running.wait();
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    for party in 0..3 {
        common::each_step_once(&net, party, 48);
        // The masks of all steps are new ones.
        assert!(record(&net, party)["bytes"]["sent_offline"].as_u64().unwrap() > 1 << 20);
        assert!(!material(&net, party, "unused").exists());
        let log = fs::read_to_string(net.home(party).join("node.log")).unwrap();
        assert!(log.contains("this session makes its own"), "{log}");
    }
}
