//! Do the sections of a job fit each other: rows, batches, data and network?

use tercet_train::spec::LayerSpec;
use tercet_train::{NumericPlan, SpecError};

use super::{Job, JobError};

/// Checks everything that can be known before a row is read.
pub(super) fn check(job: &Job) -> Result<(), JobError> {
    let spec = |error: SpecError| JobError::meaning(error.to_string());
    let training = &job.training;
    training.model.validate().map_err(spec)?;
    training.training.validate().map_err(spec)?;
    training.fixed_point.validate().map_err(spec)?;
    NumericPlan::new(&training.model, &training.training, &training.fixed_point).map_err(spec)?;

    let (given, taken) = (job.data.features(), training.model.input.len());
    if given != taken {
        return Err(JobError::meaning(format!(
            "a row of [data] has {given} features but `model.input` takes {taken}: make the two agree"
        )));
    }
    // No labels: only whether the number of classes fits the last layer.
    tercet_train::targets(&[], job.data.classes(), &training.model)
        .map_err(|error| JobError::meaning(error.to_string()))?;
    if !training.release.model.is_empty() {
        check_model_file(job)?;
    }
    let (batch, rows) = (training.training.batch, job.train_rows());
    if batch > rows {
        return Err(JobError::meaning(format!(
            "training.batch is {batch} but the parties bring {rows} training rows: use a smaller batch"
        )));
    }
    Ok(())
}

/// A trained model that no file can hold is refused before the training, not after it.
fn check_model_file(job: &Job) -> Result<(), JobError> {
    let writable = |layer: &LayerSpec| {
        matches!(
            layer,
            LayerSpec::Dense { .. }
                | LayerSpec::Relu {}
                | LayerSpec::Sigmoid {}
                | LayerSpec::Flatten {}
                | LayerSpec::Dropout { .. }
        )
    };
    if let Some(layer) = job.training.model.layers.iter().find(|layer| !writable(layer)) {
        return Err(JobError::meaning(format!(
            "a model with a {} layer cannot be written to a file yet: release the accuracy or the loss alone",
            layer.kind()
        )));
    }
    if job.training.standardise {
        return Err(JobError::meaning(
            "a model on features that are standardised on shares is of no use without their means and deviations, which \
             stay secret: use `standardise = \"bounds\"`, or release the accuracy or the loss alone",
        ));
    }
    Ok(())
}
