//! Composition by fast Fourier transform under exponential tilting.
//!
//! The plain transform loses everything below about 1e-16 of the total mass, which is where δ lives. Each loss
//! distribution is first tilted by e^{λ·loss} so that the composed mean falls near the sought ε; there the
//! transform is accurate relative to the value itself, and the factor is divided out again. The window comes from
//! Chernoff bounds, and what may lie outside it is added to δ.

use super::pmf::Pmf;
use crate::special::ln_add;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// Longest transform.
pub(super) const MAX_LENGTH: usize = 1 << 22;

/// Tilted mass allowed outside the window, at each side.
const LN_OUTSIDE: f64 = -41.4;

/// Bound on the error of the tilted probabilities, summed over the window: aliasing and rounding.
const TILTED_ERROR: f64 = 4e-15;

/// The window needs a coarser grid: by at least this factor.
#[derive(Debug)]
pub(super) struct Coarser(pub(super) f64);

/// What the tilt is aimed at.
#[derive(Clone, Copy)]
pub(super) enum Aim {
    /// ε at this δ.
    Delta(f64),
    /// δ at this ε.
    Epsilon(f64),
}

/// A composition, accurate near its aim.
pub(super) struct Composed {
    h: f64,
    /// Grid index of the first entry.
    first: i64,
    mass: Vec<f64>,
    infinity: f64,
    /// The error in δ at ε is at most e^{ln_error − λε}.
    ln_error: f64,
    tilt: f64,
}

/// A loss distribution and how often it is composed.
struct Part<'a> {
    pmf: &'a Pmf,
    steps: f64,
}

/// One step under the tilt: probabilities, and their moments.
struct Tilted {
    weight: Vec<f64>,
    ln_moment: f64,
    mean: f64,
    variance: f64,
}

/// Most points that share one exponential; their powers of e^{tilt·h} come from a table.
const BLOCK: usize = 256;

/// Largest exponent within a block.
const BLOCK_EXPONENT: f64 = 300.0;

impl Part<'_> {
    /// (e^{tilt·h·k} for the points k of a block).
    fn powers(&self, tilt: f64) -> Vec<f64> {
        let exponent = tilt * self.pmf.h;
        let block = ((BLOCK_EXPONENT / exponent.abs()) as usize).clamp(1, BLOCK);
        (0..block).map(|k| (exponent * k as f64).exp()).collect()
    }

    /// ln E[e^{tilt·loss}] over the finite losses.
    fn ln_moment(&self, tilt: f64) -> f64 {
        let powers = self.powers(tilt);
        let blocks = self.pmf.mass.chunks(powers.len()).enumerate();
        blocks.fold(f64::NEG_INFINITY, |total, (number, block)| {
            let sum: f64 = block.iter().zip(&powers).map(|(mass, power)| mass * power).sum();
            if sum > 0.0 {
                ln_add(total, sum.ln() + tilt * self.pmf.loss(number * powers.len()))
            } else {
                total
            }
        })
    }

    fn tilted(&self, tilt: f64) -> Tilted {
        let ln_moment = self.ln_moment(tilt);
        let powers = self.powers(tilt);
        let mut weight = Vec::with_capacity(self.pmf.mass.len());
        for (number, block) in self.pmf.mass.chunks(powers.len()).enumerate() {
            let base = tilt * self.pmf.loss(number * powers.len()) - ln_moment;
            // Far from the tilted mean the base under- or overflows although the product would not matter.
            let scale = base.min(700.0).exp();
            weight.extend(block.iter().zip(&powers).map(|(mass, power)| mass * power * scale));
        }
        let mean: f64 = weight.iter().enumerate().map(|(j, w)| w * self.pmf.loss(j)).sum();
        let variance = weight.iter().enumerate().map(|(j, w)| w * (self.pmf.loss(j) - mean).powi(2)).sum();
        Tilted { weight, ln_moment, mean, variance }
    }
}

fn total_ln_moment(parts: &[Part<'_>], tilt: f64) -> f64 {
    parts.iter().map(|part| part.steps * part.ln_moment(tilt)).sum()
}

/// The tilt at which the Chernoff bound of the aim is tightest. Any tilt gives a valid result.
fn best_tilt(parts: &[Part<'_>], aim: Aim) -> f64 {
    let objective = |ln_tilt: f64| {
        let tilt = ln_tilt.exp();
        match aim {
            Aim::Delta(delta) => (total_ln_moment(parts, tilt) - delta.ln()) / tilt,
            Aim::Epsilon(epsilon) => total_ln_moment(parts, tilt) - tilt * epsilon,
        }
    };
    // Both objectives have a single minimum over the tilt.
    let (mut low, mut high) = (1e-3f64.ln(), 2e3f64.ln());
    const GOLDEN: f64 = 0.618_033_988_749_894_8;
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (objective(left), objective(right));
    // A hundredth of an e-fold of the tilt is enough: the accuracy depends on it only weakly.
    while high - low > 0.02 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = objective(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = objective(right);
        }
    }
    (0.5 * (low + high)).exp()
}

/// Losses outside which the tilted composition has a mass of at most e^[`LN_OUTSIDE`] on either side.
fn window(parts: &[Part<'_>], tilt: f64, ln_moment: f64, mean: f64, deviation: f64) -> (f64, f64) {
    let end = |index: fn(&Pmf) -> usize| -> f64 {
        parts.iter().map(|part| part.steps * part.pmf.loss(index(part.pmf))).sum()
    };
    let (mut low, mut high) = (end(|_| 0), end(|pmf| pmf.mass.len() - 1));
    let deviation = deviation.max(1e-300);
    for reach in [1.0, 3.0, 6.0, 8.0, 9.0, 10.0, 12.0, 16.0, 24.0, 48.0] {
        let shift = reach / deviation;
        let bound = |shift: f64| (total_ln_moment(parts, tilt + shift) - ln_moment - LN_OUTSIDE) / shift;
        let (above, below) = (bound(shift), bound(-shift));
        if above.is_finite() {
            high = high.min(above);
        }
        if below.is_finite() {
            low = low.max(below);
        }
    }
    (low.min(mean), high.max(mean))
}

/// Composes `steps` copies of each distribution. All must share one grid interval.
///
/// # Errors
/// [`Coarser`] if the window does not fit the longest transform.
pub(super) fn compose(list: &[(&Pmf, u64)], aim: Aim) -> Result<Composed, Coarser> {
    let parts: Vec<Part<'_>> = list.iter().map(|(pmf, steps)| Part { pmf, steps: *steps as f64 }).collect();
    let h = list[0].0.h;
    let tilt = best_tilt(&parts, aim);
    let tilted: Vec<Tilted> = parts.iter().map(|part| part.tilted(tilt)).collect();
    let sum = |value: &dyn Fn(&Tilted) -> f64| -> f64 {
        parts.iter().zip(&tilted).map(|(p, t)| p.steps * value(t)).sum()
    };
    let (ln_moment, mean, variance) = (sum(&|t| t.ln_moment), sum(&|t| t.mean), sum(&|t| t.variance));
    let (low, high) = window(&parts, tilt, ln_moment, mean, variance.sqrt());
    let needed = (high - low) / h + 4.0;
    // A width that is not a number asks for a coarser grid as well.
    if needed.is_nan() || needed >= MAX_LENGTH as f64 {
        return Err(Coarser(needed / MAX_LENGTH as f64));
    }
    let first = (low / h).floor() as i64 - 1;
    let length = transform_length(needed as usize);

    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(length);
    let mut product = vec![Complex::new(1.0, 0.0); length / 2 + 1];
    let mut centre_total = 0i64;
    for (part, moments) in parts.iter().zip(&tilted) {
        // Centring keeps the phases small, so that a high power of the spectrum stays accurate.
        let centre = (moments.mean / h).round() as i64;
        centre_total += centre * part.steps as i64;
        let mut signal = vec![0.0; length];
        let mut place = (part.pmf.first - centre).rem_euclid(length as i64) as usize;
        for weight in &moments.weight {
            signal[place] += weight;
            place = if place + 1 == length { 0 } else { place + 1 };
        }
        let mut spectrum = forward.make_output_vec();
        // The lengths are those of the plan, so the transform cannot refuse them.
        if forward.process(&mut signal, &mut spectrum).is_err() {
            return Err(Coarser(2.0));
        }
        for (value, factor) in product.iter_mut().zip(&spectrum) {
            let (radius, angle) = factor.to_polar();
            *value *= Complex::from_polar((part.steps * radius.ln()).exp(), part.steps * angle);
        }
    }
    let inverse = planner.plan_fft_inverse(length);
    let mut signal = inverse.make_output_vec();
    // The first and the middle bin of a real signal are real.
    product[0].im = 0.0;
    product[length / 2].im = 0.0;
    if inverse.process(&mut product, &mut signal).is_err() {
        return Err(Coarser(2.0));
    }

    let untilted = |k: usize| {
        let index = first + k as i64;
        let value = signal[(index - centre_total).rem_euclid(length as i64) as usize] / length as f64;
        value.max(0.0) * (ln_moment - tilt * index as f64 * h).exp()
    };
    let mass: Vec<f64> = (0..needed as usize).map(untilted).collect();
    let infinity = -parts.iter().map(|p| p.steps * (-p.pmf.infinity).ln_1p()).sum::<f64>().exp_m1();
    Ok(Composed { h, first, mass, infinity, ln_error: ln_moment + TILTED_ERROR.ln(), tilt })
}

/// The smallest length of the form 2^k, 3·2^k or 5·2^k that is at least `needed` and even.
fn transform_length(needed: usize) -> usize {
    let power = needed.max(64).next_power_of_two();
    [power, power / 4 * 3, power / 8 * 5]
        .into_iter()
        .filter(|&length| length >= needed)
        .min()
        .unwrap_or(power)
}

/// Room for the rounding of sums over the window.
const ROUNDING: f64 = 1.0 + 1e-9;

impl Composed {
    fn loss(&self, k: usize) -> f64 {
        (self.first + k as i64) as f64 * self.h
    }

    fn error(&self, epsilon: f64) -> f64 {
        (self.ln_error - self.tilt * epsilon).exp()
    }

    /// The smallest ε ≥ 0 with δ(ε) ≤ `delta`; infinite if there is none.
    pub(super) fn epsilon(&self, delta: f64) -> f64 {
        let delta = delta / ROUNDING;
        // P mass above the current point, and the Q mass above it times e^ε.
        let (mut upper, mut lower) = (self.infinity, 0.0);
        let decay = (-self.h).exp();
        if upper + self.error(self.loss(self.mass.len())) > delta {
            return f64::INFINITY;
        }
        for k in (0..self.mass.len()).rev() {
            let here = self.loss(k);
            let error = self.error(here);
            if upper - lower + error > delta {
                let rise = ((upper + error - delta) / lower).ln();
                return (here + rise.clamp(0.0, self.h)).max(0.0);
            }
            if here <= 0.0 {
                return 0.0;
            }
            upper += self.mass[k];
            lower = (lower + self.mass[k]) * decay;
        }
        self.loss(0).max(0.0)
    }

    /// δ at `epsilon`.
    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let above = (0..self.mass.len()).rev().take_while(|&k| self.loss(k) > epsilon);
        let finite: f64 = above.map(|k| -self.mass[k] * (epsilon - self.loss(k)).exp_m1()).sum();
        let below_window = if epsilon < self.loss(0) { 1.0 } else { 0.0 };
        ((finite + self.infinity + self.error(epsilon)) * ROUNDING + below_window).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accountant::gaussian;
    use crate::accountant::pld::pair::Pair;
    use crate::accountant::pld::pmf::Directions;

    #[test]
    fn composed_gaussians_match_the_exact_curve_down_to_tiny_delta() {
        let both = Directions::of(&[(1.0, Pair::Sampled { q: 1.0, sigma: 10.0 })], 1e-4, 1e-60);
        for delta in [1e-2, 1e-5, 1e-12, 1e-30] {
            let exact = gaussian::epsilon(1.0, delta);
            let composed = compose(&[(&both.remove, 100)], Aim::Delta(delta)).expect("fits");
            let found = composed.epsilon(delta);
            assert!(found >= exact && found < exact * (1.0 + 1e-6), "{delta}: {found} {exact}");
            let back = compose(&[(&both.add, 100)], Aim::Epsilon(exact)).expect("fits").delta(exact);
            assert!(back >= delta * (1.0 - 1e-9) && back < delta * (1.0 + 1e-4), "{delta}: {back}");
        }
    }

    #[test]
    fn two_kinds_compose_like_their_sum_of_squares() {
        let interval = 2e-4;
        let one = Directions::of(&[(1.0, Pair::Sampled { q: 1.0, sigma: 4.0 })], interval, 1e-30);
        let two = Directions::of(&[(1.0, Pair::Sampled { q: 1.0, sigma: 2.0 })], interval, 1e-30);
        let composed = compose(&[(&one.remove, 8), (&two.add, 3)], Aim::Delta(1e-6)).expect("fits");
        let exact = gaussian::epsilon((8.0 / 16.0 + 3.0 / 4.0f64).sqrt(), 1e-6);
        let found = composed.epsilon(1e-6);
        assert!(found >= exact && found < exact * (1.0 + 1e-5), "{found} {exact}");
        assert!(composed.mass.iter().map(|m| m.ln()).fold(f64::NEG_INFINITY, ln_add) < 1e-9);
    }

    #[test]
    fn a_window_that_does_not_fit_asks_for_a_coarser_grid() {
        let both = Directions::of(&[(1.0, Pair::Sampled { q: 1.0, sigma: 1.0 })], 1e-4, 1e-30);
        let refused = compose(&[(&both.remove, 1_000_000)], Aim::Delta(1e-6));
        assert!(matches!(refused, Err(Coarser(factor)) if factor > 1.0));
    }
}
