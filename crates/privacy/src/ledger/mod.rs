//! The privacy budget of a data set, kept in a file: what was granted, what was set aside, what was spent.
//!
//! A job reserves before it runs and settles after; a crash leaves the reservation spent. Each check composes all
//! entries anew, under a lock, so that two jobs cannot both take the last of a budget. See [`Head`] for what is
//! noticed when someone alters the file.

mod chain;
mod entry;
mod error;
mod file;

pub use chain::Head;
pub use entry::{Action, Budget, Cost, Entry, Request, Reserved};
pub use error::LedgerError;

use crate::accountant::{Event, check_events, epsilon, gaussian, zcdp};
use crate::error::{PrivacyError, non_negative, positive, valid_delta};
use chain::Chain;
use file::Locked;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A budget ledger on disk: JSON lines at a path, and the head of its hash chain at the path with `.head` added.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
}

/// Budget set aside for one job. Settle it after the run; if it is dropped, it stays spent in full.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an unsettled reservation stays spent in full"]
pub struct Reservation {
    /// Its entry in the ledger.
    pub entry: u64,
}

/// Where a budget stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The budget.
    pub budget: Budget,
    /// ε of everything reserved or spent, composed, at the budget's δ.
    pub spent_epsilon: f64,
    /// Reservations not settled.
    pub unsettled: u64,
    /// The end of the chain, to be kept elsewhere.
    pub head: Head,
}

impl Ledger {
    /// Creates the ledger of a data set, for its owner only.
    ///
    /// # Errors
    /// A ledger exists at `path`, a bad budget, or the file cannot be written.
    pub fn create(path: impl AsRef<Path>, budget: Budget) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_owned();
        positive("the epsilon of the budget", budget.epsilon)?;
        valid_delta(budget.delta)?;
        let mut file = Locked::open(&path, true)?;
        if file.read()?.contains(&b'\n') {
            return Err(LedgerError::Exists(path));
        }
        // A file without a whole line may be what a crash or a full disk left of a creation, but not of a ledger with reservations.
        if let Some(head) = file.head()?.filter(|head| head.entries > 1) {
            return Err(LedgerError::Truncated { path, found: 0, expected: head.entries });
        }
        let mut chain = Chain::empty();
        let line = encode(&path, &mut chain, Action::Budget(budget))?;
        // The head first: a crash in between leaves an empty ledger, never one without a head.
        file.write_head(&chain.head())?;
        file.append(&chain, &line)?;
        Ok(Self { path })
    }

    /// Opens a ledger and verifies it against its head file.
    ///
    /// # Errors
    /// The file is missing, open to others, edited, or shorter than its head says, with the entry named.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_owned();
        Locked::open(&path, false)?.chain()?;
        Ok(Self { path })
    }

    /// As [`Ledger::open`], and the chain must also pass through a head that the caller kept elsewhere. This notices
    /// a rewriting of both files.
    ///
    /// # Errors
    /// As [`Ledger::open`]; [`LedgerError::Truncated`] or [`LedgerError::OtherChain`] against `kept`.
    pub fn open_at(path: impl AsRef<Path>, kept: &Head) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_owned();
        Locked::open(&path, false)?.chain()?.passes_through(&path, kept)?;
        Ok(Self { path })
    }

    /// As [`Ledger::open_at`], with the hash of the head alone, wherever in the chain it stands.
    ///
    /// # Errors
    /// As [`Ledger::open`]; [`LedgerError::HeadUnknown`] if no entry has that hash.
    pub fn open_through(path: impl AsRef<Path>, hash: &str) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_owned();
        if !Locked::open(&path, false)?.chain()?.contains(hash) {
            return Err(LedgerError::HeadUnknown { path, head: hash.to_owned() });
        }
        Ok(Self { path })
    }

    /// All entries, verified.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn entries(&self) -> Result<Vec<Entry>, LedgerError> {
        Ok(Locked::open(&self.path, false)?.chain()?.entries)
    }

    /// What was granted and what is spent.
    ///
    /// # Errors
    /// As [`Ledger::open`]; or entries that cannot be composed.
    pub fn status(&self) -> Result<Status, LedgerError> {
        let chain = Locked::open(&self.path, false)?.chain()?;
        let spent = Spent::of(&self.path, &chain)?;
        let spent_epsilon = spent.epsilon(None)?;
        Ok(Status { budget: spent.budget, spent_epsilon, unsettled: spent.unsettled, head: chain.head() })
    }

    /// Sets budget aside for a job, if everything spent so far and the job together stay within the budget.
    ///
    /// # Errors
    /// [`LedgerError::Exceeded`] if they do not; a request about another data set or unit; a bad cost; a damaged file.
    pub fn reserve(&self, request: &Request) -> Result<Reservation, LedgerError> {
        let mut file = Locked::open(&self.path, false)?;
        let mut chain = file.chain()?;
        let spent = Spent::of(&self.path, &chain)?;
        for (field, expected, found) in [
            ("data set", &spent.budget.data_set, &request.data_set),
            ("unit", &spent.budget.unit, &request.unit),
        ] {
            if expected != found {
                let (expected, found) = (expected.clone(), found.clone());
                return Err(LedgerError::Mismatch { path: self.path.clone(), field, expected, found });
            }
        }
        let reserved = alone(request, spent.budget.delta)?;
        let total = spent.epsilon(Some(&request.cost))?;
        if total > spent.budget.epsilon {
            let Budget { data_set, epsilon: budget, delta, .. } = spent.budget;
            return Err(LedgerError::Exceeded { data_set, total, delta, budget });
        }
        let entry = chain.entries.len() as u64;
        let line = encode(&self.path, &mut chain, Action::Reserve(reserved))?;
        file.append(&chain, &line)?;
        Ok(Reservation { entry })
    }

    /// Records the steps that a run really took, in the order of the reserved mechanisms (for a stated cost: 0 or 1).
    /// Whatever was not taken is free again.
    ///
    /// # Errors
    /// More steps than reserved, a wrong number of counts, a reservation unknown or settled already; a damaged file.
    pub fn settle(&self, reservation: &Reservation, steps: &[u64]) -> Result<(), LedgerError> {
        let mut file = Locked::open(&self.path, false)?;
        let mut chain = file.chain()?;
        let action = Action::Settle { reservation: reservation.entry, steps: steps.to_vec() };
        let line = encode(&self.path, &mut chain, action)?;
        // The settlement must make sense in the chain as it will stand.
        Spent::of(&self.path, &chain)?;
        file.append(&chain, &line)
    }
}

fn encode(path: &Path, chain: &mut Chain, action: Action) -> Result<String, LedgerError> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    chain.append(time, action).map_err(|error| LedgerError::Io {
        path: path.to_owned(),
        action: "encoding",
        source: error.into(),
    })
}

/// The record of a request, with what it costs on its own.
fn alone(request: &Request, delta: f64) -> Result<Reserved, LedgerError> {
    let (epsilon, delta, rho) = match &request.cost {
        Cost::Mechanisms(events) => (composed(events, delta)?, delta, zcdp::rho(events)),
        Cost::Approximate { mechanisms, excess, failure } => {
            non_negative("the excess of a mechanism", *excess)?;
            if *failure != 0.0 {
                valid_delta(*failure)?;
            }
            (composed(mechanisms, delta)?, delta, zcdp::rho(mechanisms))
        }
        Cost::Stated { epsilon, delta } => {
            (non_negative("the stated epsilon", *epsilon)?, stated_delta(*delta)?, None)
        }
    };
    Ok(Reserved {
        data_set: request.data_set.clone(),
        unit: request.unit.clone(),
        job: chain::job_hex(&request.job),
        purpose: request.purpose.clone(),
        recipient: request.recipient.clone(),
        cost: request.cost.clone(),
        epsilon,
        delta,
        rho,
    })
}

/// ε of `events` at `delta`: plain Gaussians, which are all that a training reserves, by their exact curve and at once.
fn composed(events: &[Event], delta: f64) -> Result<f64, PrivacyError> {
    check_events(events)?;
    let delta = valid_delta(delta)?;
    match gaussian::mu(events) {
        Some(mu) => Ok(gaussian::epsilon(mu, delta)),
        None => Ok(epsilon(events, delta)?.best()),
    }
}

fn stated_delta(delta: f64) -> Result<f64, PrivacyError> {
    if delta == 0.0 { Ok(delta) } else { valid_delta(delta) }
}

/// Everything spent or set aside.
struct Spent {
    budget: Budget,
    events: Vec<Event>,
    stated: Vec<(f64, f64)>,
    /// Of all mechanisms together, see [`Cost::Approximate`].
    excess: f64,
    failure: f64,
    unsettled: u64,
}

/// Rounds of the search for an ε that its own failures fit.
const MOST_ROUNDS: usize = 64;

impl Spent {
    fn nothing(budget: &Budget) -> Self {
        let (events, stated) = (Vec::new(), Vec::new());
        Self { budget: budget.clone(), events, stated, excess: 0.0, failure: 0.0, unsettled: 0 }
    }

    fn of(path: &Path, chain: &Chain) -> Result<Self, LedgerError> {
        let Some(Entry { content: Action::Budget(budget), .. }) = chain.entries.first() else {
            return Err(LedgerError::Truncated { path: path.to_owned(), found: 0, expected: 1 });
        };
        let mut costs: Vec<(u64, Cost, bool)> = Vec::new();
        for entry in &chain.entries {
            match &entry.content {
                Action::Budget(_) => {}
                Action::Reserve(reserved) => costs.push((entry.index, reserved.cost.clone(), false)),
                Action::Settle { reservation, steps } => {
                    let refused = |reason| LedgerError::Settlement {
                        path: path.to_owned(),
                        reservation: *reservation,
                        reason,
                    };
                    let found = costs.iter_mut().find(|(index, _, _)| index == reservation);
                    let (_, cost, settled) = found.ok_or_else(|| refused("it is not a reservation"))?;
                    if std::mem::replace(settled, true) {
                        return Err(refused("it is settled already"));
                    }
                    settle(cost, steps).map_err(refused)?;
                }
            }
        }
        let unsettled = costs.iter().filter(|(_, _, settled)| !settled).count() as u64;
        let mut spent = Self { unsettled, ..Self::nothing(budget) };
        for (_, cost, _) in costs {
            spent.add(&cost);
        }
        Ok(spent)
    }

    fn add(&mut self, cost: &Cost) {
        match cost {
            Cost::Mechanisms(events) => self.events.extend(events),
            Cost::Approximate { mechanisms, excess, failure } => {
                self.events.extend(mechanisms);
                self.excess += excess;
                self.failure += failure;
            }
            Cost::Stated { epsilon, delta } => self.stated.push((*epsilon, *delta)),
        }
    }

    /// ε of all of it, and of `more`, at the budget's δ: mechanisms composed at what the stated δ and the failures leave, stated ε
    /// added.
    fn epsilon(&self, more: Option<&Cost>) -> Result<f64, LedgerError> {
        let mut all = Self {
            events: self.events.clone(),
            stated: self.stated.clone(),
            excess: self.excess,
            failure: self.failure,
            ..Self::nothing(&self.budget)
        };
        if let Some(cost) = more {
            all.add(cost);
        }
        // Failures cost the more δ the larger ε is: the smallest ε that they fit is approached from below, a hair more each time.
        // What they leave at the budget's own ε decides in the end.
        let budget = all.budget.epsilon;
        let mut total = all.epsilon_with(0.0)?;
        for round in 1..=MOST_ROUNDS {
            if all.failure == 0.0 || total > budget {
                break;
            }
            let guess = if round == MOST_ROUNDS { budget } else { (total * (1.0 + 1e-9)).min(budget) };
            total = all.epsilon_with(guess)?;
            if total <= guess {
                break;
            }
        }
        Ok(total)
    }

    /// As [`Spent::epsilon`], with what failures cost at `at`.
    fn epsilon_with(&self, at: f64) -> Result<f64, LedgerError> {
        let stated_epsilon: f64 = self.stated.iter().map(|(epsilon, _)| epsilon).sum();
        let mut used: f64 = self.stated.iter().map(|(_, delta)| delta).sum();
        if self.failure > 0.0 {
            used += self.failure * (1.0 + at.exp());
        }
        let left = self.budget.delta - used;
        if left < 0.0 || (left == 0.0 && !self.events.is_empty()) {
            let Budget { data_set, delta: budget, .. } = self.budget.clone();
            return Err(LedgerError::DeltaExceeded { data_set, total: used, budget });
        }
        if self.events.is_empty() {
            return Ok(stated_epsilon);
        }
        Ok(composed(&self.events, left * (-0.5 * self.excess).exp())? + self.excess + stated_epsilon)
    }
}

/// Reduces a reserved cost to the steps taken.
fn settle(cost: &mut Cost, steps: &[u64]) -> Result<(), &'static str> {
    match cost {
        Cost::Mechanisms(events) => taken(events, steps),
        Cost::Approximate { mechanisms, excess, failure } => {
            taken(mechanisms, steps)?;
            if mechanisms.is_empty() {
                (*excess, *failure) = (0.0, 0.0);
            }
            Ok(())
        }
        Cost::Stated { epsilon, delta } => match steps {
            [0] => {
                (*epsilon, *delta) = (0.0, 0.0);
                Ok(())
            }
            [1] => Ok(()),
            _ => Err("a stated cost is settled with 0 or 1"),
        },
    }
}

/// Reduces mechanisms to the steps taken.
fn taken(events: &mut Vec<Event>, steps: &[u64]) -> Result<(), &'static str> {
    if events.len() != steps.len() {
        return Err("it has another number of mechanisms");
    }
    for ((_, reserved), taken) in events.iter_mut().zip(steps) {
        if taken > reserved {
            return Err("more steps were taken than reserved");
        }
        *reserved = *taken;
    }
    events.retain(|(_, steps)| *steps > 0);
    Ok(())
}
