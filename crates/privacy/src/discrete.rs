//! Sums of discrete Gaussians: how far they are from the continuous Gaussian that the accountant knows.
//!
//! Several parties each add N_ℤ(0, s²) to every coordinate. Two small ratios bound the difference, and both are
//! far below 1e-30 once a share has a standard deviation of a few units:
//!
//! 1. A sum of k shares against one N_ℤ(0, k·s²): per coordinate the probabilities differ by a factor of at most
//!    e^{±τ/2}, τ = 10·Σ_{j=1}^{k−1} e^{−2π²s²·j/(j+1)} (Kairouz–Liu–Steinke 2021, Section 3).
//! 2. N_ℤ(0, v) against rounding a continuous Gaussian: drawing y ~ N(0, v − 4) and then the discrete Gaussian of
//!    variance 4 around y has probabilities within e^{±η}, η = 5·e^{−8π²}, of N_ℤ(0, v), by Poisson summation.
//!    Rounding is post-processing, so every guarantee of N(0, v − 4), with sampling and composition, carries over.
//!
//! # Why the second holds
//! Around y the discrete Gaussian of variance 4 has the normaliser Σ_z e^{−(z−y)²/8} = √(8π)·(1 + 2·Σ_{k≥1} e^{−8π²k²}·cos 2πky), which
//! is within 1 ± 2.1·e^{−8π²} of √(8π) for every y. Apart from this factor x has the probability ∫ φ_{v−4}(y)·φ_4(x − y) dy = φ_v(x).
//! N_ℤ(0, v) has φ_v(x) over Σ_z φ_v(z) = 1 + 2·Σ e^{−2π²vk²}, with v ≥ 16. Together the ratio is within e^{±2.2·e^{−8π²}} of 1: 5 leaves
//! room. The rounding commutes with integer shifts, and queries here are integer: what is proved around 0 holds around any
//! query. A density ratio within e^{±r} for each of d coordinates in T steps, given all steps before, is one within e^{±dTr} for
//! the whole run: from (ε, δ) of the continuous mechanism follows (ε + 2dTr, δ·e^{dTr}), since P ≤ e^{dTr}·P' and Q' ≤ e^{dTr}·Q.

use crate::error::PrivacyError;

/// Variance set aside for the rounding step of the second bound.
const ROUNDING_VARIANCE: f64 = 4.0;

/// Below this standard deviation of a share, in units, the bounds here are not worth stating.
pub const MIN_SHARE_SIGMA: f64 = 4.0;

/// τ of a sum of `shares` discrete Gaussians of standard deviation `share_sigma` units each: 0 for one share.
pub fn tau(share_sigma: f64, shares: u32) -> f64 {
    let exponent = -2.0 * std::f64::consts::PI.powi(2) * share_sigma * share_sigma;
    10.0 * (1..shares).map(f64::from).map(|j| (exponent * j / (j + 1.0)).exp()).sum::<f64>()
}

/// What to account with in place of a sum of discrete Gaussians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Continuous {
    /// Standard deviation, in units, of the continuous Gaussian.
    pub sigma: f64,
    /// r: the probabilities of one coordinate differ by a factor of at most e^{±r}. Over d coordinates and T steps
    /// an (ε, δ) guarantee of the continuous mechanism becomes (ε + 2·d·T·r, δ·e^{d·T·r}).
    pub ln_ratio: f64,
}

/// The continuous Gaussian that stands for the sum of `shares` discrete ones of `share_sigma` units each.
///
/// # Errors
/// No share, or shares below [`MIN_SHARE_SIGMA`].
pub fn continuous(share_sigma: f64, shares: u32) -> Result<Continuous, PrivacyError> {
    if shares == 0 {
        return Err(PrivacyError::Zero { what: "the number of noise shares" });
    }
    if !(share_sigma.is_finite() && share_sigma >= MIN_SHARE_SIGMA) {
        return Err(PrivacyError::SigmaRange { sigma: share_sigma, low: MIN_SHARE_SIGMA, high: f64::MAX });
    }
    let sigma = (f64::from(shares) * share_sigma * share_sigma - ROUNDING_VARIANCE).sqrt();
    let rounding = 5.0 * (-2.0 * std::f64::consts::PI.powi(2) * ROUNDING_VARIANCE).exp();
    Ok(Continuous { sigma, ln_ratio: 0.5 * tau(share_sigma, shares) + rounding })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities of N_ℤ(0, s²) on −reach..=reach.
    fn pmf(variance: f64, reach: i64) -> Vec<f64> {
        let weights: Vec<f64> =
            (-reach..=reach).map(|x| (-(x * x) as f64 / (2.0 * variance)).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|w| w / sum).collect()
    }

    #[test]
    fn tau_bounds_the_measured_ratio_of_a_sum_to_one_discrete_gaussian() {
        // Small σ, where the difference is large enough to see.
        for sigma in [0.5f64, 0.6, 0.8] {
            let (variance, reach) = (sigma * sigma, 12i64);
            let one = pmf(variance, reach);
            let both = pmf(2.0 * variance, 2 * reach);
            let worst = (-4..=4i64)
                .map(|z| {
                    let sum: f64 = (-reach..=reach)
                        .filter(|x| (z - x).abs() <= reach)
                        .map(|x| one[(x + reach) as usize] * one[(z - x + reach) as usize])
                        .sum();
                    (sum / both[(z + 2 * reach) as usize]).ln().abs()
                })
                .fold(0.0, f64::max);
            let bound = 0.5 * tau(sigma, 2);
            assert!(worst <= bound && worst > 0.1 * bound, "{sigma}: {worst} {bound}");
        }
    }

    #[test]
    fn shares_of_real_runs_are_as_good_as_continuous_noise() {
        let stand_in = continuous(1e4, 2).expect("wide shares");
        assert!(stand_in.ln_ratio < 1e-30 && (stand_in.sigma / (2f64.sqrt() * 1e4) - 1.0).abs() < 1e-7);
        assert!(matches!(continuous(1.0, 2), Err(PrivacyError::SigmaRange { .. })));
    }
}
