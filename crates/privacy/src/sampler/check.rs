//! A check of the noise itself: does a batch of samples have the stated variance?

use crate::error::{PrivacyError, positive};

/// Acceptance bounds in standard deviations of the estimate: an honest batch fails once in about 10^9.
const DEVIATIONS: f64 = 6.0;

/// Fewest samples worth a check.
const LEAST: usize = 100;

/// Checks that `samples` of a distribution with mean 0 have the `variance` stated, in squared units, to within six standard deviations
/// of the estimate. 10^4 samples catch a scale that is off by 5 %.
///
/// # Errors
/// Fewer than 100 samples, or a variance outside the bounds, with both figures.
pub fn check_variance(samples: &[i64], variance: f64) -> Result<(), PrivacyError> {
    let variance = positive("the stated variance", variance)?;
    if samples.len() < LEAST {
        return Err(PrivacyError::TooFew {
            what: "the number of samples",
            value: samples.len() as u64,
            least: LEAST as u64,
        });
    }
    let count = samples.len() as f64;
    let square_sum: f64 = samples.iter().map(|&x| x as f64 * x as f64).sum();
    let ratio = square_sum / (count * variance);
    // Fourth moment 3σ⁴, plus the σ² that integrality adds for narrow distributions.
    let width = DEVIATIONS * ((2.0 + 1.0 / variance) / count).sqrt();
    let (low, high) = (1.0 - width, 1.0 + width);
    if ratio >= low && ratio <= high {
        Ok(())
    } else {
        Err(PrivacyError::Variance { samples: samples.len(), ratio, low, high })
    }
}
