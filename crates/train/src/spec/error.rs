use thiserror::Error;

/// Why a job's model, training or fixed-point section cannot be run. One sentence, with the key or layer and the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// A value outside its range.
    #[error("{key} is {found}; {expected}")]
    Value {
        /// The key, `training.batch`.
        key: String,
        /// What the job says.
        found: String,
        /// What it may say.
        expected: String,
    },
    /// A layer that does not fit the one before it.
    #[error("layer {index} ({kind}) {why}")]
    Layer {
        /// Position in `model.layers`, from 0.
        index: usize,
        /// Its kind, as the job names it.
        kind: &'static str,
        /// What is wrong and what to change.
        why: String,
    },
    /// The numbers do not fit 64 bits.
    #[error("{what} {needs} bits but the ring has {has}; {advice}")]
    Scales {
        /// What does not fit, `the products of layer 2 (dense) need`.
        what: String,
        /// Bits needed.
        needs: u32,
        /// Bits that there are.
        has: u32,
        /// What to change.
        advice: &'static str,
    },
}

impl SpecError {
    pub(crate) fn value(key: &str, found: impl ToString, expected: impl Into<String>) -> SpecError {
        SpecError::Value { key: key.to_owned(), found: found.to_string(), expected: expected.into() }
    }
}
