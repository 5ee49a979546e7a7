//! Scales of batch normalisation.
//!
//! With n numbers of a channel in a batch, k = ⌈log2 n⌉, K that of a whole batch, r = 1 / √(var + ε), and the formulas of
//! [`crate::layers`]:
//!
//! | tensor | fractional bits | ring | below 2^ |
//! |---|---|---|---|
//! | x, d = x − mean | f_x | D = 2 + K + p_x + max(p_x, p_δ) | range_bits, one more |
//! | γ and β in the layer | f_γ, at most 14 | 64 | weight_bits |
//! | Σd², truncated as Σd² / 2^k | f_v | 64 | 2 range_bits |
//! | r | f_r, at most 20 | 64 | e = ⌈½ log2 1/ε⌉ |
//! | s = γ·r | f_s = 18 | that of both products | weight_bits + e |
//! | γ·r² | f_q, at most 22 | 64 | weight_bits + 2e |
//! | Σδ∘d, truncated as Σδ∘d / 2^k | k + f_e | 64 | gradient_bits + range_bits |
//! | h = mean(δ∘x̂) = r · mean(δ∘d) | f_h, at most 24 | 64 | gradient_bits |
//! | a = γ·r²·h | f_s + f_δ + 4 − f_x | that of the backward product | weight_bits + 2e + gradient_bits |
//! | y = s∘d + β | f_s + f_x | 2 + p_x + f_s | range_bits |
//! | s∘(δ − mean δ) − a∘d | f_s + f_δ + 4 | 2 + p_δ + 4 + f_s | gradient_bits |
//!
//! where p_x = range_bits + f_x and p_δ = gradient_bits + f_δ are the bits of an activation and of a gradient. Only the numbers
//! of the first row and of the last two are as many as activations; those are truncated to the widths that a dense layer's
//! products have, and the dropped bits are never sent. All others are one for each channel.
//!
//! *Why these bounds.* A variance is at most the square of the largest number (Popoviciu), so Σd² ≤ n·2^(2 range_bits), and by
//! Cauchy and Schwarz |Σδ∘d| ≤ n·2^(gradient_bits + range_bits) and |h| ≤ 2^gradient_bits. The bounds of y and of the gradient
//! of x are those of the job, as for every layer.
//!
//! *Division by n.* The sums are divided by 2^k, for free, and multiplied by 2^k/n, which is 1 for a power of two. Else it has 8 bits
//! behind the point, since an error of a variance is half of it in r, but for means p_x − 1, so that they are right to a unit.

use tercet_share::Ring;

use super::adam::Average;
use super::{NumericPlan, log2_ceil};
use crate::spec::{FixedPointSpec, SpecError};

/// Bits behind the point of 2^k / n in variances and the like.
pub(crate) const RECIPROCAL: u32 = 8;

/// Fractional bits that means of gradients and running means have beyond those of what they are means of.
pub(crate) const MEAN: u32 = 4;

/// Fractional bits that ε keeps in the variance: 10, or 6 if the squares of activations have no more.
const UNDER_ROOT: [u32; 2] = [6, 10];

/// Scales of one layer of batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormPlan {
    /// Position in `model.layers`.
    pub layer: usize,
    /// Weights of the running averages.
    pub average: Average,
    /// ε.
    pub epsilon: f64,
    /// D: ring of x.
    pub input: Ring,
    /// f_γ.
    pub parameter: u32,
    /// f_s.
    pub scale: u32,
    /// Bits behind the point of 2^k / n in means.
    pub mean: u32,
    /// f_v.
    pub variance: u32,
    /// f_r.
    pub root: u32,
    /// f_e.
    pub sum: u32,
    /// f_q.
    pub square: u32,
    /// f_h.
    pub correlation: u32,
    /// Fractional bits of a.
    pub slope: u32,
    /// Fractional bits of γ's gradient.
    pub parameter_gradient: u32,
    /// Ring of y before its truncation.
    pub forward: Ring,
    /// Ring of the gradient of x before its truncation.
    pub backward: Ring,
    /// var + ε is between 2^low and 2^high.
    pub low: i32,
    /// See `low`.
    pub high: i32,
}

/// What a layer of batch normalisation is, for its scales.
pub(super) struct Layer {
    pub(super) index: usize,
    /// Most numbers of a channel in a batch.
    pub(super) numbers: usize,
    pub(super) momentum: f64,
    pub(super) epsilon: f64,
}

impl NormPlan {
    pub(super) fn new(
        layer: &Layer,
        fixed: &FixedPointSpec,
        gradient_bits: u32,
    ) -> Result<NormPlan, SpecError> {
        let (f_x, f_w, f_d) = (fixed.activation_frac(), fixed.weight_frac(), fixed.gradient_frac());
        let (range, weight) = (fixed.range_bits, fixed.weight_bits);
        let (p_x, p_d, k) = (range + f_x, gradient_bits + f_d, log2_ceil(layer.numbers));
        let named = |what: &str| format!("layer {} (batch-norm): {what}", layer.index);
        let fits = |what: &str, needs: u32, advice: &'static str| match needs <= 64 {
            true => Ok(needs),
            false => Err(SpecError::Scales { what: named(what), needs, has: 64, advice }),
        };
        let bad = |why: String| SpecError::Layer { index: layer.index, kind: "batch-norm", why };
        if layer.numbers < 2 {
            return Err(bad("normalises over a batch of one row; use training.batch of at least 2".into()));
        }

        let ranges =
            "lower fixed_point.range_bits, gradient_bits or the fractional bits, or use smaller batches";
        let what = format!("sums of squares over {} numbers need", layer.numbers);
        // Sums of squares and of products with gradients, and a sum times 2^k / n with p_x bits.
        let input = fits(&what, 2 + k + p_x + p_x.max(p_d), ranges)?;

        let variance = (2 * f_x).min((UNDER_ROOT[1] as i32 - exponent(layer.epsilon)).max(8) as u32);
        let least = (UNDER_ROOT[0] as i32).saturating_add(-exponent(layer.epsilon));
        if (variance as i32) < least {
            let reach = (-f64::from(variance - UNDER_ROOT[0].min(variance))).exp2();
            return Err(bad(format!(
                "has epsilon {}, too small beside the rounding of activations with {f_x} fractional bits; use at least {reach:e}, or \
                 more fixed_point.activations",
                layer.epsilon
            )));
        }
        // Two roundings of a variance, each of 1.5 units, may take it below zero.
        let low = exponent(layer.epsilon - 4.0 * (-f64::from(variance)).exp2());
        let high = (2 * range as i32 + 1).max(exponent(layer.epsilon) + 2);
        fits("the variance needs", high as u32 + variance + RECIPROCAL + 3, "lower fixed_point.range_bits")?;
        let grown = (-low).max(0).unsigned_abs().div_ceil(2);

        // γ and β come in the ring of products, or a wider one.
        let (needs, has) = (weight + f_w + 3, 2 + p_x.max(p_d) + f_w);
        if needs > has {
            let advice = "lower fixed_point.weight_bits";
            return Err(SpecError::Scales { what: named("its scales and shifts need"), needs, has, advice });
        }

        let average = Average::new(1.0 - layer.momentum);
        let what = "the running variance needs";
        let needs = 2 * range + variance + RECIPROCAL + average.shift + 3;
        fits(what, needs, "raise its momentum or epsilon, or lower fixed_point.range_bits")?;

        let parameter = (f_w - 1).min(14);
        // γ·r² has f_γ + 2 f_r fractional bits.
        let room = 62u32.saturating_sub(parameter + weight + 2 * grown);
        let root = (room / 2).min(20);
        let advice = "raise its epsilon, or lower fixed_point.weight_bits";
        if root < 10 {
            return Err(SpecError::Scales {
                what: named("its scale needs"),
                needs: parameter + weight + 2 * grown + 22,
                has: 64,
                advice,
            });
        }
        // Released and evaluated weights are products with s, and so are biases less running means.
        let scale = (parameter + root - 1).min(18);
        fits(
            "the weights of the layer before it need",
            2 * weight + grown + f_w.max(20) + scale + 2,
            advice,
        )?;
        fits(
            "the biases of the layer before it need",
            range + 1 + weight + grown + f_x.max(f_w) + MEAN + scale + 2,
            advice,
        )?;

        let forward = fits("its products need", 2 + p_x + scale, ranges)?;
        let backward = fits("its products need", 2 + p_d + MEAN + scale, ranges)?;
        let input = fits("its products need", input.max(forward).max(backward), ranges)?;

        let taken = root + k + gradient_bits + RECIPROCAL + 2;
        let sum = 64u32.saturating_sub(taken).min(12).min(f_x + f_d - 1);
        fits("sums of gradients need", taken + sum.max(6), ranges)?;
        let bound = weight + 2 * grown + gradient_bits;
        let room = 62u32.saturating_sub(bound);
        let square = (room / 2).min(22).min(parameter + 2 * root - 1);
        let correlation = (room - square).min(24).min(root + sum);
        // a∘d and s∘δ are at one scale.
        let slope = match (scale + f_d + MEAN).checked_sub(f_x) {
            Some(slope @ 1..) => slope,
            _ => {
                return Err(bad(format!(
                    "has too few fixed_point.gradients beside {f_x} bits of activations"
                )));
            }
        };
        if square + correlation <= slope {
            let needs = bound + slope + 3;
            return Err(SpecError::Scales { what: named("its gradients need"), needs, has: 64, advice });
        }
        let ring = |bits| Ring::new(bits).map_err(|_| bad(format!("needs a ring of {bits} bits")));
        Ok(NormPlan {
            layer: layer.index,
            average,
            epsilon: layer.epsilon,
            input: ring(input)?,
            parameter,
            scale,
            mean: p_x - 1,
            variance,
            root,
            sum,
            square,
            correlation,
            slope,
            parameter_gradient: (f_x + f_d).min(12).min(root + sum - 1),
            forward: ring(forward)?,
            backward: ring(backward)?,
            low,
            high,
        })
    }

    /// Ring of s: that of both products.
    pub(crate) fn scale_ring(&self) -> Ring {
        self.forward.max(self.backward)
    }

    /// Fractional bits of running mean and variance.
    pub(crate) fn averages(&self, plan: &NumericPlan) -> [u32; 2] {
        [plan.activation + MEAN, self.variance + RECIPROCAL]
    }

    /// The same as they are kept between two steps: read with as many bits more as the truncation of an average drops.
    pub(crate) fn running(&self, plan: &NumericPlan) -> [u32; 2] {
        self.averages(plan).map(|frac| frac + self.average.shift)
    }
}

/// ⌊log2 x⌋ for x > 0.
fn exponent(x: f64) -> i32 {
    libm::floor(libm::log2(x)) as i32
}
