//! The accountant: what a composition of mechanisms costs in (ε, δ), by every method that covers it.
//!
//! Three methods, each an upper bound on the true ε, up to rounding in the last digits:
//! Rényi differential privacy ([`rdp`]), privacy loss distributions composed numerically, and for plain Gaussians the
//! exact curve ([`gaussian`]). [`calibrate`](fn@calibrate) searches the noise that meets a target, [`view`] states what an
//! outsider and what a corrupt party can learn.

mod calibrate;
pub mod gaussian;
mod mechanism;
mod pld;
pub mod rdp;
pub mod view;
pub mod zcdp;

pub use calibrate::{Method, Target, calibrate};
pub use mechanism::{Event, Mechanism, Neighbours, check_events};

use crate::error::{PrivacyError, non_negative, valid_delta};
use serde::{Deserialize, Serialize};

/// ε at one δ by every method; `null` in JSON where a method does not cover the composition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epsilons {
    /// The δ at which the values hold.
    pub delta: f64,
    /// By Rényi differential privacy, over a fixed list of orders.
    #[serde(rename = "eps_rdp")]
    pub rdp: Option<f64>,
    /// The order α that gave `rdp`.
    pub rdp_order: Option<f64>,
    /// By privacy loss distributions.
    #[serde(rename = "eps_pld")]
    pub pld: Option<f64>,
    /// By the exact curve; for compositions of plain Gaussians.
    #[serde(rename = "eps_exact")]
    pub exact: Option<f64>,
}

impl Epsilons {
    /// The smallest of the bounds that are defined.
    pub fn best(&self) -> f64 {
        [self.rdp, self.pld, self.exact].into_iter().flatten().fold(f64::INFINITY, f64::min)
    }
}

/// ε of the composition of `events` at `delta`, by every method that covers it.
///
/// # Errors
/// A bad parameter, by name; mechanisms with different neighbours; or a composition no method covers.
pub fn epsilon(events: &[Event], delta: f64) -> Result<Epsilons, PrivacyError> {
    check_events(events)?;
    let delta = valid_delta(delta)?;
    let finite = |value: f64| value.is_finite().then_some(value);
    let (rdp, rdp_order) = match rdp::curve(events).map(|curve| rdp::epsilon(&curve, delta)) {
        Some((epsilon, order)) => (finite(epsilon), finite(order)),
        None => (None, None),
    };
    let pld = pld::epsilon(events, delta).and_then(finite);
    let exact = gaussian::mu(events).map(|mu| gaussian::epsilon(mu, delta));
    let all = Epsilons { delta, rdp, rdp_order, pld, exact };
    if all.best().is_infinite() {
        return Err(PrivacyError::Undefined(uncovered(events)));
    }
    Ok(all)
}

/// The smallest δ of the composition of `events` at `epsilon`, over every method that covers it.
///
/// # Errors
/// As [`epsilon`](fn@epsilon).
pub fn delta(events: &[Event], epsilon: f64) -> Result<f64, PrivacyError> {
    check_events(events)?;
    let epsilon = non_negative("epsilon", epsilon)?;
    if let Some(mu) = gaussian::mu(events) {
        return Ok(gaussian::delta(mu, epsilon));
    }
    let by_rdp = rdp::curve(events).map(|curve| rdp::delta(&curve, epsilon));
    let by_pld = pld::delta(events, epsilon);
    match (by_rdp, by_pld) {
        (Some(a), Some(b)) => Ok(a.min(b)),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Err(PrivacyError::Undefined(uncovered(events))),
    }
}

fn uncovered(events: &[Event]) -> &'static str {
    let without_rdp = |m: &Mechanism| matches!(m, Mechanism::TruncatedPoissonGaussian { .. });
    let found = events.iter().find(|(m, _)| without_rdp(m)).or(events.first());
    found.map_or("the empty list", |(m, _)| m.name())
}
