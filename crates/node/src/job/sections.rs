//! Do the sections of a job fit each other: rows, batches, data and network?

use tercet_data::DataSpec;
use tercet_train::SpecError;
use tercet_train::privacy::PrivacyPlan;
use tercet_train::spec::NoiseKind;

use super::{Job, JobError};

/// Checks everything that can be known before a row is read.
pub(super) fn check(job: &Job) -> Result<(), JobError> {
    let spec = |error: SpecError| JobError::meaning(error.to_string());
    let training = &job.training;
    unit_column(job)?;
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
    let banded = training.privacy.as_ref().is_some_and(|p| matches!(p.spec.noise, NoiseKind::Banded { .. }));
    if banded && job.checkpoint.is_some() {
        return Err(JobError::meaning(
            "it has [checkpoint] and banded noise, whose streams are not kept and must not begin anew: leave one of them out",
        ));
    }
    PrivacyPlan::new(training, rows).map_err(|error| JobError::meaning(error.to_string()))?;
    Ok(())
}

/// The column that names the units of a private training must be one that the owners' files have.
fn unit_column(job: &Job) -> Result<(), JobError> {
    let Some(column) = job.training.privacy.as_ref().and_then(|privacy| privacy.spec.unit_column()) else {
        return Ok(());
    };
    let DataSpec::Csv(csv) = &job.data else {
        return Err(JobError::meaning(format!(
            "privacy.unit is {column:?}, but images have no columns: use \"record\""
        )));
    };
    let known = csv.features().iter().map(|feature| feature.name.as_str());
    if known.chain(csv.ignore().iter().map(String::as_str)).any(|name| name == column) {
        return Ok(());
    }
    Err(JobError::meaning(format!(
        "privacy.unit is {column:?}, but [data] has no such column: add it to data.ignore if the files have it, or use \"record\""
    )))
}
