//! The plan as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tercet_engine::Cost;
use tercet_train::LayerRange;

use super::declared::Declared;
use super::estimate::Estimate;
use super::machine::Machine;
use crate::job::{Job, Protocol, Role};
use crate::link::Link;
use crate::text;

/// A whole plan.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    job: &'a str,
    job_hash: String,
    protocol: &'static str,
    /// What the protocol's security rests on.
    trust: &'static str,
    link: String,
    /// Names, by role.
    parties: [&'a str; 3],
    /// What each party does.
    roles: [&'static str; 3],
    epochs: u32,
    /// Exact: what the protocol declares, as payload.
    declared: &'a Declared,
    total: Cost,
    /// Payload that each party sends in the whole run.
    bytes_sent: [u64; 3],
    rounds: u64,
    /// What the job's bounds guarantee, by layers with weights.
    ranges: Vec<LayerRange>,
    /// What the estimates leave out.
    notes: Vec<&'static str>,
    /// Estimated, from here on.
    #[serde(flatten)]
    estimate: &'a Estimate,
    machine: &'a Machine,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        job: &'a Job,
        declared: &'a Declared,
        machine: &'a Machine,
        estimate: &'a Estimate,
        link: Link,
    ) -> Report<'a> {
        let total = declared.total();
        Report {
            job: &job.name,
            job_hash: job.hash().to_string(),
            protocol: job.protocol.name(),
            trust: job.protocol.trust(),
            link: link.to_string(),
            parties: job.parties.each_ref().map(|party| party.name.as_str()),
            roles: Role::ALL.map(|role| job.protocol.title(role)),
            epochs: job.training.training.epochs,
            declared,
            bytes_sent: Role::ALL.map(|role| total.sent_by(role.index())),
            rounds: total.rounds,
            total,
            ranges: declared.ranges.clone(),
            notes: notes(job, link, &declared.ranges),
            estimate,
            machine,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.declared.counts;
        writeln!(f, "  {} ({}: {}), link {}", self.job, self.protocol, self.trust, self.link)?;
        writeln!(
            f,
            "  {} steps of up to {} an epoch, {} evaluations, {} checkpoints",
            text::grouped(counts.steps),
            text::grouped(counts.steps_per_epoch),
            counts.evaluations,
            counts.checkpoints
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  {:<22}{:>10}{:>12}{:>12}{:>14}",
            "declared, exact", "rounds", "online", "offline", "estimated"
        )?;
        let seconds = self.estimate.seconds;
        let parts = [
            ("sharing the rows", self.declared.setup, seconds.setup),
            ("one step", self.declared.step, seconds.step),
            ("one epoch", self.declared.epoch(), seconds.epoch),
            ("one evaluation", self.declared.evaluation, seconds.evaluation),
            ("the whole run", self.total, seconds.total),
        ];
        for (name, cost, seconds) in parts {
            writeln!(
                f,
                "  {name:<22}{:>10}{:>12}{:>12}{:>14}",
                text::grouped(cost.rounds),
                text::bytes(cost.online_bytes()),
                text::bytes(cost.offline_bytes()),
                time(seconds)
            )?;
        }
        writeln!(f)?;
        if counts.guards > 0 {
            let guard = self.declared.guard;
            writeln!(
                f,
                "  {:<22}{:>10}{:>12}{:>12}   {} times, in the whole run only",
                "the range guard",
                text::grouped(guard.rounds),
                text::bytes(guard.online_bytes()),
                text::bytes(guard.offline_bytes()),
                text::grouped(counts.guards)
            )?;
            writeln!(f)?;
        }
        writeln!(f, "  {:<22}{:<14}{:>12}{:>16}", "party", "role", "sends", "memory, about")?;
        for (at, (name, role)) in self.parties.iter().zip(self.roles).enumerate() {
            writeln!(
                f,
                "  {name:<22}{role:<14}{:>12}{:>16}",
                text::bytes(self.bytes_sent[at]),
                text::bytes(self.estimate.memory[at])
            )?;
        }
        writeln!(f)?;
        let Estimate { machines, watts, joules_per_epoch, joules, .. } = *self.estimate;
        writeln!(
            f,
            "  energy    {} an epoch, {} in all, if {machines} {} {watts} W each while the training runs (--watts)",
            energy(joules_per_epoch),
            energy(joules),
            if machines == 1 { "machine draws" } else { "machines draw" }
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  {:<22}{:>14}{:>14}{:>20}{:>18}",
            "ranges", "worst case", "safe below", "if every weight is", "kept by bounds"
        )?;
        for range in &self.ranges {
            writeln!(
                f,
                "  {:<22}{:>14}{:>14}{:>20}{:>18}",
                format!("layer {} ({})", range.layer, range.kind),
                text::magnitude(range.worst),
                text::magnitude(range.safe),
                format!("at most {}", text::magnitude(range.safe_weight)),
                if range.guaranteed() { "yes" } else { "no" }
            )?;
        }
        writeln!(f)?;
        for note in &self.notes {
            writeln!(f, "  note      {note}")?;
        }
        let machine = self.machine;
        write!(
            f,
            "  measured  {} threads, {:.1} GMAC/s, generator {:.1} GB/s, loopback QUIC {:.0} us a round, {:.2} GB/s",
            machine.threads,
            machine.gmacs(),
            machine.prg_bytes_per_second / 1e9,
            machine.round * 1e6,
            machine.quic_bytes_per_second / 1e9
        )
    }
}

fn notes(job: &Job, link: Link, ranges: &[LayerRange]) -> Vec<&'static str> {
    let protocol = job.protocol;
    let mut notes =
        vec!["estimates are for machines like this one, with nothing else on them: expect half to twice"];
    if protocol == Protocol::Ot {
        notes.push(
            "every step is counted like the first: who owns how many rows of a batch varies, and with it what each party sends",
        );
    }
    if protocol == Protocol::Ot && link != Link::Local {
        notes.push(
            "the rounds of preprocessing are not declared and not in the time: with a delay it takes longer",
        );
    }
    let guarded = job.training.fixed_point.guard_every.is_some() || job.training.privacy.is_some();
    if !guarded && ranges.iter().any(|range| !range.guaranteed()) {
        notes.push(
            "the bounds alone keep not every layer in range: fixed_point.guard_every checks it on shares",
        );
    }
    if let Link::Shaped(profile) = link
        && (profile.to_target.loss.parts() > 0 || profile.to_target != profile.to_client)
    {
        notes.push("loss, and a way back that differs, are not in the time");
    }
    notes
}

/// Seconds as people read them, whatever their size.
fn time(seconds: f64) -> String {
    if seconds < 60.0 {
        text::seconds(seconds)
    } else {
        text::span(Duration::from_secs_f64(seconds.min(1e12)))
    }
}

/// Joules, or watt-hours from a thousand joules on.
fn energy(joules: f64) -> String {
    if joules < 1000.0 { format!("{joules:.1} J") } else { format!("{:.2} Wh", joules / 3600.0) }
}
