//! The floating-point baseline: the same job on rows that lie in one place.

use std::path::Path;

use anyhow::{Context, Result};
use tercet_train::{DataSets, plaintext};

use crate::cli::say;
use crate::job::Job;
use crate::logging::Console;
use crate::progress::{Progress, Tick};
use crate::{node, sources, text};

/// What training in floating point reaches, and how long it takes.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    /// Steps done.
    pub steps: u64,
    /// From the first step to the last evaluation.
    pub seconds: f64,
    /// On the test rows, 0 to 1, if there are any.
    pub accuracy: Option<f64>,
    /// Mean over the test rows, if there are any.
    pub loss: Option<f64>,
}

/// Trains `job` on `rows`, which hold the values of all parties.
///
/// # Errors
/// Rows that do not fit the job.
pub fn train(job: &Job, rows: &DataSets) -> Result<Baseline> {
    let mut progress = Progress::new(&Console::default());
    let outcome = plaintext::train(&job.training, rows, &mut |now| {
        let tick = Tick {
            step: now.step,
            steps: now.steps,
            epoch: now.epoch,
            epochs: now.epochs,
            loss: now.metric.and_then(|metric| metric.loss),
            accuracy: now.metric.and_then(|metric| metric.accuracy),
        };
        progress.show(tick, || None);
    })?;
    progress.finish();
    let last = outcome.metrics.last();
    Ok(Baseline {
        steps: outcome.steps,
        seconds: outcome.seconds,
        accuracy: last.and_then(|metric| metric.accuracy),
        loss: last.and_then(|metric| metric.loss),
    })
}

/// `tercet plaintext`.
///
/// # Errors
/// A fault in the job or in the data files.
pub fn command(path: &Path, data: Option<&Path>) -> Result<()> {
    let job = Job::read(path).with_context(|| path.display().to_string())?;
    let data = data.map_or_else(|| sources::beside_job(path), Path::to_owned);
    let all = sources::read(&data)?;
    let own = sources::of_parties(&job, &all, &data)?;
    let rows = node::read_rows(&job, &own)?;
    let float = train(&job, &rows)?;
    let shown = |value: Option<f64>, show: fn(f64) -> String| value.map_or("no test rows".to_owned(), show);
    say(format_args!("job            {} in floating point", job.name))?;
    say(format_args!("test accuracy  {}", shown(float.accuracy, text::percent)))?;
    say(format_args!("test loss      {}", shown(float.loss, |loss| format!("{loss:.4}"))))?;
    say(format_args!("training time  {}", text::seconds(float.seconds)))?;
    say(format_args!("steps          {}", text::grouped(float.steps)))
}
