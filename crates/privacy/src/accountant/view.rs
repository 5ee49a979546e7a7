//! What a training run costs in the eyes of an outsider and of a corrupt party.
//!
//! n parties each add a noise share of variance σ²Δ²/(n − t), so that the n − t honest ones together give σ²Δ². An
//! outsider sees all n shares; t corrupt parties subtract theirs. Amplification by sampling is claimed only towards
//! those who do not learn the batches; everyone else is charged for plain Gaussian steps.

use super::mechanism::{Event, Mechanism, Neighbours};
use super::{Epsilons, epsilon};
use crate::discrete::continuous;
use crate::error::{PrivacyError, positive, valid_delta};
use serde::{Deserialize, Serialize};

/// How a step draws its batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sampling", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// Every record in every step.
    Full,
    /// Each record with probability `q`.
    Poisson {
        /// Sampling rate.
        q: f64,
    },
    /// Each record with probability `q`, cut to a random subset of `batch`.
    TruncatedPoisson {
        /// Sampling rate.
        q: f64,
        /// Largest batch.
        batch: u64,
        /// Number of records.
        n: u64,
    },
    /// Exactly `batch` of `n` records; σ is then relative to the sensitivity under replacement.
    FixedSize {
        /// Records in each batch.
        batch: u64,
        /// Number of records.
        n: u64,
    },
}

/// Who learns which records are in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchesKnownTo {
    /// Nobody: the batches are drawn under the protocol.
    Nobody,
    /// The computing parties, as when batches are public indices of the job.
    Parties,
    /// Everyone.
    Everyone,
}

/// Noise in the fixed-point units in which it is really drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// ℓ2 sensitivity Δ in units.
    pub sensitivity: f64,
    /// Coordinates that get noise in one step.
    pub coordinates: u64,
}

/// One training run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// How batches are drawn.
    pub sampling: Sampling,
    /// Noise multiplier that the honest shares give together.
    pub sigma: f64,
    /// Steps.
    pub steps: u64,
    /// Most steps in which one record can take part, where known batches bound it (the epochs, if every record is
    /// used once an epoch); `None` means any step.
    pub participations: Option<u64>,
    /// Parties that add a noise share.
    pub parties: u32,
    /// Parties assumed corrupt, t.
    pub corrupt: u32,
    /// Who learns the batches.
    pub batches_known_to: BatchesKnownTo,
    /// Units of the discrete noise; `None` leaves the noise continuous.
    pub units: Option<Units>,
}

/// A run's cost by observer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Views {
    /// The change of the data set the figures are about; `None` if the caller's sensitivity says.
    pub neighbours: Option<Neighbours>,
    /// An observer of the released model who is none of the parties.
    pub outsider: Epsilons,
    /// The assumed number of corrupt parties together, at least one; `None` if there is but one party.
    pub corrupt_party: Option<Epsilons>,
    /// Noise multiplier left to the outsider.
    pub outsider_sigma: f64,
    /// Noise multiplier left to the corrupt parties.
    pub corrupt_sigma: Option<f64>,
    /// What was added to every ε for the noise being a sum of discrete Gaussians.
    pub discrete_excess: f64,
}

/// The cost of `run` at `delta` for an outsider and for a corrupt party that knows its own noise.
///
/// # Errors
/// A bad parameter, by name; no honest party; shares too small in units.
pub fn views(run: &Run, delta: f64) -> Result<Views, PrivacyError> {
    let delta = valid_delta(delta)?;
    let (parties, corrupt) = (run.parties, run.corrupt);
    if parties == 0 || corrupt >= parties {
        return Err(PrivacyError::Corrupt { corrupt, parties });
    }
    if let Some(0) = run.participations {
        return Err(PrivacyError::Zero { what: "the number of participations" });
    }
    positive("the noise multiplier sigma", run.sigma)?;
    let outsider = observe(run, delta, parties, run.batches_known_to == BatchesKnownTo::Everyone)?;
    // A curious party can always subtract its own share, also where none is assumed corrupt.
    let remaining = parties - corrupt.max(1);
    let inside = match remaining {
        0 => None,
        shares => Some(observe(run, delta, shares, run.batches_known_to != BatchesKnownTo::Nobody)?),
    };
    Ok(Views {
        neighbours: run.sampling.mechanism(run.sigma).neighbours(),
        outsider: outsider.epsilons,
        corrupt_party: inside.map(|seen| seen.epsilons),
        outsider_sigma: outsider.sigma,
        corrupt_sigma: inside.map(|seen| seen.sigma),
        discrete_excess: inside.map_or(outsider.excess, |seen| seen.excess.max(outsider.excess)),
    })
}

#[derive(Clone, Copy)]
struct Seen {
    epsilons: Epsilons,
    sigma: f64,
    excess: f64,
}

/// The cost towards someone to whom `shares` of the noise shares are unknown.
fn observe(run: &Run, delta: f64, shares: u32, batches_known: bool) -> Result<Seen, PrivacyError> {
    let share = run.sigma / f64::from(run.parties - run.corrupt).sqrt();
    let (sigma, ln_ratio) = match run.units {
        None => (share * f64::from(shares).sqrt(), 0.0),
        Some(units) => {
            let sensitivity = positive("the sensitivity in units", units.sensitivity)?;
            let stand_in = continuous(share * sensitivity, shares)?;
            (stand_in.sigma / sensitivity, stand_in.ln_ratio * units.coordinates as f64 * run.steps as f64)
        }
    };
    let mechanism = run.sampling.mechanism(sigma);
    let event: Event = if batches_known {
        (mechanism.with_known_batches(), run.participations.unwrap_or(run.steps).min(run.steps))
    } else {
        (mechanism, run.steps)
    };
    // Parameters of the sampling are checked even where they no longer matter.
    mechanism.check()?;
    let mut epsilons = epsilon(&[event], delta * (-ln_ratio).exp())?;
    let excess = 2.0 * ln_ratio;
    epsilons.delta = delta;
    for value in [&mut epsilons.rdp, &mut epsilons.pld, &mut epsilons.exact].into_iter().flatten() {
        *value += excess;
    }
    Ok(Seen { epsilons, sigma, excess })
}

impl Sampling {
    /// The mechanism of one step with noise multiplier `sigma`.
    pub fn mechanism(&self, sigma: f64) -> Mechanism {
        match *self {
            Self::Full => Mechanism::Gaussian { sigma },
            Self::Poisson { q } => Mechanism::PoissonGaussian { q, sigma },
            Self::TruncatedPoisson { q, batch, n } => {
                Mechanism::TruncatedPoissonGaussian { q, sigma, batch, n }
            }
            Self::FixedSize { batch, n } => Mechanism::FixedSizeGaussian { sigma, batch, n },
        }
    }
}
