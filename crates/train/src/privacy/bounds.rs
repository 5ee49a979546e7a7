//! How large the values of a private training can get, from public numbers alone.
//!
//! Norms are Euclidean of a row, spectral of one layer's weights with its biases as one more row. A dense layer with input a gives
//! ‖z‖ ≤ √(‖a‖² + 1) · ‖W‖, and its backward pass ‖δ·Wᵀ‖ ≤ ‖δ‖ · ‖W‖. Weights start at public values, and each step adds at most
//! rate / batch · (rows · (1 + κ + r) + noise), r for the rounding of bounded gradients. The noise of all steps together is
//! sub-Gaussian; its norm is bounded up to a probability (Hsu, Kakade and Zhang, Electronic Communications in Probability 2012).
//! Momentum truncates every number of the velocity in every step, which counts like one more gradient of so many units.

use ndarray::Array2;
use tercet_privacy::banded::Banded;

use crate::SpecError;
use crate::architecture::{Architecture, Node};
use crate::scales::NumericPlan;
use crate::spec::{Loss, PrivacySpec};
use crate::{TrainedModel, TrainingJob, init};

use super::{KAPPA, TRUNCATION_UNITS};

/// Bounds of one dense layer.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct LayerBounds {
    /// Position in `model.layers`, from 0.
    pub layer: usize,
    /// A: norm of the layer's input of one row, the 1 of the bias included.
    pub input_norm: f64,
    /// Norm of the gradient of the layer's output of one row.
    pub delta_norm: f64,
    /// Norm of weights and biases at any time.
    pub weight_norm: f64,
    /// Outputs.
    pub outputs: usize,
}

/// What a step can add to weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// Steps of the whole training.
    pub(super) count: u64,
    /// Steps of an epoch.
    pub(super) per_epoch: u64,
}

impl Steps {
    pub(super) fn of(job: &TrainingJob, rows: usize) -> Steps {
        let per_epoch = crate::shuffle::batches_per_epoch(rows, job.training.batch).max(1);
        let all = per_epoch * u64::from(job.training.epochs);
        Steps { count: job.training.max_steps.map_or(all, |most| all.min(most)), per_epoch }
    }

    /// Sum of rate / batch over all steps, and the square root of the sum of squares of what the draws of each step are
    /// multiplied by, momentum included.
    fn rates(&self, plan: &NumericPlan, batch: usize, strategy: Option<&Banded>) -> (f64, f64) {
        let momentum = plan.momentum.map_or(0.0, |m| m.value());
        let reach = 1.0 / (1.0 - momentum);
        let (mut sum, mut squares) = (0.0, 0.0);
        for epoch in 0..self.count.div_ceil(self.per_epoch) {
            let steps = self.per_epoch.min(self.count - epoch * self.per_epoch) as f64;
            let rate = plan.learning_rate(epoch as u32) / batch as f64 * reach;
            sum += steps * rate;
            squares += steps * rate * rate;
        }
        let Some(banded) = strategy else { return (sum, squares.sqrt()) };
        // A draw of step i reaches the velocity of step i + k as v_k, and the weights as v_0 + … + v_k. The rate is constant.
        let (mut velocity, mut weight, mut squares, mut absolute) = (0.0, 0.0, 0.0, 0.0);
        for coefficient in banded.inverse(self.count as usize) {
            velocity = momentum * velocity + coefficient;
            weight += velocity;
            squares += weight * weight;
            absolute += f64::abs(weight);
        }
        // Each draw of a deviation above a thousand units is rounded by up to a half, which adds up at worst.
        let rate = plan.learning_rate(0) / batch as f64;
        (sum, rate * (squares.sqrt() + absolute / 1024.0))
    }
}

/// Noise of one step, in units of a bounded gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoiseBound<'a> {
    /// Standard deviation of the draws of all parties in one coordinate.
    pub(super) deviation: f64,
    /// ln(1 / p), p the probability that some layer's weights exceed their bound after some step.
    pub(super) ln_tail: f64,
    /// How draws of different steps are correlated.
    pub(super) strategy: Option<&'a Banded>,
}

/// Bounds of all dense layers, in order; `rounding` is r.
///
/// # Errors
/// A layer or loss without bounds; a bound that exceeds what the fixed point was told.
pub(super) fn layers(
    job: &TrainingJob,
    privacy: &PrivacySpec,
    plan: &NumericPlan,
    steps: Steps,
    noise: NoiseBound<'_>,
    rounding: f64,
) -> Result<Vec<LayerBounds>, SpecError> {
    let architecture = Architecture::new(&job.model)?;
    let start = init::weights(&architecture, job.training.seed, plan.weight);
    let batch = job.training.batch;
    let (rates, squares) = steps.rates(plan, batch, noise.strategy);
    let gradients = batch as f64 * (1.0 + KAPPA + rounding);
    // A velocity is a sum of gradients, in their units; truncated, each of `count` numbers is off by so many of them.
    let slowed = |count: f64| match plan.momentum {
        Some(_) => count.sqrt() * TRUNCATION_UNITS * unit(plan.activation + plan.gradient),
        None => 0.0,
    };
    let drift = squares * noise.deviation;
    // Norm of sub-Gaussian noise of deviation 1 in `count` coordinates.
    let noisy = |count: f64| {
        let tail = noise.ln_tail;
        (count + 2.0 * (count * tail).sqrt() + 2.0 * tail).sqrt()
    };
    if let Some(momentum) = plan.momentum {
        // Of one step's noise over one step's draws, rounding included.
        let gain = noise.strategy.map_or(1.0, |banded| {
            1.01 * banded.inverse(steps.count as usize).iter().map(|c| c * c).sum::<f64>().sqrt()
        });
        let parameters = architecture.parameters() as f64;
        let step = gradients + slowed(parameters) + gain * noise.deviation * noisy(parameters);
        let velocity = step / (1.0 - momentum.value());
        let needs = velocity.log2() + f64::from(plan.activation + plan.gradient + momentum.shift + 2);
        if needs >= f64::from(plan.master_ring.bits()) {
            return Err(SpecError::Scales {
                what: "the velocity of a private training needs".to_owned(),
                needs: needs.ceil() as u32 + 1,
                has: plan.master_ring.bits(),
                advice: "lower the momentum, or leave it out",
            });
        }
    }
    let weight_norm = |slot: usize| {
        let (norm, count) = size(&start, slot);
        let moved = rates * (gradients + slowed(count));
        let noisy = drift * noisy(count);
        norm + moved + noisy + count.sqrt() * TRUNCATION_UNITS * unit(plan.weight)
    };

    let mut bounds = Vec::new();
    let inputs = architecture.inputs();
    // Shortened rows are single-precision numbers, and encoding rounds each to the nearest unit.
    let mut norm = privacy.row_norm(inputs) * (1.0 + 1e-6) + (inputs as f64).sqrt() * unit(plan.activation);
    for (index, layer) in architecture.layers().iter().enumerate() {
        match layer.node {
            Node::Dense { units, .. } => {
                let input_norm = norm.hypot(1.0);
                let weights = weight_norm(bounds.len());
                fits("weights", index, weights, plan.weight_bits, "fixed_point.weight_bits")?;
                norm =
                    input_norm * weights + (units as f64).sqrt() * TRUNCATION_UNITS * unit(plan.activation);
                fits("outputs", index, norm, plan.range_bits, "fixed_point.range_bits")?;
                bounds.push(LayerBounds {
                    layer: index,
                    input_norm,
                    delta_norm: 0.0,
                    weight_norm: weights,
                    outputs: units,
                });
            }
            Node::Relu => {
                norm += (layer.output.len() as f64).sqrt() * TRUNCATION_UNITS * unit(plan.activation)
            }
            // Within 2^−11 of a number between 0 and 1.
            Node::Sigmoid => norm = (layer.output.len() as f64).sqrt() * (1.0 + 1.0 / 1024.0),
            Node::Flatten => {}
            Node::Conv2d { .. }
            | Node::MaxPool(_)
            | Node::AvgPool(_)
            | Node::Dropout { .. }
            | Node::BatchNorm { .. } => {
                let why = "has no bound for a private training; use dense, relu, sigmoid and flatten layers";
                let kind = job.model.layers[index].kind();
                return Err(SpecError::Layer { index, kind, why: why.to_owned() });
            }
        }
    }
    deltas(job, &architecture, plan, &mut bounds)?;
    Ok(bounds)
}

/// Fills in the bounds of the backward pass.
fn deltas(
    job: &TrainingJob,
    architecture: &Architecture,
    plan: &NumericPlan,
    bounds: &mut [LayerBounds],
) -> Result<(), SpecError> {
    if job.model.loss == Loss::MeanSquaredError {
        let expected = "use a cross-entropy loss for a private training: its gradients are bounded";
        return Err(SpecError::value("model.loss", "mean-squared-error", expected));
    }
    // Probability less target, both between 0 and 1 and the first within 2^−8.
    let mut norm = (architecture.outputs() as f64).sqrt() * (1.0 + 1.0 / 256.0);
    let mut below = bounds.iter_mut().rev();
    for layer in architecture.layers().iter().rev() {
        let rounding = (layer.input.len() as f64).sqrt() * TRUNCATION_UNITS * unit(plan.gradient);
        match layer.node {
            Node::Dense { .. } => {
                let Some(bound) = below.next() else { break };
                fits(
                    "gradients of outputs",
                    bound.layer,
                    norm,
                    plan.gradient_bits,
                    "fixed_point.gradient_bits",
                )?;
                bound.delta_norm = norm;
                norm = norm * bound.weight_norm + rounding;
            }
            // s(1 − s) is at most a quarter.
            Node::Sigmoid => norm = norm * 0.26 + rounding,
            _ => norm += rounding,
        }
    }
    Ok(())
}

/// Spectral norm of the initial weights and biases of a layer, from above, and their number.
fn size(weights: &TrainedModel, slot: usize) -> (f64, f64) {
    weights.layers.get(slot).map_or((0.0, 0.0), |layer| {
        let bias = layer.bias.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().sqrt();
        let norm = spectral_norm(&layer.weight.mapv(f64::from)).hypot(bias);
        (norm, (layer.weight.len() + layer.bias.len()) as f64)
    })
}

/// Largest number of rows or columns, whichever is less, for which the spectral norm is worth its time.
const MOST_SIDE: usize = 512;

/// Squarings of the Gram matrix.
const SQUARINGS: i32 = 5;

/// ‖W‖ from above: λ_max(G)^k ≤ ‖G^k‖ (Frobenius) for the Gram matrix G, within 5 % for a side of 512 and k = 32.
fn spectral_norm(w: &Array2<f64>) -> f64 {
    let frobenius = |m: &Array2<f64>| m.iter().map(|v| v * v).sum::<f64>().sqrt();
    let whole = frobenius(w);
    if whole == 0.0 || w.nrows().min(w.ncols()) > MOST_SIDE {
        return whole;
    }
    let mut power = if w.nrows() < w.ncols() { w.dot(&w.t()) } else { w.t().dot(w) };
    // ln λ_max ≤ ln_scale + ln ‖power‖ / 2^squarings, with power kept near 1.
    let mut ln_scale = 0.0;
    for squaring in 0..=SQUARINGS {
        let norm = frobenius(&power);
        ln_scale += norm.ln() / f64::from(1 << squaring);
        power /= norm;
        if squaring < SQUARINGS {
            power = power.dot(&power);
        }
    }
    // A hair for the rounding of these sums.
    ((0.5 * ln_scale).exp() * (1.0 + 1e-9)).min(whole)
}

/// 2^−frac.
pub(super) fn unit(frac: u32) -> f64 {
    (-f64::from(frac)).exp2()
}

fn fits(what: &str, layer: usize, bound: f64, bits: u32, key: &str) -> Result<(), SpecError> {
    if bound < f64::from(bits).exp2() {
        return Ok(());
    }
    let needed = bound.log2().floor() + 1.0;
    let expected = if needed <= 20.0 {
        format!("use {needed}, or fewer steps, a lower learning rate or a smaller clip")
    } else {
        "use fewer steps, a lower learning rate, a smaller clip or fewer layers".to_owned()
    };
    Err(SpecError::Value {
        key: key.to_owned(),
        found: format!(
            "{bits}, but {what} of layer {layer} of a private training can reach {bound:.4} in the worst case"
        ),
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spectral_norm_is_bounded_from_above_and_closely() {
        // A matrix with known singular values: a reflection times a diagonal.
        for (rows, cols) in [(40, 25), (25, 40), (7, 7), (1, 9)] {
            let side = rows.min(cols);
            let v = Array2::from_shape_fn((rows, 1), |(i, _)| ((i * 7 + 3) % 11) as f64 - 5.0);
            let reflection =
                Array2::<f64>::eye(rows) - v.dot(&v.t()) * (2.0 / v.iter().map(|x| x * x).sum::<f64>());
            let diagonal = Array2::from_shape_fn((rows, cols), |(i, j)| {
                if i == j { 3.0 - 2.0 * i as f64 / side as f64 } else { 0.0 }
            });
            let found = spectral_norm(&reflection.dot(&diagonal));
            assert!((3.0..3.0 * 1.05).contains(&found), "{rows} x {cols}: {found}");
        }
        assert_eq!(spectral_norm(&Array2::zeros((3, 4))), 0.0);
    }
}
