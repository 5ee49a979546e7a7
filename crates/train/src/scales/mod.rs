//! The numeric plan: how many fractional bits and which ring every tensor of a training has.
//!
//! | tensor | fractional bits | ring |
//! |---|---|---|
//! | inputs, activations | f_x | R |
//! | weights and biases in products | f_w | L (R with weight decay) |
//! | gradients of activations δ | f_δ | R |
//! | forward products X·W + b, truncated by f_w | f_x + f_w | L |
//! | backward products δ·Wᵀ, truncated by f_w | f_δ + f_w | L |
//! | weight gradients G = Xᵀ·δ, never truncated | S | R |
//! | master weights, velocity | S | R |
//!
//! *Update.* learning rate / batch = c · 2^−h with an integer c. X is read with f_x + h fractional bits when it enters G,
//! which is a division by 2^h for free, so that G has S = f_x + f_δ + h fractional bits and W ← W − c·G is a local
//! subtraction of half-finished values. Each step truncates all master weights by S − f_w in one call. Adam has its own S, and
//! gradients are not read with more bits; see `adam`.
//!
//! *Decay.* W ← W − rate·decay·W takes the truncated W, read with S fractional bits, times the integer
//! round(rate · decay · 2^(S − f_w)).
//!
//! *Momentum.* v ← (c_m · v truncated by t) + G, with momentum = c_m · 2^−t; this truncation joins that of the weights.
//!
//! *Rings.* A product is truncated in a ring of L bits if it is below 2^(L−2): L = 2 + range_bits + f_x + f_w, or
//! 2 + gradient_bits + f_δ + f_w if that is more. Nothing else reads the high bits, so W is needed modulo 2^L only. If the
//! ring of the master weights has R ≥ L + S − f_w bits, truncated weights are masked shares modulo 2^L without a second
//! opening (`shrunk`); this is chosen if it saves more bytes than the wider R costs, which it does for dense networks, and
//! does not for convolutional ones. Otherwise R = max(L, S + weight_bits + 2). All rings are as narrow as these bounds allow.

mod adam;
mod dyadic;
mod interval;
mod norm;
mod table;
mod traffic;

use tercet_share::Ring;
use tercet_share::fixed::MAX_FRAC;

use crate::architecture::{Architecture, Node};
use crate::spec::{FixedPointSpec, ModelSpec, Optimiser, Schedule, SpecError, TrainingSpec};

use traffic::Traffic;

pub use adam::{AdamPlan, Average};
pub use dyadic::Dyadic;
pub(crate) use dyadic::KEEP_BITS;
pub use interval::{LayerRange, ranges};
pub use norm::NormPlan;
pub(crate) use norm::{MEAN, RECIPROCAL};

/// Every scale, ring and width of a training. Built once from the job, the same at all parties.
#[derive(Clone, Debug, PartialEq)]
pub struct NumericPlan {
    /// f_x: fractional bits of inputs and activations.
    pub activation: u32,
    /// f_w: fractional bits of weights in products.
    pub weight: u32,
    /// f_δ: fractional bits of gradients of activations.
    pub gradient: u32,
    /// S: fractional bits of master weights.
    pub master: u32,
    /// Fractional bits of weight gradients, summed over the batch: S, or f_x + f_δ with Adam.
    pub summed: u32,
    /// h: fractional bits of learning rate / batch, or of the learning rate with Adam.
    pub rate_bits: u32,
    /// Pre-activations are below 2^range_bits.
    pub range_bits: u32,
    /// Gradients of activations are below 2^gradient_bits.
    pub gradient_bits: u32,
    /// Weights are below 2^weight_bits.
    pub weight_bits: u32,
    /// R: ring of inputs, activations and gradients.
    pub ring: Ring,
    /// Ring of master weights and velocities: R, but with Adam a wider one, and R is wider in some private trainings.
    pub master_ring: Ring,
    /// The ring of gradients of activations where layers are connected; R but for a private training.
    pub delta_ring: Ring,
    /// L: ring of forward and backward products.
    pub product_ring: Ring,
    /// Ring that weights are truncated into.
    pub weight_ring: Ring,
    /// True if truncated weights need no second opening.
    pub shrunk: bool,
    /// Comparison width of ReLU and of signs of activations.
    pub width: u32,
    /// Ring in which max-pooling compares: activations with one fractional bit more, and their differences.
    pub pool_ring: Ring,
    /// Momentum as it is used.
    pub momentum: Option<Dyadic>,
    /// Scales of Adam, if the job asks for it.
    pub adam: Option<AdamPlan>,
    /// Scales of the layers of batch normalisation, in order.
    pub norms: Vec<NormPlan>,
    rates: Vec<Rate>,
    /// What the learning rate is divided by before it is rounded.
    divisor: usize,
    /// Steps of the warm-up.
    warm_up: u64,
}

/// How one step moves the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRate {
    /// c: W ← W − c · G, or with Adam − c · m/√v.
    pub factor: i64,
    /// The integer of the decay; 0 for none.
    pub decay: i64,
}

/// Rate of the epochs from `epoch` on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    epoch: u32,
    factor: i64,
    decay: i64,
}

/// How a message about a learning rate without its scale begins: in a private training the rate is a product.
pub(crate) const RATE: &str = "a learning rate";

/// c of the first rate at least, if there is a warm-up.
const WARM_UP_STEPS: f64 = 64.0;

/// Most relative error of a rounded learning rate.
const RATE_TOLERANCE: f64 = 1.0 / 128.0;

impl NumericPlan {
    /// Plans the training of `model`.
    ///
    /// # Errors
    /// Numbers out of range, or scales that do not fit 64 bits; the message names the layer or key and the bits.
    pub fn new(
        model: &ModelSpec,
        training: &TrainingSpec,
        fixed: &FixedPointSpec,
    ) -> Result<NumericPlan, SpecError> {
        training.validate()?;
        fixed.validate()?;
        let architecture = Architecture::new(model)?;
        let (f_x, f_w, f_d) = (fixed.activation_frac(), fixed.weight_frac(), fixed.gradient_frac());
        let gradient_bits =
            fixed.gradient_bits.unwrap_or((fixed.range_bits + f_x).saturating_sub(f_d).max(2));

        let product_bits = 2 + (fixed.range_bits + f_x).max(gradient_bits + f_d) + f_w;
        let product_ring = Ring::new(product_bits).map_err(|_| SpecError::Scales {
            what: format!("the products of {} need", first_product(model)),
            needs: product_bits,
            has: 64,
            advice: "lower fixed_point.range_bits or the fractional bits",
        })?;

        let adam = match &training.optimiser {
            Optimiser::Sgd => None,
            Optimiser::Adam(adam) => Some(AdamPlan::new(adam, training.batch, f_x + f_d)?),
        };
        let (steps, divisor) = (rate_steps(training), if adam.is_some() { 1 } else { training.batch });
        let room = MAX_FRAC - fixed.weight_bits;
        // What c is a factor of: a summed gradient, or Adam's step.
        let moved = adam.map_or(f_x + f_d, |a| a.step_frac());
        let rate_bits = rate_bits(training, &steps, divisor, room.saturating_sub(moved))?;
        let master = moved + rate_bits;
        let summed = if adam.is_some() { f_x + f_d } else { master };
        let drop = master.checked_sub(f_w).filter(|d| *d > 0).ok_or_else(|| SpecError::Scales {
            what: format!("weights with {f_w} fractional bits need more than"),
            needs: f_w,
            has: master,
            advice: "raise the fractional bits of activations or gradients",
        })?;

        let decays = training.weight_decay > 0.0;
        let momentum = momentum(training)?;
        // A sum of batch · x · δ, some of each, over 1 / (1 − momentum) steps, times c_m.
        let velocity = momentum.map_or(0, |m| {
            let steps = log2_ceil((1.0 / (1.0 - training.momentum)).ceil() as usize);
            f_x + f_d + m.shift + log2_ceil(training.batch) + steps + 4
        });
        // With Adam, G is the mean gradient with b more fractional bits.
        let gradient = adam.map_or(0, |a| summed + a.mean_bits + a.gradient_bits + 3);
        let master_least = (master + fixed.weight_bits + 2).max(velocity);
        let norms = norms(&architecture, fixed, gradient_bits, training.batch)?;
        let least = product_bits.max(fixed.range_bits + f_x + 3).max(gradient).max(layer_bits(
            &architecture,
            fixed,
            gradient_bits,
        ));
        // Gradients meet the inputs of a normalisation in sums of products.
        let least = norms.iter().fold(least, |least, norm| least.max(norm.input.bits()));
        // The two rings are one without Adam: its gradients are known modulo R. With Adam a wider one of the master weights
        // costs nothing.
        let alone = adam.is_some();
        let master_least = if alone { master_least } else { master_least.max(least) };
        let wide = master_least.max(product_bits + drop);
        let traffic = Traffic::new(&architecture, training.batch);
        // A weight opened a second time costs that opening both ways, the correction of its wraps, and a round.
        let high = master_least.saturating_sub(drop);
        let reopening = 2 * high.min(product_bits) + product_bits.saturating_sub(high);
        let pays =
            alone || traffic.widening(wide - master_least) < traffic.weights(reopening) + traffic::ROUND;
        let shrunk = wide <= 64 && !decays && pays;
        let master_bits = if shrunk { wide } else { master_least };
        let ring_of = |what: &str, bits: u32, advice| {
            Ring::new(bits).map_err(|_| SpecError::Scales { what: what.into(), needs: bits, has: 64, advice })
        };
        let advice = "lower the momentum, the bounds or the fractional bits of fixed_point";
        let what = "activations, gradients and master weights need";
        let master_ring = ring_of(what, master_bits, advice)?;
        let ring = ring_of(what, if alone { least } else { master_bits }, advice)?;

        // An entry has one fractional bit more than an activation, a difference of two one whole bit more.
        let advice = "lower fixed_point.range_bits or the fractional bits";
        let pool_ring = ring_of("the comparisons of max-pooling need", fixed.range_bits + f_x + 3, advice)?;

        let scale = f64::from(rate_bits).exp2() / divisor as f64;
        let rates = steps.iter().map(|&(epoch, rate)| {
            let factor = (rate * scale).round();
            let used = factor / scale;
            let decay = (used * training.weight_decay * f64::from(drop).exp2()).round();
            Rate { epoch, factor: factor as i64, decay: decay as i64 }
        });
        Ok(NumericPlan {
            activation: f_x,
            weight: f_w,
            gradient: f_d,
            master,
            summed,
            rate_bits,
            range_bits: fixed.range_bits,
            gradient_bits,
            weight_bits: fixed.weight_bits,
            ring,
            delta_ring: ring,
            master_ring,
            product_ring,
            weight_ring: if decays { master_ring } else { product_ring },
            shrunk,
            width: fixed.range_bits + f_x + 1,
            pool_ring,
            momentum,
            adam,
            norms,
            rates: rates.collect(),
            divisor,
            warm_up: training.schedule.warm_up(),
        })
    }

    /// Scales of the batch normalisation at `layer`.
    pub(crate) fn norm(&self, layer: usize) -> Option<&NormPlan> {
        self.norms.iter().find(|norm| norm.layer == layer)
    }

    /// Bits that the truncation of master weights drops: S − f_w.
    pub fn weight_shift(&self) -> u32 {
        self.master - self.weight
    }

    /// c and the decay in step `step` (from 1), which is in epoch `epoch` (from 0).
    pub fn step_rate(&self, epoch: u32, step: u64) -> StepRate {
        let Rate { factor, decay, .. } = *self.rate(epoch);
        let warmed = |value: i64| {
            if step >= self.warm_up {
                return value;
            }
            let product = i128::from(value) * i128::from(step) + i128::from(self.warm_up / 2);
            (product / i128::from(self.warm_up)) as i64
        };
        StepRate { factor: warmed(factor), decay: warmed(decay) }
    }

    /// c of an epoch (from 0), after the warm-up.
    pub fn rate_factor(&self, epoch: u32) -> i64 {
        self.rate(epoch).factor
    }

    /// The learning rate as used in an epoch (from 0), after the warm-up.
    pub fn learning_rate(&self, epoch: u32) -> f64 {
        self.learning_rate_of(self.rate_factor(epoch))
    }

    /// The learning rate that c stands for.
    pub fn learning_rate_of(&self, factor: i64) -> f64 {
        factor as f64 * (-f64::from(self.rate_bits)).exp2() * self.divisor as f64
    }

    /// rate · weight_decay as used in an epoch (from 0), after the warm-up.
    pub fn decay(&self, epoch: u32) -> f64 {
        self.decay_of(self.rate(epoch).decay)
    }

    /// rate · weight_decay that the integer of a decay stands for.
    pub fn decay_of(&self, decay: i64) -> f64 {
        decay as f64 * (-f64::from(self.weight_shift())).exp2()
    }

    fn rate(&self, epoch: u32) -> &Rate {
        let after = self.rates.partition_point(|r| r.epoch <= epoch);
        &self.rates[after.max(1) - 1]
    }
}

/// Scales of all layers of batch normalisation.
fn norms(
    architecture: &Architecture,
    fixed: &FixedPointSpec,
    gradient_bits: u32,
    batch: usize,
) -> Result<Vec<NormPlan>, SpecError> {
    let layers = architecture.layers().iter().enumerate().filter_map(|(index, layer)| match layer.node {
        Node::BatchNorm { positions, momentum, epsilon, .. } => {
            let numbers = batch.saturating_mul(positions);
            Some(norm::Layer { index, numbers, momentum, epsilon })
        }
        _ => None,
    });
    layers.map(|layer| NormPlan::new(&layer, fixed, gradient_bits)).collect()
}

/// The widest value that a layer without weights holds before its truncation.
fn layer_bits(architecture: &Architecture, fixed: &FixedPointSpec, gradient_bits: u32) -> u32 {
    let (f_x, f_d) = (fixed.activation_frac(), fixed.gradient_frac());
    let bits = architecture.layers().iter().map(|layer| match layer.node {
        // The sum of a window, multiplied for its division.
        Node::AvgPool(w) => {
            let by = Dyadic::reciprocal(w.group(), KEEP_BITS);
            f_x + fixed.range_bits + by.bits() + log2_ceil(w.group()) + 2
        }
        // δ · s · (1 − s) at f_δ + 2 f_x.
        Node::Sigmoid => gradient_bits + f_d + 2 * f_x + 2,
        Node::Dropout { .. } => f_x + fixed.range_bits + KEEP_BITS + 2,
        _ => 0,
    });
    bits.max().unwrap_or(0)
}

fn log2_ceil(n: usize) -> u32 {
    n.next_power_of_two().trailing_zeros()
}

fn first_product(model: &ModelSpec) -> String {
    let index = model.layers.iter().position(|l| matches!(l.kind(), "dense" | "conv2d"));
    index.map_or("the model".into(), |i| format!("layer {i} ({})", model.layers[i].kind()))
}

/// First epoch and rate of every stretch of epochs with one rate.
fn rate_steps(training: &TrainingSpec) -> Vec<(u32, f64)> {
    let every = training.schedule.every(training.epochs);
    (0..training.epochs).step_by(every as usize).map(|e| (e, training.nominal_rate(e))).collect()
}

/// The smallest h for which every rate is an integer times 2^−h, up to the tolerance: 1/128 of it or, if it changes with every
/// epoch, 1/1024 of the first rate. A warm-up needs integers to choose from.
fn rate_bits(
    training: &TrainingSpec,
    steps: &[(u32, f64)],
    divisor: usize,
    most: u32,
) -> Result<u32, SpecError> {
    let gliding = matches!(training.schedule, Schedule::Exponential { .. } | Schedule::Cosine { .. });
    let first = training.learning_rate / divisor as f64;
    let least_first = if training.schedule.warm_up() > 0 { WARM_UP_STEPS } else { 1.0 };
    let fits = |h: u32| {
        let slack = if gliding { first * f64::from(h).exp2() / 1024.0 } else { 0.0 };
        first * f64::from(h).exp2() >= least_first - 0.5
            && steps.iter().all(|(_, rate)| {
                let exact = rate / divisor as f64 * f64::from(h).exp2();
                let far = (exact.round() - exact).abs();
                far <= slack || (exact.round() >= 1.0 && far <= exact * RATE_TOLERANCE)
            })
    };
    (0..=most).find(|h| fits(*h)).ok_or_else(|| {
        let least = steps.iter().map(|s| s.1).fold(f64::INFINITY, f64::min);
        // The step to a power of two below the rate shows what is missing.
        let needs = ((divisor as f64 / least).log2() + 6.0).ceil().max(0.0) as u32;
        SpecError::Scales {
            what: format!("{RATE} of {least:e} with batches of {} needs about", training.batch),
            needs,
            has: most,
            advice: "use a higher rate (a power of two needs the fewest bits), or fewer fractional or weight bits",
        }
    })
}

/// The dyadic momentum nearest to the job's with the fewest bits, within 1/128 of 1 − momentum.
fn momentum(training: &TrainingSpec) -> Result<Option<Dyadic>, SpecError> {
    if training.momentum == 0.0 {
        return Ok(None);
    }
    let tolerance = RATE_TOLERANCE * (1.0 - training.momentum).min(training.momentum);
    let bad = || SpecError::value("training.momentum", training.momentum, "use 0, or 0.001 to 0.999");
    Dyadic::within(training.momentum, tolerance, 18).map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests;
