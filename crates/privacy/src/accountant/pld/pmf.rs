//! Privacy loss distributions on a grid, rounded so that no δ(ε) is understated.

use super::pair::{Bins, Pair};

/// The distribution of the privacy loss under P, on the grid points `first·h, (first + 1)·h, …` and at +∞.
#[derive(Debug, Clone)]
pub(super) struct Pmf {
    pub(super) h: f64,
    pub(super) first: i64,
    pub(super) mass: Vec<f64>,
    pub(super) infinity: f64,
}

/// The two directions: (P, Q) for removing a record, (Q, P) for adding one.
pub(super) struct Directions {
    pub(super) remove: Pmf,
    pub(super) add: Pmf,
}

impl Directions {
    /// The weighted mixture of the `pairs` on a grid of interval `h`. Masses of at most `tail` are cut at each end
    /// of the grid; the cut mass counts as an infinite loss.
    pub(super) fn of(pairs: &[(f64, Pair)], h: f64, tail: f64) -> Self {
        let mut remove = Pmf::empty(h);
        let mut add = Pmf::empty(h);
        for &(weight, pair) in pairs {
            let bins = pair.bins(h, tail);
            remove.add_scaled(&Pmf::forward(&bins), weight);
            add.add_scaled(&Pmf::backward(&bins), weight);
        }
        Self { remove, add }
    }
}

impl Pmf {
    fn empty(h: f64) -> Self {
        Self { h, first: 0, mass: Vec::new(), infinity: 0.0 }
    }

    /// Rounds (P, Q): every interval's mass moves to its two ends such that both its P and its Q mass stay the same.
    ///
    /// This is the pessimistic "connect the dots" rounding of Doroshenko et al. 2022: the resulting δ(ε) is exact
    /// on the grid points and above the truth between them.
    fn forward(bins: &Bins) -> Self {
        let split = bins
            .inside
            .iter()
            .enumerate()
            .map(|(j, &(p, q))| (p, q, (bins.first + j as i64) as f64 * bins.h));
        Self::from_splits(bins.h, bins.first, split, bins.below.0, bins.above.0)
    }

    /// Rounds (Q, P), whose losses are the negatives.
    fn backward(bins: &Bins) -> Self {
        let last = bins.first + bins.inside.len() as i64;
        let split = bins
            .inside
            .iter()
            .rev()
            .enumerate()
            .map(|(j, &(p, q))| (q, p, (j as i64 - last) as f64 * bins.h));
        Self::from_splits(bins.h, -last, split, bins.above.1, bins.below.1)
    }

    /// `splits` are (P mass, Q mass, loss at the lower end) from the lowest interval up.
    fn from_splits(
        h: f64,
        first: i64,
        splits: impl ExactSizeIterator<Item = (f64, f64, f64)>,
        below: f64,
        above: f64,
    ) -> Self {
        let mut mass = vec![0.0; splits.len() + 1];
        let scale = 1.0 / -(-h).exp_m1();
        for (j, (p, q, low)) in splits.enumerate() {
            // upper + lower = P mass and upper·e^−(low+h) + lower·e^−low = Q mass.
            let scaled_q = if low < 600.0 { q * low.exp() } else { (q.ln() + low).exp() };
            let upper = ((p - scaled_q) * scale).clamp(0.0, p);
            mass[j] += p - upper;
            mass[j + 1] += upper;
        }
        // Losses below the grid are raised to its lowest point, losses above it to infinity.
        mass[0] += below;
        Self { h, first, mass, infinity: above }
    }

    fn add_scaled(&mut self, other: &Self, weight: f64) {
        if self.mass.is_empty() {
            self.first = other.first;
        }
        let last = (self.first + self.mass.len() as i64).max(other.first + other.mass.len() as i64);
        let first = self.first.min(other.first);
        let front = (self.first - first) as usize;
        let mut mass = vec![0.0; (last - first) as usize];
        mass[front..front + self.mass.len()].copy_from_slice(&self.mass);
        let offset = (other.first - first) as usize;
        for (sum, value) in mass[offset..].iter_mut().zip(&other.mass) {
            *sum += weight * value;
        }
        self.first = first;
        self.mass = mass;
        self.infinity += weight * other.infinity;
    }

    /// The loss at position `index`.
    pub(super) fn loss(&self, index: usize) -> f64 {
        (self.first + index as i64) as f64 * self.h
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accountant::gaussian;

    /// δ(ε) straight from the grid.
    fn delta(pmf: &Pmf, epsilon: f64) -> f64 {
        let finite: f64 = (0..pmf.mass.len())
            .filter(|&j| pmf.loss(j) > epsilon)
            .map(|j| -pmf.mass[j] * (epsilon - pmf.loss(j)).exp_m1())
            .sum();
        finite + pmf.infinity
    }

    #[test]
    fn one_gaussian_step_is_never_below_and_close_to_the_exact_curve() {
        for sigma in [0.5, 1.0, 5.0] {
            let both = Directions::of(&[(1.0, Pair::Sampled { q: 1.0, sigma })], 1e-3, 1e-25);
            for pmf in [&both.remove, &both.add] {
                assert!((pmf.mass.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                for epsilon in [0.0, 0.1234, 1.0, 3.00005] {
                    let (rounded, exact) = (delta(pmf, epsilon), gaussian::delta(1.0 / sigma, epsilon));
                    assert!(
                        rounded >= exact * (1.0 - 1e-9) && rounded <= exact * (1.0 + 1e-4) + 1e-16,
                        "{sigma} {epsilon}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_laplace_curve_is_exact_with_its_atoms() {
        let both = Directions::of(&[(1.0, Pair::Laplace { scale: 0.7 })], 1e-4, 1e-25);
        for epsilon in [0.0, 0.5, 1.2, 1.42] {
            let exact = -((epsilon - 1.0 / 0.7) / 2.0f64).exp_m1();
            for pmf in [&both.remove, &both.add] {
                assert!((delta(pmf, epsilon) / exact - 1.0).abs() < 1e-6, "{epsilon}");
            }
        }
    }

    #[test]
    fn the_opposed_pair_without_sampling_is_a_gaussian_of_twice_the_shift() {
        let both = Directions::of(&[(1.0, Pair::Opposed { q: 1.0 - 1e-13, sigma: 2.0 })], 1e-3, 1e-25);
        for epsilon in [0.0, 0.5, 2.0] {
            let exact = gaussian::delta(1.0, epsilon);
            assert!((delta(&both.remove, epsilon) / exact - 1.0).abs() < 1e-4);
            assert!((delta(&both.add, epsilon) / exact - 1.0).abs() < 1e-4);
        }
    }
}
