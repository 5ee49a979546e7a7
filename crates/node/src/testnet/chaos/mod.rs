//! `tercet testnet --kills`: nodes are killed at moments left to a seeded chance and started again, and the run must end as an
//! undisturbed one: as many steps, none lost or applied twice, an accuracy within noise, and no key of a session ever again.
//!
//! * [`schedule`]: whom to kill, and at what moment of the run;
//! * [`killer`]: watches the nodes' own files for the moment;
//! * [`verify`]: what the journals of the three must show;
//! * [`report`]: the table and chaos.json.

mod killer;
mod report;
mod schedule;
mod verify;

use std::path::Path;

use anyhow::{Result, bail};

use super::folder::Folder;
use super::relays::Relays;
use super::{Chaos, Patience, processes};
use crate::cli::say;
use crate::job::Job;
use crate::node::record;
use report::Report;

/// Steps between checkpoints of a job that has none of its own.
pub(super) const EVERY: u64 = 50;

/// A killed node says nothing: after half of this many seconds its connection counts as lost.
const DEADLINE: u64 = 4;

/// Longer than any pause between a kill and the start after it.
const REJOIN: u64 = 60;

/// Test rows by which two good runs may differ, as a share: rounding takes another course in every session.
const NOISE: f64 = 0.02;

/// Makes the folder of one run, with relays if the link asks for them.
type Prepare<'a> = dyn Fn(&Path, Patience) -> Result<(Folder, Job, Relays)> + 'a;

/// Runs the job twice, undisturbed and with kills, and prints the table.
///
/// # Errors
/// A run fails, or what it leaves is not what an undisturbed one leaves.
pub(super) fn run(chaos: Chaos, out: &Path, prepare: &Prepare<'_>) -> Result<()> {
    let (folder, job, relays) = prepare(&out.join("undisturbed"), Patience::default())?;
    let undisturbed = processes::run(&folder, &job)?;
    relays.stop()?;
    let expected = outcome(&folder, &job)?;

    let patience = Patience { deadline: Some(DEADLINE), rejoin: Some(REJOIN) };
    let (folder, job, relays) = prepare(&out.join("disturbed"), patience)?;
    let schedule = schedule::Schedule::new(chaos, expected.steps);
    let disturbed = killer::run(&folder, &job, &schedule)?;
    relays.stop()?;
    let found = outcome(&folder, &job)?;
    let verified = verify::journals(&folder, &job, expected.steps)?;

    let report = Report::new(chaos, &job, expected, found, undisturbed.seconds, disturbed, verified);
    report.write(&out.join("chaos.json"))?;
    say(&report)?;
    let (a, b) = (report.expected.accuracy, report.found.accuracy);
    if report.expected.steps != report.found.steps {
        bail!("the disturbed run has another number of steps");
    }
    if a.zip(b).is_none_or(|(a, b)| (a - b).abs() > NOISE) && a != b {
        bail!("the accuracy of the disturbed run is not within {NOISE} of the undisturbed one");
    }
    if (report.kills.len() as u32) < chaos.kills {
        bail!("the run ended before all kills: take more epochs (--epochs)");
    }
    Ok(())
}

/// What a run ended with.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Outcome {
    steps: u64,
    accuracy: Option<f64>,
}

fn outcome(folder: &Folder, job: &Job) -> Result<Outcome> {
    let mut outcome = Outcome { steps: 0, accuracy: None };
    for party in &job.parties {
        let path = folder.out(party).join(record::FILE);
        let record: record::Read = serde_json::from_slice(&std::fs::read(&path)?)?;
        if outcome.steps > 0 && record.steps != outcome.steps {
            bail!("{} has another number of steps than the other parties' records", path.display());
        }
        outcome.steps = record.steps;
        outcome.accuracy = outcome.accuracy.or(record.metrics.last().and_then(|metric| metric.accuracy));
    }
    Ok(outcome)
}
