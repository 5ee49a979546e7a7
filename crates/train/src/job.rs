//! What a training needs of the job.

use tercet_engine::{Party, Policy, Reason, Rule};

use crate::spec::{FixedPointSpec, ModelSpec, TrainingSpec};

/// The parts of a job that training reads; equal at all parties.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingJob {
    /// The model.
    pub model: ModelSpec,
    /// The training.
    pub training: TrainingSpec,
    /// Scales and bounds.
    pub fixed_point: FixedPointSpec,
    /// Standardise features by means and deviations computed on shares; nothing of them is opened.
    pub standardise: bool,
    /// Who receives what.
    pub release: Release,
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
