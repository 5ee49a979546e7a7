//! What the parties tell each other of their checkpoints before a session, and what they decide from it.

use tercet_net::SessionId;
use tercet_node::job::Protocol;
use tercet_node::recovery::{Decision, Offer, agree};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// One to three offers; the first also stands for those that are missing.
pub(crate) fn run(bytes: &[u8]) -> bool {
    if !(1..=3 * Offer::BYTES).contains(&bytes.len()) {
        return false;
    }
    let heard: Option<Vec<Offer>> = bytes.chunks(Offer::BYTES).map(Offer::decode).collect();
    let Some(heard) = heard else { return false };
    let again: Vec<u8> = heard.iter().flat_map(Offer::encode).collect();
    assert_eq!(again, bytes, "an offer has one spelling");
    let offers = [0, 1, 2].map(|party| heard.get(party).unwrap_or(&heard[0]).clone());
    for private in [false, true] {
        for (protocol, keepers) in [(Protocol::Helper, 0..2), (Protocol::Ot, 0..3)] {
            let decision = agree(&offers, NAMES, protocol, private);
            if let Err(error) = &decision {
                assert!(!error.to_string().chars().any(char::is_control), "an error is one printable line");
            }
            for own in keepers.map(|party| &offers[party]) {
                match decision {
                    Ok(Decision::Fresh) => assert!(own.restart || own.newest() == 0, "progress is forgotten"),
                    Ok(Decision::Done) => assert!(own.finished),
                    Ok(Decision::Resume(place)) => {
                        assert_eq!(own.place(place.step, place.session), Some(place), "all hold it");
                        assert!(!private || own.opened.max(own.damaged) <= place.step, "opened twice");
                    }
                    Err(_) => {}
                }
            }
        }
    }
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = |byte: u8| SessionId::from_bytes([byte; 16]);
    let held = |places: &[(u64, u8)]| {
        let held = places.iter().map(|&(step, session)| (step, id(session))).collect();
        Offer { run: Some(id(1)), held, ..Offer::default() }
    };
    let (long, short) = (held(&[(0, 1), (50, 1), (100, 2), (150, 2)]), held(&[(50, 1), (100, 2)]));
    let three = |offers: [&Offer; 3]| offers.iter().flat_map(|offer| offer.encode()).collect();
    let all = |restart| Offer { restart, finished: true, material: true, damaged: 200, ..long.clone() };
    vec![
        Offer::default().encode(),
        three([&long, &short, &Offer::default()]),
        three([&long, &Offer { opened: 150, opening: 150, ..short.clone() }, &short]),
        three([&long, &Offer { run: Some(id(9)), ..short.clone() }, &short]),
        three([&all(true), &all(true), &all(true)]),
        three([&all(false), &all(false), &all(true)]),
    ]
}
