//! From what the job asks for to the noise: scales of the norms, sensitivity, σ, and what it costs.

use serde::Serialize;
use tercet_privacy::PrivacyError;
use tercet_privacy::accountant::view::{BatchesKnownTo, Run, Sampling, Views, views};
use tercet_privacy::accountant::{Event, Mechanism, Method, Target, calibrate};
use tercet_privacy::sampler::{DiscreteGaussian, Variance};
use tercet_privacy::sensitivity::{Layer, Sensitivity, sensitivity};

use crate::architecture::Architecture;
use crate::scales::NumericPlan;
use crate::spec::{BoundMode, Optimiser, PrivacySpec, TrainingSpec};
use crate::{Privacy, SpecError, TrainError, TrainingJob};

use super::bounds::{self, LayerBounds, NoiseBound, Steps};
use super::{KAPPA, TRUNCATION_UNITS};

/// Parties that add noise.
const PARTIES: u32 = 3;

/// Share of δ for the event that some weights leave their range, over 1 + e^ε.
const RANGE_SHARE: f64 = 1e-6;

/// Ring of a private training: norms need the bits.
const RING_BITS: u32 = 64;

/// Everything about the privacy of a training that is known before it starts: the same at all parties.
#[derive(Clone, Debug)]
pub struct PrivacyPlan {
    /// What the job asks for.
    pub spec: PrivacySpec,
    /// Bounds of the dense layers.
    pub layers: Vec<LayerBounds>,
    /// Δ of one step, in units of 2^−(f_x + f_δ) of a gradient bounded to 1.
    pub sensitivity: Sensitivity,
    /// Fractional bits of those units.
    pub fraction_bits: u32,
    /// Noise multiplier that the honest parties give together.
    pub sigma: f64,
    /// Steps of the training.
    pub steps: u64,
    /// Steps in which one record takes part.
    pub participations: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// What the run costs an outsider and a corrupt party.
    pub views: Views,
    /// Parties that add noise, and how many of them may pool what they know.
    pub parties: u32,
    /// See `parties`.
    pub corrupt: u32,
    /// Probability that a value leaves its range, part of δ.
    pub range_probability: f64,
    share: Variance,
    pub(super) norms: NormScales,
}

/// Scales of the norms and factors; see [`super::clipping`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct NormScales {
    /// Fractional bits of ‖a‖² + 1.
    pub(super) input: u32,
    /// Fractional bits of ‖δ‖².
    pub(super) delta: u32,
    /// Fractional bits of s.
    pub(super) square: u32,
    /// Fractional bits of the factors.
    pub(super) factor: u32,
    /// What is under the root is between 2^low and 2^high.
    pub(super) low: i32,
    /// See `low`.
    pub(super) high: i32,
}

impl PrivacyPlan {
    /// Plans the privacy of `job` with `rows` training rows; `None` if the job asks for none.
    ///
    /// # Errors
    /// A bad value; ranges that no fixed point of 64 bits holds; a target that no noise reaches.
    pub fn new(job: &TrainingJob, rows: usize) -> Result<Option<PrivacyPlan>, TrainError> {
        let Some(privacy) = &job.privacy else { return Ok(None) };
        privacy.spec.validate()?;
        if job.standardise {
            let expected = "standardise by public bounds: means and deviations over all rows are not covered by \
                            the noise";
            return Err(
                SpecError::value("data.standardise", "\"shares\" in a private training", expected).into()
            );
        }
        let numeric = numeric(job)?;
        let steps = Steps::of(job, rows);
        let participations = steps.count.div_ceil(steps.per_epoch).max(1);
        let range_probability = privacy.spec.delta * RANGE_SHARE / (1.0 + privacy.spec.epsilon.exp());
        let delta = privacy.spec.delta * (1.0 - RANGE_SHARE);
        let coordinates = Architecture::new(&job.model)?.parameters() as u64;
        let target = Target { epsilon: privacy.spec.epsilon, delta, method: Method::Exact };
        let mut sigma = calibrate(target, |sigma| vec![(Mechanism::Gaussian { sigma }, participations)])?;

        let (layers, sensitivity) =
            sensitivity_of(job, privacy, &numeric, steps, sigma, range_probability, coordinates)?;
        let run = |sigma: f64| Run {
            sampling: Sampling::Full,
            sigma,
            steps: steps.count,
            participations: Some(participations),
            parties: PARTIES,
            corrupt: privacy.corrupt,
            batches_known_to: BatchesKnownTo::Everyone,
            units: Some(sensitivity.units()),
        };
        // The discrete noise is charged as a slightly narrower continuous one: a hair more of it makes up for that.
        let largest = |views: &Views| {
            views.outsider.best().max(views.corrupt_party.map_or(0.0, |epsilons| epsilons.best()))
        };
        let mut found = views(&run(sigma), delta)?;
        for attempt in 1..=20 {
            if largest(&found) <= privacy.spec.epsilon {
                break;
            }
            sigma *= 1.0 + 1e-7 * f64::from(1 << attempt);
            found = views(&run(sigma), delta)?;
        }
        if largest(&found) > privacy.spec.epsilon {
            let (epsilon, delta) = (privacy.spec.epsilon, privacy.spec.delta);
            return Err(PrivacyError::Unreachable { epsilon, delta, sigma }.into());
        }
        Ok(Some(PrivacyPlan {
            share: Variance::share(sigma, sensitivity.total, PARTIES, privacy.corrupt)?,
            norms: NormScales::new(&privacy.spec, &numeric, &layers)?,
            spec: privacy.spec.clone(),
            layers,
            sensitivity,
            fraction_bits: numeric.activation + numeric.gradient,
            sigma,
            steps: steps.count,
            participations,
            steps_per_epoch: steps.per_epoch,
            views: found,
            parties: PARTIES,
            corrupt: privacy.corrupt,
            range_probability,
        }))
    }

    /// The sampler of one party's noise, in units.
    pub fn sampler(&self) -> DiscreteGaussian {
        DiscreteGaussian::new(self.share.clone())
    }

    /// Standard deviation of one party's noise, in units.
    pub fn share_deviation(&self) -> f64 {
        self.share.sigma()
    }

    /// What the run costs towards a corrupt party, for a budget.
    pub fn events(&self) -> Vec<Event> {
        let sigma = self.views.corrupt_sigma.unwrap_or(self.views.outsider_sigma);
        vec![(Mechanism::Gaussian { sigma }, self.participations)]
    }

    /// Steps in which one record took part, after `steps` steps of the training.
    pub fn participations_after(&self, steps: u64) -> u64 {
        steps.div_ceil(self.steps_per_epoch).min(self.participations)
    }
}

/// Scales and rings of a training; with privacy, C is in the learning rate and norms have their room.
pub(crate) fn numeric(job: &TrainingJob) -> Result<NumericPlan, SpecError> {
    let Some(Privacy { spec, .. }) = &job.privacy else {
        return NumericPlan::new(&job.model, &job.training, &job.fixed_point);
    };
    spec.validate()?;
    job.training.validate()?;
    if job.training.optimiser != Optimiser::Sgd {
        let expected = "use \"sgd\": how far noise moves the weights is bounded for plain descent only";
        return Err(SpecError::value("training.optimiser", "\"adam\" in a private training", expected));
    }
    let training =
        TrainingSpec { learning_rate: job.training.learning_rate * spec.clip, ..job.training.clone() };
    NumericPlan::with_ring(&job.model, &training, &job.fixed_point, RING_BITS)
}

/// Bounds and sensitivity. They depend on each other: noise moves weights, weights bound activations, these scale the rounding,
/// and the rounding is part of what the noise is a multiple of.
fn sensitivity_of(
    job: &TrainingJob,
    privacy: &Privacy,
    numeric: &NumericPlan,
    steps: Steps,
    sigma: f64,
    range_probability: f64,
    coordinates: u64,
) -> Result<(Vec<LayerBounds>, Sensitivity), TrainError> {
    let fraction_bits = numeric.activation + numeric.gradient;
    let scale = f64::from(fraction_bits).exp2();
    // All parties' noise over that of the honest ones; a hair for the discretisation.
    let all = (f64::from(PARTIES) / f64::from(PARTIES.saturating_sub(privacy.corrupt).max(1))).sqrt() * 1.001;
    let dense = Architecture::new(&job.model)?.layers().iter().filter(|l| l.weight().is_some()).count();
    let events = steps.count as f64 * dense as f64;
    let ln_tail = (events / range_probability).ln();
    let mut rounding = 0.0;
    for _ in 0..50 {
        let noise = NoiseBound { deviation: sigma * (1.0 + KAPPA + rounding) * all, ln_tail };
        let layers = bounds::layers(job, &privacy.spec, numeric, steps, noise, rounding)?;
        let units = layers.iter().map(|layer| Layer {
            // Each output's δ is off by so many units of 2^−f_δ, which are 2^f_x units of a gradient.
            input_norm: layer.input_norm * TRUNCATION_UNITS * f64::from(numeric.activation).exp2(),
            outputs: layer.outputs as u64,
        });
        let found = sensitivity(fraction_bits, 1.0, KAPPA, &units.collect::<Vec<_>>(), coordinates)?;
        let needed = (found.total - found.clipped) / scale;
        if needed <= rounding {
            return Ok((layers, found));
        }
        rounding = needed * 1.01;
    }
    let expected = "use more of them: the rounding of gradients outgrows the gradients";
    Err(SpecError::value("fixed_point.gradients", numeric.gradient, expected).into())
}

impl NormScales {
    fn new(spec: &PrivacySpec, plan: &NumericPlan, layers: &[LayerBounds]) -> Result<NormScales, SpecError> {
        let wide = |what: &str, needs: f64, has: u32| SpecError::Scales {
            what: format!("{what} of a private training need"),
            needs: needs as u32,
            has,
            advice: "use fewer steps, a lower learning rate, a smaller clip, or fewer layers or fractional bits",
        };
        let largest = |norm: fn(&LayerBounds) -> f64| layers.iter().map(norm).fold(0.0, f64::max);
        let (a, d) = (largest(|l| l.input_norm), largest(|l| l.delta_norm));
        for (norm, frac) in [(a, plan.activation), (d, plan.gradient)] {
            let needs = 2.0 * (norm.log2() + f64::from(frac)) + 2.0;
            if needs > 62.0 {
                return Err(wide("squared norms", needs.ceil(), RING_BITS));
            }
        }
        // A hundredth more for the margins that are added.
        let square = 1.01 * layers.iter().map(|l| (l.input_norm * l.delta_norm).powi(2)).sum::<f64>();
        let bits = square.log2().max(0.0).ceil() + 1.0;
        let floor = match spec.mode {
            BoundMode::Normalise => spec.gamma(),
            BoundMode::Clip => spec.clip,
        }
        .powi(2);
        let low = floor.log2().floor() as i32;
        let high = (square + floor).log2().ceil().max(f64::from(low) + 1.0) as i32;

        // c²·s must not wrap: 2 · factor + square + (high − low) + 3 bits; s itself and its root need high + square ≤ 60.
        let room = 60 - (high - low) - 1;
        let square_bits = (12 - low).max(8).min(room / 3).min(60 - high.max(0));
        let factor = ((room - square_bits) / 2).min(18);
        if square_bits < (4 - low).max(4) || factor < 8 {
            return Err(wide(
                "the factors of gradients",
                f64::from(4 - low.min(0) + 16 + high - low + 4),
                64,
            ));
        }
        // ‖a‖² · ‖δ‖² before its truncation.
        let product = (60.0 - bits).max(0.0) as u32;
        let delta = (2 * plan.gradient - 1).min(product.div_ceil(2));
        let input = (2 * plan.activation - 1).min(product - delta);
        let square_bits = square_bits as u32;
        if input + delta <= square_bits || input < 2 || delta < 2 {
            return Err(wide("squared norms", bits + f64::from(square_bits) + 4.0, 60));
        }
        Ok(NormScales { input, delta, square: square_bits, factor: factor as u32, low, high })
    }
}
