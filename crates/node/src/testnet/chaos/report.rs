//! The outcome of a run with kills: a table and a JSON file.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use tercet_data::atomic::{Mode, atomic_write};

use super::killer::{Disturbed, Killed};
use super::verify::Verified;
use super::{Chaos, Outcome};
use crate::job::Job;
use crate::text;

/// Everything about both runs.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    job: String,
    protocol: &'static str,
    seed: u64,
    /// Of the run without kills.
    pub(super) expected: Outcome,
    /// Of the run with kills.
    pub(super) found: Outcome,
    seconds_undisturbed: f64,
    seconds_disturbed: f64,
    #[serde(flatten)]
    verified: Verified,
    pub(super) kills: Vec<Killed>,
}

impl Report {
    pub(super) fn new(
        chaos: Chaos,
        job: &Job,
        expected: Outcome,
        found: Outcome,
        seconds_undisturbed: f64,
        disturbed: Disturbed,
        verified: Verified,
    ) -> Report {
        Report {
            job: job.name.clone(),
            protocol: job.protocol.name(),
            seed: chaos.seed,
            expected,
            found,
            seconds_undisturbed,
            seconds_disturbed: disturbed.seconds,
            verified,
            kills: disturbed.kills,
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(atomic_write(path, text.as_bytes(), Mode::Public)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} ({}), {} kills, seed {}\n", self.job, self.protocol, self.kills.len(), self.seed)?;
        writeln!(
            f,
            "  {:>4} {:>9}  {:<14}{:<14}{:<10}{:>8}{:>11}{:>14}",
            "kill", "after", "party", "role", "doing", "step", "back after", "went on from"
        )?;
        for (number, kill) in (1..).zip(&self.kills) {
            let Killed { party, role, at, doing, step, went_on_from, back_after, .. } = kill;
            // A victim that was killed again before it had joined went on with that kill's session.
            let back = back_after.map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
            let from = went_on_from.map_or("-".to_owned(), |step| step.to_string());
            writeln!(
                f,
                "  {number:>4} {at:>7.1} s  {party:<14}{role:<14}{doing:<10}{step:>8}{back:>11}{from:>14}"
            )?;
        }
        writeln!(f)?;
        let accuracy = |value: Option<f64>| value.map_or("not opened".to_owned(), text::percent);
        let mut row = |name: &str, left: &str, right: &str| writeln!(f, "  {name:<22}{left:>16}{right:>16}");
        row("", "undisturbed", "with kills")?;
        row("steps", &text::grouped(self.expected.steps), &text::grouped(self.found.steps))?;
        row("test accuracy", &accuracy(self.expected.accuracy), &accuracy(self.found.accuracy))?;
        row("whole run", &text::seconds(self.seconds_undisturbed), &text::seconds(self.seconds_disturbed))?;
        let Verified { sessions, keys, repeated } = self.verified;
        write!(
            f,
            "\n  {sessions} sessions, {keys} public keys, all different; {repeated} steps were done again from a checkpoint; \
             every step counts once at every party"
        )
    }
}
