//! Rényi differential privacy: one curve per mechanism, added up, converted to (ε, δ).
//!
//! Sources: Mironov 2017 (RDP, Laplace), Mironov–Talwar–Zhang 2019 (Poisson-subsampled Gaussian),
//! Wang–Balle–Kasiviswanathan 2019, Theorem 27 (sampling without replacement), Balle et al. 2020 and
//! Canonne–Kamath–Steinke 2020, Proposition 12 (conversion).

use super::mechanism::{Event, Mechanism};
use crate::special::{ln_add, ln_binomial, ln_erfc};

/// The orders α at which curves are evaluated: 1.1 to 10.9 by 0.1, 11 to 63 by 1, 128, 256, 512 and 1024.
pub fn orders() -> Vec<f64> {
    let fine = (1..100).map(|tenths| 1.0 + f64::from(tenths) / 10.0);
    let coarse = (11..64).map(f64::from);
    fine.chain(coarse).chain([128.0, 256.0, 512.0, 1024.0]).collect()
}

/// The RDP of the composition at each of [`orders`]; `None` if a mechanism has no RDP bound here (truncated
/// Poisson sampling). The events must have passed [`check_events`](super::check_events).
pub fn curve(events: &[Event]) -> Option<Vec<f64>> {
    let orders = orders();
    let mut total = vec![0.0; orders.len()];
    for (mechanism, steps) in events {
        let single = mechanism_curve(mechanism, &orders)?;
        for (sum, value) in total.iter_mut().zip(single) {
            *sum += *steps as f64 * value;
        }
    }
    Some(total)
}

fn mechanism_curve(mechanism: &Mechanism, orders: &[f64]) -> Option<Vec<f64>> {
    let over_orders = |rdp: &dyn Fn(f64) -> f64| Some(orders.iter().map(|&order| rdp(order)).collect());
    match *mechanism {
        Mechanism::Gaussian { sigma } => over_orders(&|order| order / (2.0 * sigma * sigma)),
        Mechanism::Zcdp { rho } => over_orders(&|order| rho * order),
        Mechanism::Laplace { scale } => over_orders(&|order| laplace(1.0 / scale, order)),
        Mechanism::PoissonGaussian { q, sigma } => over_orders(&|order| poisson_gaussian(q, sigma, order)),
        Mechanism::FixedSizeGaussian { sigma, batch, n } => {
            Some(fixed_size_gaussian(batch as f64 / n as f64, sigma, orders))
        }
        Mechanism::TruncatedPoissonGaussian { .. } => None,
    }
}

/// The smallest ε over the orders and the order that gives it, for an RDP `curve` at [`orders`].
///
/// ε(α) = RDP(α) + ln(1 − 1/α) − ln(δα)/(α − 1) (Canonne–Kamath–Steinke 2020, Proposition 12); where the
/// Kullback–Leibler bound δ ≤ √(1 − e^−KL) already suffices, ε is 0.
pub fn epsilon(curve: &[f64], delta: f64) -> (f64, f64) {
    let mut best = (f64::INFINITY, f64::NAN);
    for (&rdp, order) in curve.iter().zip(orders()) {
        let epsilon = if delta * delta + (-rdp).exp_m1() > 0.0 {
            0.0
        } else {
            rdp + (-1.0 / order).ln_1p() - (delta * order).ln() / (order - 1.0)
        };
        if epsilon < best.0 {
            best = (epsilon, order);
        }
    }
    (best.0.max(0.0), best.1)
}

/// The smallest δ over the orders for an RDP `curve` at [`orders`]: the conversion of [`epsilon`] read backwards.
pub fn delta(curve: &[f64], epsilon: f64) -> f64 {
    let ln_delta = |(&rdp, order): (&f64, f64)| {
        let kl = 0.5 * (-(-rdp).exp()).ln_1p();
        kl.min((order - 1.0) * (rdp - epsilon + (-1.0 / order).ln_1p()) - order.ln())
    };
    curve.iter().zip(orders()).map(ln_delta).fold(0.0, f64::min).exp()
}

/// RDP of Laplace noise with pure bound `epsilon` (Mironov 2017, Proposition 6; exact).
fn laplace(epsilon: f64, order: f64) -> f64 {
    let odd = 2.0 * order - 1.0;
    let curve = epsilon + ((order - 1.0) * (-epsilon * odd).exp_m1() / odd).ln_1p() / (order - 1.0);
    // The pure bound and the quadratic one also hold; they cut rounding noise at tiny ε.
    curve.min(epsilon).min(0.5 * order * epsilon * epsilon).max(0.0)
}

/// RDP of the Poisson-subsampled Gaussian (Mironov–Talwar–Zhang 2019, Section 3.3).
fn poisson_gaussian(q: f64, sigma: f64, order: f64) -> f64 {
    // By joint quasi-convexity sampling never costs more than the plain mechanism.
    let plain = order / (2.0 * sigma * sigma);
    if q == 1.0 {
        return plain;
    }
    let ln_moment = if order.fract() == 0.0 {
        ln_moment_integer(q, sigma, order)
    } else {
        ln_moment_fraction(q, sigma, order)
    };
    (ln_moment.max(0.0) / (order - 1.0)).min(plain)
}

/// ln Σᵢ C(α, i) qⁱ (1−q)^(α−i) e^{i(i−1)/2σ²} for integer α.
fn ln_moment_integer(q: f64, sigma: f64, order: f64) -> f64 {
    let (ln_q, ln_rest) = (q.ln(), (-q).ln_1p());
    (0..=order as u32).map(f64::from).fold(f64::NEG_INFINITY, |sum, i| {
        let weight = ln_binomial(order, i) + i * ln_q + (order - i) * ln_rest;
        ln_add(sum, weight + i * (i - 1.0) / (2.0 * sigma * sigma))
    })
}

/// Terms after which the series of a fractional moment is given up; that order is then not used.
const MAX_TERMS: u32 = 1000;

/// The same moment for fractional α: both halves of the integral as series. Every term is taken positive, which
/// bounds the alternating tail from above.
fn ln_moment_fraction(q: f64, sigma: f64, order: f64) -> f64 {
    let variance = sigma * sigma;
    let split = variance * (1.0 / q - 1.0).ln() + 0.5;
    let (ln_q, ln_rest, ln_half) = (q.ln(), (-q).ln_1p(), 0.5f64.ln());
    let scale = std::f64::consts::SQRT_2 * sigma;
    let mut total = f64::NEG_INFINITY;
    let mut last = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for i in (0..MAX_TERMS).map(f64::from) {
        let (coefficient, j) = (ln_binomial(order, i), order - i);
        let below = coefficient
            + i * ln_q
            + j * ln_rest
            + i * (i - 1.0) / (2.0 * variance)
            + ln_half
            + ln_erfc((i - split) / scale);
        let above = coefficient
            + j * ln_q
            + i * ln_rest
            + j * (j - 1.0) / (2.0 * variance)
            + ln_half
            + ln_erfc((split - j) / scale);
        total = ln_add(total, ln_add(below, above));
        if below < last.0 && above < last.1 && below.max(above) < total - 30.0 {
            return total;
        }
        last = (below, above);
    }
    f64::INFINITY
}

/// Integer orders up to this one use both forms of each term of the bound; beyond, only the cheaper form.
const MAX_CENTRED_ORDER: usize = 256;

/// RDP of the Gaussian on a batch drawn without replacement at rate q (Wang–Balle–Kasiviswanathan 2019,
/// Theorem 27), at every order; fractional orders by convexity of the cumulant (their Corollary 10).
fn fixed_size_gaussian(q: f64, sigma: f64, orders: &[f64]) -> Vec<f64> {
    if q == 1.0 {
        return orders.iter().map(|order| order / (2.0 * sigma * sigma)).collect();
    }
    let centred = ln_centred_moments(sigma, MAX_CENTRED_ORDER);
    let cumulant =
        |order: f64| if order == 1.0 { 0.0 } else { ln_bound_without_replacement(q, sigma, order, &centred) };
    let rdp = |&order: &f64| {
        let (low, part) = (order.floor(), order.fract());
        let value = if part == 0.0 {
            cumulant(order)
        } else {
            (1.0 - part) * cumulant(low) + part * cumulant(low + 1.0)
        };
        (value / (order - 1.0)).min(order / (2.0 * sigma * sigma))
    };
    orders.iter().map(rdp).collect()
}

fn ln_bound_without_replacement(q: f64, sigma: f64, order: f64, centred: &[f64]) -> f64 {
    let gaussian = |i: f64| i / (2.0 * sigma * sigma);
    let (ln_2, ln_4) = (2f64.ln(), 4f64.ln());
    let mut total = 0.0;
    for i in 2..=order as usize {
        let real = i as f64;
        let simple = ln_2 + (real - 1.0) * gaussian(real);
        let term = if i == 2 {
            simple.min(ln_4 + gaussian(2.0).exp_m1().ln())
        } else if order as usize <= MAX_CENTRED_ORDER {
            let (even_below, even_above) = (i & !1, (i + 1) & !1);
            simple.min(ln_4 + 0.5 * (centred[even_below] + centred[even_above]))
        } else {
            simple
        };
        total = ln_add(total, real * q.ln() + ln_binomial(order, real) + term);
    }
    total
}

/// ln E_Q[(dP/dQ − 1)ⁱ] for even i ≤ `limit` + 1, P and Q Gaussians one sensitivity apart; odd entries are unused.
///
/// The integrand is not negative, so the trapezoid rule has no cancellation, which the forward differences of
/// the paper suffer from at large σ.
fn ln_centred_moments(sigma: f64, limit: usize) -> Vec<f64> {
    const STEP: f64 = 0.02;
    let mut moments = vec![f64::NEG_INFINITY; limit + 2];
    // In units of σ under Q: ln dP/dQ = x/σ − 1/2σ².
    for i in (2..limit + 2).step_by(2) {
        // Beyond this exponent the other form of the term is smaller at any σ.
        let peak = i as f64 / sigma;
        if peak > 600.0 {
            moments[i] = f64::INFINITY;
            continue;
        }
        // The mass is near the peak of φ(x)e^{ix/σ} and, where (dP/dQ − 1)ⁱ ≈ (x/σ)ⁱ, near ±√i.
        let reach = 14.0 + (i as f64).sqrt();
        let (from, to) = (-reach, peak + reach);
        let points = ((to - from) / STEP) as usize;
        let ln_integrand = |x: f64| {
            let deviation = (x / sigma - 0.5 / (sigma * sigma)).exp_m1().abs();
            i as f64 * deviation.ln() - 0.5 * x * x
        };
        let sum = (0..=points).map(|k| ln_integrand(from + k as f64 * STEP)).fold(f64::NEG_INFINITY, ln_add);
        moments[i] = sum + STEP.ln() - 0.5 * (2.0 * std::f64::consts::PI).ln();
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_and_fractional_moments_agree_near_integers() {
        for (q, sigma) in [(0.01, 1.0), (0.2, 3.0)] {
            let at = ln_moment_integer(q, sigma, 5.0) / 4.0;
            let near = ln_moment_fraction(q, sigma, 5.0 + 1e-7) / (4.0 + 1e-7);
            assert!((at / near - 1.0).abs() < 1e-4, "{at} {near}");
        }
    }

    #[test]
    fn centred_moments_match_their_closed_form() {
        // E[(dP/dQ − 1)²] = e^{1/σ²} − 1; the fourth is Σ (−1)^k C(4,k) e^{k(k−1)/2σ²}.
        let sigma = 0.9f64;
        let moment = |k: f64| (k * (k - 1.0) / (2.0 * sigma * sigma)).exp();
        let moments = ln_centred_moments(sigma, 4);
        assert!((moments[2].exp() / (moment(2.0) - 1.0) - 1.0).abs() < 1e-9);
        let fourth = moment(4.0) - 4.0 * moment(3.0) + 6.0 * moment(2.0) - 3.0;
        assert!((moments[4].exp() / fourth - 1.0).abs() < 1e-9);
    }

    #[test]
    fn sampling_never_costs_more_than_no_sampling_and_amplifies_where_it_should() {
        let orders = orders();
        for sigma in [0.7, 2.0, 30.0] {
            for (sampled, &order) in fixed_size_gaussian(1e-4, sigma, &orders).iter().zip(&orders) {
                let plain = order / (2.0 * sigma * sigma);
                assert!(poisson_gaussian(0.3, sigma, order) <= plain && *sampled <= plain);
            }
            // At order 2 both bounds are near their known small-q forms.
            let growth = (1.0 / (sigma * sigma)).exp_m1();
            assert!((poisson_gaussian(1e-4, sigma, 2.0) / (1e-8 * growth).ln_1p() - 1.0).abs() < 1e-6);
            let factor = (4.0 * growth).min(2.0 * (1.0 / (sigma * sigma)).exp());
            let at_two = fixed_size_gaussian(1e-4, sigma, &[2.0])[0];
            assert!((at_two / (1e-8 * factor).ln_1p() - 1.0).abs() < 1e-6);
        }
    }
}
