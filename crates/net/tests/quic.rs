//! Who may join a QUIC mesh, and what a party that may not is told.

mod mesh;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use mesh::{A, B, C, JOB, NAMES, Setup, job, tag};
use tercet_net::identity::{generate, generate_valid};
use tercet_net::quic::{MAX_KEY, Options, QuicListener, QuicTransport};
use tercet_net::{CertificateFault, NetError, PartyId, PerPhase, Phase, Transport};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Connects all three with a short deadline to join; returns the errors, `None` where a party joined.
fn errors(setup: Setup) -> [Option<NetError>; 3] {
    setup.connect_all(|_, options| options.join_deadline = Duration::from_millis(1500)).map(Result::err)
}

#[test]
fn a_certificate_that_is_not_pinned_is_refused() {
    // Everyone's roster pins another certificate for A than the one A has.
    let mut setup = Setup::new();
    let real = setup.entries[0].fingerprint;
    let other = generate("someone else").unwrap().fingerprint();
    setup.entries[0].fingerprint = other;
    let roster = setup.roster();
    setup.entries[0].fingerprint = real;
    let own_roster = setup.roster();
    let [a, b, c] = setup.listeners.map(Option::unwrap);
    let join = |listener: QuicListener, roster: &tercet_net::Roster, me| {
        let roster = roster.clone();
        let options = Options { join_deadline: Duration::from_millis(1500), ..Options::default() };
        std::thread::spawn(move || listener.connect(&roster, job(me), options).err())
    };
    let threads = [join(a, &own_roster, A), join(b, &roster, B), join(c, &roster, C)];
    let [_, b, c] = threads.map(|thread| thread.join().unwrap().unwrap());
    let wrong = CertificateFault::Wrong { presented: real, pinned: other, owner: None };
    let seen = |error: &NetError| {
        matches!(error, NetError::Certificate { party, fault, .. }
        if party.id() == A && **fault == wrong)
    };
    assert!(seen(&b) || seen(&c), "{b} / {c}");
    for error in [b, c] {
        assert!(error.to_string().contains(&format!("presented the certificate {real}")), "{error}");
    }
}

#[test]
fn a_dialler_that_the_listener_does_not_know_is_told_so_and_the_listener_says_what_it_saw() {
    let mut setup = Setup::new();
    let real = setup.entries[2].fingerprint;
    let roster_of_c = setup.roster();
    setup.entries[2].fingerprint = generate("someone else").unwrap().fingerprint();
    let roster = setup.roster();
    let [a, b, c] = setup.listeners.map(Option::unwrap);
    let threads =
        [(a, A, roster.clone()), (b, B, roster), (c, C, roster_of_c)].map(|(listener, me, roster)| {
            // A gives up first, so that it does not hear from B.
            let join_deadline = Duration::from_millis(if me == A { 1000 } else { 2000 });
            let options = Options { join_deadline, ..Options::default() };
            std::thread::spawn(move || listener.connect(&roster, job(me), options).err().unwrap())
        });
    let [a, b, c] = threads.map(|thread| thread.join().unwrap());
    assert!(matches!(&c, NetError::RefusedByPeer { party, .. } if party.id() != C), "{c}");
    // A and B keep waiting for the real C: a stranger must not end their start.
    assert!(matches!(&a, NetError::PeerAbsent { party, .. } if party.id() == C), "{a}");
    assert!(b.to_string().contains("did not join within"), "{b}");
    assert!(a.to_string().contains(&real.to_string()), "{a}");
    assert!(a.to_string().starts_with("party 2 (hospital-c) at 127.0.0.1:"), "{a}");
    assert!(
        a.to_string().contains("did not join within 1.0 s (last seen: a connection from 127.0.0.1:"),
        "{a}"
    );
}

#[test]
fn a_party_that_presents_anothers_certificate_is_named() {
    // A listens where the roster expects B.
    let mut setup = Setup::new();
    let (a, b) = (setup.entries[0].address.clone(), setup.entries[1].address.clone());
    (setup.entries[0].address, setup.entries[1].address) = (b, a);
    let fingerprints = setup.entries.each_ref().map(|entry| entry.fingerprint);
    let errors = errors(setup);
    // B meets itself where A should be, and C meets A where B should be and B where A should be.
    let swapped = errors.iter().flatten().any(|error| match error {
        NetError::Certificate { party, fault, .. } => {
            let wrong = |party, presented, pinned, owner: &tercet_net::Party| {
                (party, presented, pinned, owner.id()) == (B, fingerprints[0], fingerprints[1], A)
                    || (party, presented, pinned, owner.id()) == (A, fingerprints[1], fingerprints[0], B)
            };
            matches!(&**fault, CertificateFault::Wrong { presented, pinned, owner: Some(owner) }
                if wrong(party.id(), *presented, *pinned, owner))
        }
        _ => false,
    });
    assert!(swapped, "{errors:?}");
    assert!(errors.iter().all(Option::is_some));
}

#[test]
fn an_expired_certificate_is_named_with_its_day() {
    let now = SystemTime::now();
    let old = generate_valid("old", now - 20 * DAY, now - 10 * DAY).unwrap();
    let [b, c] = [NAMES[1], NAMES[2]].map(|name| generate(name).unwrap());
    let [_, b, c] = errors(Setup::with([old, b, c])).map(Option::unwrap);
    // Each sees it for itself, or hears it from the other one that did.
    for error in [&b, &c] {
        assert!(error.to_string().contains("presented a certificate that expired on 20"), "{error}");
    }
    let seen = |error: &NetError| {
        matches!(error, NetError::Certificate { party, fault, .. }
        if party.id() == A && matches!(**fault, CertificateFault::Expired(_)))
    };
    assert!(seen(&b) || seen(&c));
}

#[test]
fn a_certificate_of_the_future_is_named() {
    let now = SystemTime::now();
    let future = generate_valid("future", now + DAY, now + 10 * DAY).unwrap();
    let [b, c] = [NAMES[1], NAMES[2]].map(|name| generate(name).unwrap());
    let [_, b, c] = errors(Setup::with([future, b, c])).map(Option::unwrap);
    let seen = |error: &NetError| {
        matches!(error, NetError::Certificate { party, fault, .. }
        if party.id() == A && matches!(**fault, CertificateFault::NotYetValid(_)))
    };
    assert!(seen(&b) || seen(&c), "{b} / {c}");
}

#[test]
fn an_expired_dialler_is_refused_too() {
    let now = SystemTime::now();
    let old = generate_valid("old", now - 20 * DAY, now - 10 * DAY).unwrap();
    let [a, b] = [NAMES[0], NAMES[1]].map(|name| generate(name).unwrap());
    let [a, _, c] = errors(Setup::with([a, b, old]));
    assert!(matches!(&c, Some(NetError::RefusedByPeer { .. })), "{c:?}");
    let text = a.unwrap().to_string();
    assert!(text.contains("with a certificate that expired on 20"), "{text}");
}

#[test]
fn a_party_outside_the_roster_is_told_before_it_dials() {
    let stranger = QuicListener::bind(generate("stranger").unwrap(), mesh::loopback()).unwrap();
    let error = stranger.connect(&Setup::new().roster(), job(A), Options::default()).err().unwrap();
    assert!(matches!(error, NetError::NotInRoster { .. }));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["a", "b"] {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        generate(name).unwrap().save(&path(&certificate), &path(&key)).unwrap();
    }
    let mixed = tercet_net::Identity::load(&path("a.pem"), &path("b.key")).unwrap();
    let error = QuicListener::bind(mixed, mesh::loopback()).err().unwrap();
    assert!(matches!(error, NetError::OwnIdentity { .. }), "{error}");
}

#[test]
fn a_port_in_use_is_named() {
    let first = QuicListener::bind(generate("a").unwrap(), mesh::loopback()).unwrap();
    let error = QuicListener::bind(generate("b").unwrap(), first.local_addr()).err().unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {} (Address already in use", first.local_addr())),
        "{text}"
    );
}

#[test]
fn an_absent_party_is_named_with_its_address() {
    let mut setup = Setup::new();
    let roster = setup.roster();
    let b = setup.listeners[1].take().unwrap();
    drop(setup.listeners[0].take());
    let options = Options { join_deadline: Duration::from_millis(700), ..Options::default() };
    let start = Instant::now();
    let error = b.connect(&roster, job(B), options).err().unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(
        matches!(&error, NetError::PeerAbsent { party, address, .. }
        if party.id() == A && address == roster.address(A)),
        "{error}"
    );
}

#[test]
fn parties_that_start_late_still_join() {
    let mut setup = Setup::new();
    let roster = setup.roster();
    let threads = [C, B, A].map(|me| {
        let listener = setup.listeners[me.index()].take().unwrap();
        let roster = roster.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500) * (2 - me.index() as u32));
            listener.connect(&roster, job(me), Options::default()).unwrap().session()
        })
    });
    let [c, b, a] = threads.map(|thread| thread.join().unwrap());
    assert!(a == b && b == c);
}

#[test]
fn a_differing_job_is_reported_with_the_line_on_both_sides() {
    let results = Setup::new().connect_each(|me, job, options| {
        options.join_deadline = Duration::from_secs(3);
        if me == C {
            job.hash = [8; 32];
            job.text = Some(JOB.replace("100", "200"));
        }
    });
    let [a, b, c] = results.map(|result| result.err().unwrap());
    let differs = |error: &NetError, whom: &[PartyId], mine: &str, other: &str| match error {
        NetError::JobDiffers { party, line: 3, ours, theirs } => {
            whom.contains(&party.id()) && ours == mine && theirs == other
        }
        _ => false,
    };
    assert!(differs(&c, &[A, B], "steps = 200", "steps = 100"), "{c}");
    // A and B each meet C, or hear of the difference from the other one.
    for error in [&a, &b] {
        assert!(
            differs(error, &[C], "steps = 100", "steps = 200") || error.to_string().contains("line 3"),
            "{error}"
        );
    }
    assert!([&a, &b].iter().any(|error| differs(error, &[C], "steps = 100", "steps = 200")));
}

#[test]
fn a_differing_job_without_a_text_is_reported_with_its_digest() {
    let results = Setup::new().connect_each(|me, job, _| {
        job.text = None;
        job.hash = [me.index() as u8; 32];
    });
    for result in results {
        let error = result.err().unwrap();
        assert!(matches!(error, NetError::JobDigestDiffers { .. } | NetError::PeerLost { .. }), "{error}");
    }
}

#[test]
fn a_differing_first_step_is_reported() {
    let results = Setup::new().connect_each(|me, job, _| job.step = if me == B { 40 } else { 30 });
    let error = results[1].as_ref().err().unwrap();
    assert!(matches!(error, NetError::StepDiffers { ours: 40, theirs: 30, .. }), "{error}");
}

#[test]
fn a_party_that_came_for_something_else_is_named_with_what_it_came_for() {
    let results = Setup::new().connect_each(|me, job, _| {
        if me == B {
            job.purpose = "preprocessing".to_owned();
        }
    });
    let error = results[1].as_ref().err().unwrap();
    assert!(matches!(error, NetError::PurposeDiffers { .. }), "{error}");
    assert!(error.to_string().contains("came for training, this party for preprocessing"), "{error}");
}

#[test]
fn an_overlong_key_or_text_is_refused_before_anything_is_sent() {
    let results = Setup::new().connect_each(|me, job, options| {
        options.join_deadline = Duration::from_millis(200);
        match me.index() {
            0 => job.key = vec![0; MAX_KEY + 1],
            1 => job.text = Some("x".repeat(256 * 1024 + 1)),
            _ => {}
        }
    });
    let [a, b, _] = results.map(|result| result.err().unwrap());
    assert!(matches!(a, NetError::TooLong { what: "public key", bytes: 65, limit: 64 }));
    assert!(matches!(b, NetError::TooLong { what: "job text", .. }));
}

#[test]
fn an_online_message_passes_a_stuck_offline_stream() {
    let joined = Setup::new().connect_all(|_, options| {
        options.read_ahead = PerPhase { offline: 1 << 20, online: 1 << 20 };
    });
    let [mut a, _b, mut c] = joined.map(Result::unwrap);
    // 60 MiB fill A's read-ahead, the stream's window and part of C's queue: nothing moves any more.
    for op in 0..60 {
        c.send(A, Phase::Offline, &tag(0, op), vec![op as u8; 1 << 20]).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    for op in 0..8 {
        c.send(A, Phase::Online, &tag(0, op), vec![op as u8; 1 << 20]).unwrap();
        assert!(a.recv(C, Phase::Online, &tag(0, op), 1 << 20).unwrap() == vec![op as u8; 1 << 20]);
    }
    for op in 0..60 {
        assert!(a.recv(C, Phase::Offline, &tag(0, op), 1 << 20).unwrap() == vec![op as u8; 1 << 20]);
    }
}

#[test]
fn what_arrived_before_the_connection_closed_can_be_read_after_it() {
    let joined = Setup::new().connect_all(|_, options| {
        options.read_ahead = PerPhase { offline: 1 << 20, online: 1 << 20 };
    });
    let [mut a, b, mut c] = joined.map(Result::unwrap);
    drop(b);
    // 1 MiB goes into the read-ahead, the rest fits into the stream's window.
    const LENGTH: usize = 900_000;
    for op in 0..3 {
        c.send(A, Phase::Offline, &tag(0, op), vec![op as u8; LENGTH]).unwrap();
    }
    // Fails, because B has gone, but not before A has everything.
    let error = Box::new(c).close().unwrap_err();
    assert!(matches!(&error, NetError::PeerLost { party, .. } if party.id() == B), "{error}");
    std::thread::sleep(Duration::from_millis(100));
    for op in 0..3 {
        assert!(a.recv(C, Phase::Offline, &tag(0, op), LENGTH).unwrap() == vec![op as u8; LENGTH]);
    }
}

/// Not a claim by itself: the process that `a_killed_party_is_named_within_its_deadline` kills.
#[test]
fn a_party_for_the_killer() {
    let Ok(plan) = std::env::var("TERCET_TEST_PARTY") else { return };
    let mut words = plan.split(' ');
    let mut word = || words.next().unwrap();
    let folder = std::path::PathBuf::from(word());
    let identity = tercet_net::Identity::load(&folder.join("c.pem"), &folder.join("c.key")).unwrap();
    let entries = NAMES.map(|name| tercet_net::RosterEntry {
        name: name.to_owned(),
        address: word().to_owned(),
        fingerprint: word().parse().unwrap(),
    });
    let roster = tercet_net::Roster::new(entries).unwrap();
    let listener = QuicListener::bind(identity, mesh::loopback()).unwrap();
    let mut transport = listener.connect(&roster, job(C), Options::default()).unwrap();
    transport.send(A, Phase::Online, &tag(0, 0), vec![1]).unwrap();
    // Until it is killed.
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_party_is_named_within_its_deadline() {
    let deadline = Duration::from_secs(2);
    let folder = tempfile::tempdir().unwrap();
    let c = generate("c").unwrap();
    c.save(&folder.path().join("c.pem"), &folder.path().join("c.key")).unwrap();
    let mut setup = Setup::with([generate("a").unwrap(), generate("b").unwrap(), c]);
    drop(setup.listeners[2].take());
    let roster = setup.roster();
    let mut plan = folder.path().display().to_string();
    for entry in &setup.entries {
        plan += &format!(" {} {}", entry.address, entry.fingerprint);
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_party_for_the_killer", "--nocapture"])
        .env("TERCET_TEST_PARTY", plan)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let join = |me: PartyId, listener: QuicListener| {
        let roster = roster.clone();
        std::thread::spawn(move || -> QuicTransport {
            let options = Options { deadline, ..Options::default() };
            listener.connect(&roster, job(me), options).unwrap()
        })
    };
    let (a, b) = (setup.listeners[0].take().unwrap(), setup.listeners[1].take().unwrap());
    let (a, b) = (join(A, a), join(B, b));
    let (mut a, _b) = (a.join().unwrap(), b.join().unwrap());
    assert_eq!(a.recv(C, Phase::Online, &tag(0, 0), 1).unwrap(), vec![1]);
    child.kill().unwrap();
    child.wait().unwrap();
    let start = Instant::now();
    let error = a.recv(C, Phase::Online, &tag(7, 1), 8).unwrap_err();
    assert!(start.elapsed() < deadline, "{:?}", start.elapsed());
    assert!(matches!(&error, NetError::PeerLost { party, step: 7, .. } if party.id() == C), "{error}");
    assert!(error.to_string().contains("nothing was heard from it for 1.0 s"), "{error}");
}
