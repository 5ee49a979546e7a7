//! Do the sections of a job fit each other: rows, batches, data and network?

use tercet_train::SpecError;
use tercet_train::privacy::PrivacyPlan;

use super::{Job, JobError};

/// Checks everything that can be known before a row is read.
pub(super) fn check(job: &Job) -> Result<(), JobError> {
    let spec = |error: SpecError| JobError::meaning(error.to_string());
    let training = &job.training;
    training.validate().map_err(spec)?;

    let (given, taken) = (job.data.features(), training.model.input.len());
    if given != taken {
        return Err(JobError::meaning(format!(
            "a row of [data] has {given} features but `model.input` takes {taken}: make the two agree"
        )));
    }
    // No labels: only whether the number of classes fits the last layer.
    tercet_train::targets(&[], job.data.classes(), &training.model)
        .map_err(|error| JobError::meaning(error.to_string()))?;
    let (batch, rows) = (training.training.batch, job.train_rows());
    if batch > rows {
        return Err(JobError::meaning(format!(
            "training.batch is {batch} but the parties bring {rows} training rows: use a smaller batch"
        )));
    }
    PrivacyPlan::new(training, rows).map_err(|error| JobError::meaning(error.to_string()))?;
    Ok(())
}
