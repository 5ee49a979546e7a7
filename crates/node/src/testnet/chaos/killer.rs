//! Three node processes, watched through their own files and killed when the moment comes.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::schedule::{Moment, Schedule};
use crate::job::{Job, JobParty};
use crate::recovery::journal::{self, Event};
use crate::status;
use crate::testnet::folder::Folder;
use crate::testnet::processes;

/// Between two looks for a moment.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// No run takes longer without a step.
const STUCK: Duration = Duration::from_secs(120);

/// One kill that happened.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Killed {
    pub(super) party: String,
    pub(super) role: &'static str,
    /// Seconds after the start of the run.
    pub(super) at: f64,
    /// Milliseconds since 1970.
    pub(super) time: u64,
    /// What the victim said that it did.
    pub(super) doing: String,
    /// Its last step.
    pub(super) step: u64,
    /// The step from which its next session went on; filled in at the end.
    pub(super) went_on_from: Option<u64>,
    /// Seconds from the kill to that session.
    pub(super) back_after: Option<f64>,
}

/// A run with kills.
pub(super) struct Disturbed {
    pub(super) seconds: f64,
    pub(super) kills: Vec<Killed>,
}

/// The processes; those that are left are ended when this is dropped.
struct Nodes<'a> {
    folder: &'a Folder,
    job: &'a Job,
    running: [Option<Child>; 3],
}

impl Drop for Nodes<'_> {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs the job, with kills, to its end.
///
/// # Errors
/// A node that ends with an error, or a run that stands still.
pub(super) fn run(folder: &Folder, job: &Job, schedule: &Schedule) -> Result<Disturbed> {
    let started = Instant::now();
    let mut nodes = Nodes { folder, job, running: [None, None, None] };
    (0..3).try_for_each(|party| nodes.start(party))?;
    let mut kills = Vec::new();
    let mut last_start = Instant::now();
    for kill in &schedule.0 {
        if !nodes.wait_for(kill.party, kill.moment, last_start)? {
            break;
        }
        let party = &job.parties[kill.party];
        let state = status::read(&folder.state(party)).ok().flatten();
        let doing = state.as_ref().map_or("starting".to_owned(), |state| words(&state.doing));
        let killed = Killed {
            party: party.name.clone(),
            role: job.protocol.title(party.role),
            at: started.elapsed().as_secs_f64(),
            time: journal::now(),
            doing,
            step: last_step(&folder.out(party)).unwrap_or(0),
            went_on_from: None,
            back_after: None,
        };
        nodes.kill(kill.party)?;
        kills.push(killed);
        sleep(kill.pause);
        nodes.start(kill.party)?;
        last_start = Instant::now();
    }
    nodes.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    for kill in &mut kills {
        let Some(party) = job.parties.iter().find(|party| party.name == kill.party) else { continue };
        let events = journal::read(&folder.out(party))?;
        let next = events.iter().find_map(|event| match event {
            Event::Begin { at, from, .. } if *at >= kill.time => Some((*at, *from)),
            _ => None,
        });
        kill.went_on_from = next.map(|(_, from)| from);
        kill.back_after = next.map(|(at, _)| (at - kill.time) as f64 / 1000.0);
    }
    Ok(Disturbed { seconds, kills })
}

impl Nodes<'_> {
    fn party(&self, party: usize) -> &JobParty {
        &self.job.parties[party]
    }

    fn start(&mut self, party: usize) -> Result<()> {
        self.running[party] = Some(processes::start(self.folder, self.party(party))?);
        Ok(())
    }

    fn kill(&mut self, party: usize) -> Result<()> {
        if let Some(mut child) = self.running[party].take() {
            child.kill().context("a node process could not be killed")?;
            child.wait().context("a node process was lost")?;
        }
        Ok(())
    }

    /// Waits for a moment of a party; false if its node has ended before.
    fn wait_for(&mut self, party: usize, moment: Moment, last_start: Instant) -> Result<bool> {
        let begun = Instant::now();
        let (out, state) = (self.folder.out(self.party(party)), self.folder.state(self.party(party)));
        loop {
            if self.look()? || self.running[party].is_none() {
                return Ok(false);
            }
            let come = match moment {
                Moment::Soon(after) => last_start.elapsed() >= after,
                Moment::Step(step) => last_step(&out).is_some_and(|done| done >= step),
                Moment::Checkpoint(step) => {
                    last_step(&out).is_some_and(|done| done >= step) && writing(&state)
                }
            };
            if come {
                return Ok(true);
            }
            if begun.elapsed() > STUCK {
                let name = &self.party(party).name;
                bail!("`{name}` does not reach {moment:?}: its log is {}", self.log(party));
            }
            sleep(LOOK_EVERY);
        }
    }

    fn finish(&mut self) -> Result<()> {
        let begun = Instant::now();
        while !self.look()? {
            if begun.elapsed() > STUCK {
                bail!("the run does not end: the log of `{}` is {}", self.party(0).name, self.log(0));
            }
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Takes note of nodes that have ended; true if all have.
    fn look(&mut self) -> Result<bool> {
        for party in 0..3 {
            let Some(child) = &mut self.running[party] else { continue };
            let Some(ended) = child.try_wait().context("a node process was lost")? else { continue };
            self.running[party] = None;
            if !ended.success() {
                bail!("`{}` ended with {ended}: its log is {}", self.party(party).name, self.log(party));
            }
        }
        Ok(self.running.iter().all(Option::is_none))
    }

    fn log(&self, party: usize) -> String {
        self.folder.log(self.party(party)).display().to_string()
    }
}

fn words(doing: &status::Doing) -> String {
    serde_json::to_value(doing).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The last step in a journal, from its end; `None` if there is none there.
fn last_step(out: &Path) -> Option<u64> {
    const TAIL: u64 = 2000;
    let mut file = File::open(out.join(journal::FILE)).ok()?;
    let length = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    text.split(|byte| *byte == b'\n').rev().find_map(|line| match serde_json::from_slice(line) {
        Ok(Event::Step { step }) => Some(step),
        Ok(Event::Begin { from, .. }) => Some(from),
        _ => None,
    })
}

/// Whether a checkpoint is on its way to the disk.
fn writing(state: &Path) -> bool {
    let folders = fs::read_dir(state).into_iter().flatten().flatten();
    let mut files = folders.filter_map(|folder| fs::read_dir(folder.path()).ok()).flatten().flatten();
    files.any(|file| file.file_name().to_str().is_some_and(|name| name.ends_with(".tmp")))
}
