//! What goes wrong between parties is named by the party that sees it, within its deadline.

mod common;

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime};

use common::{NAMES, Net, files};
use tercet_net::identity;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn jobs_that_differ_stop_the_run_and_the_line_is_named() {
    let net = Net::new(3);
    net.edit(&net.job(1), "learning_rate = 0.5", "learning_rate = 0.25");
    let ended = net.run(&[0, 1, 2]);
    let sentences: Vec<_> = ended.iter().map(|ended| ended.sentence()).collect();
    let named =
        sentences.iter().filter(|s| s.contains("learning_rate = 0.5") && s.contains("learning_rate = 0.25"));
    assert!(named.count() >= 2, "{sentences:#?}");
    (0..3).for_each(|party| net.nothing_left(party));
}

#[test]
fn a_certificate_that_the_job_does_not_pin_is_refused_by_its_own_node_and_by_the_others() {
    let net = Net::new(2);
    let other = identity::generate(NAMES[1]).unwrap();
    for file in ["node.crt", "node.key"] {
        fs::remove_file(net.home(1).join(file)).unwrap();
    }
    other.save(&net.home(1).join("node.crt"), &net.home(1).join("node.key")).unwrap();
    net.refused(1, "but the job pins");

    // A party that changes its own job to fit still meets two that pin the right one.
    let text = fs::read_to_string(net.job(0)).unwrap();
    let pinned =
        text.lines().filter_map(|line| line.strip_prefix("fingerprint = ")).nth(1).unwrap().to_owned();
    net.edit(&net.job(1), &pinned, &format!("\"{}\"", other.fingerprint()));
    let ended = net.run(&[0, 1, 2]);
    for (party, ended) in ended.iter().enumerate() {
        let sentence = ended.sentence();
        if party != 1 {
            assert!(sentence.contains("party 1 (ben)"), "{sentence}");
        }
        net.nothing_left(party);
    }
}

#[test]
fn an_expired_certificate_is_refused_and_its_party_named() {
    let net = Net::new(2);
    let now = SystemTime::now();
    let expired = identity::generate_valid(NAMES[1], now - 2 * DAY, now - DAY).unwrap();
    for file in ["node.crt", "node.key"] {
        fs::remove_file(net.home(1).join(file)).unwrap();
    }
    expired.save(&net.home(1).join("node.crt"), &net.home(1).join("node.key")).unwrap();
    let text = fs::read_to_string(net.job(0)).unwrap();
    let pinned =
        text.lines().filter_map(|line| line.strip_prefix("fingerprint = ")).nth(1).unwrap().to_owned();
    net.edit_jobs(&pinned, &format!("\"{}\"", expired.fingerprint()));
    let sentences: Vec<_> = net.run(&[0, 1, 2]).iter().map(|ended| ended.sentence()).collect();
    let naming = |s: &&String| s.contains("party 1 (ben)") && s.contains("expired");
    assert!(sentences.iter().filter(naming).count() >= 1, "{sentences:#?}");
}

#[test]
fn missing_and_unprotected_key_files_are_named() {
    let net = Net::new(2);
    fs::rename(net.home(0).join("node.crt"), net.home(0).join("other.crt")).unwrap();
    net.refused(0, "node.crt cannot be read");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = net.home(1).join("node.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        net.refused(1, "readable by others");
        let open = |mode| fs::set_permissions(net.home(2), fs::Permissions::from_mode(mode)).unwrap();
        open(0o777);
        net.refused(2, "is writable by others");
        let doctor = net.start_as(2, "doctor", common::tercet()).wait().sentence();
        assert!(doctor.contains("is writable by others"), "{doctor}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_running_node_leaves_no_core_file() {
    let net = Net::new(20);
    let mut node = net.start(0);
    let limits = format!("/proc/{}/limits", node.child.as_ref().unwrap().id());
    let begun = Instant::now();
    while !fs::read_to_string(net.home(0).join("node.log")).unwrap_or_default().contains("listening") {
        assert!(begun.elapsed() < Duration::from_secs(20), "the node does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    let limits = fs::read_to_string(limits).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    assert!(node.child.as_mut().unwrap().try_wait().unwrap().is_none());
}

#[test]
fn a_port_in_use_is_named() {
    let net = Net::new(2);
    let _held = UdpSocket::bind(net.addresses[0]).unwrap();
    net.refused(0, &format!("cannot listen on {}", net.addresses[0]));
}

#[test]
fn a_party_that_never_comes_is_named_within_the_deadline() {
    let net = Net::new(2);
    let started = Instant::now();
    let ended = net.run(&[0, 1]);
    let waited = started.elapsed();
    for (party, ended) in ended.iter().enumerate() {
        let sentence = ended.sentence();
        assert!(sentence.contains("party 2 (cyd)") && sentence.contains("did not join within"), "{sentence}");
        net.nothing_left(party);
    }
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[test]
fn a_party_that_dies_is_named_within_the_deadline_and_no_model_is_left() {
    for dying in 0..3 {
        let net = Net::new(2);
        // Long enough that nobody is done when the party dies, the dealer with its head start included.
        net.edit_jobs("epochs = 8", "epochs = 100000");
        let running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
        let begun = Instant::now();
        let training = |party: usize| {
            let log = fs::read_to_string(net.home(party).join("node.log")).unwrap_or_default();
            log.contains(" step ")
        };
        while !(0..3).all(training) {
            assert!(begun.elapsed() < Duration::from_secs(30), "the training does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        let died = Instant::now();
        let mut survivors = Vec::new();
        for (party, node) in running.into_iter().enumerate() {
            if party == dying { node.kill() } else { survivors.push((party, node)) }
        }
        let named = format!("party {dying} ({})", NAMES[dying]);
        let sentences: Vec<_> =
            survivors.into_iter().map(|(party, node)| (party, node.wait().sentence())).collect();
        let waited = died.elapsed();
        assert!(waited < Duration::from_secs(4), "{waited:?}");
        for (party, sentence) in sentences {
            assert!(sentence.contains(&named), "{sentence}");
            let left: Vec<_> = files(&net.out(party)).into_iter().map(|(path, _)| path).collect();
            assert_eq!(left, [net.out(party).join("record.json")], "only the record of the failure is left");
            let record = common::record(&net, party);
            assert_eq!(record["outcome"]["status"], "failed");
            assert!(record["outcome"]["reason"].as_str().unwrap().contains(&named));
        }
    }
}
