//! The same training in floating point: the baseline of every cost table, and the oracle of the tests.
//!
//! It starts from the same rounded weights, visits the same batches with the same dropout masks, and uses the same rounded
//! learning rate, momentum and decay as the training on shares. In `f32`, over all cores, with buffers allocated once.

mod batch_norm;
mod conv2d;
mod dense;
mod descent;
mod elementwise;
mod gemm;
mod loss;
mod network;
mod pool;
mod real;
mod stage;

use std::time::Instant;

use ndarray::Array2;

use crate::architecture::Architecture;
use crate::job::TrainingJob;
use crate::outcome::{Metric, Outcome, Progress, TrainedModel};
use crate::rows::{DataSets, Rows, join};
use crate::scales::NumericPlan;
use crate::spec::{Loss, ModelSpec};
use crate::trainer::check_batches;
use crate::{TrainError, fold, init, shuffle, standardise};

pub use descent::{AdamStep, Descent};
pub use network::Network;
pub use real::Real;
pub use stage::Pass;

/// Rows that are evaluated at a time.
const EVALUATION_ROWS: usize = 512;

/// Trains `job` in plaintext; the caller holds the rows of all owners. Accuracy and loss of the test rows, if there are
/// some, are in the outcome whatever the job releases.
///
/// # Errors
/// A job or rows that do not fit.
pub fn train(
    job: &TrainingJob,
    data: &DataSets,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Outcome, TrainError> {
    let plan = NumericPlan::new(&job.model, &job.training, &job.fixed_point)?;
    let architecture = Architecture::new(&job.model)?;
    let mut train = table(&architecture, &data.train, "the training rows")?;
    let mut test =
        if data.test.is_empty() { None } else { Some(table(&architecture, &data.test, "the test rows")?) };
    fold::check(job, &architecture)?;
    check_batches(job, &architecture, train.features.nrows())?;
    let standards = job.standardise.then(|| standardise::Standards::of(&train.features));
    if let Some(by) = &standards {
        by.apply(&mut train.features);
        if let Some(test) = &mut test {
            by.apply(&mut test.features);
        }
    }
    let spec = &job.training;
    let mut network =
        Network::<f32>::new(&architecture, &init::weights(&architecture, spec.seed, plan.weight), spec.batch);

    let began = Instant::now();
    let (rows, outputs) = (train.features.nrows(), architecture.outputs());
    let per_epoch = shuffle::batches_per_epoch(rows, spec.batch);
    let steps = (per_epoch * u64::from(spec.epochs)).min(spec.max_steps.unwrap_or(u64::MAX));
    let mut metrics = Vec::new();
    let mut targets = vec![0f32; spec.batch * outputs];
    let mut step = 0;
    for epoch in 0..spec.epochs {
        if step == steps {
            break;
        }
        for batch in shuffle::batches(rows, spec.batch, spec.seed, epoch) {
            step += 1;
            let pass = Some((spec.seed, step));
            network.forward(&train.features, &batch, pass);
            let wanted = gather(&train.targets, &batch, &mut targets);
            network.backward(wanted, batch.len(), pass);
            network.descend(&Descent::of(&plan, spec.batch, epoch, step));
            let mut progress = Progress {
                step,
                steps,
                epoch: epoch + 1,
                epochs: spec.epochs,
                seconds: began.elapsed().as_secs_f64(),
                metric: None,
            };
            on_progress(&progress);
            let due = spec.evaluate_every > 0
                && step.is_multiple_of(per_epoch)
                && (epoch + 1).is_multiple_of(spec.evaluate_every);
            if (due || step == steps)
                && let Some(test) = &test
            {
                let (accuracy, loss) = measure(&mut network, job.model.loss, test);
                let rows = test.features.nrows();
                let metric =
                    Metric { step, epoch: epoch + 1, rows, accuracy: Some(accuracy), loss: Some(loss) };
                metrics.push(metric);
                progress.metric = Some(metric);
                progress.seconds = began.elapsed().as_secs_f64();
                on_progress(&progress);
            }
            if step == steps {
                break;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut model = network.released(&architecture);
    for layer in &mut model.layers {
        let keep = architecture.keep_before(layer.index) as f32;
        layer.weight.mapv_inplace(|w| w * keep);
    }
    if let Some(by) = &standards {
        fold::fold_plaintext(&mut model, by);
    }
    Ok(Outcome {
        steps,
        epochs: steps.div_ceil(per_epoch) as u32,
        seconds,
        metrics,
        met_target: None,
        model: Some(model),
    })
}

/// Accuracy and mean loss of released weights on rows that this party holds. Features must be scaled as in training.
///
/// # Errors
/// A model or rows that do not fit.
pub fn evaluate(model: &ModelSpec, weights: &TrainedModel, rows: &[Rows]) -> Result<(f64, f64), TrainError> {
    let architecture = Architecture::new(model)?.released();
    let table = table(&architecture, rows, "the rows to evaluate")?;
    let mut network = Network::<f32>::new(&architecture, weights, EVALUATION_ROWS);
    Ok(measure(&mut network, model.loss, &table))
}

struct Table {
    features: Array2<f32>,
    targets: Array2<f32>,
}

fn table(architecture: &Architecture, sets: &[Rows], what: &str) -> Result<Table, TrainError> {
    let joined = join(sets, |v| &v.features).zip(join(sets, |v| &v.targets));
    let bad = |found: String, expected: &str| {
        Err(TrainError::Rows { what: what.to_owned(), found, expected: expected.to_owned() })
    };
    let Some((features, targets)) = joined else {
        return bad("some are missing or of different widths".into(), "give the rows of all owners");
    };
    if features.nrows() == 0 || features.nrows() != targets.nrows() {
        return bad(
            format!("there are {} with {} targets", features.nrows(), targets.nrows()),
            "give at least one, and one target each",
        );
    }
    if (features.ncols(), targets.ncols()) != (architecture.inputs(), architecture.outputs()) {
        return bad(
            format!("they have {} features and {} targets", features.ncols(), targets.ncols()),
            "give as many as the model has inputs and outputs",
        );
    }
    Ok(Table { features, targets })
}

/// Accuracy and mean loss.
fn measure(network: &mut Network<f32>, loss: Loss, table: &Table) -> (f64, f64) {
    let (rows, cols) = table.targets.dim();
    let index: Vec<usize> = (0..rows).collect();
    let mut targets = vec![0f32; network.batch() * cols];
    let (mut correct, mut total) = (0, 0.0);
    for chunk in index.chunks(network.batch()) {
        network.forward(&table.features, chunk, None);
        let wanted = gather(&table.targets, chunk, &mut targets);
        let outputs = network.outputs(chunk.len());
        correct += loss::correct(loss, outputs, wanted, cols);
        total += loss::total(loss, outputs, wanted, cols);
    }
    (correct as f64 / rows as f64, total / rows as f64)
}

/// The rows `index` of `from`, side by side in `to`.
fn gather<'a, F: Real>(from: &Array2<F>, index: &[usize], to: &'a mut [F]) -> &'a [F] {
    let cols = from.ncols();
    for (row, &i) in to.chunks_exact_mut(cols).zip(index) {
        row.iter_mut().zip(from.row(i)).for_each(|(t, f)| *t = *f);
    }
    &to[..index.len() * cols]
}

#[cfg(test)]
pub(crate) mod tests;
