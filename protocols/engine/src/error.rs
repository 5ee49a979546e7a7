use std::error::Error as StdError;

use tercet_share::ShareError;
use thiserror::Error;

/// What can go wrong in an engine.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Two scales were mixed: a truncation is missing or superfluous.
    #[error("values with {left} and {right} fractional bits cannot be added; a truncation is missing")]
    Scales {
        /// Fractional bits of the first operand.
        left: u32,
        /// Fractional bits of the second operand.
        right: u32,
    },
    /// Two shapes do not fit.
    #[error("{what} of shapes {left:?} and {right:?} is not defined")]
    Shapes {
        /// The operation.
        what: &'static str,
        /// Shape of the first operand.
        left: (usize, usize),
        /// Shape of the second operand.
        right: (usize, usize),
    },
    /// A parameter outside of what the operation can do.
    #[error("{what}: {why}")]
    Parameter {
        /// The operation.
        what: &'static str,
        /// The reason, with the numbers.
        why: String,
    },
    /// An opening that the job does not allow.
    #[error("opening {what} to {to} was refused: the job does not allow it")]
    OpeningRefused {
        /// What was to be opened.
        what: String,
        /// To whom.
        to: String,
    },
    /// Share arithmetic failed.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The network failed, or a peer sent something that does not fit.
    #[error(transparent)]
    Network(Box<dyn StdError + Send + Sync>),
    /// A message of a peer does not decode.
    #[error("a message of {from} in {label} is malformed: {why}")]
    Malformed {
        /// The sender.
        from: String,
        /// The protocol step.
        label: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl EngineError {
    /// A parameter error.
    pub fn parameter(what: &'static str, why: impl Into<String>) -> EngineError {
        EngineError::Parameter { what, why: why.into() }
    }
}
