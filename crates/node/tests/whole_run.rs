//! Whole runs of three processes, from keys to results.

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{NAMES, Net, TEST_ROWS, files, record, rows, tercet};
use serde_json::Value;

#[test]
fn three_parties_train_and_each_receives_what_the_job_releases_to_it() {
    let net = Net::new(20);
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let records: Vec<Value> = (0..3).map(|party| record(&net, party)).collect();
    for key in ["job_hash", "session", "steps", "openings"] {
        assert!(!records[0][key].is_null(), "{key}");
        assert_eq!(records[0][key], records[1][key], "{key}");
        assert_eq!(records[0][key], records[2][key], "{key}");
    }
    assert_eq!(records[0]["steps"], 8 * 6);

    // The model goes to the first party, the accuracy to the first two.
    let names = |party: usize| -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(net.out(party)).unwrap().display().to_string();
        let mut names: Vec<_> = files(&net.out(party)).iter().map(|(path, _)| name(path)).collect();
        names.sort();
        names
    };
    assert_eq!(names(0), ["model/model.json", "model/model.safetensors", "record.json"]);
    assert_eq!(names(1), ["record.json"]);
    assert_eq!(names(2), ["record.json"]);
    let accuracy =
        |party: usize| records[party]["metrics"].as_array().unwrap().last().map(|m| m["accuracy"].clone());
    assert_eq!(accuracy(0), accuracy(1));
    let reached = accuracy(0).unwrap().as_f64().unwrap();
    assert!(reached >= 0.8, "accuracy {reached}");
    assert!(accuracy(2).is_none_or(|value| value.is_null()), "the dealer is no recipient");

    let model = tercet_data::model::read(&net.out(0).join("model"), &tercet_data::Limits::default()).unwrap();
    assert_eq!(model.parameters().len(), 2);
    assert_eq!(model.parameters()[0].weight.shape(), [4, 2]);

    // What one party sent is what the two others received.
    let count = |party: usize, key: &str| records[party]["bytes"][key].as_u64().unwrap();
    for phase in ["online", "offline"] {
        let sent: u64 = (0..3).map(|party| count(party, &format!("sent_{phase}"))).sum();
        let received: u64 = (0..3).map(|party| count(party, &format!("received_{phase}"))).sum();
        assert_eq!(sent, received, "{phase}");
        assert!(sent > 0, "{phase}");
    }
    let reasons: Vec<_> =
        records[0]["openings"].as_array().unwrap().iter().map(|o| o["reason"].clone()).collect();
    assert_eq!(reasons, ["accuracy", "model"]);
}

#[test]
fn standardisation_on_shares_opens_nothing_besides_what_the_job_releases() {
    let net = Net::new(20);
    net.edit_jobs("format = \"csv\"", "format = \"csv\"\nstandardise = \"shares\"");
    net.edit_jobs("accuracy = [\"ada\", \"ben\"]", "accuracy = [\"cyd\"]\nloss = [\"ben\"]");
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let records: Vec<Value> = (0..3).map(|party| record(&net, party)).collect();
    for record in &records {
        let openings: Vec<_> =
            record["openings"].as_array().unwrap().iter().map(|o| (&o["reason"], &o["to"])).collect();
        let to = |party: usize| Value::from(vec![party]);
        let [accuracy, loss, model] = ["accuracy", "loss", "model"].map(Value::from);
        assert_eq!(openings, [(&accuracy, &to(2)), (&loss, &to(1)), (&model, &to(0))]);
    }
    let last = |party: usize, key: &str| {
        records[party]["metrics"].as_array().unwrap().last().map(|m| m[key].clone())
    };
    assert!(last(2, "accuracy").unwrap().as_f64().unwrap() >= 0.8);
    assert!(last(1, "loss").unwrap().as_f64().unwrap() < 0.6);
    assert!(last(1, "accuracy").unwrap().is_null() && last(2, "loss").unwrap().is_null());
    assert!(last(0, "accuracy").is_none(), "the first party receives the model alone");

    // The model takes rows scaled by their bounds: means and deviations are in its first layer.
    let model = tercet_data::model::read(&net.out(0).join("model"), &tercet_data::Limits::default()).unwrap();
    let [first, last] = model.parameters() else { panic!("two layers have weights") };
    let text = rows(100, 77);
    let right = text.lines().skip(1).filter(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let x = [cells[0], cells[1]].map(|cell| cell.parse::<f32>().unwrap() / 4.0);
        let layer = |p: &tercet_data::model::Parameters, x: &[f32], o: usize| {
            p.bias[o] + x.iter().enumerate().map(|(i, x)| p.weight[[o, i]] * x).sum::<f32>()
        };
        let hidden: Vec<f32> = (0..first.bias.len()).map(|o| layer(first, &x, o).max(0.0)).collect();
        (layer(last, &hidden, 1) > layer(last, &hidden, 0)) == (cells[2] == "warm")
    });
    assert!(right.count() >= 80);
}

#[test]
fn the_testnet_trains_prints_a_table_and_writes_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let (job, out) = template(folder.path());
    let output = testnet(&job, &out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).unwrap();
    for part in ["test accuracy", "floating point", "evaluator-0", "dealer", "summary.json"] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let summary: Value = serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key} in {summary}"));
    assert!(number("accuracy") >= 0.8 && number("float_accuracy") >= 0.8, "{summary}");
    for key in ["steps", "seconds_training", "seconds_total", "rounds"] {
        assert!(number(key) > 0.0, "{key}");
    }
    assert_eq!(summary["protocol"], "helper");
    assert_eq!(summary["transport"], "quic");
    assert_eq!(summary["parties"], serde_json::json!(NAMES));
    assert!(summary["bytes_sent"].as_array().unwrap().iter().all(|count| count.as_u64() > Some(0)));
    assert!(!summary["openings"].as_array().unwrap().is_empty());
    assert!(Path::new(summary["model"].as_str().unwrap()).join("model.safetensors").is_file());

    // The folder holds a job that can be trained again in the open, and a second testnet may take its place.
    let plaintext = tercet().args(["plaintext", "--job"]).arg(out.join("job.toml")).output().unwrap();
    assert!(plaintext.status.success(), "{}", String::from_utf8_lossy(&plaintext.stderr));
    assert!(testnet(&job, &out).status.success());
}

#[test]
fn a_shaped_testnet_goes_through_relays_and_takes_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let (job, out) = template(folder.path());
    let mut command = tercet();
    command.args(["testnet", "--threads", "1", "--link", "rtt=2ms,rate=200mbit", "--job"]).arg(&job);
    let output = command.arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["link"], "delay=1ms,rate=200mbit");
    // Whatever one party sends another goes through a relay, with all that QUIC adds.
    let sent: u64 =
        summary["bytes_sent"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert!(summary["wire"]["bytes"].as_u64().unwrap() > sent, "{summary}");
    // A round waits for one way at least.
    let (rounds, seconds) =
        (summary["rounds"].as_f64().unwrap(), summary["seconds_training"].as_f64().unwrap());
    assert!(seconds > 0.9 * rounds * 0.001, "{rounds} rounds in {seconds} s");
    // The highest role dials both others, at relays; the job keeps the addresses at which they listen.
    let node = fs::read_to_string(out.join(NAMES[2]).join("node.toml")).unwrap();
    let job = fs::read_to_string(out.join("job.toml")).unwrap();
    for name in &NAMES[..2] {
        let line = node.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).unwrap();
        assert!(!job.contains(line), "{line}");
    }
    assert!(node.contains("path = \"network\""), "{node}");
}

#[test]
fn a_testnet_with_a_fault_in_the_data_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (job, out) = template(folder.path());
    fs::write(folder.path().join("ben.csv"), "x,y,class\n1,2,lukewarm\n").unwrap();
    let output = testnet(&job, &out);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("line 2") && stderr.contains("ben.csv") && !stderr.contains("lukewarm"),
        "{stderr}"
    );
    assert!(!out.exists());
}

#[test]
fn a_testnet_never_removes_a_folder_that_it_did_not_make() {
    let folder = tempfile::tempdir().unwrap();
    let (job, out) = template(folder.path());
    fs::create_dir(&out).unwrap();
    fs::write(out.join("precious"), "x").unwrap();
    let output = testnet(&job, &out);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not of an earlier testnet"));
    assert!(out.join("precious").is_file());
}

#[test]
fn an_unknown_protocol_is_refused_with_those_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    let (job, out) = template(folder.path());
    let output =
        tercet().args(["testnet", "--protocol", "magic", "--job"]).arg(&job).arg("--out").arg(&out).output();
    let stderr = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
    assert!(stderr.contains("no protocol `magic`: choose one of helper"), "{stderr}");
}

/// A job template and its data files in `folder`; the testnet's folder.
fn template(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let empty = [String::new(), String::new(), String::new()];
    let address = "127.0.0.1:9".parse().unwrap();
    let text = common::job(&empty, &[address; 3]).replace("address = \"127.0.0.1:9\"", "address = \"\"");
    let job = folder.join("small.toml");
    fs::write(&job, text).unwrap();
    let mut data = String::new();
    for (i, name) in NAMES.iter().enumerate() {
        fs::write(folder.join(format!("{name}.csv")), rows(common::TRAIN_ROWS[i], i as u64)).unwrap();
        data.push_str(&format!("[{name}]\ntrain = {{ file = \"{name}.csv\" }}\n"));
    }
    data.push_str("test = { file = \"test.csv\" }\n");
    fs::write(folder.join("test.csv"), rows(TEST_ROWS, 9)).unwrap();
    fs::write(folder.join("small.data.toml"), data).unwrap();
    (job, folder.join("net"))
}

fn testnet(job: &Path, out: &Path) -> Output {
    tercet().args(["testnet", "--job"]).arg(job).arg("--out").arg(out).output().unwrap()
}
