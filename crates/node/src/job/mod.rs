//! The job file: everything that the three parties agreed on, in one TOML text.
//!
//! All nodes hold the same bytes. They compare the SHA-256 of the text before the run and stop, with the line that
//! differs, if it is not the same. Unknown keys are refused everywhere, so a misspelt option cannot be ignored.

mod checkpoint;
mod error;
mod hash;
mod party;
mod release;
mod sections;
pub mod template;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tercet_data::DataSpec;
use tercet_train::spec::{FixedPointSpec, ModelSpec, PrivacySpec, TargetsSpec, TrainingSpec};
use tercet_train::{Privacy, TrainingJob};

pub use checkpoint::CheckpointSpec;
pub use error::JobError;
pub use hash::JobHash;
pub(crate) use party::is_party_name;
pub use party::{JobParty, Role, RowCounts};

use crate::toml_fault;

/// Most bytes of a job file; what the network's handshake carries.
pub const MAX_BYTES: u64 = 256 * 1024;

/// Deadline when the job names none.
const DEFAULT_DEADLINE_SECONDS: u64 = 30;

/// The protocol that runs the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A dealer prepares correlated randomness for two evaluators. Secure against any one party, semi-honest.
    Helper,
    /// All three evaluate and make their correlated randomness by oblivious transfer. Secure against any two parties that
    /// collude, semi-honest.
    Ot,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 2] = [Protocol::Helper, Protocol::Ot];

    /// Whether the party of this role evaluates, and so keeps a part of the model.
    pub fn evaluates(self, role: Role) -> bool {
        self == Protocol::Ot || role != Role::Dealer
    }

    /// The protocol with this name.
    pub fn parse(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// The word in the job file.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Helper => "helper",
            Protocol::Ot => "ot",
        }
    }

    /// Parties that may collude.
    pub const fn corrupt(self) -> u32 {
        match self {
            Protocol::Helper => 1,
            Protocol::Ot => 2,
        }
    }

    /// Whom it is secure against.
    pub const fn trust(self) -> &'static str {
        match self {
            Protocol::Helper => "secure against any one party, semi-honest",
            Protocol::Ot => "secure against any two parties that collude, semi-honest",
        }
    }

    /// What a party with this role does, for people: without a dealer, all evaluate.
    pub const fn title(self, role: Role) -> &'static str {
        match (self, role) {
            (Protocol::Ot, Role::Dealer) => "evaluator-2",
            (_, role) => role.name(),
        }
    }
}

/// A checked job.
#[derive(Clone, Debug)]
pub struct Job {
    /// A name for logs and records.
    pub name: String,
    /// The protocol.
    pub protocol: Protocol,
    /// How long a silent party is waited for, and how long parties wait for each other at the start.
    pub deadline: Duration,
    /// The parties, ordered by role: index = role.
    pub parties: [JobParty; 3],
    /// What the rows are.
    pub data: DataSpec,
    /// Network, schedule, scales, and who receives what: all that training reads.
    pub training: TrainingJob,
    /// Checkpoints, if the job asks for them.
    pub checkpoint: Option<CheckpointSpec>,
    text: String,
    hash: JobHash,
}

/// The file's form, before its parts are compared with each other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJob {
    name: String,
    protocol: Protocol,
    #[serde(default = "default_deadline")]
    deadline_seconds: u64,
    party: Vec<party::RawParty>,
    data: DataSpec,
    model: ModelSpec,
    training: TrainingSpec,
    #[serde(default)]
    fixed_point: FixedPointSpec,
    privacy: Option<PrivacySpec>,
    #[serde(default)]
    targets: TargetsSpec,
    checkpoint: Option<checkpoint::RawCheckpoint>,
    release: release::RawRelease,
}

fn default_deadline() -> u64 {
    DEFAULT_DEADLINE_SECONDS
}

impl Job {
    /// Reads and checks a job file.
    ///
    /// # Errors
    /// [`JobError`], with the line where the form is wrong.
    pub fn read(path: &Path) -> Result<Job, JobError> {
        Job::parse(&read_text(path)?)
    }

    /// Checks a job's text. Addresses and fingerprints may be empty, as in a template; the accessors of [`JobParty`]
    /// refuse them when a node needs them.
    ///
    /// # Errors
    /// As [`Job::read`].
    pub fn parse(text: &str) -> Result<Job, JobError> {
        let raw: RawJob = toml::from_str(text).map_err(|error| {
            let (line, message) = toml_fault::describe(text, &error);
            JobError::Form { line, message }
        })?;
        if raw.name.is_empty() || raw.name.len() > 100 || raw.name.chars().any(char::is_control) {
            return Err(JobError::meaning(
                "its `name` is not 1 to 100 characters on one line: choose another",
            ));
        }
        if !(1..=86_400).contains(&raw.deadline_seconds) {
            return Err(JobError::meaning(format!(
                "`deadline_seconds` is {}: give a number from 1 to 86400",
                raw.deadline_seconds
            )));
        }
        let parties = party::check(raw.party)?;
        let release = release::check(&raw.release, &parties)?;
        let job = Job {
            name: raw.name,
            protocol: raw.protocol,
            deadline: Duration::from_secs(raw.deadline_seconds),
            parties,
            training: TrainingJob {
                model: raw.model,
                training: raw.training,
                fixed_point: raw.fixed_point,
                standardise: raw.data.standardises_on_shares(),
                privacy: raw.privacy.map(|spec| Privacy { spec, corrupt: raw.protocol.corrupt() }),
                targets: raw.targets,
                release,
            },
            data: raw.data,
            checkpoint: raw.checkpoint.map(checkpoint::check).transpose()?,
            text: text.to_owned(),
            hash: JobHash::of(text),
        };
        sections::check(&job)?;
        Ok(job)
    }

    /// The exact text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text.
    pub fn hash(&self) -> JobHash {
        self.hash
    }

    /// The party called `name`.
    ///
    /// # Errors
    /// [`JobError::Meaning`] when there is none.
    pub fn party(&self, name: &str) -> Result<&JobParty, JobError> {
        self.parties.iter().find(|party| party.name == name).ok_or_else(|| {
            let names: Vec<_> = self.parties.iter().map(|party| party.name.as_str()).collect();
            JobError::meaning(format!(
                "it has no party called `{name}`: its parties are {}",
                names.join(", ")
            ))
        })
    }

    /// Training rows of all parties together.
    pub fn train_rows(&self) -> usize {
        self.parties.iter().map(|party| party.rows.train as usize).sum()
    }

    /// Test rows.
    pub fn test_rows(&self) -> usize {
        self.parties.iter().map(|party| party.rows.test as usize).sum()
    }
}

/// A job file's text, at most [`MAX_BYTES`] of it.
pub(crate) fn read_text(path: &Path) -> Result<String, JobError> {
    let unreadable = |source| JobError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(JobError::TooLong { path: path.to_owned(), limit: MAX_BYTES });
    }
    String::from_utf8(bytes).map_err(|_| JobError::NotText { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
