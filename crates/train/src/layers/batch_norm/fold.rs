//! A batch normalisation folded into the weights of the layer before it, for evaluations and the released model.
//!
//! With running mean m and variance v, y = γ·(W·x + b − m) / √(v + ε) + β = W'·x + b' for W' = W·s, b' = (b − m)·s + β and
//! s = γ / √(v + ε), computed on shares. So an evaluation runs the network as it will be released, at the cost of one without
//! normalisation, and of a normalisation nothing is opened but W' and b': neither means nor variances nor γ.

use ndarray::Array1;
use tercet_engine::{Engine, EngineError, Shared, Truncate, functions};
use tercet_share::{Bilinear, Linear, Ring};

use super::channels::{batch, root, scale};
use crate::TrainedModel;
use crate::architecture::{Architecture, Node};
use crate::layers::Weights;
use crate::optimiser::State;
use crate::scales::{NormPlan, NumericPlan};

/// Fractional bits of released weights at most.
const RELEASED: u32 = 20;

/// What folded weights are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For products, as truncated weights are.
    Evaluation,
    /// To be opened.
    Release,
}

/// Puts W' and b' in the place of the weights of every layer that a batch normalisation follows. `weights` are those of all layers
/// that have some; of the layer in `given`, they are in the full ring and are folded as they are, for they hold more than the state.
///
/// Rounds on the `helper` engine: 13 for each normalisation.
pub(crate) fn into<E: Engine>(
    engine: &mut E,
    plan: &NumericPlan,
    architecture: &Architecture,
    state: &State<E>,
    weights: &mut [Weights<E>],
    (purpose, given): (Purpose, Option<usize>),
) -> Result<(), EngineError> {
    let nodes = architecture.layers().iter().enumerate().filter(|(_, layer)| layer.weight().is_some());
    for (slot, (index, _)) in nodes.enumerate() {
        let Some((norm, before)) = plan.norm(index).zip(slot.checked_sub(1)) else { continue };
        let given = (given == Some(before)).then(|| &weights[before]);
        let folded = fold(engine, plan, norm, state, (slot, given), purpose)?;
        weights[before] = folded;
    }
    Ok(())
}

fn fold<E: Engine>(
    engine: &mut E,
    plan: &NumericPlan,
    norm: &NormPlan,
    state: &State<E>,
    (slot, given): (usize, Option<&Weights<E>>),
    purpose: Purpose,
) -> Result<Weights<E>, EngineError> {
    let lost = || EngineError::parameter("a fold", "the state has no running averages for it");
    let [before, own] = [&state.parameters[slot - 1], &state.parameters[slot]];
    let running = own.running.as_ref().ok_or_else(lost)?;
    let [mean_frac, variance_frac] = norm.averages(plan);
    // They are kept read with as many bits more as a truncation drops.
    let whole = Linear::Scale(1 << norm.average.shift);
    let running_mean = engine.linear_offset(&running.0, &whole)?;
    let running_variance = engine.linear_offset(&running.1, &whole)?;
    let to = |value, frac: u32| {
        let value: &E::Offset = value;
        Truncate { value, shift: value.meta().frac - frac, out: Ring::FULL }
    };
    // Of master weights, which have S fractional bits.
    let weight_frac = plan.weight.max(RELEASED).min(plan.master - 1);
    let bias_frac = mean_frac.max(plan.weight).min(plan.master - 1);
    let [weight, bias, gamma, beta, mean, variance] = batch(
        engine,
        &[
            to(&before.weight, weight_frac),
            to(&before.bias, bias_frac),
            to(&own.weight, norm.parameter),
            to(&own.bias, norm.parameter),
            to(&running_mean, mean_frac),
            to(&running_variance, variance_frac),
        ],
    )?;
    let (weight, bias) = given.map_or((weight, bias), |w| (w.weight.clone(), w.bias.clone()));

    let root = root(engine, norm, &variance)?;
    let root = functions::finish(engine, &root, norm.root, Ring::FULL)?;
    let scale = scale(engine, norm, &gamma, &root, Ring::FULL)?;

    let columns = engine.linear(&scale, &Linear::RepeatRows(weight.meta().rows))?;
    let weight = engine.product(&Bilinear::Hadamard, &weight, &columns)?;
    let frac = bias.meta().frac.max(mean_frac);
    let [bias, mean] = [raised(engine, &bias, frac)?, raised(engine, &mean, frac)?];
    let centred = engine.add(&bias, &mean, true)?;
    let mut bias = engine.product(&Bilinear::Hadamard, &centred, &scale)?;
    let beta = engine.lift(&beta)?;
    let up = bias.meta().frac - norm.parameter;
    engine.accumulate(&mut bias, &beta, 1, up)?;

    let (most, out) = match purpose {
        Purpose::Evaluation => (plan.weight, plan.weight_ring),
        Purpose::Release => (RELEASED, Ring::FULL),
    };
    let end = |value| {
        let value: &E::Offset = value;
        let frac = value.meta().frac;
        Truncate { value, shift: frac - most.min(frac - 1), out }
    };
    let [weight, bias] = batch(engine, &[end(&weight), end(&bias)])?;
    Ok(Weights { weight, bias, running: None })
}

/// The same value with `frac` fractional bits, not fewer than it has.
fn raised<E: Engine>(engine: &mut E, x: &E::Masked, frac: u32) -> Result<E::Masked, EngineError> {
    let x_frac = x.meta().frac;
    let x = engine.linear(x, &Linear::Scale(1 << (frac - x_frac)))?;
    engine.reread(&x, frac)
}

/// What a batch normalisation in floating point does to a released model: each output of the layer before it times a scale, plus a
/// shift.
pub(crate) struct Scaled {
    /// s of each channel.
    pub(crate) scale: Vec<f64>,
    /// β − m·s of each channel.
    pub(crate) shift: Vec<f64>,
}

/// The same in the open, for the training in floating point: normalisations by their place in `model.layers`. Their own entries are
/// taken out of the model.
pub(crate) fn fold_plaintext(
    model: &mut TrainedModel,
    architecture: &Architecture,
    scaled: &[(usize, Scaled)],
) {
    for (index, Scaled { scale, shift }) in scaled {
        let Some(before) = model.layers.iter_mut().find(|layer| layer.index + 1 == *index) else { continue };
        for mut row in before.weight.rows_mut() {
            row.iter_mut().zip(scale).for_each(|(w, s)| *w = (f64::from(*w) * s) as f32);
        }
        let bias = before.bias.iter().zip(scale.iter().zip(shift));
        before.bias = Array1::from_iter(bias.map(|(b, (s, t))| (f64::from(*b) * s + t) as f32));
    }
    model.layers.retain(|layer| !matches!(architecture.layers()[layer.index].node, Node::BatchNorm { .. }));
}
