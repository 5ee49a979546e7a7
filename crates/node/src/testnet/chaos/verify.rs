//! What the journals of the three parties must show after any number of interruptions.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Result, bail};

use crate::job::{Job, Role};
use crate::recovery::journal::{self, Event};
use crate::testnet::folder::Folder;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Verified {
    /// Sessions that at least one party began.
    pub(super) sessions: usize,
    /// Public keys from which the pairwise keys of all sessions come; all different.
    pub(super) keys: usize,
    /// Steps that were done and lost with a session, at the first evaluator.
    pub(super) repeated: u64,
}

/// Reads and checks all journals.
pub(super) fn journals(folder: &Folder, job: &Job, steps: u64) -> Result<Verified> {
    let mut all = Vec::with_capacity(3);
    for party in &job.parties {
        all.push(journal::read(&folder.out(party))?);
    }
    let keeps = Role::ALL.map(|role| job.protocol.evaluates(role));
    let names = job.parties.each_ref().map(|party| party.name.as_str());
    check(&all, names, keeps, steps)
}

/// No step lost or applied twice at any party, the same sessions at all, and no key of a session in another.
///
/// `keeps` tells which parties keep the state: a dealer goes on from wherever they are.
fn check(journals: &[Vec<Event>], names: [&str; 3], keeps: [bool; 3], steps: u64) -> Result<Verified> {
    let mut sessions: BTreeMap<&str, (u64, &[String; 3])> = BTreeMap::new();
    let mut repeated = 0;
    for (party, events) in journals.iter().enumerate() {
        let name = names[party];
        // Steps of the state that this party holds.
        let mut done = 0;
        let mut finished = false;
        for event in events {
            match event {
                Event::Begin { session, from, keys, .. } => {
                    if keeps[party] && *from > done {
                        bail!("`{name}` went on from step {from}, which it had not done");
                    }
                    if party == 0 {
                        repeated += done.saturating_sub(*from);
                    }
                    done = *from;
                    let first = *sessions.entry(session).or_insert((*from, keys));
                    if first != (*from, keys) {
                        bail!("session {session} is not the same at `{name}` and at another party");
                    }
                }
                Event::Step { step } if *step != done + 1 => {
                    bail!("`{name}` did step {step} after step {done}: a step was lost or applied twice");
                }
                Event::Step { step } => done = *step,
                Event::Finished { steps: all, .. } => finished = *all == steps && done == steps,
                Event::Checkpoint { .. }
                | Event::Opens { .. }
                | Event::Opened { .. }
                | Event::Ended { .. } => {}
            }
        }
        if !finished || done != steps {
            bail!("the journal of `{name}` ends at step {done} and not at step {steps}");
        }
    }
    let mut seen = HashSet::new();
    for (session, (_, keys)) in &sessions {
        if let Some(key) = keys.iter().find(|key| !seen.insert(key.as_str())) {
            bail!("session {session} used the key {key} of an earlier one: its masks would come again");
        }
    }
    Ok(Verified { sessions: sessions.len(), keys: seen.len(), repeated })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["ada", "ben", "cyd"];
    const KEEPS: [bool; 3] = [true, true, false];

    fn begin(number: u32, from: u64) -> Event {
        let keys = [0, 1, 2].map(|party| format!("{party}-{number}"));
        Event::Begin { at: 0, run: "r".into(), session: format!("s{number}"), from, keys }
    }

    fn steps(of: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Event> {
        of.map(|step| Event::Step { step })
    }

    /// Two sessions: the first dies after step 3 with a checkpoint of step 2, the second goes to step 4.
    fn good() -> Vec<Vec<Event>> {
        let one = || {
            let mut events = vec![begin(1, 0)];
            events.extend(steps(1..=3));
            events.insert(3, Event::Checkpoint { step: 2 });
            events.push(begin(2, 2));
            events.extend(steps(3..=4));
            events.push(Event::Finished { at: 0, steps: 4 });
            events
        };
        vec![one(), one(), one()]
    }

    fn fault(journals: &[Vec<Event>]) -> String {
        check(journals, NAMES, KEEPS, 4).unwrap_err().to_string()
    }

    #[test]
    fn a_run_that_went_on_from_its_checkpoint_is_good() {
        let found = check(&good(), NAMES, KEEPS, 4).unwrap();
        assert_eq!(found, Verified { sessions: 2, keys: 6, repeated: 1 });
    }

    #[test]
    fn steps_lost_or_applied_twice_sessions_that_differ_and_keys_used_again_are_found() {
        let mut lost = good();
        lost[1].remove(6);
        assert!(fault(&lost).contains("`ben` did step 4 after step 2"), "{}", fault(&lost));
        let mut twice = good();
        twice[0].insert(7, Event::Step { step: 3 });
        assert!(fault(&twice).contains("`ada` did step 3 after step 3"));
        let mut elsewhere = good();
        elsewhere[0].drain(2..5);
        assert!(fault(&elsewhere).contains("went on from step 2, which it had not done"));
        let mut short = good();
        short[2].truncate(7);
        assert!(fault(&short).contains("`cyd` ends at step 3"));
        let mut again = good();
        for journal in &mut again {
            let Event::Begin { keys, .. } = &mut journal[5] else { panic!("a begin") };
            keys[1] = "1-1".into();
        }
        assert!(fault(&again).contains("of an earlier one"));
        let mut differs = good();
        differs[1][5] = begin(3, 2);
        assert!(check(&differs, NAMES, KEEPS, 4).is_ok(), "a party may miss a session");
        let Event::Begin { session, .. } = &mut differs[1][5] else { panic!("a begin") };
        *session = "s2".into();
        assert!(fault(&differs).contains("is not the same"));
    }
}
