use tercet_engine::EngineError;
use tercet_privacy::PrivacyError;
use thiserror::Error;

use crate::SpecError;
use crate::guard::Quantity;

/// What can go wrong in training.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The job cannot be run.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The rows do not fit the job.
    #[error("{what}: {found}; {expected}")]
    Rows {
        /// Which rows, `the training rows of party 1`.
        what: String,
        /// What they are.
        found: String,
        /// What the job needs.
        expected: String,
    },
    /// The privacy that the job asks for cannot be had, or the noise cannot be drawn.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// The range guard found values that the fixed point cannot hold.
    #[error(
        "training stopped at step {step}: {} of {layer} are not below 2^{bits} in size, beyond which results are wrong; \
         lower the learning rate, or raise fixed_point.{}",
        quantity.name(),
        quantity.key()
    )]
    OutOfRange {
        /// The step, from 1.
        step: u64,
        /// The layer in words.
        layer: String,
        /// What left its range.
        quantity: Quantity,
        /// The range is |v| < 2^bits.
        bits: u32,
    },
    /// The engine failed.
    #[error("training stopped at step {step}: {source}")]
    Engine {
        /// The step, from 1; 0 is the setup.
        step: u64,
        /// The cause.
        source: EngineError,
    },
    /// Its custodian ended it, or could not keep its state.
    #[error("training stopped at step {step}: {source}")]
    Stopped {
        /// Steps done.
        step: u64,
        /// The reason.
        source: crate::CustodianError,
    },
}

impl From<EngineError> for TrainError {
    fn from(source: EngineError) -> TrainError {
        TrainError::Engine { step: 0, source }
    }
}

impl TrainError {
    /// The same error with the step at which it happened.
    pub(crate) fn at(self, step: u64) -> TrainError {
        match self {
            TrainError::Engine { source, .. } => TrainError::Engine { step, source },
            other => other,
        }
    }
}
