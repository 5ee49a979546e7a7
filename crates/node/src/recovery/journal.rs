//! The journal of a run at one party: every session, step, checkpoint and opening, as JSON lines. It holds public facts only,
//! is never cut, and outlives a crash: what the record of a run says of its openings comes from here.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tercet_engine::OpeningRecord;

/// Name of the file in a node's `out` folder.
pub const FILE: &str = "journal.jsonl";

/// Most bytes of a line. An opening names every layer of a model.
const MOST_LINE: u64 = 1 << 20;

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
        if !ends_a_line(&mut file).map_err(failed)? {
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

/// Whether a file is empty or its last byte ends a line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// The events in the folder `out`, without lines that a crash cut short and lines longer than any of ours; none if there is no
/// journal.
///
/// # Errors
/// [`JournalError`].
pub fn read(out: &Path) -> Result<Vec<Event>, JournalError> {
    let path = out.join(FILE);
    let failed = |source| JournalError { path: path.clone(), action: "read", source };
    let mut file = match File::open(&path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let (mut events, mut line, mut too_long) = (Vec::new(), Vec::new(), false);
    loop {
        line.clear();
        if file.by_ref().take(MOST_LINE).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(events);
        }
        let cut = line.len() as u64 == MOST_LINE && !line.ends_with(b"\n");
        if !(cut || too_long)
            && let Ok(event) = serde_json::from_slice(&line)
        {
            events.push(event);
        }
        too_long = cut;
    }
}

/// Up to where something of a run was opened, by its steps; 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Openings {
    /// Something of this step was opened: to this party, or the evaluators made another step after it.
    pub opened: u64,
    /// This party was ready to open something of this step.
    pub opening: u64,
}

/// Up to where something of a run was opened, as the journal of party `me` tells. A party that `evaluates` makes no step without
/// the other evaluators; a dealer deals ahead of them, so that its steps say nothing.
pub fn opened(events: &[Event], run: &str, me: usize, evaluates: bool) -> Openings {
    let mut found = Openings::default();
    let (mut of_run, mut ready) = (false, 0);
    for event in events {
        match event {
            Event::Begin { run: begun, .. } => (of_run, ready) = (begun == run, 0),
            Event::Opens { step } if of_run => {
                ready = *step;
                found.opening = found.opening.max(*step);
            }
            Event::Step { .. } if of_run && evaluates => found.opened = found.opened.max(ready),
            Event::Opened { opening } if of_run && opening.opening.to.contains(&me) => {
                found.opened = found.opened.max(opening.step);
            }
            _ => {}
        }
    }
    found
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
    use std::fs;

    use tercet_engine::{Opening, Reason};

    use super::*;

    fn begin(run: &str) -> Event {
        let keys = [String::new(), String::new(), String::new()];
        Event::Begin { at: 1, run: run.into(), session: "s".into(), from: 0, keys }
    }

    fn record(what: &str) -> OpeningRecord {
        let opening = Opening { reason: Reason::Accuracy, what: what.into(), to: vec![0, 2] };
        OpeningRecord { opening, values: 1, step: 7 }
    }

    #[test]
    fn an_opening_counts_as_done_once_this_party_has_it_or_the_evaluators_went_on() {
        let (opens, step) = (|step| Event::Opens { step }, |step| Event::Step { step });
        let of = |events: &[Event], me, evaluates| {
            let Openings { opened, opening } = opened(events, "run", me, evaluates);
            (opened, opening)
        };
        let mut events = vec![begin("run"), step(1), opens(1)];
        assert_eq!(of(&events, 0, true), (0, 1));
        events.extend([begin("run"), opens(1), step(2), step(3), opens(3)]);
        assert_eq!(of(&events, 0, true), (1, 3));
        assert_eq!(of(&events, 2, false), (0, 3), "a dealer is ahead");
        // A new session does not make the old one's last opening sure.
        events.extend([begin("run"), step(2)]);
        assert_eq!(of(&events, 0, true), (1, 3));
        // Opened to parties 0 and 2.
        events.push(Event::Opened { opening: OpeningRecord { step: 3, ..record("a") } });
        assert_eq!([0, 1, 2].map(|me| of(&events, me, me < 2)), [(3, 3), (1, 3), (3, 3)]);
        assert_eq!(opened(&events, "another", 0, true), Openings::default());
    }

    #[test]
    fn a_line_longer_than_any_of_ours_is_passed_over_and_not_held() {
        let folder = tempfile::tempdir().unwrap();
        let long = vec![b' '; 3 * MOST_LINE as usize + 5];
        let line = b"{\"event\":\"step\",\"step\":1}";
        let text = [&line[..], b"\n", &long, line, b"\n", line, &long, b"\n", line].concat();
        fs::write(folder.path().join(FILE), text).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [Event::Step { step: 1 }, Event::Step { step: 1 }]);
    }

    #[test]
    fn what_was_opened_before_a_crash_is_found_after_it_and_a_cut_line_swallows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let events =
            [begin("old"), Event::Opened { opening: record("a") }, begin("new"), Event::Step { step: 1 }];
        events.iter().for_each(|event| journal.add(event).unwrap());
        drop(journal);
        let path = folder.path().join(FILE);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"event\":\"step\",\"st");
        fs::write(&path, text).unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        journal.add(&Event::Opened { opening: record("b") }).unwrap();
        journal.sync().unwrap();
        let events = read(folder.path()).unwrap();
        assert_eq!(openings(&events, "new"), [record("b")]);
        assert_eq!(openings(&events, "old"), [record("a")]);
        assert_eq!(events.len(), 5);
    }
}
