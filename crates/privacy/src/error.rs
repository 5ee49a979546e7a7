//! Errors of the accountant, of the sampler and of the calculations around them.

use thiserror::Error;

/// What can be wrong with a privacy calculation. Each message says what was wrong and what to change.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// A number that must be finite and positive is not.
    #[error("{what} is {value}, which is not a finite number above 0; give a positive value")]
    NotPositive {
        /// The name of the parameter.
        what: &'static str,
        /// The value that was given.
        value: f64,
    },
    /// A number that must be finite and at least 0 is not.
    #[error("{what} is {value}, which is not a finite number of at least 0; give such a value")]
    Negative {
        /// The name of the parameter.
        what: &'static str,
        /// The value that was given.
        value: f64,
    },
    /// δ outside (0, 1).
    #[error(
        "delta is {0}, which is not between 0 and 1; give a value such as 1e-5, well below one over the number of records"
    )]
    Delta(f64),
    /// A sampling rate outside (0, 1].
    #[error(
        "the sampling rate q is {0}, which is not above 0 and at most 1; give batch size over number of records"
    )]
    SamplingRate(f64),
    /// A batch that is empty or larger than the data set.
    #[error("the batch is {batch} of {records} records; it must hold at least 1 and at most all of them")]
    Batch {
        /// The batch size, or its cap.
        batch: u64,
        /// The number of records in the data set.
        records: u64,
    },
    /// A count that must be at least 1 is 0.
    #[error("{what} is 0; give at least 1")]
    Zero {
        /// The name of the parameter.
        what: &'static str,
    },
    /// A count beyond what the calculation supports.
    #[error("{what} is {value}, above the supported {limit}; use a smaller value")]
    TooLarge {
        /// The name of the parameter.
        what: &'static str,
        /// The value that was given.
        value: f64,
        /// The largest value supported.
        limit: f64,
    },
    /// A number below what the calculation supports.
    #[error("{what} is {value}, below the supported {limit}; use a larger value")]
    TooSmall {
        /// The name of the parameter.
        what: &'static str,
        /// The value that was given.
        value: f64,
        /// The smallest value supported.
        limit: f64,
    },
    /// A count too small for what it is used for.
    #[error("{what} is {value}; at least {least} are needed")]
    TooFew {
        /// The name of the parameter.
        what: &'static str,
        /// The value that was given.
        value: u64,
        /// The least value.
        least: u64,
    },
    /// No mechanism was given.
    #[error("the list of mechanisms is empty; give at least one mechanism with its number of steps")]
    Empty,
    /// Mechanisms that protect against different changes of the data set cannot be composed.
    #[error(
        "{first} protects against adding or removing a record and {second} against replacing one; account for them apart"
    )]
    MixedNeighbours {
        /// A mechanism stated for adding or removing one record.
        first: &'static str,
        /// A mechanism stated for replacing one record.
        second: &'static str,
    },
    /// No accounting method covers the composition.
    #[error("no accounting method covers {0} in this composition; account for it apart")]
    Undefined(&'static str),
    /// No noise in the supported range reaches the target.
    #[error(
        "epsilon {epsilon} at delta {delta} is out of reach even with noise multiplier {sigma}; raise epsilon or take fewer steps"
    )]
    Unreachable {
        /// The target ε.
        epsilon: f64,
        /// The target δ.
        delta: f64,
        /// The largest noise multiplier tried.
        sigma: f64,
    },
    /// A standard deviation the sampler does not support.
    #[error(
        "the sampler was asked for a standard deviation of {sigma} units; it supports {low} to {high} units"
    )]
    SigmaRange {
        /// The standard deviation, in units.
        sigma: f64,
        /// The smallest supported one.
        low: f64,
        /// The largest supported one.
        high: f64,
    },
    /// More corrupt parties than the noise shares can cover.
    #[error(
        "{corrupt} of {parties} parties are assumed corrupt; at least one must be honest and add its noise"
    )]
    Corrupt {
        /// The number of corrupt parties.
        corrupt: u32,
        /// The number of parties that add noise.
        parties: u32,
    },
    /// Samples whose variance is not the stated one.
    #[error(
        "the variance of {samples} samples is {ratio:.6} of the stated one, outside {low:.6} to {high:.6}; the noise is wrong, stop the job"
    )]
    Variance {
        /// The number of samples.
        samples: usize,
        /// Sample variance over stated variance.
        ratio: f64,
        /// The lower acceptance bound.
        low: f64,
        /// The upper acceptance bound.
        high: f64,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness ({0}); check that the random device is available")]
    OsRandomness(String),
    /// A banded strategy that is not usable.
    #[error("the banded strategy is not usable: {0}")]
    Banded(&'static str),
}

/// `value` if it is finite and above 0.
pub(crate) fn positive(what: &'static str, value: f64) -> Result<f64, PrivacyError> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(PrivacyError::NotPositive { what, value }) }
}

/// `value` if it is finite and at least 0.
pub(crate) fn non_negative(what: &'static str, value: f64) -> Result<f64, PrivacyError> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(PrivacyError::Negative { what, value }) }
}

/// `delta` if it lies strictly between 0 and 1.
pub(crate) fn valid_delta(delta: f64) -> Result<f64, PrivacyError> {
    if delta > 0.0 && delta < 1.0 { Ok(delta) } else { Err(PrivacyError::Delta(delta)) }
}
