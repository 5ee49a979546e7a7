//! What a training needs of the job.

use tercet_engine::{Party, Policy, Reason, Rule};

use crate::spec::{FixedPointSpec, ModelSpec, PrivacySpec, TrainingSpec};
use crate::{Architecture, NumericPlan, SpecError, fold, privacy};

/// The parts of a job that training reads; equal at all parties.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingJob {
    /// The model.
    pub model: ModelSpec,
    /// The training.
    pub training: TrainingSpec,
    /// Scales and bounds.
    pub fixed_point: FixedPointSpec,
    /// Standardise features by means and deviations computed on shares. A released model has them folded into its first
    /// layer, and takes features as they are without; nothing else of them is opened.
    pub standardise: bool,
    /// Differential privacy, if the job asks for it.
    pub privacy: Option<Privacy>,
    /// Who receives what.
    pub release: Release,
}

impl TrainingJob {
    /// Checks every section, and the sections against each other. Rows are checked when there are some.
    ///
    /// # Errors
    /// The key and what to write instead.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.numeric_plan()?;
        fold::check(self, &Architecture::new(&self.model)?)
    }

    /// Scales and rings of this training.
    ///
    /// # Errors
    /// Numbers out of range, or scales that do not fit the ring.
    pub fn numeric_plan(&self) -> Result<NumericPlan, SpecError> {
        privacy::numeric(self)
    }
}

/// Differential privacy of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Privacy {
    /// What the job asks for.
    pub spec: PrivacySpec,
    /// Parties that may pool what they know, their own noise included: 1 for a protocol that is secure against any one
    /// party, 2 against any two. The noise of the others alone carries the guarantee.
    pub corrupt: u32,
}

/// Who receives what; an empty list means nobody. Nothing else is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Receivers of the trained weights.
    pub model: Vec<Party>,
    /// Receivers of the accuracy on the test rows.
    pub accuracy: Vec<Party>,
    /// Receivers of the mean loss on the test rows.
    pub loss: Vec<Party>,
}

impl Release {
    /// The engine policy that allows these openings and no other.
    pub fn policy(&self) -> Policy {
        let rules =
            [(Reason::Model, &self.model), (Reason::Accuracy, &self.accuracy), (Reason::Loss, &self.loss)];
        Policy::new(
            rules
                .into_iter()
                .filter(|(_, to)| !to.is_empty())
                .map(|(reason, to)| Rule { reason, to: to.clone() })
                .collect(),
        )
    }
}
