use serde::{Deserialize, Serialize};

use super::SpecError;

/// The `[privacy]` section: the training is differentially private, or it does not start.
///
/// Every step adds noise to the summed gradient, in which no record counts for more than a bound. Batches are public: full, or
/// those of the training's public order, in which each record takes part once an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySpec {
    /// What is protected: `record`, one row of one owner.
    pub unit: String,
    /// Largest ε of the whole run towards any single party and towards everyone outside.
    pub epsilon: f64,
    /// δ, between 0 and 1; well below one over the number of records.
    pub delta: f64,
    /// How a record's gradient is bounded.
    pub mode: BoundMode,
    /// C: most that one record adds to the summed gradient, in the ℓ2 norm over all layers.
    pub clip: f64,
    /// γ of `normalise`: gradients below it count in proportion, gradients above it as C. Default 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// Largest ℓ2 norm of a row of features; its owner shortens a longer one before it is shared. By default the square root
    /// of their number, which no row of features within [-1, 1] exceeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_norm: Option<f64>,
}

/// How a record's gradient is bounded, from its squared norm s over all layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundMode {
    /// Times C / √(s + γ²) (Bu et al., "Automatic clipping", NeurIPS 2023, with γ under the root).
    Normalise,
    /// Times min(1, C / √s) (Abadi et al., CCS 2016).
    Clip,
}

/// γ where the job names none.
const DEFAULT_GAMMA: f64 = 0.1;

impl PrivacySpec {
    /// γ.
    pub fn gamma(&self) -> f64 {
        self.gamma.unwrap_or(DEFAULT_GAMMA)
    }

    /// Largest norm of a row of `inputs` features.
    pub fn row_norm(&self, inputs: usize) -> f64 {
        self.row_norm.unwrap_or((inputs as f64).sqrt())
    }

    /// Checks each number by itself.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.unit != "record" {
            let expected = "use \"record\": rows of one person under a column of its own are not grouped yet";
            return Err(SpecError::value("privacy.unit", format!("{:?}", self.unit), expected));
        }
        if !(self.epsilon > 0.0 && self.epsilon <= 100.0) {
            let expected = "use a number above 0 and at most 100";
            return Err(SpecError::value("privacy.epsilon", self.epsilon, expected));
        }
        if !(self.delta > 0.0 && self.delta < 1.0) {
            let expected = "use a number between 0 and 1, well below one over the number of records";
            return Err(SpecError::value("privacy.delta", self.delta, expected));
        }
        let positive = |key: &str, value: f64| {
            if (1.0 / 1024.0..=1024.0).contains(&value) {
                return Ok(());
            }
            Err(SpecError::value(key, value, "use a number from 1/1024 to 1024"))
        };
        positive("privacy.clip", self.clip)?;
        if let Some(gamma) = self.gamma {
            if self.mode == BoundMode::Clip {
                let expected = "leave it out: it belongs to mode \"normalise\"";
                return Err(SpecError::value("privacy.gamma", gamma, expected));
            }
            positive("privacy.gamma", gamma)?;
        }
        self.row_norm.map_or(Ok(()), |norm| positive("privacy.row_norm", norm))
    }
}
