//! Zero-concentrated differential privacy (Bun–Steinke 2016): ρ adds up, and ρ gives (ε, δ) through RDP.

use super::mechanism::{Event, Mechanism};
use crate::error::{PrivacyError, positive, valid_delta};

/// ρ of the composition: Σ steps·ρ. `None` if a mechanism has no zCDP bound independent of the order (sampled ones).
///
/// A Gaussian has ρ = 1/2σ²; an ε-DP mechanism such as Laplace has ρ at most ε²/2.
pub fn rho(events: &[Event]) -> Option<f64> {
    let mut total = 0.0;
    for (mechanism, steps) in events {
        total += *steps as f64
            * match *mechanism {
                Mechanism::Gaussian { sigma } | Mechanism::PoissonGaussian { q: 1.0, sigma } => {
                    0.5 / (sigma * sigma)
                }
                Mechanism::Zcdp { rho } => rho,
                Mechanism::Laplace { scale } => 0.5 / (scale * scale),
                _ => return None,
            };
    }
    Some(total)
}

/// ε at `delta` for ρ-zCDP, minimised over every order α > 1 rather than over the fixed list.
///
/// # Errors
/// ρ not positive, or δ not in (0, 1).
pub fn epsilon(rho: f64, delta: f64) -> Result<f64, PrivacyError> {
    let rho = positive("rho", rho)?;
    let delta = valid_delta(delta)?;
    if delta * delta + (-rho).exp_m1() > 0.0 {
        return Ok(0.0);
    }
    let at = |ln_excess: f64| {
        let order = 1.0 + ln_excess.exp();
        rho * order + (-1.0 / order).ln_1p() - (delta * order).ln() / (order - 1.0)
    };
    // The bound has one minimum in ln(α − 1); a grid brackets it, golden section refines it. Any α is valid.
    let best =
        (-60..=120).map(|k| f64::from(k) * 0.25).min_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(0.0);
    let (mut low, mut high) = (best - 0.25, best + 0.25);
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    for _ in 0..60 {
        let (left, right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
        if at(left) < at(right) { high = right } else { low = left }
    }
    Ok(at(0.5 * (low + high)).min(at(best)).max(0.0))
}
