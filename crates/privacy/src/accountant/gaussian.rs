//! The exact curve of Gaussian mechanisms: δ(ε) of Balle and Wang 2018, Theorem 8 (the Gaussian trade-off of
//! Dong–Roth–Su, where composition adds squares).

use super::mechanism::{Event, Mechanism};
use crate::special::{ln_normal_cdf, normal_cdf};

/// μ of the composition if every mechanism is a plain Gaussian: √(Σ steps/σ²). `None` otherwise.
pub fn mu(events: &[Event]) -> Option<f64> {
    let mut squares = 0.0;
    for (mechanism, steps) in events {
        match *mechanism {
            Mechanism::Gaussian { sigma } | Mechanism::PoissonGaussian { q: 1.0, sigma } => {
                squares += *steps as f64 / (sigma * sigma);
            }
            _ => return None,
        }
    }
    Some(squares.sqrt())
}

/// δ(ε) = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ), for any real ε.
pub fn delta(mu: f64, epsilon: f64) -> f64 {
    let upper = normal_cdf(0.5 * mu - epsilon / mu);
    let lower = (epsilon + ln_normal_cdf(-0.5 * mu - epsilon / mu)).exp();
    (upper - lower).clamp(0.0, 1.0)
}

/// The smallest ε ≥ 0 with δ(ε) ≤ `delta_target`, rounded up by a relative 1e-13 at most.
pub fn epsilon(mu: f64, delta_target: f64) -> f64 {
    if delta(mu, 0.0) <= delta_target {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while delta(mu, high) > delta_target {
        low = high;
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if delta(mu, middle) > delta_target { low = middle } else { high = middle }
    }
    high
}
