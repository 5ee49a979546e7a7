//! Strangers at the door: bad handshakes before a run and a flood of connections during it change nothing of its result.
//!
//! `TERCET_BAD_HANDSHAKES` and `TERCET_FLOOD` set how many; the defaults suit CI.

#![expect(clippy::print_stdout, reason = "the measured counts are for a person")]

#[path = "../common/mod.rs"]
mod common;
mod strangers;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Net, Running, record};
use strangers::{Caller, Strangers};
use tercet_data::{Limits, model};

/// What all hostile traffic together may cost a node beside its run, bytes.
const ROOM: u64 = 48 << 20;

/// Two runs of one job differ by the rounding of shares, which is random. Largest difference of a weight.
const TOLERANCE: f32 = 0.002;

fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The parties wait for each other as long as the strangers may take.
fn net(epochs: usize, handshakes: usize) -> Net {
    let net = Net::new(60 + handshakes as u64 / 5);
    net.edit_jobs("epochs = 8", &format!("epochs = {epochs}"));
    net.edit_jobs("learning_rate = 0.5", "learning_rate = 0.03125");
    net
}

#[test]
fn ten_thousand_bad_handshakes_and_a_flood_of_connections_leave_a_run_as_it_would_have_been() {
    let handshakes = count("TERCET_BAD_HANDSHAKES", 120);
    let flood = count("TERCET_FLOOD", 60);
    let epochs = count("TERCET_FLOOD_EPOCHS", 500);

    let calm = net(epochs, handshakes);
    for ended in calm.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }

    let net = net(epochs, handshakes);
    let strangers = Strangers::new(&net.home(2).join("node.crt"), &net.home(1).join("node.key"));
    let mut running: Vec<_> = [0, 1].map(|party| net.start(party)).into();
    wait_until(&net, &[0, 1], "listening");
    let begun = Instant::now();
    for kind in Caller::ALL {
        let refused = strangers.call(kind, &net.addresses[..2], handshakes / Caller::ALL.len());
        assert_eq!(refused, handshakes / Caller::ALL.len(), "{kind:?}: every call is refused");
    }
    strangers.garbage(&net.addresses[..2], handshakes);
    println!(
        "{handshakes} bad handshakes and as many garbage packets in {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    running.push(net.start(2));
    wait_until(&net, &[0, 1, 2], " step ");
    let begun = Instant::now();
    let refused = strangers.call(Caller::Stranger, &net.addresses, flood);
    println!("{flood} connections during the run in {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(refused, flood, "every connection is refused");
    assert!(
        running.iter_mut().all(still_running),
        "the run ended before the flood: raise the number of epochs"
    );

    for (party, ended) in running.into_iter().map(Running::wait).enumerate() {
        assert!(ended.succeeded(), "{}", ended.stderr());
        // The log has a line a second about strangers, not one each.
        let lines = ended.stderr().matches("refused a connection").count();
        assert!(lines <= 3 + begun.elapsed().as_secs() as usize + 60, "{lines} lines");
        let (calm, stormy) = (record(&calm, party), record(&net, party));
        assert_eq!(calm["steps"], stormy["steps"]);
        assert_eq!(calm["bytes"]["payload_online"], stormy["bytes"]["payload_online"]);
        let peak = |record: &serde_json::Value| record["memory_peak"].as_u64().unwrap();
        println!("party {party}: {} MiB, {} MiB with strangers", peak(&calm) >> 20, peak(&stormy) >> 20);
        assert!(peak(&stormy) < peak(&calm) + ROOM, "{} against {}", peak(&stormy), peak(&calm));
    }
    let (calm, stormy) = (weights(&calm.out(0)), weights(&net.out(0)));
    let difference = calm.iter().zip(&stormy).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("largest difference of a weight: {difference}");
    assert!(calm.len() == stormy.len() && difference < TOLERANCE, "{difference}");
}

fn still_running(running: &mut Running) -> bool {
    running.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
}

fn wait_until(net: &Net, parties: &[usize], said: &str) {
    let begun = Instant::now();
    let log = |party: &usize| fs::read_to_string(net.home(*party).join("node.log")).unwrap_or_default();
    while !parties.iter().all(|party| log(party).contains(said)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "no log says {said:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn weights(out: &Path) -> Vec<f32> {
    let model = model::read(&out.join("model"), &Limits::default()).unwrap();
    model.parameters().iter().flat_map(|layer| layer.weight.iter().chain(&layer.bias).copied()).collect()
}
