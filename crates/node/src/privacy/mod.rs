//! Differential privacy at a node: the budget of its own rows, and the report of a run.
//!
//! * [`budget`]: a party sets the cost of a job aside in its own ledger before the run and settles it after.
//! * [`report`]: what the run claims and on what grounds, as `privacy.json` and one page to read.

pub mod budget;
pub mod report;

use std::path::Path;

use anyhow::{Error, Result};
use tercet_data::model::PrivacySpent;
use tercet_engine::OpeningRecord;
use tercet_train::TrainError;
use tercet_train::privacy::PrivacyPlan;

use crate::config::NodeConfig;
use crate::job::{Job, JobParty};
use budget::Charged;
use report::Report;

/// The privacy of one run, from its charge to its report. Dropped before the end, what was charged stays spent.
pub(crate) struct Accounted {
    plan: Option<PrivacyPlan>,
    charged: Option<Charged>,
}

impl Accounted {
    /// Before the run: plans the noise and charges this party's budget.
    ///
    /// # Errors
    /// A job that cannot be private as it asks, or that the budget does not cover.
    pub(crate) fn begin(config: &NodeConfig, job: &Job, party: &JobParty) -> Result<Accounted> {
        let plan = PrivacyPlan::new(&job.training, job.train_rows())?;
        let charged = budget::charge(config, job, party, plan.as_ref())?;
        Ok(Accounted { plan, charged })
    }

    /// Of a run that goes on after an interruption and was paid for as `entry` of this party's ledger.
    ///
    /// # Errors
    /// As [`Accounted::begin`]; or the entry is not of this job.
    pub(crate) fn resume(config: &NodeConfig, job: &Job, entry: u64) -> Result<Accounted> {
        let plan = PrivacyPlan::new(&job.training, job.train_rows())?;
        let charged = budget::recognise(config, job, entry)?;
        Ok(Accounted { plan, charged })
    }

    /// Steps of the whole run; 0 without privacy.
    pub(crate) fn steps(&self) -> u64 {
        self.plan.as_ref().map_or(0, |plan| plan.steps)
    }

    /// Whether the ledger has closed the entry already: what it paid for is over, and it pays for nothing else.
    pub(crate) fn settled(&self) -> bool {
        self.charged.as_ref().is_some_and(Charged::settled)
    }

    /// The entry of this party's ledger that pays for the run.
    pub(crate) fn entry(&self) -> Option<u64> {
        self.charged.as_ref().map(Charged::entry)
    }

    /// After a run that stopped with `error`: gives the charge back if nothing can have been opened, for opening comes after the
    /// last step. In doubt it stays spent.
    pub(crate) fn stopped(self, job: &Job, error: &Error) {
        let Accounted { plan: Some(plan), charged: Some(charged) } = self else { return };
        if before_opening(error, plan.steps, job.training.training.evaluate_every) {
            charged.give_back(&plan);
        } else {
            tracing::warn!(
                "the run stopped where something may have been opened: its privacy cost stays spent"
            );
        }
    }

    /// Before any party was reached: nothing was opened.
    pub(crate) fn never_began(self) {
        if let Accounted { plan: Some(plan), charged: Some(charged) } = self {
            charged.give_back(&plan);
        }
    }

    /// After a whole run: settles and writes the report.
    ///
    /// # Errors
    /// When the ledger or a file cannot be written.
    pub(crate) fn end(
        self,
        job: &Job,
        party: &JobParty,
        session: &str,
        steps: u64,
        openings: &[OpeningRecord],
        out: &Path,
    ) -> Result<()> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let ledger = self.charged.map(|charged| charged.settle(plan, openings)).transpose()?;
        Report::new(job, party, session, plan, steps, openings, ledger).write(out)
    }
}

/// Whether a run of `steps` steps that ended with `error` cannot have opened anything. What is wrong with the job, its rows or its
/// privacy is found before the first step; everything else may come later.
fn before_opening(error: &Error, steps: u64, evaluate_every: u32) -> bool {
    match error.downcast_ref::<TrainError>() {
        Some(TrainError::Engine { step, .. }) => *step < steps && evaluate_every == 0,
        Some(TrainError::Spec(_) | TrainError::Rows { .. } | TrainError::Privacy(_)) => true,
        _ => false,
    }
}

/// What a job's model has spent, for its description.
pub(crate) fn spent(job: &Job) -> Option<PrivacySpent> {
    let spec = &job.training.privacy.as_ref()?.spec;
    Some(PrivacySpent { epsilon: spec.epsilon, delta: spec.delta })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_engine::EngineError;
    use tercet_privacy::PrivacyError;

    #[test]
    fn only_an_end_before_any_opening_gives_a_charge_back() {
        let engine = |step| {
            let source = EngineError::parameter("a product", "it is lost".to_owned());
            Error::from(TrainError::Engine { step, source }).context("at the third party")
        };
        let stopped = |step| Error::from(TrainError::Stopped { step, source: "the disk is full".into() });
        for (error, every, before) in [
            (engine(0), 0, true),
            (engine(9), 0, true),
            (engine(10), 0, false),
            (engine(9), 1, false),
            (Error::from(TrainError::Privacy(PrivacyError::Empty)), 1, true),
            (stopped(10), 0, false),
            (stopped(3), 1, false),
            (Error::msg("the network is gone"), 0, false),
        ] {
            assert_eq!(before_opening(&error, 10, every), before, "{error:#}");
        }
    }
}
