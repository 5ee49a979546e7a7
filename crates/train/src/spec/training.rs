use serde::{Deserialize, Serialize};

use super::{Optimiser, Schedule, SpecError};

/// The `[training]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSpec {
    /// Passes over the training rows.
    pub epochs: u32,
    /// Rows in a mini-batch. The last batch of an epoch may be smaller; its gradient sum is still divided by `batch`.
    pub batch: usize,
    /// Learning rate. It is rounded to a dyadic number within 1/128 of it (exact if learning_rate / batch is a power of
    /// two, or with Adam learning_rate itself); the plaintext baseline uses the same rounded rate.
    pub learning_rate: f64,
    /// v ← momentum · v + gradient, w ← w − rate · v. From 0 (default) up to but not including 1.
    #[serde(default)]
    pub momentum: f64,
    /// Decoupled decay of weights, not of biases nor of scales of a batch normalisation: w ← w − rate · weight_decay · w (default 0).
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

impl TrainingSpec {
    /// The learning rate that the job asks for in an epoch (from 0), before rounding and warm-up.
    pub fn nominal_rate(&self, epoch: u32) -> f64 {
        self.learning_rate * self.schedule.factor(epoch, self.epochs)
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
        self.schedule.validate()?;
        self.optimiser.validate()?;
        if matches!(self.optimiser, Optimiser::Adam(_)) && self.momentum > 0.0 {
            let expected = "leave it out: Adam has its own, optimiser.beta1";
            return Err(SpecError::value("training.momentum", self.momentum, expected));
        }
        if self.max_steps == Some(0) {
            return Err(SpecError::value("training.max_steps", 0, positive));
        }
        Ok(())
    }
}
