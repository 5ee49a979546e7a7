//! Nothing is lost and nobody hangs: parties that are killed, stopped or out of room, and the run that goes on.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{NAMES, Net, Running, each_step_once, record, tercet};
use tercet_node::recovery::journal;
use tercet_node::status::{self, Doing, State};

/// A net whose job keeps checkpoints and takes `epochs` epochs of 6 steps.
fn net(deadline: u64, epochs: u32, rejoin: u64) -> Net {
    let net = Net::new(deadline);
    net.edit_jobs("epochs = 8", &format!("epochs = {epochs}"));
    net.edit_jobs("[release]", &format!("[checkpoint]\nevery = 20\nrejoin_seconds = {rejoin}\n\n[release]"));
    net
}

fn state(net: &Net, party: usize) -> Option<State> {
    status::read(&net.home(party).join("out-state")).unwrap()
}

/// Waits until what a party says of itself is as asked.
fn until(net: &Net, party: usize, what: &str, asked: impl Fn(&State) -> bool) -> State {
    let begun = Instant::now();
    loop {
        if let Some(state) = state(net, party).filter(&asked) {
            return state;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "{what} does not happen: {:?}", state(net, party));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_killed_party_of_any_role_is_named_waited_for_and_the_run_goes_on_by_itself() {
    let net = net(2, 500, 60);
    let mut running: Vec<Option<Running>> = (0..3).map(|party| Some(net.start(party))).collect();
    for dying in 0..3 {
        let after = state(&net, 0).map_or(0, |state| state.step) + 100;
        until(&net, 0, "progress", |state| state.doing == Doing::Training && state.step > after);
        running[dying].take().unwrap().kill();
        let watching = (dying + 1) % 3;
        let seen = until(&net, watching, "waiting", |state| state.doing == Doing::Waiting);
        // Whoever told this party of it, and whether or not that one is back already: the one that is gone is named.
        let lost = seen.peers.iter().find(|peer| peer.name == NAMES[dying]).unwrap();
        assert!(!lost.here && lost.lost_at_step.is_some(), "{seen:?}");
        assert!(seen.reason.is_some() && seen.until.is_some() && seen.checkpoint.is_some(), "{seen:?}");
        let told = tercet().args(["status", "--node"]).arg(net.config(watching)).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        assert!(told.contains("waiting for a lost party"), "{told}");
        let line = told.lines().find(|line| line.contains(&format!("{} as ", NAMES[dying]))).unwrap();
        assert!(line.contains(": lost for"), "{told}");
        let told = tercet().args(["status", "--config"]).arg(net.config(dying)).output().unwrap();
        assert!(String::from_utf8(told.stdout).unwrap().contains("gone: its process ended"));
        let log = fs::read_to_string(net.home(watching).join("node.log")).unwrap();
        assert!(log.contains("and waits up to 60 s"), "{log}");
        running[dying] = Some(net.start(dying));
    }
    for running in running {
        let ended = running.unwrap().wait();
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    for party in 0..3 {
        let record = record(&net, party);
        assert_eq!((&record["steps"], &record["outcome"]["status"]), (&3000.into(), &"finished".into()));
        each_step_once(&net, party, 3000);
        let state = state(&net, party).unwrap();
        assert_eq!((state.doing, state.step), (Doing::Finished, 3000));
        let left = common::files(&net.home(party).join("out-state"));
        assert!(
            left.iter().all(|(path, _)| path.extension().is_none_or(|e| e != "tck")),
            "shares are forgotten"
        );
    }
    assert!(record(&net, 0)["metrics"][0]["accuracy"].as_f64().unwrap() > 0.8);
}

#[test]
fn a_stop_on_request_is_clean_told_and_gone_on_from_and_a_damaged_checkpoint_is_passed_over() {
    let net = net(4, 300, 2);
    let running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
    until(&net, 1, "a checkpoint", |state| state.checkpoint.is_some_and(|step| step >= 60));
    running[1].signal("-TERM");
    let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
    assert_eq!(ended[1].output.status.code(), Some(3), "{}", ended[1].stderr());
    assert!(ended[1].stderr().contains("was asked to stop and did so at step"), "{}", ended[1].stderr());
    for party in [0, 2] {
        let sentence = ended[party].sentence();
        assert!(sentence.contains("is kept: start this node again"), "{sentence}");
        let log = fs::read_to_string(net.home(party).join("node.log")).unwrap();
        assert!(log.contains("its operator stopped it"), "{log}");
        assert_eq!(state(&net, party).unwrap().doing, Doing::Failed);
    }
    assert_eq!(state(&net, 1).unwrap().doing, Doing::Stopped);

    // A flipped bit in the newest checkpoint of one party.
    let (newest, mut bytes) = checkpoints(&net, 1).pop().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&newest, bytes).unwrap();
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let log = fs::read_to_string(net.home(1).join("node.log")).unwrap();
    assert!(log.contains("is damaged, cut short, or was sealed with another key: it is left out"), "{log}");
    (0..3).for_each(|party| each_step_once(&net, party, 1800));
}

/// A party's checkpoints, by step.
fn checkpoints(net: &Net, party: usize) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = common::files(&net.home(party).join("out-state"));
    files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "tck"));
    files.sort();
    files
}

#[test]
fn a_party_that_runs_out_of_room_is_named_and_goes_on_when_there_is_some() {
    let net = net(2, 300, 60);
    let mut command = Command::new("sh");
    // Files of at most 8 KiB, and an error instead of a signal: what a full disk does to a process.
    let limited = format!("trap '' XFSZ; ulimit -f 16; exec {} \"$@\"", env!("CARGO_BIN_EXE_tercet"));
    command.args(["-c", &limited, "sh"]);
    let others: Vec<_> = [0, 2].map(|party| net.start(party)).into();
    let sentence = net.start_as(1, "node", command).wait().sentence();
    assert!(sentence.contains("File too large") && sentence.contains("start this node again"), "{sentence}");
    let ended = net.start(1).wait();
    assert!(ended.succeeded(), "{}", ended.stderr());
    for running in others {
        let ended = running.wait();
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    (0..3).for_each(|party| each_step_once(&net, party, 1800));
}

#[test]
fn the_dealer_s_checkpoint_holds_no_number_and_an_evaluator_s_says_nothing_in_the_clear() {
    let net = net(2, 100_000, 60);
    let running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
    until(&net, 2, "a checkpoint", |state| state.checkpoint.is_some_and(|step| step >= 60));
    until(&net, 0, "a checkpoint", |state| state.checkpoint.is_some_and(|step| step >= 60));
    running.into_iter().for_each(Running::kill);
    let size = |party: usize| checkpoints(&net, party).last().unwrap().1.len();
    // 22 weights and biases at an evaluator; only four tensors' public facts at the dealer.
    assert_eq!(size(0) - size(2), 22 * 8);
    assert!(checkpoints(&net, 0).len() <= 4);
    // Lost with the state folder of an evaluator: said so, and nothing of the others is thrown away.
    fs::remove_dir_all(net.home(1).join("out-state")).unwrap();
    for ended in net.run(&[0, 1, 2]) {
        let sentence = ended.sentence();
        assert!(
            sentence.contains("`ben` holds no checkpoint of this job, but `ada` holds one"),
            "{sentence}"
        );
    }
    assert!(!checkpoints(&net, 0).is_empty());
    assert!(Path::new(&net.out(0)).join(journal::FILE).exists());
}
