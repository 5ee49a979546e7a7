//! Scales of Adam.
//!
//! With g the gradient summed over the batch and divided by 2^b, the power of two from the batch size on, and ε in the same unit
//! (Adam's step does not depend on the unit of g):
//!
//! | tensor | fractional bits | ring |
//! |---|---|---|
//! | weight gradients, summed | f_x + f_δ | R |
//! | g | f_g | 64 |
//! | m | f_m | 64 |
//! | v | 2 f_g | 64 |
//! | v + ε² under the root | 6 below ε² | as narrow as it fits |
//! | 1 / √(v + ε²) | a power of two, and 12 | 64 |
//! | master weights | S = f_m + 12 + gradient_bits + h, at least | see [`super`] |
//!
//! *Averages.* m ← m + w·(g − m) with w_k = (1 − β1) / (1 − β1^k) in step k, from 1: this m is Adam's m divided by 1 − β1^k, so that no
//! correction is left for the update; v likewise with β2. w is an integer times 2^−t with at least 32 steps of it in 1 − β,
//! and the average one truncation by t. Its errors average out: after 1 / (1 − β) steps they are a few units.
//!
//! *Update.* W ← W − c·(m · 1/√(v + ε²)) with rate = c·2^−h: m is read with h more fractional bits, and the product of m and both
//! factors of the root is subtracted as it is.
//!
//! *Bounds.* |g| < 2^gradient_bits is the job's promise, so that √v is too. f_m gives m/ε eight fractional bits, f_g gives v
//! 12 bits below ε², and 2 f_g + t + 2 gradient_bits + 3 ≤ 64.

use crate::spec::{Adam, SpecError, power};

/// Fractional bits of the root.
const ROOT: u32 = 12;

/// Fractional bits that ε² keeps under the root.
const UNDER_ROOT: u32 = 6;

/// Fractional bits that ε² needs in v at least: above the noise of a thousand truncations.
const LEAST_SQUARE: u32 = 8;

/// Steps of the grid of an average's weights in 1 − β.
const AVERAGE_STEPS: f64 = 32.0;

/// A running average, corrected for its start, with dyadic weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    beta: f64,
    /// t: the weights are integers times 2^−t.
    pub shift: u32,
}

impl Average {
    /// With weight 1 − `beta` for a new value.
    pub(crate) fn new(beta: f64) -> Average {
        Average { beta, shift: libm::ceil(libm::log2(AVERAGE_STEPS / (1.0 - beta))) as u32 }
    }

    /// The integer of the new value's weight in step `step`, from 1; 2^t in the first.
    pub fn factor(&self, step: u64) -> i64 {
        let share = (1.0 - self.beta) / (1.0 - power(self.beta, step.max(1)));
        (share * (1u64 << self.shift) as f64).round() as i64
    }

    /// The new value's weight in step `step`, as it is used.
    pub fn share(&self, step: u64) -> f64 {
        self.factor(step) as f64 / (1u64 << self.shift) as f64
    }
}

/// Scales of Adam's tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamPlan {
    /// Weights of m.
    pub first: Average,
    /// Weights of v.
    pub second: Average,
    /// ε, in units of the mean gradient.
    pub epsilon: f64,
    /// b: the unit of g is 2^b / batch of a mean gradient.
    pub mean_bits: u32,
    /// f_g.
    pub gradient: u32,
    /// f_m.
    pub moment: u32,
    /// Fractional bits of v: 2 f_g.
    pub square: u32,
    /// Fractional bits of v + ε² under the root.
    pub under_root: u32,
    /// Fractional bits of the root, its power of two apart.
    pub root: u32,
    /// v + ε² is between 2^low and 2^high.
    pub low: i32,
    /// See `low`.
    pub high: i32,
    /// ε² in the unit of v.
    pub floor: f64,
    /// |g| < 2^gradient_bits.
    pub gradient_bits: u32,
}

impl AdamPlan {
    /// Scales for sums of `batch` gradients with `summed` fractional bits.
    pub(super) fn new(adam: &Adam, batch: usize, summed: u32) -> Result<AdamPlan, SpecError> {
        let mean_bits = super::log2_ceil(batch);
        let epsilon = adam.epsilon * batch as f64 / (1u64 << mean_bits) as f64;
        let (first, second) = (Average::new(adam.beta1), Average::new(adam.beta2));
        let low = libm::floor(2.0 * libm::log2(epsilon)) as i32;
        let below = (-low).max(0) as u32;
        // Even, and above both v and ε².
        let high = (2 * adam.gradient_bits as i32).max(2 * (low + 2).div_euclid(2));

        let most = 61u32.saturating_sub(second.shift + high as u32) / 2;
        let least = (below + LEAST_SQUARE).div_ceil(2);
        let gradient = (least + 2).min(most).min(summed + mean_bits - 1);
        if gradient < least {
            let room = (2 * gradient).saturating_sub(LEAST_SQUARE) / 2;
            let expected = format!(
                "use at least {:e}, or a smaller beta2 or gradient_bits, or more fractional bits of gradients: v needs {} \
                 fractional bits and has {}",
                (-f64::from(room)).exp2(),
                2 * least,
                2 * gradient,
            );
            return Err(SpecError::value("training.optimiser.epsilon", adam.epsilon, expected));
        }
        let moment = (libm::ceil(-libm::log2(epsilon)).max(0.0) as u32 + 8).max(gradient);
        let needs = moment + first.shift + adam.gradient_bits + 3;
        if needs > 64 {
            let advice = "lower training.optimiser.beta1 or gradient_bits, or raise epsilon";
            return Err(SpecError::Scales {
                what: "averages of gradients need".into(),
                needs,
                has: 64,
                advice,
            });
        }
        Ok(AdamPlan {
            first,
            second,
            epsilon: adam.epsilon,
            mean_bits,
            gradient,
            moment,
            square: 2 * gradient,
            under_root: below + UNDER_ROOT,
            root: ROOT,
            low,
            high,
            floor: epsilon * epsilon,
            gradient_bits: adam.gradient_bits,
        })
    }

    /// Fractional bits of m · 1/√(v + ε²).
    pub(crate) fn step_frac(&self) -> u32 {
        self.moment + self.root + self.high as u32 / 2
    }

    /// Ring of v + ε².
    pub(crate) fn under_root_bits(&self) -> u32 {
        self.under_root + self.high as u32 + 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_start_with_the_first_value_and_end_with_one_minus_beta() {
        for (beta, shift) in [(0.9, 9), (0.999, 15), (0.0, 5), (0.5, 6)] {
            let average = Average::new(beta);
            assert_eq!(average.shift, shift);
            assert_eq!(average.factor(1), 1 << shift);
            for step in [2u64, 7, 100, 5000] {
                let exact = (1.0 - beta) / (1.0 - beta.powi(step as i32));
                let used = average.share(step);
                assert!((used - exact).abs() <= exact / 64.0, "{beta} in step {step}: {used} for {exact}");
            }
        }
    }

    #[test]
    fn an_epsilon_out_of_reach_is_refused_with_one_that_is_not() {
        let adam = Adam { epsilon: 1e-8, ..Adam::default() };
        let error = AdamPlan::new(&adam, 128, 24).unwrap_err().to_string();
        assert!(error.contains("training.optimiser.epsilon is 0.00000001; use at least"), "{error}");
        let least: f64 =
            error.split("at least ").nth(1).and_then(|s| s.split(',').next()).unwrap().parse().unwrap();
        AdamPlan::new(&Adam { epsilon: least, ..adam }, 128, 24).unwrap();
        assert!(AdamPlan::new(&Adam { epsilon: least / 2.0, ..adam }, 128, 24).is_err());
        let slow = Adam { beta2: 0.9999999, ..Adam::default() };
        assert!(AdamPlan::new(&slow, 128, 24).is_err());
    }

    #[test]
    fn every_plan_leaves_its_truncations_their_range() {
        for gradient_bits in [0, 2, 5] {
            for epsilon in [1e-4, 1e-3, 0.1, 1.0] {
                for (batch, summed) in [(1, 24), (50, 24), (128, 32), (1000, 28)] {
                    let adam = Adam { epsilon, gradient_bits, ..Adam::default() };
                    let Ok(plan) = AdamPlan::new(&adam, batch, summed) else {
                        assert!(epsilon < 1e-3 && gradient_bits == 5, "{adam:?} {batch} {summed}");
                        continue;
                    };
                    assert!(plan.square + plan.second.shift + plan.high as u32 + 3 <= 64);
                    assert!(plan.high >= 2 * gradient_bits as i32 && plan.high % 2 == 0);
                    assert!(plan.square as i32 + plan.low >= LEAST_SQUARE as i32);
                    assert!(
                        plan.under_root_bits() + (plan.second.shift + plan.square - plan.under_root) <= 64
                    );
                    assert!(plan.floor >= f64::from(plan.low).exp2() && plan.low < plan.high);
                    assert!(plan.moment + plan.first.shift >= plan.gradient);
                }
            }
        }
    }
}
