//! What `tercet plan` states comes true.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::tercet;
use serde_json::Value;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The plan of a job, as JSON.
fn plan(job: &Path, options: &[&str]) -> Value {
    let output = tercet().args(["plan", "--json", "--job"]).arg(job).args(options).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Bytes from a party to all, in one phase of a declared cost.
fn sent(cost: &Value, phase: &str, party: usize) -> u64 {
    cost[phase][party].as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).sum()
}

/// Runs `job` on the testnet and compares every party's record with the plan, to the byte and the round.
fn comes_true(job: &Path, data: &Path, protocol: &str) {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("net");
    let mut command = tercet();
    command.args(["testnet", "--protocol", protocol, "--job"]).arg(job).arg("--data").arg(data);
    let output = command.arg("--out").arg(&net).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan = plan(&net.join("job.toml"), &[]);
    let total = &plan["total"];
    for (party, name) in plan["parties"].as_array().unwrap().iter().enumerate() {
        let record = net.join(name.as_str().unwrap()).join("out/record.json");
        let record: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
        let counted = |key: &str| record["bytes"][key].as_u64().unwrap();
        assert_eq!(counted("payload_online"), sent(total, "online", party), "{name} online");
        assert_eq!(counted("payload_offline"), sent(total, "offline", party), "{name} offline");
        assert_eq!(plan["bytes_sent"][party], counted("payload_online") + counted("payload_offline"));
        // A dealer takes part in sharing and opening alone.
        if protocol == "ot" || party < 2 {
            assert_eq!(record["rounds"]["total"], plan["rounds"], "{name}");
        }
        assert_eq!(record["steps"], plan["declared"]["counts"]["steps"]);
    }
}

#[test]
fn bytes_and_rounds_of_the_default_job_are_exactly_those_planned() {
    let jobs = repository("testnet/jobs");
    comes_true(&jobs.join("breast-cancer.toml"), &jobs.join("breast-cancer.data.toml"), "helper");
}

#[test]
fn a_short_last_batch_several_evaluations_a_range_guard_and_an_early_end_are_planned_exactly() {
    let jobs = repository("testnet/jobs");
    let text = fs::read_to_string(jobs.join("breast-cancer.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    let from = text.find("epochs = ").unwrap();
    let until = from + text[from..].find('\n').unwrap();
    for (schedule, protocol) in [
        ("epochs = 3\nmomentum = 0.5\nevaluate_every = 2", "helper"),
        ("epochs = 3\nevaluate_every = 1\nmax_steps = 31", "helper"),
        ("epochs = 1\nmax_steps = 3", "ot"),
    ] {
        let changed = format!("{}{schedule}{}", &text[..from], &text[until..]);
        // A guard at full and at short steps.
        let changed = changed.replace("\nfrac = 16", "\nfrac = 16\nguard_every = 2");
        let changed = changed.replace("\nloss = []", "\nloss = [\"hospital-b\"]");
        fs::write(&job, changed.replace("standardise = \"bounds\"", "standardise = \"shares\"")).unwrap();
        comes_true(&job, &jobs.join("breast-cancer.data.toml"), protocol);
    }
}

#[test]
fn a_slower_link_changes_the_time_and_nothing_else() {
    let job = repository("testnet/jobs/mnist.toml");
    let seconds = |plan: &Value| plan["seconds"]["epoch"].as_f64().unwrap();
    let [lan, wan, slow] = ["lan", "wan", "rtt=40ms,rate=10mbit"].map(|link| plan(&job, &["--link", link]));
    assert_eq!(lan["total"], wan["total"]);
    assert!(seconds(&lan) < seconds(&wan) && seconds(&wan) < seconds(&slow));
    // An epoch cannot be shorter than what its rounds and its bytes take alone.
    let step = &wan["declared"]["step"];
    let steps = wan["declared"]["counts"]["steps_per_epoch"].as_f64().unwrap();
    assert!(seconds(&wan) > steps * step["rounds"].as_f64().unwrap() * 0.020);
    let dealt = step["offline"][2][1].as_f64().unwrap();
    assert!(seconds(&slow) > steps * dealt * 8.0 / 10e6 * 0.99);
    let double = plan(&job, &["--link", "wan", "--watts", "200"]);
    let power = double["joules"].as_f64().unwrap() / double["seconds"]["total"].as_f64().unwrap();
    assert!((power - 600.0).abs() < 1e-6, "three machines of 200 W: {power}");
}

#[test]
fn the_table_says_what_is_exact_and_what_is_assumed() {
    let job = repository("testnet/jobs/breast-cancer.toml");
    let output = tercet().args(["plan", "--link", "lan", "--job"]).arg(&job).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    for part in [
        "any one party",
        "declared, exact",
        "estimated",
        "100 W each",
        "measured",
        "dealer",
        "kept by bounds",
    ] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let wrong = tercet().args(["plan", "--link", "rtt=soon", "--job"]).arg(&job).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("rtt=20ms"));
}
