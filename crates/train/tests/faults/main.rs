//! Every message of a training, of every party, meets every fault: the honest parties end with a clear error, in time.
//!
//! The messages are those of a recorded run, one of each label, sender and receiver: a new label is covered by itself. By
//! default each message meets some of the faults, others at its neighbours; with `TERCET_FAULTS=all` each meets all.

mod parties;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parties::{Protocol, run};
use tercet_net::fault::{Fault, FaultPlan};
use tercet_net::memory::{Record, Tap};
use tercet_net::{PartyId, Phase};

/// A silent peer is waited for so long.
const DEADLINE: Duration = Duration::from_secs(3);

/// The time that the computation itself may take beside it, on a loaded machine.
const SLACK: Duration = Duration::from_secs(10);

const FAULTS: [Fault; 10] = [
    Fault::Drop,
    Fault::Duplicate,
    Fault::Reorder,
    Fault::Truncate,
    Fault::Corrupt,
    Fault::WrongStep,
    Fault::WrongLabel,
    Fault::WrongSession,
    Fault::Oversize { extra: 1 },
    Fault::Disconnect,
];

/// One message of a run, and what is known of it.
#[derive(Clone, Copy)]
struct Message {
    from: PartyId,
    to: PartyId,
    phase: Phase,
    /// Its place among those of this sender, receiver and phase.
    place: u64,
    bytes: usize,
    /// Nothing of the same sender follows to this receiver in this phase.
    last: bool,
}

/// The first message of each label, sender, receiver and phase.
fn messages(records: &[Record]) -> BTreeMap<(&'static str, usize, usize), Message> {
    let mut counts: BTreeMap<(PartyId, PartyId, usize), u64> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for record in records {
        let count = counts.entry((record.from, record.to, record.phase.index())).or_default();
        let Record { from, to, phase, .. } = *record;
        let message = Message { from, to, phase, place: *count, bytes: record.payload.len(), last: false };
        found.entry((record.tag.label.name(), from.index(), to.index())).or_insert(message);
        *count += 1;
    }
    for message in found.values_mut() {
        message.last = counts[&(message.from, message.to, message.phase.index())] == message.place + 1;
    }
    found
}

/// Runs `protocol` once for each message and fault, one in `every` of them; at most as many as there are faults.
fn every_fault(protocol: Protocol, every: usize) {
    let tap = Tap::new();
    for outcome in run(protocol, None, Some(tap.clone()), Duration::from_secs(60)) {
        assert!(outcome.is_ok(), "without a fault: {}", outcome.unwrap_err());
    }
    let messages = messages(&tap.records());
    assert!(messages.len() > 10, "a recorded run has {} kinds of messages", messages.len());
    for party in PartyId::ALL {
        assert!(messages.values().any(|message| message.from == party), "{party:?} sends nothing");
    }
    let cases = messages.iter().flat_map(|(name, message)| FAULTS.map(|fault| (name, *message, fault)));
    for (place, (name, message, fault)) in cases.enumerate() {
        if !(place + place / FAULTS.len()).is_multiple_of(every) {
            continue;
        }
        let Message { from, to, phase, place, .. } = message;
        let plan = FaultPlan { to, phase, message: place, fault };
        let begun = Instant::now();
        let outcomes = run(protocol, Some((from, plan)), None, DEADLINE);
        let what = format!("{fault:?} of {name:?}, {from:?} to {to:?}");
        assert!(begun.elapsed() < DEADLINE + SLACK, "{what} took {:.1} s", begun.elapsed().as_secs_f64());
        let receiver = &outcomes[to.index()];
        if harmless(fault, &message) {
            continue;
        }
        let Err(error) = receiver else { panic!("{what} was not noticed") };
        let sentence = error.to_string();
        let named = ["ada", "ben", "cyd"];
        assert!(named.iter().any(|name| sentence.contains(name)), "{what}: nobody is named in {sentence:?}");
        assert!(!sentence.contains('\n') && sentence.len() < 600, "{what}: {sentence:?}");
    }
}

/// One in how many cases runs.
fn thinned(every: usize) -> usize {
    if std::env::var("TERCET_FAULTS").is_ok_and(|which| which == "all") { 1 } else { every }
}

/// What a semi-honest protocol does not promise to notice, and what changes nothing. Neither may panic or hang.
fn harmless(fault: Fault, message: &Message) -> bool {
    match fault {
        // A party's own bytes are believed.
        Fault::Corrupt => true,
        Fault::Truncate => message.bytes == 0,
        // Nothing is read after the last message.
        Fault::Duplicate => message.last,
        _ => false,
    }
}

#[test]
fn every_message_of_the_helper_protocol_with_every_fault_ends_in_an_error_at_its_receiver() {
    every_fault(Protocol::Helper, thinned(2));
}

#[test]
fn every_message_without_a_dealer_with_a_fault_ends_in_an_error_at_its_receiver() {
    every_fault(Protocol::Ot, thinned(9));
}
