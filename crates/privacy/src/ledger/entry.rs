//! What a ledger records.

use crate::accountant::Event;
use serde::{Deserialize, Serialize};

/// The most that may ever be spent on a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The data set.
    pub data_set: String,
    /// The unit that is protected, such as "record" or "patient".
    pub unit: String,
    /// Largest ε of everything together.
    pub epsilon: f64,
    /// The δ at which it must hold.
    pub delta: f64,
}

/// What a job costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Cost {
    /// Mechanisms with their steps: composed tightly with everything else.
    Mechanisms(Vec<Event>),
    /// Mechanisms that are what they say up to two small defects, which are charged as well.
    Approximate {
        /// The mechanisms.
        mechanisms: Vec<Event>,
        /// r: their probabilities are within a factor e^{±r/2} of the stated ones. It adds r to ε, and e^{r/2} multiplies δ.
        excess: f64,
        /// p: probability that they do something else altogether. It adds p·(1 + e^ε) to δ, for the ε of everything together.
        failure: f64,
    },
    /// A stated (ε, δ): added to the total.
    Stated {
        /// ε.
        epsilon: f64,
        /// δ, which may be 0.
        delta: f64,
    },
}

/// A job that asks for budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The data set; must be the ledger's.
    pub data_set: String,
    /// The protected unit; must be the ledger's.
    pub unit: String,
    /// Hash of the job file that all parties agreed on.
    pub job: [u8; 32],
    /// What the job is for, in words.
    pub purpose: String,
    /// Who receives the result.
    pub recipient: String,
    /// What it costs.
    pub cost: Cost,
}

/// A reservation as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// The data set.
    pub data_set: String,
    /// The protected unit.
    pub unit: String,
    /// Hash of the job file, hexadecimal.
    pub job: String,
    /// What the job is for.
    pub purpose: String,
    /// Who receives the result.
    pub recipient: String,
    /// What it costs.
    pub cost: Cost,
    /// ε of this job alone at `delta`, for the reader; the budget is checked on the composition.
    pub epsilon: f64,
    /// The δ of `epsilon`.
    pub delta: f64,
    /// ρ of this job alone, where it has one.
    pub rho: Option<f64>,
}

/// One line's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// The budget; always the first entry, and only there.
    Budget(Budget),
    /// Budget set aside before a run. It counts as spent until it is settled.
    Reserve(Reserved),
    /// The steps that a run really took, in the order of the reserved mechanisms; for a stated cost, one number:
    /// 0 if nothing was released, else 1.
    Settle {
        /// The entry that reserved.
        reservation: u64,
        /// Steps taken, each at most the reserved number.
        steps: Vec<u64>,
    },
}

/// An entry of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Position, from 0.
    pub index: u64,
    /// Hash of the entry before, hexadecimal; zeros for the first.
    pub previous: String,
    /// Seconds since 1970.
    pub time: u64,
    /// What happened.
    pub content: Action,
}
