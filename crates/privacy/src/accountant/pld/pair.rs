//! Pairs of distributions (P, Q) that dominate a mechanism, as masses over intervals of the privacy loss ln dP/dQ.

use crate::accountant::mechanism::Mechanism;
use crate::special::{ln_binomial_tail, normal_mass, normal_quantile_above};

/// One dominating pair. The loss rises with x for every pair, so that an interval of losses is an interval of x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pair {
    /// P = (1−q)·N(0, σ²) + q·N(1, σ²), Q = N(0, σ²): Poisson sampling, removing a record. Adding one is (Q, P)
    /// (Zhu–Dong–Wang 2022, Theorem 11).
    Sampled { q: f64, sigma: f64 },
    /// P = (1−q)·N(0, σ²) + q·N(1, σ²), Q = (1−q)·N(0, σ²) + q·N(−1, σ²). Its own mirror image.
    Opposed { q: f64, sigma: f64 },
    /// P = Laplace(1, b), Q = Laplace(0, b). Its own mirror image.
    Laplace { scale: f64 },
}

impl Pair {
    /// ln dP/dQ at x.
    fn loss(self, x: f64) -> f64 {
        match self {
            Self::Sampled { q, sigma } => sampled_loss(q, sigma, x),
            Self::Opposed { q, sigma } => sampled_loss(q, sigma, x) - sampled_loss(q, sigma, -x),
            Self::Laplace { scale } => (x.abs() - (x - 1.0).abs()) / scale,
        }
    }

    /// The x at which the loss is `loss`; ±∞ where it is never reached.
    fn x_at(self, loss: f64) -> f64 {
        match self {
            Self::Sampled { q, sigma } => {
                let plain = if q == 1.0 {
                    loss
                } else if loss > 1.0 {
                    loss + (-(1.0 - q) * (-loss).exp()).ln_1p() - q.ln()
                } else {
                    let excess = loss.exp_m1() / q;
                    if excess <= -1.0 { f64::NEG_INFINITY } else { excess.ln_1p() }
                };
                sigma * sigma * plain + 0.5
            }
            Self::Opposed { q, sigma } => {
                // With u = x/σ² the loss L solves 2 sinh(u − L/2) = 2c·sinh(L/2), c = e^{1/2σ²}(1−q)/q.
                let variance = sigma * sigma;
                let ln_c = 0.5 / variance + ((1.0 - q) / q).ln();
                variance * (0.5 * loss + asinh_scaled(ln_c, 0.5 * loss))
            }
            Self::Laplace { scale } => 0.5 * (1.0 + scale * loss),
        }
    }

    /// P and Q masses of x in (from, to].
    fn masses(self, from: f64, to: f64) -> (f64, f64) {
        let normal = |centre: f64, sigma: f64| normal_mass((from - centre) / sigma, (to - centre) / sigma);
        match self {
            Self::Sampled { q, sigma } => {
                let without = normal(0.0, sigma);
                ((1.0 - q) * without + q * normal(1.0, sigma), without)
            }
            Self::Opposed { q, sigma } => {
                let without = (1.0 - q) * normal(0.0, sigma);
                (without + q * normal(1.0, sigma), without + q * normal(-1.0, sigma))
            }
            Self::Laplace { scale } => laplace_masses(scale, from, to),
        }
    }

    /// Losses (low, high) with Q(loss < low) ≤ tail and P(loss > high) ≤ tail.
    fn range(self, tail: f64) -> (f64, f64) {
        match self {
            Self::Sampled { sigma, .. } => {
                let reach = sigma * normal_quantile_above(tail);
                (self.loss(-reach), self.loss(1.0 + reach))
            }
            Self::Opposed { sigma, .. } => {
                let high = self.loss(1.0 + sigma * normal_quantile_above(tail));
                (-high, high)
            }
            Self::Laplace { scale } => (-1.0 / scale, 1.0 / scale),
        }
    }

    /// About the standard deviation of the loss in one step; sizes the grid, decides nothing else.
    fn spread(self) -> f64 {
        match self {
            Self::Sampled { q, sigma } => {
                (q * (1.0 / (sigma * sigma)).min(40.0).exp_m1().sqrt()).min(1.0 / sigma)
            }
            Self::Opposed { q, sigma } => {
                (2.0 * q * (1.0 / (sigma * sigma)).min(40.0).exp_m1().sqrt()).min(2.0 / sigma)
            }
            Self::Laplace { scale } => 1.0 / scale,
        }
    }

    /// Whether the loss has a density; atoms make δ(ε) bend inside a grid interval.
    pub(super) fn smooth(self) -> bool {
        !matches!(self, Self::Laplace { .. })
    }

    /// Masses of the loss on a grid of interval `h`.
    pub(super) fn bins(self, h: f64, tail: f64) -> Bins {
        let (low, high) = self.range(tail);
        let first = (low / h).floor() as i64;
        let last = (high / h).ceil() as i64;
        let edge = |index: i64| match self {
            // The Laplace loss is flat outside [0, 1]: both ends of the grid take the atoms in.
            Self::Laplace { .. } if index == first => f64::NEG_INFINITY,
            Self::Laplace { .. } if index == last => f64::INFINITY,
            _ => self.x_at(index as f64 * h),
        };
        let mut from = edge(first);
        let below = self.masses(f64::NEG_INFINITY, from);
        let mut inside = Vec::with_capacity((last - first).max(0) as usize);
        for index in first + 1..=last {
            // Rounding must not make an interval run backwards.
            let to = edge(index).max(from);
            inside.push(self.masses(from, to));
            from = to;
        }
        let above = self.masses(from, f64::INFINITY);
        Bins { h, first, inside, below, above }
    }
}

/// ln(1 − q + q·e^{(x − 1/2)/σ²}).
fn sampled_loss(q: f64, sigma: f64, x: f64) -> f64 {
    let plain = (x - 0.5) / (sigma * sigma);
    if q == 1.0 {
        plain
    } else if plain > 1.0 {
        plain + q.ln() + ((1.0 - q) / q * (-plain).exp()).ln_1p()
    } else {
        (q * plain.exp_m1()).ln_1p()
    }
}

/// asinh(e^{ln_c}·sinh(t)), without overflow.
fn asinh_scaled(ln_c: f64, t: f64) -> f64 {
    if t == 0.0 || ln_c == f64::NEG_INFINITY {
        return 0.0;
    }
    let size = t.abs();
    let ln_sinh = if size > 20.0 { size - std::f64::consts::LN_2 } else { size.sinh().ln() };
    let ln_argument = ln_c + ln_sinh;
    let value =
        if ln_argument > 20.0 { ln_argument + std::f64::consts::LN_2 } else { ln_argument.exp().asinh() };
    value.copysign(t)
}

fn laplace_masses(scale: f64, from: f64, to: f64) -> (f64, f64) {
    // Distribution function of Laplace(0, scale) over an interval, by the side of 0 on which it lies.
    let mass = |from: f64, to: f64| {
        let (a, b) = (from / scale, to / scale);
        if a >= 0.0 {
            0.5 * ((-a).exp() - (-b).exp())
        } else if b <= 0.0 {
            0.5 * (b.exp() - a.exp())
        } else {
            1.0 - 0.5 * a.exp() - 0.5 * (-b).exp()
        }
    };
    (mass(from - 1.0, to - 1.0), mass(from, to))
}

/// P and Q masses of a pair's loss over the intervals of a grid.
pub(super) struct Bins {
    /// Grid interval.
    pub(super) h: f64,
    /// Index of the lowest grid point: its loss is `first·h`.
    pub(super) first: i64,
    /// (P, Q) masses of the intervals from the lowest to the highest grid point.
    pub(super) inside: Vec<(f64, f64)>,
    /// (P, Q) masses below the grid.
    pub(super) below: (f64, f64),
    /// (P, Q) masses above the grid.
    pub(super) above: (f64, f64),
}

/// Dominating pairs of a mechanism with their weights; the mechanism is at most as revealing as telling which
/// pair was drawn. `None` if the mechanism has none here.
pub(super) fn pairs(mechanism: &Mechanism) -> Option<Vec<(f64, Pair)>> {
    match *mechanism {
        Mechanism::Gaussian { sigma } => Some(vec![(1.0, Pair::Sampled { q: 1.0, sigma })]),
        Mechanism::PoissonGaussian { q, sigma } => Some(vec![(1.0, Pair::Sampled { q, sigma })]),
        Mechanism::Laplace { scale } => Some(vec![(1.0, Pair::Laplace { scale })]),
        Mechanism::TruncatedPoissonGaussian { q, sigma, batch, n } => Some(truncated(q, sigma, batch, n)),
        Mechanism::FixedSizeGaussian { .. } | Mechanism::Zcdp { .. } => None,
    }
}

/// Truncated Poisson sampling (arXiv 2508.15089, Section 4.3): with probability T the other n−1 records already
/// fill the batch. Then the record enters with probability q' and pushes another one out, a change of at most two
/// sensitivities, bounded by the opposed pair; otherwise sampling is as without truncation.
fn truncated(q: f64, sigma: f64, batch: u64, n: u64) -> Vec<(f64, Pair)> {
    let ln_full = ln_binomial_tail(n - 1, q, batch);
    let plain = Pair::Sampled { q, sigma };
    if ln_full == f64::NEG_INFINITY {
        return vec![(1.0, plain)];
    }
    let full = ln_full.exp();
    let ln_kept = ln_binomial_tail(n, q, batch + 1) + (batch as f64 / n as f64).ln() - ln_full;
    let kept = ln_kept.exp().min(1.0);
    let opposed = Pair::Opposed { q: kept, sigma: 0.5 * sigma };
    if full == 0.0 { vec![(1.0, plain)] } else { vec![(1.0 - full, plain), (full, opposed)] }
}

/// The range and the spread of the loss over the pairs of a mechanism: what sizes the grid.
pub(super) fn extent(pairs: &[(f64, Pair)], tail: f64) -> (f64, f64) {
    let width = |(_, pair): &(f64, Pair)| {
        let (low, high) = pair.range(tail);
        high - low
    };
    let range = pairs.iter().map(width).fold(0.0, f64::max);
    let variance: f64 = pairs.iter().map(|(weight, pair)| weight * pair.spread().powi(2)).sum();
    (range, variance.sqrt())
}
