//! The budget of this party's rows. A private job is charged before it starts; a job that the budget does not cover does not
//! start here, and so not anywhere.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tercet_data::Source;
use tercet_engine::OpeningRecord;
use tercet_privacy::ledger::{Action, Budget, Cost, Ledger, LedgerError, Request, Reservation};
use tercet_train::privacy::PrivacyPlan;

use crate::config::NodeConfig;
use crate::job::{Job, JobParty};

/// The `[budget]` section of a node file: the most that all jobs together may learn of this party's rows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// The ledger; made by the first private job, kept for ever.
    pub ledger: PathBuf,
    /// Largest ε of everything together.
    pub epsilon: f64,
    /// The δ at which it holds.
    pub delta: f64,
    /// The hash of an entry that the ledger must contain: its head after an earlier run, kept elsewhere.
    pub head: Option<String>,
}

/// What a run has set aside. Dropped without a settlement, it stays spent in full.
pub(super) struct Charged {
    ledger: Ledger,
    reservation: Reservation,
    path: PathBuf,
    data_set: String,
    /// A session before an interruption has settled it.
    settled: bool,
}

/// A ledger's entry, for the report.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LedgerEntry {
    /// The ledger's file.
    pub ledger: String,
    /// The data set, as the ledger names it.
    pub data_set: String,
    /// The entry that set the cost aside.
    pub entry: u64,
    /// ε of everything spent on the data set so far, this run included.
    pub spent_epsilon: f64,
    /// ε of the budget.
    pub budget_epsilon: f64,
    /// δ of the budget.
    pub budget_delta: f64,
    /// Hash of the ledger's last entry, to be kept elsewhere.
    pub head: String,
}

/// Sets the cost of `job` aside; `None` if this party keeps no budget or brings no training rows.
///
/// # Errors
/// The budget does not cover the job, the job is not private, or the ledger cannot be used.
pub(super) fn charge(
    config: &NodeConfig,
    job: &Job,
    party: &JobParty,
    plan: Option<&PrivacyPlan>,
) -> Result<Option<Charged>> {
    let Some(budget) = &config.budget else { return Ok(None) };
    let Some(source) = config.data.train.as_ref() else { return Ok(None) };
    let Some(plan) = plan else {
        bail!(
            "`{}` keeps a privacy budget for its rows, but job {} has no [privacy] section: agree on one, or remove \
             [budget] from the node file",
            party.name,
            job.name
        );
    };
    let data_set = data_set(source);
    let ledger = open(budget, &data_set, &plan.spec.unit)?;
    let recipients = recipients(job);
    let request = Request {
        data_set: data_set.clone(),
        unit: plan.spec.unit.clone(),
        job: *job.hash().as_bytes(),
        purpose: job.name.clone(),
        recipient: recipients.join(", "),
        cost: Cost::Approximate {
            mechanisms: plan.events(),
            excess: plan.views.discrete_excess,
            failure: plan.range_probability,
        },
    };
    let reservation = ledger.reserve(&request).map_err(|error| match error {
        LedgerError::Mismatch { path, field: "data set", .. } => anyhow!(
            "the ledger {} was made for other data files than {}: files are known by their full paths, so put them back where \
             they were, or name the ledger that was made for these",
            path.display(),
            files(source).iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" and ")
        ),
        error => error.into(),
    })?;
    tracing::info!("privacy ledger {}: entry {} reserved", budget.ledger.display(), reservation.entry);
    Ok(Some(Charged { ledger, reservation, path: budget.ledger.clone(), data_set, settled: false }))
}

/// What an interrupted run has set aside as `entry`: the run that goes on is the same run, and pays once.
///
/// # Errors
/// The ledger cannot be used, or the entry is not of this job.
pub(super) fn recognise(config: &NodeConfig, job: &Job, entry: u64) -> Result<Option<Charged>> {
    let Some(budget) = &config.budget else { return Ok(None) };
    let ledger = existing(budget)?;
    let entries = ledger.entries()?;
    let reserved = entries.iter().find_map(|found| match &found.content {
        Action::Reserve(reserved) if found.index == entry => Some(reserved),
        _ => None,
    });
    let Some(reserved) = reserved.filter(|reserved| reserved.job == job.hash().to_string()) else {
        bail!(
            "entry {entry} of the ledger {} did not set budget aside for this job, but the checkpoint says so: put the right \
             ledger back, or start all parties with --restart",
            budget.ledger.display()
        );
    };
    let settles =
        |action: &Action| matches!(action, Action::Settle { reservation, .. } if *reservation == entry);
    let settled = entries.iter().any(|found| settles(&found.content));
    tracing::info!("privacy ledger {}: entry {entry} pays for this run", budget.ledger.display());
    let data_set = reserved.data_set.clone();
    let reservation = Reservation { entry };
    Ok(Some(Charged { ledger, reservation, path: budget.ledger.clone(), data_set, settled }))
}

/// The ledger that is there, with the head that the node file names, if it names one.
fn existing(config: &BudgetConfig) -> Result<Ledger, LedgerError> {
    match &config.head {
        Some(head) => Ledger::open_through(&config.ledger, head),
        None => Ledger::open(&config.ledger),
    }
}

/// The ledger, made if there is none yet and the node file names no head. Its budget is the node file's.
fn open(config: &BudgetConfig, data_set: &str, unit: &str) -> Result<Ledger> {
    let budget = Budget {
        data_set: data_set.to_owned(),
        unit: unit.to_owned(),
        epsilon: config.epsilon,
        delta: config.delta,
    };
    let ledger = match config.ledger.symlink_metadata() {
        Ok(found) if !found.is_file() => existing(config)?,
        _ if config.head.is_some() => existing(config)?,
        // Also where there is a file: an earlier start may have found no room for more than its name.
        _ => match Ledger::create(&config.ledger, budget) {
            Ok(ledger) => ledger,
            Err(LedgerError::Exists(_)) => existing(config)?,
            Err(error) => return Err(error.into()),
        },
    };
    let stated = ledger.status()?.budget;
    if (stated.epsilon, stated.delta) != (config.epsilon, config.delta) {
        bail!(
            "the ledger {} was made for epsilon {} at delta {}, but the node file's [budget] says {} at {}: a budget does not \
             change, so correct the node file",
            config.ledger.display(),
            stated.epsilon,
            stated.delta,
            config.epsilon,
            config.delta
        );
    }
    Ok(ledger)
}

/// Names a data set by its files, so that no choice of rows within them has a budget of its own.
fn data_set(source: &Source) -> String {
    let mut hash = Sha256::new();
    for file in files(source) {
        let name = file.as_os_str().as_encoded_bytes();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
    }
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The files of a data set.
fn files(source: &Source) -> Vec<&Path> {
    match source {
        Source::Csv { file, .. } => vec![file],
        Source::Idx { images, labels, .. } => vec![images, labels],
    }
}

/// Everyone who receives what a job opens; the verdict on a target accuracy is for all.
fn recipients(job: &Job) -> Vec<&str> {
    let (release, targets) = (&job.training.release, &job.training.targets);
    let receives = |index: &usize| {
        targets.accuracy.is_some()
            || [&release.model, &release.accuracy, &release.loss].iter().any(|to| to.contains(index))
    };
    (0..job.parties.len()).filter(receives).map(|index| job.parties[index].name.as_str()).collect()
}

impl Charged {
    /// The entry in the ledger.
    pub(super) fn entry(&self) -> u64 {
        self.reservation.entry
    }

    /// Whether it was settled before.
    pub(super) fn settled(&self) -> bool {
        self.settled
    }

    /// Gives everything back: nothing was opened. A ledger that cannot be written keeps it spent, which is safe.
    pub(super) fn give_back(self, plan: &PrivacyPlan) {
        if let Err(error) = self.settle(plan, &[]) {
            tracing::warn!("the privacy cost of a run that opened nothing stays spent: {error}");
        }
    }

    /// Settles what was really spent: nothing if nothing was opened, else the steps up to the last opening.
    pub(super) fn settle(self, plan: &PrivacyPlan, openings: &[OpeningRecord]) -> Result<LedgerEntry> {
        let spent = openings.iter().map(|opening| plan.uses_after(opening.step)).max().unwrap_or(0);
        if !self.settled {
            self.ledger.settle(&self.reservation, &[spent])?;
        }
        let status = self.ledger.status()?;
        Ok(LedgerEntry {
            ledger: self.path.display().to_string(),
            data_set: self.data_set,
            entry: self.reservation.entry,
            spent_epsilon: status.spent_epsilon,
            budget_epsilon: status.budget.epsilon,
            budget_delta: status.budget.delta,
            head: status.head.hash.clone(),
        })
    }
}
