//! Standardisation folded into the first layer of a released model.
//!
//! Training saw (x − μ)·f of every feature x, with means μ and scale factors f that nobody knows. A recipient of the model
//! has x only. So the first layer is opened as W' = diag(f)·W and b' = b − μ·W', computed on shares: the model then takes
//! features that are scaled by their public bounds alone, and neither μ nor f is opened. (W' and b' still say something of
//! them, as any model does of its data: one b' is a sum over all features.)

use ndarray::Axis;
use tercet_engine::{Engine, EngineError, Shared, Truncate, functions};
use tercet_share::{Bilinear, Linear, Ring};

use crate::architecture::{Architecture, Node};
use crate::layers::Weights;
use crate::optimiser::Parameter;
use crate::scales::{Dyadic, NumericPlan};
use crate::spec::SpecError;
use crate::standardise::{SharedStandards, Standards, divided};
use crate::{TrainedModel, TrainingJob};

/// Scale factors are at most 2^10: the floor of a variance is 2^−20.
const FACTOR_BITS: u32 = 10;

/// An error if the model is released, trained on standardised features, and has a first layer that cannot take them
/// unstandardised: any but a dense one, for a convolution has one weight for many features.
pub(crate) fn check(job: &TrainingJob, architecture: &Architecture) -> Result<(), SpecError> {
    if !job.standardise || job.release.model.is_empty() {
        return Ok(());
    }
    let layers = architecture.layers().iter().enumerate();
    let mut first = layers.skip_while(|(_, l)| matches!(l.node, Node::Flatten | Node::Dropout { .. }));
    match first.next() {
        Some((_, layer)) if !matches!(layer.node, Node::Dense { .. }) => Err(SpecError::value(
            "release.model",
            "given to somebody, while features are standardised on shares and the first layer is not dense",
            "begin with a dense layer, standardise by public bounds, or release the accuracy or the loss alone",
        )),
        _ => Ok(()),
    }
}

/// Fractional bits of the parts, so that every sum stays below 2^62.
struct Fracs {
    /// Of W before the fold.
    weight: u32,
    /// Of W'.
    folded: u32,
    /// Of μ; with W' at least as many as of W.
    mean: u32,
}

impl Fracs {
    fn new(plan: &NumericPlan, factor: u32, mean: u32, features: usize) -> Fracs {
        let size = plan.weight_bits + FACTOR_BITS + 2;
        // |μ| is at most 2, and b' is a sum over all features.
        let room = (62 - size - 1).saturating_sub(features.next_power_of_two().trailing_zeros());
        let weight = (62 - size - factor).min(24).min(plan.master - 1).min(room);
        let folded = (room / 2).min(20).min(weight + factor - 1);
        Fracs { weight, folded, mean: mean.min(room - folded) }
    }
}

/// W' and b' of the first layer, from its master weights. Nothing is opened.
pub(crate) fn fold<E: Engine>(
    engine: &mut E,
    plan: &NumericPlan,
    architecture: &Architecture,
    standards: &SharedStandards<E>,
    first: &Parameter<E>,
) -> Result<Weights<E>, EngineError> {
    let facts = first.weight.meta();
    let fracs = Fracs::new(plan, standards.factor.meta().frac, standards.mean.meta().frac, facts.rows);

    // The ring of products has no room for the factors: the weights are truncated into the full one.
    let shift = facts.frac - fracs.weight;
    let batch = [&first.weight, &first.bias].map(|value| Truncate { value, shift, out: Ring::FULL });
    let [weight, bias] = pair(engine.truncate(&batch)?)?;
    let factor = engine.linear(&standards.factor, &Linear::Transpose)?;
    let factor = engine.linear(&factor, &Linear::RepeatCols(facts.cols))?;
    let weight = engine.product(&Bilinear::Hadamard, &weight, &factor)?;
    let weight = functions::finish(engine, &weight, fracs.folded, Ring::FULL)?;

    let mut mean = standards.mean.clone();
    let keep = architecture.keep_before(architecture.first_weights());
    if keep < 1.0 {
        // A dropout before the layer: recipients multiply W' by its factor, so b' needs it too.
        mean = divided(engine, &mean, Dyadic::probability(keep))?;
    }
    if mean.meta().frac > fracs.mean {
        let wide = engine.lift(&mean)?;
        mean = functions::finish(engine, &wide, fracs.mean, Ring::FULL)?;
    }
    let moved = engine.product(&Bilinear::MATMUL, &mean, &weight)?;
    let mut sum = engine.linear_offset(&moved, &Linear::Scale(-1))?;
    let bias = engine.lift(&bias)?;
    let up = sum.meta().frac - fracs.weight;
    engine.accumulate(&mut sum, &bias, 1, up)?;
    let bias = functions::finish(engine, &sum, fracs.folded, Ring::FULL)?;
    Ok(Weights { weight, bias, running: None })
}

/// The same in the open, for the training in floating point. The keep probabilities are in the weights already.
pub(crate) fn fold_plaintext(model: &mut TrainedModel, standards: &Standards) {
    let Some(first) = model.layers.first_mut() else { return };
    for (mut row, (mean, factor)) in first.weight.axis_iter_mut(Axis(0)).zip(standards.each()) {
        row.mapv_inplace(|w| (f64::from(w) * factor) as f32);
        first.bias.zip_mut_with(&row, |b, w| *b = (f64::from(*b) - mean * f64::from(*w)) as f32);
    }
}

fn pair<T>(values: Vec<T>) -> Result<[T; 2], EngineError> {
    values
        .try_into()
        .map_err(|_| EngineError::parameter("a fold", "a batch of two gave another number of results"))
}
