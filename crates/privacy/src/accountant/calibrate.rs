//! The noise that meets a privacy target.

use super::{Event, check_events, gaussian, pld, rdp};
use crate::error::{PrivacyError, positive, valid_delta};
use serde::{Deserialize, Serialize};

/// The method a calibration relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Rényi differential privacy.
    Rdp,
    /// Privacy loss distributions.
    Pld,
    /// The exact Gaussian curve.
    Exact,
    /// The tightest that covers the composition: exact, else loss distributions, else Rényi.
    Best,
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Largest ε.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
    /// The method that must confirm it.
    pub method: Method,
}

/// Noise multipliers searched.
const LOW: f64 = 1e-2;
const HIGH: f64 = 1e7;

/// Relative accuracy of the result, on the safe side.
const ACCURACY: f64 = 1e-6;

/// The smallest noise multiplier σ, to a relative 1e-6 upwards, for which `events(σ)` meets the target: from 0.01 on, which is what a
/// target gets that less noise would meet as well.
///
/// `events` must lose less privacy the larger σ is, for example
/// `|sigma| vec![(Mechanism::PoissonGaussian { q, sigma }, steps)]`.
///
/// # Errors
/// A bad parameter; a method that does not cover the composition; a target out of reach at σ = 1e7.
pub fn calibrate(target: Target, events: impl Fn(f64) -> Vec<Event>) -> Result<f64, PrivacyError> {
    positive("epsilon", target.epsilon)?;
    valid_delta(target.delta)?;
    let ln_ratio = |sigma: f64| -> Result<f64, PrivacyError> {
        let value = by_method(&events(sigma), target.delta, target.method)?;
        Ok((value.max(1e-300) / target.epsilon).ln())
    };
    if ln_ratio(HIGH)? > 0.0 {
        return Err(PrivacyError::Unreachable { epsilon: target.epsilon, delta: target.delta, sigma: HIGH });
    }
    if ln_ratio(LOW)? <= 0.0 {
        return Ok(LOW);
    }
    // A bracket by doubling from 1, then interpolation of ln ε over ln σ with bisection as the safeguard.
    let mut low = (0.0f64, ln_ratio(1.0)?);
    let mut high = low;
    while high.1 > 0.0 {
        low = high;
        high.0 += 2f64.ln();
        high.1 = ln_ratio(high.0.exp())?;
    }
    while low.1 <= 0.0 {
        high = low;
        low.0 -= 2f64.ln();
        low.1 = ln_ratio(low.0.exp())?;
    }
    let mut bisect = false;
    while high.0 - low.0 > ACCURACY {
        let width = high.0 - low.0;
        let usable = !bisect && low.1.is_finite() && high.1 > -100.0;
        let guess = if usable { low.0 + width * low.1 / (low.1 - high.1) } else { low.0 + 0.5 * width };
        // Aimed a little to the safe side, so that the bracket closes from both ends.
        let middle = (guess + 0.3 * ACCURACY).clamp(low.0 + 0.2 * ACCURACY, high.0 - 0.2 * ACCURACY);
        let value = ln_ratio(middle.exp())?;
        if value > 0.0 {
            low = (middle, value)
        } else {
            high = (middle, value)
        }
        bisect = high.0 - low.0 > 0.5 * width;
    }
    Ok(high.0.exp())
}

fn by_method(events: &[Event], delta: f64, method: Method) -> Result<f64, PrivacyError> {
    check_events(events)?;
    let name = events[0].0.name();
    let exact = || gaussian::mu(events).map(|mu| gaussian::epsilon(mu, delta));
    let by_pld = || pld::epsilon(events, delta);
    let by_rdp = || rdp::curve(events).map(|curve| rdp::epsilon(&curve, delta).0);
    let value = match method {
        Method::Rdp => by_rdp(),
        Method::Pld => by_pld(),
        Method::Exact => exact(),
        Method::Best => exact().or_else(by_pld).or_else(by_rdp),
    };
    value.ok_or(PrivacyError::Undefined(name))
}
