//! The one way out: values are opened only with a reason that the job's policy allows, and every opening is recorded.

use serde::{Deserialize, Serialize};

use crate::EngineError;

/// Index of a party, 0 to 2.
pub type Party = usize;

/// Why a value is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The trained parameters.
    Model,
    /// Correct predictions on the test rows, a count.
    Accuracy,
    /// The mean training or test loss, one number.
    Loss,
    /// Whether the model meets the accuracy that the job asks for: one bit.
    Target,
    /// Column sums and sums of squares, for standardisation.
    Statistics,
    /// A count of values out of range: the range guard.
    RangeGuard,
}

/// One rule of the policy: `reason` may be opened to these parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The reason.
    pub reason: Reason,
    /// Parties that may receive it.
    pub to: Vec<Party>,
}

/// What a job allows to be opened. The default allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// A policy of these rules and nothing else.
    pub fn new(rules: Vec<Rule>) -> Policy {
        Policy { rules }
    }

    /// The parties that `reason` may be opened to, in order; empty if none.
    pub fn recipients(&self, reason: Reason) -> Vec<Party> {
        let mut to: Vec<Party> =
            self.rules.iter().filter(|r| r.reason == reason).flat_map(|r| r.to.iter().copied()).collect();
        to.sort_unstable();
        to.dedup();
        to
    }

    /// An error unless `reason` may be opened to every party of `to`.
    pub fn check(&self, opening: &Opening) -> Result<(), EngineError> {
        let allowed = self.recipients(opening.reason);
        if !opening.to.is_empty() && opening.to.iter().all(|p| allowed.contains(p)) {
            return Ok(());
        }
        Err(EngineError::OpeningRefused {
            what: format!("{} ({:?})", opening.what, opening.reason),
            to: format!("parties {:?}", opening.to),
        })
    }
}

/// One opening: what, why, to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Why.
    pub reason: Reason,
    /// What, in words: `layers.0.weight`, `test accuracy after epoch 3`.
    pub what: String,
    /// The recipients.
    pub to: Vec<Party>,
}

/// A recorded opening: what the audit log holds. No value is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpeningRecord {
    /// What was opened, why and to whom.
    #[serde(flatten)]
    pub opening: Opening,
    /// Number of values.
    pub values: usize,
    /// Training step at which it happened.
    pub step: u64,
}
