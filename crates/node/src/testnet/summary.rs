//! What a testnet run amounts to: summary.json and the table on the screen.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;
use tercet_data::atomic::{Mode, atomic_write};

use super::folder::Folder;
use super::processes::Ran;
use super::relays::Wire;
use crate::baseline::Baseline;
use crate::job::{Job, Role};
use crate::link::Link;
use crate::node::record::{self, Read};
use crate::text;

/// The contents of summary.json.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    job: String,
    job_hash: String,
    protocol: &'static str,
    /// What each party does, in the order of `parties`.
    roles: Vec<&'static str>,
    /// Names, by role: evaluator 0, evaluator 1, dealer.
    parties: Vec<String>,
    transport: &'static str,
    /// What joined the nodes.
    link: String,
    /// What the relays between them counted, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<Wire>,
    /// Of the secure run, if the job opens it to anybody.
    accuracy: Option<f64>,
    float_accuracy: Option<f64>,
    loss: Option<f64>,
    float_loss: Option<f64>,
    steps: u64,
    /// Sharing the rows, at the evaluator that had its shares last.
    seconds_sharing: f64,
    /// From then on, evaluations, checkpoints and the opening of the model included. The other evaluator may have begun before, and waited
    /// in its first step.
    seconds_training: f64,
    /// Of it, making correlated randomness when it was asked for.
    seconds_preprocessing: f64,
    /// From the start of the first process to the end of the last.
    seconds_total: f64,
    float_seconds_training: f64,
    /// By party, in the order of `parties`.
    bytes_sent: Vec<u64>,
    bytes_sent_online: Vec<u64>,
    bytes_sent_offline: Vec<u64>,
    rounds: u64,
    /// The most memory of each process, bytes, in the order of `parties`.
    memory_peak: Vec<Option<u64>>,
    openings: Vec<serde_json::Value>,
    /// The model's folder at the first recipient.
    model: Option<String>,
    summary: String,
}

impl Summary {
    /// From the three records and the baseline.
    pub(super) fn new(
        folder: &Folder,
        job: &Job,
        ran: &Ran,
        float: &Baseline,
        link: Link,
        wire: Option<Wire>,
    ) -> Result<Summary> {
        let mut records: Vec<Read> = Vec::with_capacity(job.parties.len());
        for party in &job.parties {
            let path = folder.out(party).join(record::FILE);
            let text = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let record = serde_json::from_slice(&text);
            records.push(record.with_context(|| format!("{} is not a record", path.display()))?);
        }
        // Loss and accuracy are in the records of their recipients alone.
        let last = |pick: fn(&record::ReadMetric) -> Option<f64>| {
            records.iter().find_map(|record| record.metrics.last().and_then(pick))
        };
        let evaluators = Role::ALL.into_iter().filter(|role| job.protocol.evaluates(*role));
        let evaluators: Vec<&Read> = evaluators.map(|role| &records[role.index()]).collect();
        let evaluator = evaluators[0];
        let by_training = |a: &&&Read, b: &&&Read| a.seconds.training.total_cmp(&b.seconds.training);
        let last_begun = *evaluators.iter().min_by(by_training).context("a job has evaluators")?;
        Ok(Summary {
            job: job.name.clone(),
            job_hash: job.hash().to_string(),
            protocol: job.protocol.name(),
            roles: Role::ALL.map(|role| job.protocol.title(role)).to_vec(),
            parties: job.parties.iter().map(|party| party.name.clone()).collect(),
            transport: "quic",
            link: link.to_string(),
            wire,
            accuracy: last(|metric| metric.accuracy),
            float_accuracy: float.accuracy,
            loss: last(|metric| metric.loss),
            float_loss: float.loss,
            steps: evaluator.steps,
            seconds_sharing: last_begun.seconds.sharing,
            seconds_training: last_begun.seconds.training,
            seconds_preprocessing: last_begun.seconds.preprocessing,
            seconds_total: ran.seconds,
            float_seconds_training: float.seconds,
            bytes_sent: records.iter().map(|record| record.bytes.sent).collect(),
            bytes_sent_online: records.iter().map(|record| record.bytes.sent_online).collect(),
            bytes_sent_offline: records.iter().map(|record| record.bytes.sent_offline).collect(),
            rounds: evaluator.rounds.total,
            memory_peak: records.iter().map(|record| record.memory_peak).collect(),
            openings: evaluator.openings.clone(),
            model: records.iter().find_map(|record| record.model.clone()),
            summary: folder.summary().display().to_string(),
        })
    }

    /// Writes summary.json.
    pub(super) fn write(&self, folder: &Folder) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(atomic_write(&folder.summary(), text.as_bytes(), Mode::Public)?)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accuracy = |value: Option<f64>| value.map_or("not opened".to_owned(), text::percent);
        let loss = |value: Option<f64>| value.map_or("not opened".to_owned(), |loss| format!("{loss:.4}"));
        let rate = |seconds: f64| format!("{:.1}", self.steps as f64 / seconds.max(1e-9));
        let mut row =
            |name: &str, secure: &str, float: &str| writeln!(f, "  {name:<22}{secure:>16}{float:>16}");
        row(&format!("{} ({})", self.job, self.protocol), "secure", "floating point")?;
        row("test accuracy", &accuracy(self.accuracy), &accuracy(self.float_accuracy))?;
        row("test loss", &loss(self.loss), &loss(self.float_loss))?;
        row("sharing the rows", &text::seconds(self.seconds_sharing), "")?;
        row(
            "training time",
            &text::seconds(self.seconds_training),
            &text::seconds(self.float_seconds_training),
        )?;
        if self.seconds_preprocessing > 0.0 {
            row("of it preprocessing", &text::seconds(self.seconds_preprocessing), "")?;
            row("of it online", &text::seconds(self.seconds_training - self.seconds_preprocessing), "")?;
        }
        row("steps per second", &rate(self.seconds_training), &rate(self.float_seconds_training))?;
        row("steps", &text::grouped(self.steps), &text::grouped(self.steps))?;
        row("online rounds", &text::grouped(self.rounds), "")?;
        row("whole run", &text::seconds(self.seconds_total), "")?;
        writeln!(f)?;
        let head = ["party", "role", "sent", "online", "offline", "memory"];
        let [party, role, sent, online, offline, memory] = head;
        writeln!(f, "  {party:<22}{role:<14}{sent:>12}{online:>12}{offline:>12}{memory:>12}")?;
        for (place, role) in self.roles.iter().enumerate() {
            let size = |all: &[u64]| all.get(place).map_or(String::new(), |&count| text::bytes(count));
            let name = &self.parties[place];
            let (all, on, off) = (&self.bytes_sent, &self.bytes_sent_online, &self.bytes_sent_offline);
            let memory = self.memory_peak[place].map_or(String::new(), text::bytes);
            let (all, on, off) = (size(all), size(on), size(off));
            writeln!(f, "  {name:<22}{role:<14}{all:>12}{on:>12}{off:>12}{memory:>12}")?;
        }
        writeln!(f)?;
        if let Some(wire) = &self.wire {
            writeln!(f, "  link      {}: {wire}", self.link)?;
        }
        writeln!(
            f,
            "  openings  {} (listed with their reasons in each party's record)",
            self.openings.len()
        )?;
        writeln!(f, "  model     {}", self.model.as_deref().unwrap_or("released to nobody"))?;
        write!(f, "  summary   {}", self.summary)
    }
}
