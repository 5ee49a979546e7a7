//! The generator: each party correlates its own stream, at no message.
//!
//! Step i draws an integer z_i from a discrete Gaussian and returns y_i = z_i − r(a_i) with a_i = Σ_{j≥1} c_j·y_{i−j} and r
//! rounding to the nearest integer. All of it is exact integer arithmetic. How much rounding costs is counted, not neglected:
//!
//! # One party
//! Released is R = G + y for a sum of gradients G, both integer. A neighbour with D = G − G' gives the same R if its noise is
//! y' = y + D, that is z'_i = z_i + D_i + r(a_i + Σ c_j·D_{i−j}) − r(a_i). Two roundings differ from the difference of what they
//! round by less than 1, and by 0 where it is 0; so z' − z = C·D + θ with |θ| < 1, θ not 0 only in the bands − 1 steps after a
//! participation. Given the R of all steps the map from z to z' is one to one and shifts by integers: R is as private as a
//! discrete Gaussian on integers of sensitivity ‖C·D‖ + √(times·(bands − 1)·d). G may depend on earlier R: C is lower
//! triangular (Denisov et al. 2022, Theorem 2.1). θ may depend on earlier draws: shifts whose squares sum up to a bound on every path
//! compose as one shift of that bound (Smith and Thakurta 2022, "Fully adaptive composition for Gaussian differential privacy").
//!
//! # Several honest parties
//! Only the sum of their noises y¹ + … + yⁿ is seen, and each rounds on its own, so the sum is no stream of this kind. In thought,
//! split G into n integer parts that differ by at most one: R is the sum of n streams R^p = G^p + y^p, post-processing of n
//! independent mechanisms. D^p is within 1 of D/n in every coordinate that takes part, so each stream has the sensitivity
//! (F·(Δ + n·√d) + n·√(times·(bands − 1)·d)) / n = S/n, F of [`Banded::sensitivity`], against its own deviation s. Gaussians compose:
//! together √n·(S/n)/s = S/(√n·s), as one stream of deviation √n·s and sensitivity S. No sum of discrete Gaussians has to be
//! compared with one. [`Banded::shift`] is S.

use super::strategy::{Banded, COEFFICIENT_BITS};
use crate::error::PrivacyError;
use crate::sampler::{DiscreteGaussian, Variance};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// One party's stream of correlated noise. Its state is secret and wiped when dropped.
pub struct CorrelatedNoise {
    strategy: Banded,
    sampler: DiscreteGaussian,
    coordinates: usize,
    /// The last `bands − 1` outputs, one vector after the other; `next` is the oldest.
    history: Zeroizing<Vec<i64>>,
    next: usize,
}

impl CorrelatedNoise {
    /// A stream for `coordinates` integers with z of `variance`, see [`Variance::share`] for the sensitivity [`Banded::shift`].
    ///
    /// # Errors
    /// No coordinate.
    pub fn new(strategy: Banded, variance: Variance, coordinates: usize) -> Result<Self, PrivacyError> {
        if coordinates == 0 {
            return Err(PrivacyError::Zero { what: "the number of coordinates" });
        }
        let sampler = DiscreteGaussian::new(variance);
        let history = Zeroizing::new(vec![0; (strategy.bands() - 1) * coordinates]);
        Ok(Self { strategy, sampler, coordinates, history, next: 0 })
    }

    /// The noise of the next step, in units. `rng` must be local and secret.
    ///
    /// # Errors
    /// `out` has another length than the stream has coordinates.
    pub fn step(&mut self, rng: &mut (impl CryptoRng + ?Sized), out: &mut [i64]) -> Result<(), PrivacyError> {
        if out.len() != self.coordinates {
            return Err(PrivacyError::Banded(
                "give a buffer of as many integers as the stream has coordinates",
            ));
        }
        self.sampler.fill(rng, out);
        let (past, d) = (self.strategy.bands() - 1, self.coordinates);
        let half = 1i128 << (COEFFICIENT_BITS - 1);
        for (at, value) in out.iter_mut().enumerate() {
            let mut sum = 0i128;
            for j in 1..=past {
                // The output of j steps ago lies j places before `next`, cyclically.
                let row = (self.next + past - j) % past;
                sum += i128::from(self.strategy.coefficients[j]) * i128::from(self.history[row * d + at]);
            }
            // C⁻¹ is stable: outputs stay within a few thousand σ, far inside 64 bits.
            *value -= ((sum + half) >> COEFFICIENT_BITS) as i64;
        }
        if past > 0 {
            self.history[self.next * d..(self.next + 1) * d].copy_from_slice(out);
            self.next = (self.next + 1) % past;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::banded::Participation;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const STEPS: usize = 60;
    const COORDINATES: usize = 4000;

    fn stream(strategy: &Banded, deviation: f64, coordinates: usize) -> CorrelatedNoise {
        let variance = Variance::of_sigma(deviation).expect("supported");
        CorrelatedNoise::new(strategy.clone(), variance, coordinates).expect("valid")
    }

    /// Outputs of z with a deviation of 300 units.
    fn outputs(bands: usize) -> (Banded, Vec<Vec<i64>>) {
        let strategy = Banded::square_root(bands).expect("valid");
        let mut stream = stream(&strategy, 300.0, COORDINATES);
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let mut step = || {
            let mut out = vec![0; COORDINATES];
            stream.step(&mut rng, &mut out).expect("the right length");
            out
        };
        let rows = (0..STEPS).map(|_| step()).collect();
        (strategy, rows)
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = values.len() as f64;
        values.sum::<f64>() / count
    }

    #[test]
    fn undoing_the_correlation_gives_back_independent_noise_of_the_stated_variance() {
        let (strategy, rows) = outputs(8);
        let c = strategy.coefficients();
        let z = |i: usize, at: usize| -> f64 {
            (0..c.len().min(i + 1)).map(|j| c[j] * rows[i - j][at] as f64).sum()
        };
        let width = 6.0 * (2.0 / COORDINATES as f64).sqrt();
        for i in [0, 1, 7, 8, 30, 59] {
            let variance = mean((0..COORDINATES).map(|at| z(i, at).powi(2))) / 90_000.0;
            assert!((variance - 1.0).abs() < width, "{i}: {variance}");
            for before in [1, 2, 7, 9] {
                if i >= before {
                    let product = mean((0..COORDINATES).map(|at| z(i, at) * z(i - before, at))) / 90_000.0;
                    assert!(product.abs() < width, "{i} {before}: {product}");
                }
            }
        }
    }

    #[test]
    fn running_sums_carry_the_error_that_is_stated() {
        let (strategy, rows) = outputs(20);
        let squares = mean((0..COORDINATES).map(|at| {
            let mut sum = 0i64;
            let total: f64 = rows
                .iter()
                .map(|row| {
                    sum += row[at];
                    (sum as f64).powi(2)
                })
                .sum();
            total / STEPS as f64
        }));
        let stated = 300.0 * strategy.running_sum_error(STEPS);
        assert!((squares.sqrt() / stated - 1.0).abs() < 0.05, "{} {stated}", squares.sqrt());
        let independent = 300.0 * Banded::square_root(1).expect("valid").running_sum_error(STEPS);
        let factor = strategy.sensitivity(Participation { times: 1, separation: 1 }).expect("valid");
        assert!(squares.sqrt() * factor < 0.6 * independent);
    }

    /// The z behind integer outputs: z_i = y_i + r(a_i).
    fn draws(strategy: &Banded, outputs: &[i64]) -> Vec<i64> {
        let c: Vec<i128> = strategy.coefficients.iter().map(|&c| i128::from(c)).collect();
        (0..outputs.len())
            .map(|i| {
                let a: i128 = (1..c.len().min(i + 1)).map(|j| c[j] * i128::from(outputs[i - j])).sum();
                outputs[i] + ((a + (1 << 15)) >> 16) as i64
            })
            .collect()
    }

    #[test]
    fn a_record_shifts_the_draws_by_no_more_than_the_stated_sensitivity_and_rounding_is_needed_for_it() {
        let (bands, times, separation) = (6, 3, 20);
        let strategy = Banded::square_root(bands).expect("valid");
        let participation = Participation { times, separation };
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let mut worst = 0f64;
        for start in 0..300 {
            let mut noise = stream(&strategy, 50.0, 1);
            let y: Vec<i64> = (0..60)
                .map(|_| {
                    let mut out = [0];
                    noise.step(&mut rng, &mut out).expect("the right length");
                    out[0]
                })
                .collect();
            // The neighbour that releases the same: its noise makes up for the record's part, 1 unit in each of three steps.
            let mut neighbour = y.clone();
            (0..3).for_each(|k| neighbour[start % 20 + 20 * k] += 1);
            let (z, shifted) = (draws(&strategy, &y), draws(&strategy, &neighbour));
            let squares: i64 = z.iter().zip(&shifted).map(|(a, b)| (a - b).pow(2)).sum();
            worst = worst.max((squares as f64).sqrt());
        }
        let stated = strategy.shift(participation, 1.0, 1, 1).expect("valid");
        let without = strategy.sensitivity(participation).expect("valid");
        assert!(worst <= stated, "{worst} of {stated}");
        assert!(worst > without, "{worst} is within {without} without the rounding");
    }

    #[test]
    fn the_stream_is_what_its_draws_say() {
        // The same seed: z of a stream with one band is y of that stream.
        let strategy = Banded::square_root(9).expect("valid");
        let plain = Banded::square_root(1).expect("valid");
        let run = |strategy: &Banded| {
            let (mut noise, mut rng) = (stream(strategy, 1e6, 1), ChaCha20Rng::from_seed([3; 32]));
            let mut out = [0];
            (0..50)
                .map(|_| noise.step(&mut rng, &mut out).map(|()| out[0]).expect("the right length"))
                .collect::<Vec<_>>()
        };
        assert_eq!(draws(&strategy, &run(&strategy)), run(&plain));
    }

    #[test]
    fn a_wrong_buffer_is_refused() {
        let strategy = Banded::square_root(3).expect("valid");
        let mut noise = stream(&strategy, 100.0, 10);
        let mut rng = ChaCha20Rng::from_seed([6; 32]);
        assert!(noise.step(&mut rng, &mut [0; 9]).is_err() && noise.step(&mut rng, &mut [0; 10]).is_ok());
        let variance = Variance::of_sigma(100.0).expect("supported");
        assert!(CorrelatedNoise::new(strategy, variance, 0).is_err());
    }
}
