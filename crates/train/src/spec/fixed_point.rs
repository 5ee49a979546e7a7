use serde::{Deserialize, Serialize};

use super::SpecError;

/// The `[fixed_point]` section: fractional bits and bounds. All keys are optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedPointSpec {
    /// Fractional bits of everything that has no number of its own (default 16).
    pub frac: u32,
    /// Fractional bits of weights in products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<u32>,
    /// Fractional bits of inputs and activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activations: Option<u32>,
    /// Fractional bits of gradients of activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradients: Option<u32>,
    /// Every pre-activation is below 2^range_bits in size (default 10). Beyond it results are wrong, not clipped.
    pub range_bits: u32,
    /// Every gradient of an activation is below 2^gradient_bits in size. By default what the products' ring holds at no
    /// cost, at least 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_bits: Option<u32>,
    /// Every weight and bias is below 2^weight_bits in size (default 4).
    pub weight_bits: u32,
    /// Check on shares at the first step and every so many after it that weights, pre-activations and gradients are in these
    /// ranges, and stop where they are not. Absent (default): no check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard_every: Option<u32>,
}

impl Default for FixedPointSpec {
    fn default() -> FixedPointSpec {
        FixedPointSpec {
            frac: 16,
            weights: None,
            activations: None,
            gradients: None,
            range_bits: 10,
            gradient_bits: None,
            weight_bits: 4,
            guard_every: None,
        }
    }
}

impl FixedPointSpec {
    /// Fractional bits of inputs and activations.
    pub fn activation_frac(&self) -> u32 {
        self.activations.unwrap_or(self.frac)
    }

    /// Fractional bits of weights in products.
    pub fn weight_frac(&self) -> u32 {
        self.weights.unwrap_or(self.frac)
    }

    /// Fractional bits of gradients of activations.
    pub fn gradient_frac(&self) -> u32 {
        self.gradients.unwrap_or(self.frac)
    }

    /// Checks each number by itself; whether they fit together is for [`NumericPlan`](crate::NumericPlan).
    pub fn validate(&self) -> Result<(), SpecError> {
        let fracs = [
            ("fixed_point.frac", Some(self.frac)),
            ("fixed_point.weights", self.weights),
            ("fixed_point.activations", self.activations),
            ("fixed_point.gradients", self.gradients),
        ];
        for (key, frac) in fracs {
            if frac.is_some_and(|f| !(4..=24).contains(&f)) {
                return Err(SpecError::value(key, frac.unwrap_or_default(), "use 4 to 24 fractional bits"));
            }
        }
        let bounds = [
            ("fixed_point.range_bits", Some(self.range_bits)),
            ("fixed_point.gradient_bits", self.gradient_bits),
            ("fixed_point.weight_bits", Some(self.weight_bits)),
        ];
        for (key, bits) in bounds {
            if bits.is_some_and(|b| !(1..=20).contains(&b)) {
                return Err(SpecError::value(key, bits.unwrap_or_default(), "use 1 to 20"));
            }
        }
        if self.guard_every == Some(0) {
            return Err(SpecError::value(
                "fixed_point.guard_every",
                0,
                "use 1 for every step, or leave it out",
            ));
        }
        Ok(())
    }
}
