//! The strategy matrix C: coefficients, sensitivity and the error it leaves in running sums.

use crate::error::{PrivacyError, positive};

/// Fractional bits of the coefficients. They are multiples of 2^−16 exactly, in noise and accounting alike.
pub(super) const COEFFICIENT_BITS: u32 = 16;

/// Most bands: the generator keeps as many past vectors.
const MAX_BANDS: usize = 4096;

/// How often and how densely one record may take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participation {
    /// Most steps in which one record takes part; the epochs of a run.
    pub times: u64,
    /// Least distance between two of them, in steps; the steps of an epoch if every epoch keeps the order of batches.
    pub separation: u64,
}

/// A banded lower triangular Toeplitz matrix with 1 on the diagonal and falling positive coefficients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banded {
    /// c₀ = 1, c₁, … times 2^16.
    pub(super) coefficients: Vec<u32>,
}

impl Banded {
    /// The first `bands` coefficients of (1 − x)^{−1/2}: binomial(2k, k)/4^k.
    ///
    /// # Errors
    /// No band, or more than 4096.
    pub fn square_root(bands: usize) -> Result<Self, PrivacyError> {
        let mut value = 1.0;
        let series = (0..bands.min(MAX_BANDS + 1)).map(|k| {
            let coefficient = value;
            value *= (2.0 * k as f64 + 1.0) / (2.0 * k as f64 + 2.0);
            coefficient
        });
        Self::new(&series.collect::<Vec<f64>>())
    }

    /// Given coefficients, rounded to multiples of 2^−16.
    ///
    /// # Errors
    /// Not 1 first, not falling, not positive after rounding, none or more than 4096 of them.
    pub fn new(coefficients: &[f64]) -> Result<Self, PrivacyError> {
        if coefficients.is_empty() || coefficients.len() > MAX_BANDS {
            return Err(PrivacyError::Banded("give 1 to 4096 bands"));
        }
        if coefficients[0] != 1.0 {
            return Err(PrivacyError::Banded("the first coefficient must be 1"));
        }
        // Falling positive coefficients put every root outside the unit circle (Eneström–Kakeya): C⁻¹ is stable.
        if coefficients.windows(2).any(|pair| pair[1].is_nan() || pair[1] > pair[0]) {
            return Err(PrivacyError::Banded("every coefficient must be at most the one before it"));
        }
        let scale = f64::from(1u32 << COEFFICIENT_BITS);
        let coefficients: Vec<u32> =
            coefficients.iter().map(|c| (c * scale).round().max(0.0) as u32).collect();
        if coefficients.contains(&0) {
            return Err(PrivacyError::Banded("every coefficient must be at least 2^-16"));
        }
        Ok(Self { coefficients })
    }

    /// c₀, c₁, …, exactly as used.
    pub fn coefficients(&self) -> Vec<f64> {
        let scale = f64::from(1u32 << COEFFICIENT_BITS);
        self.coefficients.iter().map(|&c| f64::from(c) / scale).collect()
    }

    /// Number of bands.
    pub fn bands(&self) -> usize {
        self.coefficients.len()
    }

    /// ℓ2 sensitivity of C·G if every update has sensitivity 1: √(times · Σ c²).
    ///
    /// Columns of C at least as far apart as there are bands do not overlap, so that their squared norms add up
    /// whatever the updates are.
    ///
    /// # Errors
    /// No participation, or more bands than the separation.
    pub fn sensitivity(&self, participation: Participation) -> Result<f64, PrivacyError> {
        if participation.times == 0 {
            return Err(PrivacyError::Zero { what: "the number of participations" });
        }
        if participation.times > 1 && (participation.separation as u128) < self.bands() as u128 {
            return Err(PrivacyError::Banded(
                "take no more bands than there are steps between two uses of a record",
            ));
        }
        let squares: f64 = self.coefficients().iter().map(|c| c * c).sum();
        Ok((participation.times as f64 * squares).sqrt())
    }

    /// S: how far a record moves the draws of one party that rounds as [`super::CorrelatedNoise`] does, times the number of
    /// `honest` parties, in units. `sensitivity` is Δ of one update, `coordinates` d. Derived there.
    ///
    /// # Errors
    /// As [`Banded::sensitivity`]; a Δ that is not positive; no honest party.
    pub fn shift(
        &self,
        participation: Participation,
        sensitivity: f64,
        coordinates: u64,
        honest: u32,
    ) -> Result<f64, PrivacyError> {
        if honest == 0 {
            return Err(PrivacyError::Zero { what: "the number of honest parties" });
        }
        let sensitivity = positive("the sensitivity in units", sensitivity)?;
        let (n, d) = (f64::from(honest), coordinates as f64);
        // One honest party splits nothing.
        let split = if honest == 1 { 0.0 } else { n * d.sqrt() };
        let after = (participation.times as f64 * (self.bands() - 1) as f64 * d).sqrt();
        Ok(self.sensitivity(participation)? * (sensitivity + split) + n * after)
    }

    /// The first `steps` coefficients of C⁻¹: what one draw adds to the noise of its own step and the next ones.
    pub fn inverse(&self, steps: usize) -> Vec<f64> {
        let c = self.coefficients();
        let mut inverse: Vec<f64> = Vec::with_capacity(steps);
        for k in 0..steps {
            let back: f64 = (1..c.len().min(k + 1)).map(|j| c[j] * inverse[k - j]).sum();
            inverse.push(if k == 0 { 1.0 } else { -back });
        }
        inverse
    }

    /// Root mean square error of the running sums over `steps`, for z of standard deviation 1: ‖A·C⁻¹‖_F/√steps.
    pub fn running_sum_error(&self, steps: usize) -> f64 {
        let (mut sum, mut squares) = (0.0, 0.0);
        for (k, coefficient) in self.inverse(steps).into_iter().enumerate() {
            sum += coefficient;
            // The k-th coefficient of A·C⁻¹ stands in steps − k rows.
            squares += (steps - k) as f64 * sum * sum;
        }
        (squares / steps.max(1) as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_square_root_squares_to_running_sums() {
        let c = Banded::square_root(40).expect("valid").coefficients();
        for k in 0..40 {
            let convolved: f64 = (0..=k).map(|j| c[j] * c[k - j]).sum();
            assert!((convolved - 1.0).abs() < 1e-3, "{k}: {convolved}");
        }
    }

    #[test]
    fn bands_lower_the_error_at_equal_privacy() {
        let (steps, participation) = (1000, Participation { times: 10, separation: 100 });
        let error = |bands| {
            let strategy = Banded::square_root(bands).expect("valid");
            strategy.running_sum_error(steps) * strategy.sensitivity(participation).expect("valid")
        };
        // Independent noise: √times · √((steps + 1)/2).
        assert!((error(1) - (10.0 * 1001.0 / 2.0f64).sqrt()).abs() < 1e-9);
        assert!(
            error(100) < 0.5 * error(1) && error(10) < error(1),
            "{} {} {}",
            error(1),
            error(10),
            error(100)
        );
    }

    #[test]
    fn unusable_strategies_are_refused() {
        for bad in [&[][..], &[0.5], &[1.0, 1.5], &[1.0, -0.1], &[1.0, 1e-9], &[1.0, f64::NAN]] {
            assert!(Banded::new(bad).is_err(), "{bad:?}");
        }
        assert!(Banded::square_root(0).is_err() && Banded::square_root(5000).is_err());
        let strategy = Banded::square_root(10).expect("valid");
        assert!(strategy.sensitivity(Participation { times: 2, separation: 9 }).is_err());
        assert!(strategy.sensitivity(Participation { times: 0, separation: 9 }).is_err());
        assert!(strategy.sensitivity(Participation { times: 1, separation: 1 }).is_ok());
    }
}
