use serde::{Deserialize, Serialize};

use super::SpecError;

/// The `[training]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Passes over the training rows.
    pub epochs: u32,
    /// Rows in a mini-batch. The last batch of an epoch may be smaller; its gradient sum is still divided by `batch`.
    pub batch: usize,
    /// Learning rate. It is rounded to a dyadic number within 1/128 of it (exact if learning_rate / batch is a power of
    /// two); the plaintext baseline uses the same rounded rate.
    pub learning_rate: f64,
    /// v ← momentum · v + gradient, w ← w − rate · v. From 0 (default) up to but not including 1.
    #[serde(default)]
    pub momentum: f64,
    /// Decoupled decay of weights, not of biases: w ← w − rate · weight_decay · w (default 0).
    #[serde(default)]
    pub weight_decay: f64,
    /// Seed of initial weights, batches and dropout masks. It is public.
    pub seed: u64,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: Optimiser,
    /// Stop after so many steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Evaluate the test rows after every so many epochs and at the end; 0 (default): only at the end.
    #[serde(default)]
    pub evaluate_every: u32,
}

/// How the learning rate changes over epochs: `{ kind = "constant" }`, or `{ kind = "step", every = 5, factor = 0.5 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// It stays.
    Constant {},
    /// It is multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between two changes.
        every: u32,
        /// The factor, above 0 and at most 1.
        factor: f64,
    },
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::Constant {}
    }
}

/// The optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimiser {
    /// Stochastic gradient descent, with momentum and decay if asked for.
    #[default]
    Sgd,
}

impl TrainingSpec {
    /// The learning rate that the job asks for in an epoch (from 0), before rounding.
    pub fn nominal_rate(&self, epoch: u32) -> f64 {
        match self.schedule {
            Schedule::Constant {} => self.learning_rate,
            Schedule::Step { every, factor } => {
                self.learning_rate * factor.powi((epoch / every.max(1)) as i32)
            }
        }
    }

    /// Checks each number by itself.
    pub fn validate(&self) -> Result<(), SpecError> {
        let positive = "use at least 1";
        if self.epochs == 0 || self.epochs > 1_000_000 {
            return Err(SpecError::value("training.epochs", self.epochs, "use 1 to 1000000"));
        }
        if self.batch == 0 || self.batch > 1 << 20 {
            return Err(SpecError::value("training.batch", self.batch, "use 1 to 1048576"));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1024.0) {
            return Err(SpecError::value(
                "training.learning_rate",
                self.learning_rate,
                "use a number above 0 and at most 1024",
            ));
        }
        for (key, value) in
            [("training.momentum", self.momentum), ("training.weight_decay", self.weight_decay)]
        {
            if !(0.0..1.0).contains(&value) {
                return Err(SpecError::value(key, value, "use a number from 0 up to but not including 1"));
            }
        }
        if let Schedule::Step { every, factor } = self.schedule {
            if every == 0 {
                return Err(SpecError::value("training.schedule.every", every, positive));
            }
            if !(factor > 0.0 && factor <= 1.0) {
                let expected = "use a number above 0 and at most 1";
                return Err(SpecError::value("training.schedule.factor", factor, expected));
            }
        }
        if self.max_steps == Some(0) {
            return Err(SpecError::value("training.max_steps", 0, positive));
        }
        Ok(())
    }
}
