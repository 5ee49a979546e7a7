//! From what the job asks for to the noise: scales of the norms, sensitivity, σ, and what it costs.

use serde::Serialize;
use tercet_engine::functions::{CoarseRoot, Radicand};
use tercet_privacy::PrivacyError;
use tercet_privacy::accountant::view::{BatchesKnownTo, Run, Sampling, Units, Views, views};
use tercet_privacy::accountant::{Epsilons, Event, Mechanism, Method, Neighbours, Target, calibrate};
use tercet_privacy::banded::{Banded, Participation};
use tercet_privacy::sampler::{DiscreteGaussian, Variance};
use tercet_privacy::sensitivity::{Layer, Sensitivity, sensitivity};
use tercet_share::{Ring, fixed};

use crate::architecture::Architecture;
use crate::scales::NumericPlan;
use crate::spec::{BoundMode, NoiseKind, Optimiser, PrivacySpec, Schedule, TrainingSpec};
use crate::{Privacy, SpecError, TrainError, TrainingJob};

use super::bounds::{self, LayerBounds, NoiseBound, Steps};
use super::clipping::margin;
use super::{KAPPA, TRUNCATION_UNITS};

/// Parties that add noise.
const PARTIES: u32 = 3;

/// Share of δ for the event that some weights leave their range, over 1 + e^ε.
const RANGE_SHARE: f64 = 1e-6;

/// Least deviation of one party's banded draws, in units: far above what the bound of [`tercet_privacy::discrete`] needs, so that
/// it does not matter whether the noise is counted as one discrete Gaussian or as one of each honest party.
const LEAST_BANDED: f64 = 1024.0;

/// Most bytes of past noise that banded noise keeps.
const MOST_HISTORY: u64 = 1 << 30;

/// Least fractional bits of the factors of rows.
const LEAST_FACTOR_BITS: i32 = 8;

/// Fractional bits of the factors that are worth a wider ring, and how much wider.
const FACTOR_BITS: u32 = 10;
/// See [`FACTOR_BITS`].
const WORTH_BITS: u32 = 4;

/// Everything about the privacy of a training that is known before it starts: the same at all parties.
#[derive(Clone, Debug)]
pub struct PrivacyPlan {
    /// What the job asks for.
    pub spec: PrivacySpec,
    /// Bounds of the dense layers.
    pub layers: Vec<LayerBounds>,
    /// Δ of one step, in units of 2^−(f_x + f_δ) of a gradient bounded to 1, of all rows of one unit.
    pub sensitivity: Sensitivity,
    /// What the noise is a multiple of, in units: Δ, or of banded noise the sensitivity of the whole training.
    pub noise_sensitivity: f64,
    /// How noise is correlated, if it is.
    pub strategy: Option<Banded>,
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
    /// The rings of activations and of their gradients.
    rings: [Ring; 2],
    pub(super) norms: NormScales,
    /// 1 / √(s + γ²), or of clipping.
    pub(super) root: CoarseRoot,
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
    /// s is computed in units of 2^this, even: a truncation of a large s would else need a negative number of fractional bits.
    pub(super) unit: u32,
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
        let mut numeric = numeric(job)?;
        let steps = Steps::of(job, rows);
        let participations = steps.count.div_ceil(steps.per_epoch).max(1);
        let range_probability = privacy.spec.delta * RANGE_SHARE / (1.0 + privacy.spec.epsilon.exp());
        let delta = privacy.spec.delta * (1.0 - RANGE_SHARE);
        let coordinates = Architecture::new(&job.model)?.parameters() as u64;
        let target = Target { epsilon: privacy.spec.epsilon, delta, method: Method::Exact };
        let participation = Participation { times: participations, separation: steps.per_epoch };
        let strategy = strategy(job, &privacy.spec, participation, coordinates)?;
        // Correlated noise makes one mechanism of the whole training.
        let uses = if strategy.is_some() { 1 } else { participations };
        let mut sigma = calibrate(target, |sigma| vec![(Mechanism::Gaussian { sigma }, uses)])?;

        let noise = Noise { sigma, participation, strategy: strategy.as_ref() };
        let (layers, sensitivity, noise_sensitivity) =
            sensitivity_of(job, privacy, &numeric, steps, noise, range_probability, coordinates)?;
        let [ring, delta_ring] = rings(&numeric, &layers)?;
        (numeric.ring, numeric.delta_ring) = (ring, delta_ring);
        let run = |sigma: f64| Run {
            sampling: Sampling::Full,
            sigma,
            // For the discrete noise every step counts: as coordinates, where all steps are one mechanism.
            steps: if uses == participations { steps.count } else { 1 },
            participations: Some(uses),
            parties: PARTIES,
            corrupt: privacy.corrupt,
            batches_known_to: BatchesKnownTo::Everyone,
            units: Some(Units {
                sensitivity: noise_sensitivity,
                coordinates: if uses == participations { coordinates } else { coordinates * steps.count },
            }),
        };
        // The discrete noise is charged as a slightly narrower continuous one: a hair more of it makes up for that.
        // By the exact curve, as a ledger will compose it.
        let exact = |epsilons: &Epsilons| epsilons.exact.unwrap_or_else(|| epsilons.best());
        let largest =
            |views: &Views| exact(&views.outsider).max(views.corrupt_party.as_ref().map_or(0.0, exact));
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
        // Δ bounds what one unit adds: without it its rows count for nothing, and batches stay as they are.
        found.neighbours = Some(Neighbours::ZeroOutOne);
        let share = Variance::share(sigma, noise_sensitivity, PARTIES, privacy.corrupt)?;
        if strategy.is_some() && share.sigma() < LEAST_BANDED {
            return Err(
                PrivacyError::SigmaRange { sigma: share.sigma(), low: LEAST_BANDED, high: f64::MAX }.into()
            );
        }
        let (norms, root) = NormScales::new(&privacy.spec, &numeric, &layers)?;
        Ok(Some(PrivacyPlan {
            share,
            noise_sensitivity,
            strategy,
            rings: [ring, delta_ring],
            norms,
            root,
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

    /// Widens the rings of `numeric`, of the same job, as squared norms need it.
    pub(crate) fn widen(&self, numeric: &mut NumericPlan) {
        [numeric.ring, numeric.delta_ring] = self.rings;
    }

    /// The law of one party's draws, in units.
    pub fn share(&self) -> &Variance {
        &self.share
    }

    /// Coordinates that get noise in every step.
    pub fn coordinates(&self) -> usize {
        self.sensitivity.coordinates as usize
    }

    /// The sampler of one party's noise, in units.
    pub fn sampler(&self) -> DiscreteGaussian {
        DiscreteGaussian::new(self.share.clone())
    }

    /// Standard deviation of one party's draws, in units.
    pub fn share_deviation(&self) -> f64 {
        self.share.sigma()
    }

    /// What the run costs towards a corrupt party, for a budget: besides it come the excess of [`PrivacyPlan::views`] and
    /// [`PrivacyPlan::range_probability`].
    pub fn events(&self) -> Vec<Event> {
        let sigma = self.views.corrupt_sigma.unwrap_or(self.views.outsider_sigma);
        vec![(Mechanism::Gaussian { sigma }, self.uses_after(self.steps))]
    }

    /// How often the mechanism of [`PrivacyPlan::events`] was used on one unit, after `steps` steps of the training. Correlated noise
    /// is used once, and in full from the first step on.
    pub fn uses_after(&self, steps: u64) -> u64 {
        match self.strategy {
            Some(_) => steps.min(1),
            None => steps.div_ceil(self.steps_per_epoch).min(self.participations),
        }
    }

    /// Whether every epoch must have the batches of the first: correlated noise relies on the distance between two uses of a record.
    pub fn same_order(&self) -> bool {
        self.strategy.is_some()
    }
}

/// Scales and rings of a training; with privacy, C is in the learning rate. [`PrivacyPlan::widen`] comes after it.
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
    if job.training.weight_decay > 0.0 {
        let found = format!("{} in a private training", job.training.weight_decay);
        let expected = "leave it out, or set it to 0: how far weights move is bounded without decay only";
        return Err(SpecError::value("training.weight_decay", found, expected));
    }
    if let Some(index) = job.model.layers.iter().position(|layer| layer.kind() == "batch-norm") {
        let why = "normalises a record by the others of its batch, so that no record has a gradient of its own to bound; leave \
                   it out of a private training";
        return Err(SpecError::Layer { index, kind: "batch-norm", why: why.to_owned() });
    }
    let (rate, clip) = (job.training.learning_rate, spec.clip);
    let training = TrainingSpec { learning_rate: rate * clip, ..job.training.clone() };
    training.validate().map_err(|_| {
        let expected = "use values whose product is above 0 and at most 1024";
        SpecError::value(
            "training.learning_rate times privacy.clip",
            format!("{rate} times {clip}"),
            expected,
        )
    })?;
    NumericPlan::new(&job.model, &training, &job.fixed_point).map_err(|error| match error {
        SpecError::Scales { what, needs, has, advice } if what.starts_with(crate::scales::RATE) => {
            let what = what.replacen(
                crate::scales::RATE,
                &format!("training.learning_rate {rate} times privacy.clip {clip}, a rate"),
                1,
            );
            SpecError::Scales { what, needs, has, advice }
        }
        other => other,
    })
}

/// The rings of activations and of their gradients: squared norms of both must fit. A few bits more are worth their bytes if they
/// spare an opening: see [`super::clipping`].
fn rings(numeric: &NumericPlan, layers: &[LayerBounds]) -> Result<[Ring; 2], SpecError> {
    let bits = |norm: f64, frac: u32| (2.0 * (norm.log2() + f64::from(frac)) + 2.0).ceil().max(0.0) as u32;
    let largest =
        |each: &dyn Fn(&LayerBounds) -> u32| layers.iter().map(each).fold(numeric.ring.bits(), u32::max);
    let mut activation = largest(&|l| bits(l.input_norm, numeric.activation));
    let mut delta = largest(&|l| bits(l.delta_norm, numeric.gradient));
    let spares = numeric.master_ring.bits() + FACTOR_BITS;
    if (delta..=delta + WORTH_BITS).contains(&spares) && spares <= 64 {
        delta = spares;
    }
    // A stored bit gates gradients in its own ring or a narrower one.
    activation = activation.max(delta);
    let ring = |needs: u32| {
        Ring::new(needs).map_err(|_| SpecError::Scales {
            what: "squared norms of a private training need".to_owned(),
            needs,
            has: 64,
            advice: "use fewer steps, a lower learning rate, a smaller clip, or fewer layers or fractional bits",
        })
    };
    Ok([ring(activation)?, ring(delta)?])
}

/// How the job asks for correlated noise, if it does.
fn strategy(
    job: &TrainingJob,
    spec: &PrivacySpec,
    participation: Participation,
    coordinates: u64,
) -> Result<Option<Banded>, TrainError> {
    let NoiseKind::Banded { bands } = spec.noise else { return Ok(None) };
    let refused = |key: &str, found: String, expected: String| SpecError::value(key, found, expected).into();
    let most = participation.separation;
    if participation.times > 1 && bands as u64 > most {
        let expected = format!("use at most {most}, the steps of an epoch, or smaller batches");
        return Err(refused("privacy.noise.bands", bands.to_string(), expected));
    }
    if spec.rows_of_a_unit() > 1 {
        let expected =
            "use \"record\" with banded noise: several rows of a unit may stand in neighbouring batches";
        return Err(refused("privacy.unit", format!("{:?}", spec.unit), expected.to_owned()));
    }
    if job.training.schedule != Schedule::default() {
        let expected = "use a constant learning rate without warm-up with banded noise";
        return Err(refused("training.schedule", "not constant".to_owned(), expected.to_owned()));
    }
    let strategy = Banded::square_root(bands)?;
    let most = MOST_HISTORY / 8 / coordinates.max(1) + 1;
    if bands as u64 > most {
        let expected = format!(
            "use at most {most}: each of them but one keeps the noise of {coordinates} coordinates, 8 bytes each, and a party \
             keeps at most {} MiB",
            MOST_HISTORY >> 20
        );
        return Err(refused("privacy.noise.bands", bands.to_string(), expected));
    }
    Ok(Some(strategy))
}

/// The noise as it is planned so far.
#[derive(Clone, Copy)]
struct Noise<'a> {
    sigma: f64,
    participation: Participation,
    strategy: Option<&'a Banded>,
}

/// Bounds, the sensitivity of one step, and what the noise is a multiple of. They depend on each other: noise moves weights, weights
/// bound activations, these scale the rounding, and the rounding is part of what the noise is a multiple of.
fn sensitivity_of(
    job: &TrainingJob,
    privacy: &Privacy,
    numeric: &NumericPlan,
    steps: Steps,
    noise: Noise<'_>,
    range_probability: f64,
    coordinates: u64,
) -> Result<(Vec<LayerBounds>, Sensitivity, f64), TrainError> {
    let fraction_bits = numeric.activation + numeric.gradient;
    let scale = f64::from(fraction_bits).exp2();
    // All parties' noise over that of the honest ones; a hair for the discretisation.
    let honest = PARTIES.saturating_sub(privacy.corrupt).max(1);
    let all = (f64::from(PARTIES) / f64::from(honest)).sqrt() * 1.001;
    let rows = privacy.spec.rows_of_a_unit();
    let of_noise = |sensitivity: f64| match noise.strategy {
        None => Ok(sensitivity),
        Some(banded) => banded.shift(noise.participation, sensitivity, coordinates, honest),
    };
    let dense = Architecture::new(&job.model)?.layers().iter().filter(|l| l.weight().is_some()).count();
    let events = steps.count as f64 * dense as f64;
    let ln_tail = (events / range_probability).ln();
    let mut rounding = 0.0;
    for _ in 0..50 {
        let largest = of_noise(scale * (1.0 + KAPPA + rounding) * f64::from(rows))? / scale;
        let bound = NoiseBound { deviation: noise.sigma * largest * all, ln_tail, strategy: noise.strategy };
        let layers = bounds::layers(job, &privacy.spec, numeric, steps, bound, rounding)?;
        let units = layers.iter().map(|layer| Layer {
            // Each output's δ is off by so many units of 2^−f_δ, which are 2^f_x units of a gradient.
            input_norm: layer.input_norm * TRUNCATION_UNITS * f64::from(numeric.activation).exp2(),
            outputs: layer.outputs as u64,
        });
        let found = sensitivity(fraction_bits, 1.0, KAPPA, &units.collect::<Vec<_>>(), coordinates)?;
        let needed = (found.total - found.clipped) / scale;
        if needed <= rounding {
            let found = found.of_rows(rows);
            return Ok((layers, found, of_noise(found.total)?));
        }
        rounding = needed * 1.01;
    }
    let expected = "use more of them: the rounding of gradients outgrows the gradients";
    Err(SpecError::value("fixed_point.gradients", numeric.gradient, expected).into())
}

impl NormScales {
    /// The scales, and the root for them.
    fn new(
        spec: &PrivacySpec,
        plan: &NumericPlan,
        layers: &[LayerBounds],
    ) -> Result<(NormScales, CoarseRoot), SpecError> {
        let wide = |what: &str, needs: f64, has: u32| SpecError::Scales {
            what: format!("{what} of a private training need"),
            needs: needs as u32,
            has,
            advice: "use fewer steps, a lower learning rate, a smaller clip, or fewer layers or fractional bits",
        };
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
        let mut factor = ((room - square_bits) / 2).min(18);
        // Few enough, the truncation after the factor is one opening instead of two.
        let spare = plan.delta_ring.bits() as i32 - plan.master_ring.bits() as i32;
        if spare >= FACTOR_BITS as i32 {
            factor = factor.min(spare);
        }
        if square_bits < (4 - low).max(4) || factor < LEAST_FACTOR_BITS {
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
        let scales =
            NormScales { input, delta, square: square_bits, factor: factor as u32, low, high, unit: 0 };
        let scaled = (0..=2 * scales.factor).step_by(2).map(|unit| NormScales { unit, ..scales });
        let fitting = |scales: NormScales| {
            let has = Some(scales.total()).filter(|has| *has <= fixed::MAX_FRAC)?;
            Some((scales, CoarseRoot::new(has, scales.radicand(spec))?))
        };
        scaled.into_iter().find_map(fitting).ok_or_else(|| {
            wide("the inverse roots of squared norms", (bits + f64::from(16 - low)).max(61.0), 60)
        })
    }

    /// Fractional bits of s, in its unit, before its truncation.
    fn total(&self) -> u32 {
        self.input + self.delta + self.unit
    }

    /// What is under the root of s in its unit.
    fn radicand(&self, spec: &PrivacySpec) -> Radicand {
        // Polynomials are fitted to these numbers: all parties must have the same bits, so products instead of `powi`.
        let (least, floor) = match spec.mode {
            BoundMode::Normalise => (self.at_least(spec.gamma() * spec.gamma()), false),
            BoundMode::Clip => (self.at_least(spec.clip * spec.clip), true),
        };
        let plus = if floor { 0.0 } else { least };
        let scale = libm::exp2(-f64::from(self.unit));
        Radicand {
            plus: (plus + margin(self.square)) * scale,
            least: least * scale,
            floor,
            high: self.high - self.unit as i32,
        }
    }

    /// `value` rounded up to the fractional bits of s.
    fn at_least(&self, value: f64) -> f64 {
        let scale = libm::exp2(f64::from(self.square));
        (value * scale).ceil() / scale
    }
}
