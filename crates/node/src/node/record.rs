//! The record of a run: what was done, at what cost, and everything that was opened. It holds no value of any row.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tercet_data::atomic::{Mode, atomic_write};
use tercet_engine::OpeningRecord;
use tercet_net::Phase;
use tercet_train::Metric;

use super::training::Accounts;
use super::{agree, alive};
use crate::job::{Job, JobParty};
use crate::recovery::bounded;

/// Name of the file in a node's `out` folder.
pub const FILE: &str = "record.json";

/// Most bytes of the file that are read back.
const MOST_BYTES: u64 = 256 << 20;

/// Messages that `tercet plan` does not count: signs of life, and the agreement on where to go on.
const BESIDE_THE_PROTOCOL: [&str; 4] = [alive::LABEL, agree::OFFER, agree::HEARD, agree::DONE];

/// First field of the file; the number changes when the format does.
const FORMAT: &str = "tercet-record-1";

/// One party's record of one run.
#[derive(Debug, Serialize)]
pub struct Record {
    format: &'static str,
    program: &'static str,
    job: String,
    job_hash: String,
    protocol: &'static str,
    party: PartyFacts,
    /// Hexadecimal; equal at all parties, fresh for every run.
    pub session: String,
    /// The session in which the run began, if it has checkpoints: the same after every interruption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Sessions of this process, the interrupted ones included. Seconds, bytes and rounds are those of all of them.
    pub sessions: u32,
    /// What carried the messages.
    pub transport: &'static str,
    /// `finished`, or `failed` with a reason.
    pub outcome: RunOutcome,
    /// When the run began, seconds since 1970.
    pub started: u64,
    /// Wall-clock seconds.
    pub seconds: Seconds,
    /// Steps of training done.
    pub steps: u64,
    /// Epochs begun.
    pub epochs: u32,
    /// Evaluations; loss and accuracy only where the job opened them to this party.
    pub metrics: Vec<Metric>,
    /// Bytes on this party's links.
    pub bytes: Bytes,
    /// Online rounds.
    pub rounds: Rounds,
    /// The most memory that this process held, bytes, where the system says so.
    pub memory_peak: Option<u64>,
    /// Everything that was opened, to whom and why.
    pub openings: Vec<OpeningRecord>,
    /// Whether the model met the least accuracy of the job's targets; `null` if the job states none.
    pub met_target: Option<bool>,
    /// Whether the job's ε was within the largest of its targets; `null` if the job states none.
    pub met_epsilon: Option<bool>,
    /// The model's folder, if this party received it.
    pub model: Option<String>,
}

/// Who writes the record.
#[derive(Debug, Serialize)]
struct PartyFacts {
    name: String,
    role: &'static str,
    index: usize,
}

/// How a run ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum RunOutcome {
    /// Everything that the job releases was given out.
    Finished,
    /// It stopped early.
    Failed {
        /// One sentence.
        reason: String,
    },
}

/// Seconds by phase.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Waiting for the other parties and comparing the job.
    pub joining: f64,
    /// Sharing the rows, until this party had its shares of all.
    #[serde(default)]
    pub sharing: f64,
    /// From then on: steps, evaluations, and the opening of the model. A party that has its shares before the others waits for them in its
    /// first step.
    pub training: f64,
    /// Of it, making correlated randomness when it was asked for; 0 where a dealer makes it ahead.
    #[serde(default)]
    pub preprocessing: f64,
    /// Everything from the start of the program, data files included.
    pub total: f64,
}

/// Bytes by phase and direction. Payload and message headers; TLS and UDP come on top.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Bytes {
    /// Sent, both phases.
    pub sent: u64,
    /// Received, both phases.
    pub received: u64,
    /// Sent in the online phase.
    pub sent_online: u64,
    /// Sent in preprocessing.
    pub sent_offline: u64,
    /// Received in the online phase.
    pub received_online: u64,
    /// Received in preprocessing.
    pub received_offline: u64,
    /// Payload of the protocol sent in the online phase: what `tercet plan` states, without headers and signs of life.
    #[serde(default)]
    pub payload_online: u64,
    /// Payload of the protocol sent in preprocessing.
    #[serde(default)]
    pub payload_offline: u64,
    /// Sent, by operation.
    pub sent_by_operation: BTreeMap<String, u64>,
}

/// Rounds by operation.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Rounds {
    /// All of them. A dealer takes part only where rows are shared or something is opened to it.
    pub total: u64,
    /// By operation.
    pub by_operation: BTreeMap<String, u64>,
}

impl Record {
    /// A record of nothing done yet.
    pub fn new(job: &Job, party: &JobParty) -> Record {
        Record {
            format: FORMAT,
            program: concat!("tercet ", env!("CARGO_PKG_VERSION")),
            job: job.name.clone(),
            job_hash: job.hash().to_string(),
            protocol: job.protocol.name(),
            party: PartyFacts {
                name: party.name.clone(),
                role: job.protocol.title(party.role),
                index: party.role.index(),
            },
            session: String::new(),
            run: None,
            sessions: 0,
            transport: "quic",
            outcome: RunOutcome::Finished,
            started: 0,
            seconds: Seconds::default(),
            steps: 0,
            epochs: 0,
            metrics: Vec::new(),
            bytes: Bytes::default(),
            rounds: Rounds::default(),
            memory_peak: None,
            openings: Vec::new(),
            met_target: None,
            met_epsilon: job.training.met_epsilon(),
            model: None,
        }
    }

    /// Adds what a session cost and opened.
    pub(super) fn account(&mut self, accounts: &Accounts) {
        self.sessions += 1;
        let meter = &accounts.meter;
        let sent = |phase| meter.sent(phase).total_bytes();
        let received = |phase| meter.received(phase).total_bytes();
        let bytes = &mut self.bytes;
        bytes.sent_online += sent(Phase::Online);
        bytes.sent_offline += sent(Phase::Offline);
        bytes.received_online += received(Phase::Online);
        bytes.received_offline += received(Phase::Offline);
        bytes.sent = bytes.sent_online + bytes.sent_offline;
        bytes.received = bytes.received_online + bytes.received_offline;
        for row in meter.rows() {
            if !BESIDE_THE_PROTOCOL.contains(&row.label) {
                match row.phase {
                    Phase::Online => bytes.payload_online += row.sent.payload_bytes,
                    Phase::Offline => bytes.payload_offline += row.sent.payload_bytes,
                }
            }
            *bytes.sent_by_operation.entry(row.label.to_owned()).or_default() += row.sent.total_bytes();
        }
        for (&label, &count) in meter.rounds_by_label() {
            *self.rounds.by_operation.entry(label.to_owned()).or_default() += count;
        }
        self.rounds.total += meter.rounds();
        self.seconds.sharing += accounts.sharing.as_secs_f64();
        self.seconds.preprocessing += accounts.preprocessing.as_secs_f64();
        self.openings.extend_from_slice(&accounts.openings);
        self.memory_peak = memory_peak();
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        // An accuracy or a loss in it is for its recipients only.
        Ok(atomic_write(&out.join(FILE), text.as_bytes(), Mode::Private)?)
    }
}

/// The most memory that this process held so far, bytes; `None` where the system does not say.
fn memory_peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether `out` holds a record that must be kept. One of a run that failed before anything was opened may be replaced;
/// a file that is no record is kept too.
pub fn holds_results(out: &Path) -> bool {
    #[derive(Deserialize)]
    struct Ended {
        outcome: RunOutcome,
        openings: Vec<serde_json::Value>,
    }
    match bounded::read(&out.join(FILE), MOST_BYTES) {
        Ok(text) => match serde_json::from_slice::<Ended>(&text) {
            Ok(Ended { outcome: RunOutcome::Failed { .. }, openings }) => !openings.is_empty(),
            _ => true,
        },
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Whether `out` holds the record of a finished run that began in the session `run`.
pub fn finished(out: &Path, run: &str) -> bool {
    #[derive(Deserialize)]
    struct Ended {
        outcome: RunOutcome,
        run: Option<String>,
    }
    let text = bounded::read(&out.join(FILE), MOST_BYTES).unwrap_or_default();
    // As an object: the form of a list, which serde takes too, is no record of ours.
    let record = serde_json::from_slice(&text).map(serde_json::Value::Object);
    record.and_then(serde_json::from_value::<Ended>).is_ok_and(|record| {
        matches!(record.outcome, RunOutcome::Finished) && record.run.as_deref() == Some(run)
    })
}

/// Replaces the openings in the record of a finished run: it was asked for its results again by a party that had lost its own.
///
/// # Errors
/// When there is no record, or it cannot be written.
pub fn amend(out: &Path, openings: &[OpeningRecord]) -> Result<()> {
    let path = out.join(FILE);
    let text = bounded::read(&path, MOST_BYTES)?;
    let mut record: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text)?;
    record.insert("openings".to_owned(), serde_json::to_value(openings)?);
    let mut text = serde_json::to_string_pretty(&record)?;
    text.push('\n');
    Ok(atomic_write(&path, text.as_bytes(), Mode::Private)?)
}

/// What other commands read of a record.
#[derive(Debug, Deserialize)]
pub struct Read {
    /// Steps of training done.
    pub steps: u64,
    /// Seconds by phase.
    pub seconds: Seconds,
    /// Evaluations.
    pub metrics: Vec<ReadMetric>,
    /// Bytes by phase.
    pub bytes: Bytes,
    /// Rounds.
    pub rounds: Rounds,
    /// The most memory that the process held, bytes.
    #[serde(default)]
    pub memory_peak: Option<u64>,
    /// Openings, as they stand in the file.
    pub openings: Vec<serde_json::Value>,
    /// The model's folder.
    pub model: Option<String>,
}

/// One evaluation.
#[derive(Debug, Deserialize)]
pub struct ReadMetric {
    /// 0 to 1, at recipients.
    pub accuracy: Option<f64>,
    /// Mean loss, at recipients.
    pub loss: Option<f64>,
}
