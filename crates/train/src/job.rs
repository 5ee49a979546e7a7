//! What a training needs of the job.

use tercet_engine::{Party, Policy, Reason, Rule};

use crate::guard::everybody;
use crate::spec::{FixedPointSpec, ModelSpec, PrivacySpec, TargetsSpec, TrainingSpec};
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
    /// What the model must reach to be opened.
    pub targets: TargetsSpec,
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
        self.check_guard()?;
        self.targets.validate(self.privacy.as_ref().map(|privacy| privacy.spec.epsilon))?;
        fold::check(self, &Architecture::new(&self.model)?)
    }

    /// A private training has no guard: its ranges are proved, and the guard's bits would tell of records without noise.
    pub(crate) fn check_guard(&self) -> Result<(), SpecError> {
        match self.fixed_point.guard_every {
            Some(every) if self.privacy.is_some() => {
                let expected =
                    "leave it out: a private training proves its ranges, and a guard's bits have no noise";
                Err(SpecError::value("fixed_point.guard_every", every, expected))
            }
            _ => Ok(()),
        }
    }

    /// The engine policy of this training: what is released, the bits of the range guard if there is one, and whether the model meets
    /// the accuracy that the job asks for, if it does. All parties must know these bits: they decide how they go on.
    pub fn policy(&self) -> Policy {
        let mut rules = self.release.rules();
        if self.fixed_point.guard_every.is_some() {
            rules.push(Rule { reason: Reason::RangeGuard, to: everybody() });
        }
        if self.targets.accuracy.is_some() {
            rules.push(Rule { reason: Reason::Target, to: everybody() });
        }
        Policy::new(rules)
    }

    /// Whether the ε of `[privacy]` is within the targets'; `None` without one of them.
    pub fn met_epsilon(&self) -> Option<bool> {
        self.targets.met_epsilon(self.privacy.as_ref().map(|privacy| privacy.spec.epsilon))
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
        Policy::new(self.rules())
    }

    fn rules(&self) -> Vec<Rule> {
        let rules =
            [(Reason::Model, &self.model), (Reason::Accuracy, &self.accuracy), (Reason::Loss, &self.loss)];
        rules
            .into_iter()
            .filter(|(_, to)| !to.is_empty())
            .map(|(reason, to)| Rule { reason, to: to.clone() })
            .collect()
    }
}
