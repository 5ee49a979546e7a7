//! The mechanisms the accountant knows, with their parameters checked.

use crate::error::{PrivacyError, positive};
use serde::{Deserialize, Serialize};

/// The change of the data set that a guarantee is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Neighbours {
    /// One record is added or removed.
    AddOrRemoveOne,
    /// One record is replaced by another; the number of records is public.
    ReplaceOne,
    /// One record, or all rows of one unit, counts for nothing; its place and all other records stay.
    ZeroOutOne,
}

/// One differentially private step.
///
/// `sigma` is always the noise multiplier: the standard deviation of the noise over the ℓ2 sensitivity of what it
/// is added to. The Gaussian, Laplace and zCDP mechanisms protect against whatever change that sensitivity was
/// computed for; the sampled ones state theirs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mechanism", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Mechanism {
    /// Gaussian noise on a query over all records.
    Gaussian {
        /// Noise multiplier.
        sigma: f64,
    },
    /// Every record joins the batch with probability `q`, on its own; Gaussian noise on the sum. For adding or
    /// removing one record. Valid only against observers who do not learn the batches.
    PoissonGaussian {
        /// Sampling rate.
        q: f64,
        /// Noise multiplier.
        sigma: f64,
    },
    /// Poisson sampling, then a random subset of `batch` records when more were drawn; Gaussian noise on the sum.
    /// For adding or removing one record, against observers who do not learn the batches.
    TruncatedPoissonGaussian {
        /// Sampling rate.
        q: f64,
        /// Noise multiplier.
        sigma: f64,
        /// Largest batch.
        batch: u64,
        /// Number of records in the data set.
        n: u64,
    },
    /// A uniformly random batch of exactly `batch` of `n` records, without replacement; Gaussian noise on the sum.
    /// For replacing one record (so that a sum of vectors clipped to C has sensitivity 2C), against observers
    /// who do not learn the batches.
    FixedSizeGaussian {
        /// Noise multiplier, relative to the sensitivity under replacement.
        sigma: f64,
        /// Records in each batch.
        batch: u64,
        /// Number of records in the data set.
        n: u64,
    },
    /// Laplace noise.
    Laplace {
        /// Scale of the noise over the ℓ1 sensitivity.
        scale: f64,
    },
    /// Anything with a known zCDP bound.
    Zcdp {
        /// The bound ρ: Rényi divergence of order α is at most ρα.
        rho: f64,
    },
}

impl Mechanism {
    /// The name used in files and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gaussian { .. } => "gaussian",
            Self::PoissonGaussian { .. } => "poisson_gaussian",
            Self::TruncatedPoissonGaussian { .. } => "truncated_poisson_gaussian",
            Self::FixedSizeGaussian { .. } => "fixed_size_gaussian",
            Self::Laplace { .. } => "laplace",
            Self::Zcdp { .. } => "zcdp",
        }
    }

    /// The change of the data set this mechanism's parameters are about; `None` where the caller's sensitivity says.
    pub fn neighbours(&self) -> Option<Neighbours> {
        match self {
            Self::PoissonGaussian { .. } | Self::TruncatedPoissonGaussian { .. } => {
                Some(Neighbours::AddOrRemoveOne)
            }
            Self::FixedSizeGaussian { .. } => Some(Neighbours::ReplaceOne),
            Self::Gaussian { .. } | Self::Laplace { .. } | Self::Zcdp { .. } => None,
        }
    }

    /// This mechanism as seen by someone who knows which records are in each batch: no amplification is left, and
    /// what remains is the plain Gaussian for every step in which the record takes part.
    ///
    /// `sigma` stays relative to the same sensitivity. A truncated batch gives nothing more than a known one.
    pub fn with_known_batches(&self) -> Self {
        match *self {
            Self::PoissonGaussian { sigma, .. }
            | Self::TruncatedPoissonGaussian { sigma, .. }
            | Self::FixedSizeGaussian { sigma, .. } => Self::Gaussian { sigma },
            other => other,
        }
    }

    /// Checks every parameter.
    ///
    /// # Errors
    /// The first parameter outside its range, by name.
    pub fn check(&self) -> Result<(), PrivacyError> {
        match *self {
            Self::Gaussian { sigma } => noise_multiplier(sigma),
            Self::PoissonGaussian { q, sigma } => sampling_rate(q).and(noise_multiplier(sigma)),
            Self::TruncatedPoissonGaussian { q, sigma, batch, n } => {
                sampling_rate(q).and(noise_multiplier(sigma)).and(batch_size(batch, n))
            }
            Self::FixedSizeGaussian { sigma, batch, n } => noise_multiplier(sigma).and(batch_size(batch, n)),
            Self::Laplace { scale } => noise("the Laplace scale", scale),
            Self::Zcdp { rho } => bounded("rho", rho),
        }
    }
}

/// A mechanism and how often it runs.
pub type Event = (Mechanism, u64);

/// Noise outside this range, relative to the sensitivity, is refused: no guarantee worth computing lies there.
const LARGEST: f64 = 1e9;
const SMALLEST: f64 = 1e-3;

/// Largest data set of a mechanism that is told its size.
const MAX_RECORDS: u64 = 1 << 32;

/// Largest number of steps of one mechanism.
const MAX_STEPS: u64 = 1 << 40;

fn noise_multiplier(sigma: f64) -> Result<(), PrivacyError> {
    noise("the noise multiplier sigma", sigma)
}

fn noise(what: &'static str, value: f64) -> Result<(), PrivacyError> {
    bounded(what, value)?;
    if value < SMALLEST {
        return Err(PrivacyError::TooSmall { what, value, limit: SMALLEST });
    }
    Ok(())
}

fn bounded(what: &'static str, value: f64) -> Result<(), PrivacyError> {
    positive(what, value)?;
    if value > LARGEST { Err(PrivacyError::TooLarge { what, value, limit: LARGEST }) } else { Ok(()) }
}

fn sampling_rate(q: f64) -> Result<(), PrivacyError> {
    if q > 0.0 && q <= 1.0 { Ok(()) } else { Err(PrivacyError::SamplingRate(q)) }
}

fn batch_size(batch: u64, records: u64) -> Result<(), PrivacyError> {
    if batch == 0 || batch > records {
        return Err(PrivacyError::Batch { batch, records });
    }
    if records > MAX_RECORDS {
        let (value, limit) = (records as f64, MAX_RECORDS as f64);
        return Err(PrivacyError::TooLarge { what: "the number of records", value, limit });
    }
    Ok(())
}

/// Checks a composition: not empty, every mechanism valid, no step count of 0, one kind of neighbours.
///
/// # Errors
/// The first thing wrong.
pub fn check_events(events: &[Event]) -> Result<(), PrivacyError> {
    if events.is_empty() {
        return Err(PrivacyError::Empty);
    }
    for (mechanism, steps) in events {
        mechanism.check()?;
        if *steps == 0 {
            return Err(PrivacyError::Zero { what: "the number of steps" });
        }
        if *steps > MAX_STEPS {
            return Err(PrivacyError::TooLarge {
                what: "the number of steps",
                value: *steps as f64,
                limit: MAX_STEPS as f64,
            });
        }
    }
    let stated = |wanted| events.iter().find(|(m, _)| m.neighbours() == Some(wanted)).map(|(m, _)| m.name());
    match (stated(Neighbours::AddOrRemoveOne), stated(Neighbours::ReplaceOne)) {
        (Some(first), Some(second)) => Err(PrivacyError::MixedNeighbours { first, second }),
        _ => Ok(()),
    }
}
