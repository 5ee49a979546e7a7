//! Variances as exact fractions, so that no rounding stands between the stated noise and the sampled one.

use crate::error::{PrivacyError, positive};
use num_bigint::BigUint;

/// Smallest and largest standard deviation the sampler supports, in units.
pub const SIGMA_RANGE: (f64, f64) = (0.125, (1u64 << 40) as f64);

/// The parameter σ² of a discrete Gaussian, an exact positive fraction, in squared units.
///
/// The variance of the distribution is σ² itself from about σ = 1 on and a little less below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variance {
    numerator: BigUint,
    denominator: BigUint,
}

impl Variance {
    /// σ² for a standard deviation of `sigma` units, taken as the exact value of the float.
    ///
    /// # Errors
    /// Not a positive number, or outside [`SIGMA_RANGE`].
    pub fn of_sigma(sigma: f64) -> Result<Self, PrivacyError> {
        let (numerator, denominator) = fraction(positive("the standard deviation in units", sigma)?);
        Self::new(&numerator * &numerator, &denominator * &denominator)
    }

    /// The fraction `numerator / denominator`.
    ///
    /// # Errors
    /// A zero on either side, or a σ outside [`SIGMA_RANGE`].
    pub fn ratio(numerator: u64, denominator: u64) -> Result<Self, PrivacyError> {
        for (what, part) in [("the variance numerator", numerator), ("the variance denominator", denominator)]
        {
            if part == 0 {
                return Err(PrivacyError::Zero { what });
            }
        }
        Self::new(numerator.into(), denominator.into())
    }

    /// One party's share of the noise: σ²Δ²/(n − t), so that the n − t honest of n parties together reach the
    /// standard deviation σΔ. `sigma` is the noise multiplier, `sensitivity` Δ in units.
    ///
    /// # Errors
    /// A parameter that is not positive, no honest party, or a share outside [`SIGMA_RANGE`].
    pub fn share(sigma: f64, sensitivity: f64, parties: u32, corrupt: u32) -> Result<Self, PrivacyError> {
        if corrupt >= parties {
            return Err(PrivacyError::Corrupt { corrupt, parties });
        }
        let (a, b) = fraction(positive("the noise multiplier sigma", sigma)?);
        let (c, d) = fraction(positive("the sensitivity in units", sensitivity)?);
        let (numerator, denominator) = (a * c, b * d);
        Self::new(&numerator * &numerator, &denominator * &denominator * (parties - corrupt))
    }

    fn new(numerator: BigUint, denominator: BigUint) -> Result<Self, PrivacyError> {
        let value = Self { numerator, denominator };
        let (low, high) = SIGMA_RANGE;
        let sigma = value.sigma();
        if sigma >= low && sigma <= high {
            Ok(value)
        } else {
            Err(PrivacyError::SigmaRange { sigma, low, high })
        }
    }

    /// √σ², rounded to a float.
    pub fn sigma(&self) -> f64 {
        // Scaled so that the quotient has 64 bits or more.
        let shift = self.denominator.bits().saturating_sub(self.numerator.bits()) + 66;
        let shift = shift + shift % 2;
        let quotient = (&self.numerator << shift) / &self.denominator;
        let excess = quotient.bits().saturating_sub(64);
        let excess = excess + excess % 2;
        let leading = (&quotient >> excess).iter_u64_digits().next().unwrap_or(0) as f64;
        // Halving the exponents first keeps every factor in range.
        leading.sqrt() * 2f64.powi((excess / 2) as i32) * 2f64.powi(-((shift / 2) as i32))
    }

    pub(super) fn numerator(&self) -> &BigUint {
        &self.numerator
    }

    pub(super) fn denominator(&self) -> &BigUint {
        &self.denominator
    }
}

/// A positive finite float as an exact fraction.
fn fraction(value: f64) -> (BigUint, BigUint) {
    let bits = value.to_bits();
    let (raw_exponent, raw_mantissa) = ((bits >> 52) & 0x7ff, bits & ((1 << 52) - 1));
    let (mantissa, exponent) = if raw_exponent == 0 {
        (raw_mantissa, -1074)
    } else {
        (raw_mantissa | 1 << 52, raw_exponent as i64 - 1075)
    };
    let (one, mantissa) = (BigUint::from(1u8), BigUint::from(mantissa));
    if exponent >= 0 { (mantissa << exponent, one) } else { (mantissa, one << -exponent) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_become_their_exact_fractions() {
        assert_eq!(Variance::of_sigma(0.5).expect("valid"), {
            let (n, d) = fraction(0.5);
            Variance { numerator: &n * &n, denominator: &d * &d }
        });
        for sigma in [0.125, 0.5, 1.0, 3.7, 1e6, 1e12] {
            let found = Variance::of_sigma(sigma).expect("valid").sigma();
            assert!((found / sigma - 1.0).abs() < 1e-15, "{sigma} {found}");
        }
        assert_eq!(fraction(3.0), (BigUint::from(3u64 << 51), BigUint::from(1u64 << 51)));
    }

    #[test]
    fn shares_of_the_honest_parties_add_up_to_the_stated_variance() {
        let share = Variance::share(1.5, 1000.0, 3, 1).expect("valid");
        assert!((share.sigma() - 1500.0 / 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(Variance::share(1.0, 1.0, 3, 3), Err(PrivacyError::Corrupt { corrupt: 3, parties: 3 }));
    }

    #[test]
    fn bad_variances_are_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(Variance::of_sigma(bad), Err(PrivacyError::NotPositive { .. })));
        }
        for bad in [1e-300, 0.1, 1e13, 1e300] {
            assert!(matches!(Variance::of_sigma(bad), Err(PrivacyError::SigmaRange { .. })), "{bad}");
        }
        assert!(matches!(Variance::share(1e-200, 1e-200, 3, 1), Err(PrivacyError::SigmaRange { .. })));
        assert!(matches!(Variance::ratio(1, 0), Err(PrivacyError::Zero { .. })));
    }
}
