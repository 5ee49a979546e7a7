use serde::{Deserialize, Serialize};

use super::SpecError;

/// The `[privacy]` section: the training is differentially private, or it does not start.
///
/// Every step adds noise to the summed gradient, in which no record counts for more than a bound. Batches are public: full, or
/// those of the training's public order, in which each record takes part once an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySpec {
    /// What is protected: `record`, one row of one owner, or a column of the CSV files, all rows with the same cell in it.
    pub unit: String,
    /// For a column: most training rows that one unit may have at one owner, who counts them before anything is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_rows: Option<u32>,
    /// For a column: most owners with rows of one unit, as far as the parties know; all three if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_owners: Option<u32>,
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
    /// How the noise of one step is related to that of the others.
    #[serde(default, skip_serializing_if = "is_independent")]
    pub noise: NoiseKind,
}

/// How the noise of one step is related to that of the others: `{ kind = "independent" }`, or `{ kind = "banded", bands = 20 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum NoiseKind {
    /// Not at all: noisy gradient descent.
    #[default]
    Independent,
    /// Noise is partly taken back in the next steps, so that the model carries less of it: DP-FTRL (see [`tercet_privacy::banded`]).
    /// Every epoch has the same batches in the same order.
    Banded {
        /// Steps over which noise is related, at most the steps of an epoch.
        bands: usize,
    },
}

fn is_independent(kind: &NoiseKind) -> bool {
    *kind == NoiseKind::Independent
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

/// The unit that needs no column.
const RECORD: &str = "record";

/// Parties that may bring rows.
const OWNERS: u32 = 3;

/// Most rows of one unit at one owner.
const MOST_UNIT_ROWS: u32 = 1024;

impl PrivacySpec {
    /// γ.
    pub fn gamma(&self) -> f64 {
        self.gamma.unwrap_or(DEFAULT_GAMMA)
    }

    /// Largest norm of a row of `inputs` features.
    pub fn row_norm(&self, inputs: usize) -> f64 {
        self.row_norm.unwrap_or((inputs as f64).sqrt())
    }

    /// The column whose cells name the units; `None` if every record is one.
    pub fn unit_column(&self) -> Option<&str> {
        (self.unit != RECORD).then_some(self.unit.as_str())
    }

    /// Most rows of one unit, at all owners together.
    pub fn rows_of_a_unit(&self) -> u32 {
        match self.unit_column() {
            None => 1,
            Some(_) => self.unit_rows.unwrap_or(1).saturating_mul(self.unit_owners.unwrap_or(OWNERS)),
        }
    }

    /// Checks each number by itself.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.validate_unit()?;
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

    fn validate_unit(&self) -> Result<(), SpecError> {
        let Some(column) = self.unit_column() else {
            for (key, value) in
                [("privacy.unit_rows", self.unit_rows), ("privacy.unit_owners", self.unit_owners)]
            {
                if let Some(value) = value {
                    let expected = "leave it out: with unit = \"record\" every row is a unit of its own";
                    return Err(SpecError::value(key, value, expected));
                }
            }
            return Ok(());
        };
        if column.is_empty() {
            let expected = "use \"record\" or the name of a column";
            return Err(SpecError::value("privacy.unit", "empty", expected));
        }
        match self.unit_rows {
            Some(1..=MOST_UNIT_ROWS) => {}
            found => {
                let expected = format!(
                    "with unit = {column:?} give the most training rows that one of them may have at one owner, 1 to \
                     {MOST_UNIT_ROWS}"
                );
                let found = found.map_or("missing".to_owned(), |rows| rows.to_string());
                return Err(SpecError::value("privacy.unit_rows", found, expected));
            }
        }
        match self.unit_owners {
            None | Some(1..=OWNERS) => Ok(()),
            Some(found) => Err(SpecError::value("privacy.unit_owners", found, "use 1, 2 or 3")),
        }
    }
}
