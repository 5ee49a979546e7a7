//! Jobs without a dealer: on the fly, and on material made ahead of time.

mod common;

use common::{Net, Running, record, tercet};

const HELPER: &str = "protocol = \"helper\"";
const OT: &str = "protocol = \"ot\"";

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
    let net = Net::new(20);
    net.edit_jobs(HELPER, OT);
    for party in 0..3 {
        net.edit(&net.config(party), "out = \"out\"", "out = \"out\"\nmaterial = \"material\"");
    }
    // None yet: each node says so by itself.
    net.refused(0, "there is no stored material");

    let making: Vec<Running> = (0..3).map(|party| net.start_as(party, "preprocess", tercet())).collect();
    for made in making.into_iter().map(Running::wait) {
        assert!(made.succeeded(), "{}", made.stderr());
    }
    trained(&net);
    for party in 0..3 {
        // Two messages of 16 bytes and their headers, to agree that the material was made together.
        assert!(record(&net, party)["bytes"]["sent_offline"].as_u64().unwrap() < 200);
        std::fs::rename(net.out(party), net.home(party).join("first")).unwrap();
    }
    net.refused(1, "was used before");
}
