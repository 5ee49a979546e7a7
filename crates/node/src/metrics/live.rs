//! What is known of a run from moment to moment. Everything in it may be shown to this party's operators.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tercet_engine::Cost;

use crate::job::{Job, JobParty};
use crate::progress::Tick;
use crate::status::{Doing, Status};

/// Traffic is added up this often at most: adding it up on every step would show in the time of a fast run.
const TRAFFIC_EVERY: Duration = Duration::from_millis(250);

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// Reading its own files.
    #[default]
    Starting,
    /// Waiting for the other parties.
    Joining,
    /// Sharing rows.
    Sharing,
    /// Training.
    Training,
    /// Waiting for a party that was lost.
    Waiting,
    /// Done.
    Finished,
    /// Stopped, because somebody asked for it.
    Stopped,
    /// Ended early; the log says why.
    Failed,
}

impl RunState {
    /// All of them.
    pub const ALL: [RunState; 8] = [
        RunState::Starting,
        RunState::Joining,
        RunState::Sharing,
        RunState::Training,
        RunState::Waiting,
        RunState::Finished,
        RunState::Stopped,
        RunState::Failed,
    ];

    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            RunState::Starting => "starting",
            RunState::Joining => "joining",
            RunState::Sharing => "sharing",
            RunState::Training => "training",
            RunState::Waiting => "waiting",
            RunState::Finished => "finished",
            RunState::Stopped => "stopped",
            RunState::Failed => "failed",
        }
    }
}

impl From<&Doing> for RunState {
    fn from(doing: &Doing) -> RunState {
        match doing {
            Doing::Joining => RunState::Joining,
            Doing::Sharing => RunState::Sharing,
            Doing::Training => RunState::Training,
            Doing::Waiting => RunState::Waiting,
            Doing::Finished => RunState::Finished,
            Doing::Stopped => RunState::Stopped,
            Doing::Failed => RunState::Failed,
        }
    }
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerState {
    /// Not there yet.
    #[default]
    Absent,
    /// Joined.
    Joined,
    /// It was there, and is not.
    Lost,
}

impl PeerState {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            PeerState::Absent => "absent",
            PeerState::Joined => "joined",
            PeerState::Lost => "lost",
        }
    }
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Name of the job.
    pub job: String,
    /// Its protocol.
    pub protocol: &'static str,
    /// Names of the parties, by index.
    pub parties: Vec<String>,
    /// Index of this party.
    pub me: usize,
    /// What the run is doing.
    pub state: RunState,
    /// State of each party; this one counts as joined.
    pub peers: Vec<PeerState>,
    /// Steps, epochs, and what was opened to this party.
    pub tick: Tick,
    /// Seconds since the node started.
    pub seconds: f64,
    /// Rounds and payload bytes from each party to each, as far as this party sees them.
    pub traffic: Cost,
}

struct State {
    shown: Shown,
    /// Where the node keeps what it does and who is there.
    status: Option<Arc<Status>>,
    started: Instant,
    counted: Option<Instant>,
}

/// A handle on the state of this node's run. Clones share it.
#[derive(Clone)]
pub struct Live(Arc<Mutex<State>>);

impl Default for Live {
    fn default() -> Live {
        Live(Arc::new(Mutex::new(State {
            shown: Shown::default(),
            status: None,
            started: Instant::now(),
            counted: None,
        })))
    }
}

impl Live {
    /// Names the job and its parties, and where their state is from now on.
    pub fn attend(&self, job: &Job, party: &JobParty, status: Arc<Status>) {
        let mut state = self.lock();
        state.status = Some(status);
        state.shown = Shown {
            job: job.name.clone(),
            protocol: job.protocol.name(),
            parties: job.parties.iter().map(|party| party.name.clone()).collect(),
            me: party.role.index(),
            ..Shown::default()
        };
    }

    /// A step is done. What was opened once stays.
    pub fn tick(&self, tick: Tick) {
        let mut state = self.lock();
        let last = state.shown.tick;
        state.shown.tick =
            Tick { loss: tick.loss.or(last.loss), accuracy: tick.accuracy.or(last.accuracy), ..tick };
    }

    /// Takes what was sent so far, if it is time to.
    pub fn traffic(&self, measured: impl FnOnce() -> Cost) {
        let due = {
            let mut state = self.lock();
            let due = state.counted.is_none_or(|last| last.elapsed() >= TRAFFIC_EVERY);
            if due {
                state.counted = Some(Instant::now());
            }
            due
        };
        if due {
            let traffic = measured();
            self.lock().shown.traffic = traffic;
        }
    }

    /// Everything, as it is now.
    pub fn shown(&self) -> Shown {
        let (mut shown, status) = {
            let state = self.lock();
            let seconds = state.started.elapsed().as_secs_f64();
            (Shown { seconds, ..state.shown.clone() }, state.status.clone())
        };
        let Some(now) = status.map(|status| status.now()) else { return shown };
        shown.state = RunState::from(&now.doing);
        let known = |name: &String| match now.peers.iter().find(|peer| peer.name == *name) {
            None => PeerState::Joined,
            Some(peer) if peer.here => PeerState::Joined,
            Some(peer) if peer.lost_at_step.is_some() => PeerState::Lost,
            Some(_) => PeerState::Absent,
        };
        shown.peers = shown.parties.iter().map(known).collect();
        shown
    }

    /// A panic while the lock is held leaves no half-made state: every change is a few assignments.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
