//! Where a node stands, for its people: a small file that the node keeps up to date and `tercet status` reads. It holds
//! public facts only, the ones that the log tells too.

mod words;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::job::{Job, JobParty};
use crate::recovery::bounded;
use crate::recovery::journal::now;

pub use words::describe;

/// Name of the file in a node's state folder.
pub const FILE: &str = "status.json";

/// Most bytes of the file.
const MOST_BYTES: u64 = 1 << 20;

/// Steps alone are written no more often than this.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// What a node does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// It waits for the others to come.
    Joining,
    /// Rows are shared.
    Sharing,
    /// It trains.
    Training,
    /// A party was lost, and it waits for it.
    Waiting,
    /// It has its results.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// It ended with an error.
    Failed,
}

/// How a peer looks from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Whether it is there.
    pub here: bool,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// The step of this party when it was lost, until it is back.
    pub lost_at_step: Option<u64>,
    /// What was seen of it last, if it was the one that ended the session.
    pub reason: Option<String>,
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The process.
    pub pid: u32,
    /// When this was written, milliseconds since 1970.
    pub updated: u64,
    /// Name of the job.
    pub job: String,
    /// SHA-256 of the job.
    pub job_hash: String,
    /// This party's name.
    pub party: String,
    /// Its role.
    pub role: String,
    /// What it does.
    pub doing: Doing,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// Until when it waits for the others, milliseconds since 1970.
    pub until: Option<u64>,
    /// The session, hexadecimal.
    pub session: Option<String>,
    /// The step that this session went on from.
    pub resumed_from: Option<u64>,
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run; 0 before it is known.
    pub steps: u64,
    /// The newest checkpoint on the disk.
    pub checkpoint: Option<u64>,
    /// When it was written, milliseconds since 1970.
    pub checkpoint_at: Option<u64>,
    /// Sessions of this process so far.
    pub sessions: u32,
    /// The sentence that ended it, or that it waits because of.
    pub reason: Option<String>,
    /// The others.
    pub peers: Vec<PeerStatus>,
}

impl State {
    /// Everything in it that is words.
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let own = [&mut self.job, &mut self.job_hash, &mut self.party, &mut self.role];
        let peers = self
            .peers
            .iter_mut()
            .flat_map(|peer| [&mut peer.name, &mut peer.role].into_iter().chain(&mut peer.reason));
        own.into_iter().chain(&mut self.session).chain(&mut self.reason).chain(peers)
    }
}

/// A node's status, shared by the parts that change it.
pub struct Status {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    written: Option<Instant>,
    complained: bool,
}

impl Status {
    /// Of a node that starts now, in the folder `state`.
    pub fn new(state: &Path, job: &Job, party: &JobParty) -> Status {
        let at = now();
        let others = job.parties.iter().filter(|other| other.name != party.name);
        let peers = others.map(|other| PeerStatus {
            name: other.name.clone(),
            role: job.protocol.title(other.role).to_owned(),
            here: false,
            since: at,
            lost_at_step: None,
            reason: None,
        });
        let contents = State {
            pid: std::process::id(),
            updated: at,
            job: job.name.clone(),
            job_hash: job.hash().to_string(),
            party: party.name.clone(),
            role: job.protocol.title(party.role).to_owned(),
            doing: Doing::Joining,
            since: at,
            until: None,
            session: None,
            resumed_from: None,
            step: 0,
            steps: 0,
            checkpoint: None,
            checkpoint_at: None,
            sessions: 0,
            reason: None,
            peers: peers.collect(),
        };
        let inner = Inner { state: contents, written: None, complained: false };
        Status { path: state.join(FILE), inner: Mutex::new(inner) }
    }

    /// Changes it and writes it.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        let mut inner = self.lock();
        let doing = inner.state.doing.clone();
        change(&mut inner.state);
        if inner.state.doing != doing {
            inner.state.since = now();
        }
        self.write(&mut inner);
    }

    /// Changes it, and writes it if the last time was a while ago.
    pub fn tick(&self, change: impl FnOnce(&mut State)) {
        let mut inner = self.lock();
        change(&mut inner.state);
        if inner.written.is_none_or(|written| written.elapsed() >= WRITE_EVERY) {
            self.write(&mut inner);
        }
    }

    /// A peer came or went. What was seen when it was lost stays until it is back.
    pub fn peer(&self, name: &str, here: bool) {
        self.set(|state| {
            let Some(peer) = state.peers.iter_mut().find(|peer| peer.name == name) else { return };
            if peer.here != here {
                peer.since = now();
            }
            peer.here = here;
            if here {
                (peer.lost_at_step, peer.reason) = (None, None);
            }
        });
    }

    /// A session ended early at `step`: every peer is lost until it is back, the one called `name` for `reason`.
    pub fn lost(&self, step: u64, name: Option<&str>, reason: &str) {
        self.set(|state| {
            let at = now();
            for peer in &mut state.peers {
                (peer.here, peer.since, peer.lost_at_step) = (false, at, Some(step));
                peer.reason = (name == Some(peer.name.as_str())).then(|| reason.to_owned());
            }
        });
    }

    /// What it says now.
    pub fn now(&self) -> State {
        self.lock().state.clone()
    }

    fn write(&self, inner: &mut Inner) {
        inner.state.updated = now();
        inner.written = Some(Instant::now());
        let written = write(&self.path, &inner.state);
        // The run does not depend on it; one line is enough.
        if let Err(error) = written
            && !std::mem::replace(&mut inner.complained, true)
        {
            tracing::warn!(
                "{} cannot be written ({error}): `tercet status` will not know",
                self.path.display()
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole or not at all; not forced to the disk, for it is of no use after the machine's end.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".tercet-").suffix(".tmp").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, state)?;
    file.write_all(b"\n")?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A text becomes one line of printable characters: it goes to a terminal.
fn printable(text: &mut String) {
    if text.chars().any(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
}

/// The status in a state folder, its texts printable; `None` if no node has written one.
///
/// # Errors
/// The file cannot be read or is not a status.
pub fn read(state: &Path) -> io::Result<Option<State>> {
    match bounded::read(&state.join(FILE), MOST_BYTES) {
        Ok(text) => {
            let mut state: State = serde_json::from_slice(&text)?;
            state.texts().for_each(printable);
            Ok(Some(state))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
