//! The journal of a run at one party: every session, step, checkpoint and opening, as JSON lines. It holds public facts only,
//! is never cut, and outlives a crash: what the record of a run says of its openings comes from here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tercet_engine::OpeningRecord;

/// Name of the file in a node's `out` folder.
pub const FILE: &str = "journal.jsonl";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A session begins, or goes on from a checkpoint.
    Begin {
        /// Milliseconds since 1970.
        at: u64,
        /// The session in which the run began, hexadecimal.
        run: String,
        /// This session.
        session: String,
        /// The step it goes on from.
        from: u64,
        /// The public keys that the three parties agreed on pairwise keys with, by party, hexadecimal. Fresh in every session.
        keys: [String; 3],
    },
    /// A step was done.
    Step {
        /// Which, from 1.
        step: u64,
    },
    /// A checkpoint is on the disk.
    Checkpoint {
        /// Its step.
        step: u64,
    },
    /// Something of the state of this step is about to be opened.
    Opens {
        /// The step.
        step: u64,
    },
    /// Something was opened.
    Opened {
        /// What, why, to whom.
        #[serde(flatten)]
        opening: OpeningRecord,
    },
    /// The session ended early.
    Ended {
        /// Milliseconds since 1970.
        at: u64,
        /// Steps done.
        step: u64,
        /// One sentence.
        reason: String,
    },
    /// All results are written.
    Finished {
        /// Milliseconds since 1970.
        at: u64,
        /// Steps of the whole run.
        steps: u64,
    },
}

/// The journal could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("the journal {} cannot be {action} ({source}): make room or correct the folder, then start this node again", path.display())]
pub struct JournalError {
    path: PathBuf,
    action: &'static str,
    source: io::Error,
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal in the folder `out`, and begins one if there is none.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(out: &Path) -> Result<Journal, JournalError> {
        let path = out.join(FILE);
        let failed = |source| JournalError { path: path.clone(), action: "opened", source };
        let mut options = OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        // A line that a crash cut short must not swallow the next one.
        let text = fs::read(&path).map_err(failed)?;
        if text.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Journal { path, file })
    }

    /// Adds a line. It survives the end of this process at once, and that of the machine after [`Journal::sync`].
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn add(&mut self, event: &Event) -> Result<(), JournalError> {
        let failed = |source| JournalError { path: self.path.clone(), action: "written", source };
        let mut line = serde_json::to_vec(event).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let failed = |source| JournalError { path: self.path.clone(), action: "written", source };
        self.file.sync_data().map_err(failed)
    }
}

/// The events in the folder `out`, without lines that a crash cut short; none if there is no journal.
///
/// # Errors
/// [`JournalError`].
pub fn read(out: &Path) -> Result<Vec<Event>, JournalError> {
    let path = out.join(FILE);
    match fs::read(&path) {
        Ok(text) => {
            let lines = text.split(|byte| *byte == b'\n');
            Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(JournalError { path, action: "read", source }),
    }
}

/// Openings of a run.
pub fn openings(events: &[Event], run: &str) -> Vec<OpeningRecord> {
    let mut of_run = false;
    let mut openings = Vec::new();
    for event in events {
        match event {
            Event::Begin { run: begun, .. } => of_run = begun == run,
            Event::Opened { opening } if of_run => openings.push(opening.clone()),
            _ => {}
        }
    }
    openings
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tercet_engine::{Opening, Reason};

    use super::*;

    fn begin(run: &str) -> Event {
        let keys = [String::new(), String::new(), String::new()];
        Event::Begin { at: 1, run: run.into(), session: "s".into(), from: 0, keys }
    }

    fn opened(what: &str) -> OpeningRecord {
        let opening = Opening { reason: Reason::Accuracy, what: what.into(), to: vec![0, 2] };
        OpeningRecord { opening, values: 1, step: 7 }
    }

    #[test]
    fn what_was_opened_before_a_crash_is_found_after_it_and_a_cut_line_swallows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let events =
            [begin("old"), Event::Opened { opening: opened("a") }, begin("new"), Event::Step { step: 1 }];
        events.iter().for_each(|event| journal.add(event).unwrap());
        drop(journal);
        let path = folder.path().join(FILE);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"event\":\"step\",\"st");
        fs::write(&path, text).unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.add(&Event::Opened { opening: opened("b") }).unwrap();
        journal.sync().unwrap();
        let events = read(folder.path()).unwrap();
        assert_eq!(openings(&events, "new"), [opened("b")]);
        assert_eq!(openings(&events, "old"), [opened("a")]);
        assert_eq!(events.len(), 5);
    }
}
