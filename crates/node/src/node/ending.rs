//! How a run ends at one party: with its results, alone, or with an error; what is on record then, and what is kept.

use anyhow::{Error, Result};
use tercet_net::NetError;
use tercet_train::Outcome;

use super::faults::network;
use super::keeper::Keeping;
use super::record::{self, Record, RunOutcome};
use super::run::Run;
use super::training::Accounts;
use super::{MODEL_FOLDER, model};
use crate::cli::sentence;
use crate::job::JobParty;
use crate::recovery::Disagreement;
use crate::recovery::journal::{self, Event, now};
use crate::status::Doing;
use crate::stop::Stopped;

impl Run<'_> {
    /// Writes what came out. A party that has its results already took part for the sake of another.
    pub(super) fn results(
        &mut self,
        outcome: &Outcome,
        accounts: &Accounts,
        keeping: Option<&mut Keeping>,
    ) -> Result<()> {
        let (config, job) = (self.config, self.job);
        self.record.account(accounts);
        if let Some(keeping) = &keeping {
            // Those of earlier sessions and processes too.
            let events = journal::read(&config.out)?;
            self.record.openings = journal::openings(&events, &keeping.run.to_string());
        }
        if self.finished {
            return record::amend(&config.out, &self.record.openings);
        }
        if let Some(trained) = &outcome.model {
            let folder = config.out.join(MODEL_FOLDER);
            model::write(&folder, job, trained, outcome)?;
            self.record.model = Some(folder.display().to_string());
            tracing::info!("model written to {}", folder.display());
        }
        let record = &mut self.record;
        record.met_target = outcome.met_target;
        record.steps = outcome.steps;
        record.epochs = outcome.epochs;
        record.metrics = outcome.metrics.clone();
        record.seconds.training = outcome.seconds;
        record.seconds.total = self.begun.elapsed().as_secs_f64();
        if let Some(accounted) = self.accounted.take() {
            let session = record.session.clone();
            accounted.end(job, self.party, &session, outcome.steps, &record.openings, &config.out)?;
        }
        if let Some(keeping) = keeping {
            keeping.journal.add(&Event::Finished { at: now(), steps: outcome.steps })?;
            keeping.journal.sync()?;
        }
        // Last: a record says that everything else is there.
        record.write(&config.out)?;
        self.finished = true;
        if outcome.met_target == Some(false) {
            let targets = &job.training.targets;
            let opened = match targets.open_anyway {
                true => "opened all the same, as the job says",
                false => "not opened",
            };
            let accuracy = targets.accuracy.unwrap_or_default();
            tracing::warn!("the model misses targets.accuracy = {accuracy} on the test rows: it is {opened}");
        }
        if self.record.met_epsilon == Some(false) {
            let most = job.training.targets.epsilon.unwrap_or_default();
            tracing::warn!(
                "privacy.epsilon is above targets.epsilon = {most}: the job ran all the same, as it says"
            );
        }
        tell(&self.record, self.party, outcome.seconds);
        Ok(())
    }

    /// The others did not come, or not in time.
    pub(super) fn alone(mut self, error: Error) -> Result<()> {
        if matches!(network(&error), Some(NetError::Stopped)) {
            return self.give_up(error);
        }
        if self.finished {
            tracing::warn!(
                "this party has its results; whether the others have theirs is not known: {}",
                sentence(&error)
            );
            self.status.set(|state| (state.doing, state.until) = (Doing::Finished, None));
            return Ok(());
        }
        if self.sessions == 0 && !self.returning {
            if let Some(accounted) = self.accounted.take() {
                accounted.never_began();
            }
            self.failed(&error);
            return Err(error);
        }
        let checkpoint = self.status.now().checkpoint.unwrap_or(0);
        let kept = format!("the checkpoint of step {checkpoint} is kept: start this node again to go on");
        self.give_up(error.context(kept))
    }

    fn failed(&self, error: &Error) {
        let reason = sentence(error);
        self.status.set(|state| {
            (state.doing, state.reason, state.until) = (Doing::Failed, Some(reason), None);
        });
    }

    /// Ends the run here, with everything on record that was opened.
    pub(super) fn give_up(mut self, error: Error) -> Result<()> {
        let error = match network(&error) {
            Some(NetError::Stopped) => {
                let state = self.status.now();
                let checkpoint = self.kept.as_ref().and(state.checkpoint);
                Error::from(Stopped { step: state.step, checkpoint })
            }
            _ => match error.chain().find_map(|cause| cause.downcast_ref::<Stopped>()) {
                Some(stopped) => Error::from(*stopped),
                None => error,
            },
        };
        if error.is::<Stopped>() {
            let reason = sentence(&error);
            self.status.set(|state| {
                (state.doing, state.reason, state.until) = (Doing::Stopped, Some(reason), None);
            });
        } else {
            self.failed(&error);
        }
        // What goes on later has been paid for; without checkpoints nothing goes on. Where the parties did not agree on a
        // beginning there is nothing to go on from: a peer that offers nonsense costs no budget.
        let nothing = self.sessions == 0 && !self.returning && error.is::<Disagreement>();
        match self.accounted.take() {
            Some(accounted) if nothing => accounted.never_began(),
            Some(accounted) if self.kept.is_none() => accounted.stopped(self.job, &error),
            _ => {}
        }
        if self.finished || self.sessions == 0 {
            return Err(error);
        }
        if let Some(run) = &self.record.run {
            let events = journal::read(&self.config.out)?;
            self.record.openings = journal::openings(&events, run);
        }
        self.record.outcome = RunOutcome::Failed { reason: sentence(&error) };
        self.record.seconds.total = self.begun.elapsed().as_secs_f64();
        // A disk that takes no record is often the reason of the end: that reason is the one to tell.
        if let Err(unwritten) = self.record.write(&self.config.out) {
            tracing::warn!("the record of this end is missing: {}", sentence(&unwritten));
        }
        Err(error)
    }
}

fn tell(record: &Record, party: &JobParty, seconds: f64) {
    tracing::info!(
        "`{}` finished {} steps in {seconds:.2} s, {} sent, {} rounds, {} openings",
        party.name,
        record.steps,
        crate::text::bytes(record.bytes.sent),
        record.rounds.total,
        record.openings.len()
    );
}
