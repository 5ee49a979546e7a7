//! What every transport promises, as claims that hold in memory and over QUIC.

mod mesh;

use std::thread;
use std::time::{Duration, Instant};

use mesh::{A, B, Bounds, C, Memory, Mesh, Quic, keys, play, tag};
use tercet_net::header::HEADER_BYTES;
use tercet_net::{Label, NetError, PartyId, Phase, Tag};

/// Each claim is a generic function, run on both transports.
macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod in_memory { $(#[test] fn $claim() { super::$claim::<super::Memory>(); })* }
        mod over_quic { $(#[test] fn $claim() { super::$claim::<super::Quic>(); })* }
    };
}

claims!(
    ten_thousand_small_messages_arrive_in_order,
    several_large_messages_arrive_whole,
    an_empty_message_is_a_message,
    all_parties_agree_on_session_names_and_keys,
    offline_does_not_block_online,
    a_full_queue_blocks_the_sender_until_the_receiver_reads,
    a_peer_that_never_reads_is_named_within_the_deadline,
    a_silent_party_is_named_within_its_deadline,
    a_party_that_sends_in_the_other_phase_is_not_silent,
    a_dropped_party_is_named_promptly_with_its_reason,
    a_finished_party_is_told_from_a_lost_one,
    messages_before_a_goodbye_are_delivered,
    every_part_of_the_tag_is_compared,
    a_message_over_the_frame_limit_is_refused,
    a_message_to_oneself_is_refused,
    the_meter_counts_exact_bytes,
);

fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word as u8
    };
    (0..length).map(next).collect()
}

fn ten_thousand_small_messages_arrive_in_order<M: Mesh>() {
    const COUNT: u64 = 10_000;
    let length = |op: u64| (op % 97) as usize;
    let exchange = |mut party: mesh::Party, peer: PartyId| {
        for op in 0..COUNT {
            party.send(peer, Phase::Online, &tag(0, op), pattern(length(op), op)).unwrap();
        }
        for op in 0..COUNT {
            let got = party.recv(peer, Phase::Online, &tag(0, op), length(op)).unwrap();
            assert_eq!(got, pattern(length(op), op));
        }
        party.close().unwrap();
    };
    play(
        M::build(Bounds::default()),
        [
            Box::new(|party| exchange(party, B)),
            Box::new(|party| exchange(party, A)),
            Box::new(|party| party.close().unwrap()),
        ],
    );
}

fn several_large_messages_arrive_whole<M: Mesh>() {
    const LENGTH: usize = 20 << 20;
    let payload = pattern(LENGTH, 5);
    let all = |me: PartyId| {
        let payload = &payload;
        move |mut party: mesh::Party| {
            for op in 0..2 {
                for peer in me.others() {
                    party.send(peer, Phase::Offline, &tag(1, op), payload.clone()).unwrap();
                }
                for peer in me.others() {
                    assert!(party.recv(peer, Phase::Offline, &tag(1, op), LENGTH).unwrap() == *payload);
                }
            }
            party.close().unwrap();
        }
    };
    play(M::build(Bounds::default()), [Box::new(all(A)), Box::new(all(B)), Box::new(all(C))]);
}

fn an_empty_message_is_a_message<M: Mesh>() {
    let [mut a, mut b, _c] = M::build(Bounds::default());
    a.send(B, Phase::Offline, &tag(0, 0), Vec::new()).unwrap();
    assert_eq!(b.recv(A, Phase::Offline, &tag(0, 0), 0).unwrap(), Vec::<u8>::new());
}

fn all_parties_agree_on_session_names_and_keys<M: Mesh>() {
    let parties = M::build(Bounds::default());
    let another = M::build(Bounds::default());
    assert_ne!(parties[0].session(), another[0].session(), "a session must be fresh");
    for (party, me) in parties.iter().zip(PartyId::ALL) {
        assert_eq!(party.me(), me);
        assert_eq!(party.session(), parties[0].session());
        for id in PartyId::ALL {
            assert_eq!(party.party(id).name(), mesh::NAMES[id.index()]);
            assert_eq!(party.peer_key(id), keys()[id.index()]);
        }
    }
}

fn offline_does_not_block_online<M: Mesh>() {
    let bounds = Bounds { capacity: 1 << 20, ..Bounds::default() };
    let [mut a, mut b, mut c] = M::build(bounds);
    // Fill the way from C to A until nothing more fits; over QUIC there are windows to fill as well.
    let dealing = thread::spawn(move || {
        for op in 0..80 {
            c.send(A, Phase::Offline, &tag(0, op), pattern(1 << 20, op)).unwrap();
        }
        c
    });
    thread::sleep(Duration::from_millis(300));
    assert!(!dealing.is_finished(), "the offline way should be full by now");
    // A is not stuck: its own messages and B's pass.
    for op in 0..100 {
        b.send(A, Phase::Online, &tag(0, op), vec![1; 100]).unwrap();
        let got = a.recv(B, Phase::Online, &tag(0, op), 100).unwrap();
        a.send(C, Phase::Online, &tag(0, op), got).unwrap();
    }
    for op in 0..80 {
        assert!(a.recv(C, Phase::Offline, &tag(0, op), 1 << 20).unwrap() == pattern(1 << 20, op));
    }
    let mut c = dealing.join().unwrap();
    // An online message overtakes an offline one that nobody reads.
    c.send(A, Phase::Offline, &tag(0, 80), pattern(1 << 20, 80)).unwrap();
    c.send(A, Phase::Online, &tag(1, 0), vec![7; 64]).unwrap();
    assert_eq!(a.recv(C, Phase::Online, &tag(1, 0), 64).unwrap(), vec![7; 64]);
}

fn a_full_queue_blocks_the_sender_until_the_receiver_reads<M: Mesh>() {
    const COUNT: u64 = 120;
    let bounds = Bounds { capacity: 1 << 20, ..Bounds::default() };
    let [mut a, mut b, _c] = M::build(bounds);
    let sending = thread::spawn(move || {
        for op in 0..COUNT {
            a.send(B, Phase::Online, &tag(0, op), pattern(1 << 20, op)).unwrap();
        }
        a.close().unwrap();
    });
    thread::sleep(Duration::from_millis(200));
    assert!(!sending.is_finished(), "120 MiB must not fit into bounded queues");
    for op in 0..COUNT {
        assert!(b.recv(A, Phase::Online, &tag(0, op), 1 << 20).unwrap() == pattern(1 << 20, op));
    }
    sending.join().unwrap();
}

fn a_peer_that_never_reads_is_named_within_the_deadline<M: Mesh>() {
    let deadline = Duration::from_millis(600);
    let [mut a, _b, _c] = M::build(Bounds { deadline, capacity: 1 << 20, ..Bounds::default() });
    let mut op = 0;
    let (error, waited) = loop {
        let start = Instant::now();
        match a.send(B, Phase::Online, &tag(3, op), pattern(1 << 20, op)) {
            Ok(()) => op += 1,
            Err(error) => break (error, start.elapsed()),
        }
        assert!(op < 200, "200 MiB must not fit into bounded queues");
    };
    let NetError::SendStalled { party, step: 3, label: "test.open", waited: stated, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(party.id(), B);
    assert!(*stated >= deadline && waited < 4 * deadline, "{waited:?}");
    assert!(
        error.to_string().starts_with("party 1 (hospital-b) took nothing for 0.6 s at step 3"),
        "{error}"
    );
}

fn a_silent_party_is_named_within_its_deadline<M: Mesh>() {
    let deadline = Duration::from_millis(500);
    let [_a, mut b, _c] = M::build(Bounds { deadline, ..Bounds::default() });
    let start = Instant::now();
    let error = b.recv(C, Phase::Online, &tag(12, 1), 8).unwrap_err();
    let elapsed = start.elapsed();
    assert!(matches!(&error, NetError::PeerSilent { party, step: 12, label: "test.open", waited }
        if party.id() == C && *waited >= deadline));
    assert!(elapsed >= deadline && elapsed < 2 * deadline, "{elapsed:?}");
    let text = error.to_string();
    assert!(text.starts_with("party 2 (hospital-c) sent nothing for 0.5 s at step 12"), "{text}");
}

fn a_party_that_sends_in_the_other_phase_is_not_silent<M: Mesh>() {
    let deadline = Duration::from_millis(600);
    let [mut a, mut b, _c] = M::build(Bounds { deadline, ..Bounds::default() });
    let busy = thread::spawn(move || {
        for sign in 0..12 {
            a.send(B, Phase::Offline, &tag(0, sign), vec![1]).unwrap();
            thread::sleep(deadline / 6);
        }
        a.send(B, Phase::Online, &tag(0, 0), vec![7]).unwrap();
        a
    });
    let start = Instant::now();
    let got = b.recv(A, Phase::Online, &tag(0, 0), 1).unwrap();
    assert_eq!(got, [7]);
    assert!(start.elapsed() > 3 * deadline / 2, "it came too early to show anything");
    let _a = busy.join().unwrap();
    // Then it is silent in both.
    let start = Instant::now();
    let error = b.recv(A, Phase::Online, &tag(0, 1), 1).unwrap_err();
    assert!(matches!(&error, NetError::PeerSilent { party, .. } if party.id() == A), "{error}");
    assert!(start.elapsed() < 3 * deadline, "{:?}", start.elapsed());
}

fn a_dropped_party_is_named_promptly_with_its_reason<M: Mesh>() {
    let [mut a, mut b, mut c] = M::build(Bounds::default());
    c.send(A, Phase::Online, &tag(0, 0), vec![1]).unwrap();
    c.send(B, Phase::Online, &tag(0, 0), vec![2]).unwrap();
    assert_eq!(b.recv(C, Phase::Online, &tag(0, 0), 1).unwrap(), vec![2]);
    // A does not read its message yet: it must still be there after the loss. Over QUIC it needs a moment.
    thread::sleep(Duration::from_millis(100));
    c.send(C, Phase::Online, &tag(0, 1), vec![0]).unwrap_err();
    drop(c);
    let start = Instant::now();
    let error = b.recv(C, Phase::Online, &tag(5, 1), 8).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(matches!(&error, NetError::PeerLost { party, step: 5, .. } if party.id() == C), "{error}");
    assert!(error.to_string().contains("it stopped because of: party 2 (hospital-c) tried to"), "{error}");
    assert_eq!(a.recv(C, Phase::Online, &tag(0, 0), 1).unwrap(), vec![1]);
    let error = a.recv(C, Phase::Online, &tag(5, 1), 8).unwrap_err();
    assert!(matches!(&error, NetError::PeerLost { party, step: 5, .. } if party.id() == C), "{error}");
    let error = eventually_fails(|op| a.send(C, Phase::Online, &tag(6, op), vec![0; 8]));
    assert!(matches!(&error, NetError::PeerLost { party, step: 6, .. } if party.id() == C), "{error}");
}

/// Over QUIC a sender learns of a loss a moment after the fact.
fn eventually_fails(mut attempt: impl FnMut(u64) -> Result<(), NetError>) -> NetError {
    for op in 0..200 {
        if let Err(error) = attempt(op) {
            return error;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("no attempt failed for two seconds");
}

fn a_finished_party_is_told_from_a_lost_one<M: Mesh>() {
    let [mut a, mut b, c] = M::build(Bounds::default());
    c.close().unwrap();
    for party in [&mut a, &mut b] {
        let error = party.recv(C, Phase::Offline, &tag(9, 1), 8).unwrap_err();
        assert!(
            matches!(&error, NetError::PeerFinished { party, step: 9, label: "test.open" }
            if party.id() == C),
            "{error}"
        );
    }
    let error = eventually_fails(|op| a.send(C, Phase::Online, &tag(9, op), vec![0; 8]));
    assert!(matches!(&error, NetError::PeerFinished { party, .. } if party.id() == C), "{error}");
    // The two that remain are not disturbed, and close in good order, one after the other.
    a.send(B, Phase::Online, &tag(9, 2), vec![3]).unwrap();
    a.close().unwrap();
    assert_eq!(b.recv(A, Phase::Online, &tag(9, 2), 1).unwrap(), vec![3]);
    b.close().unwrap();
}

fn messages_before_a_goodbye_are_delivered<M: Mesh>() {
    let [mut a, _b, mut c] = M::build(Bounds::default());
    for op in 0..30 {
        c.send(A, Phase::Offline, &tag(0, op), pattern(1 << 20, op)).unwrap();
        c.send(A, Phase::Online, &tag(0, op), pattern(10, op)).unwrap();
    }
    c.close().unwrap();
    for op in 0..30 {
        assert!(a.recv(C, Phase::Offline, &tag(0, op), 1 << 20).unwrap() == pattern(1 << 20, op));
        assert!(a.recv(C, Phase::Online, &tag(0, op), 10).unwrap() == pattern(10, op));
    }
    a.recv(C, Phase::Online, &tag(0, 30), 10).unwrap_err();
}

fn every_part_of_the_tag_is_compared<M: Mesh>() {
    let [mut a, mut b, _c] = M::build(Bounds::default());
    let label = Label::new("relu.join").with(&[64, 4]);
    a.send(B, Phase::Online, &Tag::new(4, 7, label), vec![5; 16]).unwrap();
    let wrong = [
        (Tag::new(5, 7, label), 16),
        (Tag::new(4, 8, label), 16),
        (Tag::new(4, 7, Label::new("relu.join").with(&[64, 5])), 16),
        (Tag::new(4, 7, Label::new("relu.open").with(&[64, 4])), 16),
        (Tag::new(4, 7, label), 17),
    ];
    for (tag, bytes) in wrong {
        let error = b.recv(A, Phase::Online, &tag, bytes).unwrap_err();
        let NetError::Mismatch { party, ours, theirs } = &error else { panic!("{error}") };
        assert_eq!(party.id(), A);
        assert_eq!((ours.step, ours.op, ours.bytes), (tag.step, tag.op, bytes));
        assert_eq!((theirs.step, theirs.op, theirs.bytes), (4, 7, 16));
        assert_eq!((theirs.label.as_str(), theirs.digest), ("relu.join", label.digest()));
        let text = error.to_string();
        assert!(text.contains("it sent step 4, operation 7, `relu.join`"), "{text}");
    }
    // A mismatch takes nothing away: the right question still gets its answer.
    assert_eq!(b.recv(A, Phase::Online, &Tag::new(4, 7, label), 16).unwrap(), vec![5; 16]);
}

fn a_message_over_the_frame_limit_is_refused<M: Mesh>() {
    let [mut a, mut b, _c] = M::build(Bounds { max_frame: 1000, ..Bounds::default() });
    let error = a.send(B, Phase::Online, &tag(0, 0), vec![0; 1001]).unwrap_err();
    assert!(matches!(&error, NetError::FrameTooLarge { party, bytes: 1001, limit: 1000 } if party.id() == B));
    let error = b.recv(A, Phase::Online, &tag(0, 0), 1001).unwrap_err();
    assert!(matches!(error, NetError::FrameTooLarge { .. }), "it could never arrive: {error}");
    a.send(B, Phase::Online, &tag(0, 0), vec![9; 1000]).unwrap();
    assert_eq!(b.recv(A, Phase::Online, &tag(0, 0), 1000).unwrap(), vec![9; 1000]);
}

fn a_message_to_oneself_is_refused<M: Mesh>() {
    let [mut a, _b, _c] = M::build(Bounds::default());
    assert!(matches!(a.send(A, Phase::Online, &tag(0, 0), vec![]), Err(NetError::OwnParty { .. })));
    assert!(matches!(a.recv(A, Phase::Online, &tag(0, 0), 0), Err(NetError::OwnParty { .. })));
}

fn the_meter_counts_exact_bytes<M: Mesh>() {
    let [mut a, mut b, _c] = M::build(Bounds::default());
    let (open, deal) = (Label::new("open"), Label::new("deal"));
    let before = a.meter().snapshot();
    a.send(B, Phase::Online, &Tag::new(0, 0, open), vec![0; 100]).unwrap();
    a.send(B, Phase::Online, &Tag::new(0, 1, open.with(&[1])), vec![0; 23]).unwrap();
    a.send(C, Phase::Offline, &Tag::new(0, 2, deal), vec![0; 7]).unwrap();
    b.send(A, Phase::Online, &Tag::new(0, 0, open), vec![0; 5]).unwrap();
    a.recv(B, Phase::Online, &Tag::new(0, 0, open), 5).unwrap();
    a.meter_mut().round(open);
    b.recv(A, Phase::Online, &Tag::new(0, 0, open), 100).unwrap();

    let spent = &a.meter().snapshot() - &before;
    let to_b = spent.sent_to(B, Phase::Online);
    assert_eq!((to_b.messages, to_b.payload_bytes), (2, 123));
    assert_eq!(to_b.framing_bytes, 2 * HEADER_BYTES as u64);
    assert_eq!(spent.sent(Phase::Offline).payload_bytes, 7);
    assert_eq!(spent.received_from(B, Phase::Online).payload_bytes, 5);
    assert_eq!(spent.rounds(), 1);
    let row = spent.rows().iter().find(|row| row.label == "open").unwrap();
    assert_eq!(
        (row.peer, row.phase, row.sent.payload_bytes, row.received.payload_bytes),
        (B, Phase::Online, 123, 5)
    );
    assert_eq!(b.meter().snapshot().received(Phase::Online).payload_bytes, 100);
}
