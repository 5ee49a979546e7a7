//! The generator: each party correlates its own stream, at no message.
//!
//! Step i draws z from a discrete Gaussian on multiples of 2^−16 of a unit and returns the integer
//! y_i = round(z_i − Σ_{j≥1} c_j·y_{i−j}). All of it is exact integer arithmetic.
//!
//! Why rounding costs nothing: with u = C·G + z the released R_i = G_i + y_i equals round(u_i − Σ c_j·R_{i−j}), since
//! c_j·G and the rounding of an integer shift cancel. So one party's R is post-processing of the Gaussian mechanism. With
//! several parties the others' rounding acts as noise of its own, independent up to the same factor e^{±τ/2} that
//! bounds any sum of discrete Gaussians ([`crate::discrete`], by Poisson summation over their lattices).

use super::strategy::{Banded, COEFFICIENT_BITS};
use crate::error::{PrivacyError, positive};
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
    /// A stream for `coordinates` integers, of which the n − t honest together give z the standard deviation
    /// `sigma`·`sensitivity`, `sensitivity` being Δ in units times [`Banded::sensitivity`].
    ///
    /// # Errors
    /// As [`Variance::share`] for 2^16 times the sensitivity; no coordinate.
    pub fn share(
        strategy: Banded,
        sigma: f64,
        sensitivity: f64,
        parties: u32,
        corrupt: u32,
        coordinates: usize,
    ) -> Result<Self, PrivacyError> {
        if coordinates == 0 {
            return Err(PrivacyError::Zero { what: "the number of coordinates" });
        }
        let fine = positive("the sensitivity in units", sensitivity)? * f64::from(1u32 << COEFFICIENT_BITS);
        let sampler = DiscreteGaussian::new(Variance::share(sigma, fine, parties, corrupt)?);
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
            let mut sum = i128::from(*value);
            for j in 1..=past {
                // The output of j steps ago lies j places before `next`, cyclically.
                let row = (self.next + past - j) % past;
                sum -= i128::from(self.strategy.coefficients[j]) * i128::from(self.history[row * d + at]);
            }
            // C⁻¹ is stable: outputs stay within a few thousand σ, far inside 64 bits.
            *value = ((sum + half) >> COEFFICIENT_BITS) as i64;
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

    fn outputs(bands: usize, sigma: f64) -> (Banded, Vec<Vec<i64>>) {
        let strategy = Banded::square_root(bands).expect("valid");
        let mut stream =
            CorrelatedNoise::share(strategy.clone(), sigma, 100.0, 1, 0, COORDINATES).expect("valid");
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
        let (strategy, rows) = outputs(8, 3.0);
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
        let (strategy, rows) = outputs(20, 3.0);
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

    #[test]
    fn the_released_sum_is_a_function_of_the_gaussian_mechanism_alone() {
        // Recompute R from u = C·G + z as the module claims, for arbitrary integer updates G.
        let (strategy, rows) = outputs(5, 2.0);
        let c: Vec<i128> = strategy.coefficients.iter().map(|&c| i128::from(c)).collect();
        let update = |i: usize| (i as i128 * 7919) % 5003 - 2500;
        let y = |i: usize| i128::from(rows[i][0]);
        // y = round(z − Σ c·y): any z in that unit interval will do; take the middle one plus an offset.
        let z =
            |i: usize| (1..c.len().min(i + 1)).map(|j| c[j] * y(i - j)).sum::<i128>() + (y(i) << 16) + 12345;
        let mut released: Vec<i128> = Vec::new();
        for i in 0..STEPS {
            let u: i128 = (0..c.len().min(i + 1)).map(|j| c[j] * update(i - j)).sum::<i128>() + z(i);
            let back: i128 = (1..c.len().min(i + 1)).map(|j| c[j] * released[i - j]).sum();
            released.push((u - back + (1 << 15)) >> 16);
            assert_eq!(released[i], update(i) + y(i), "{i}");
        }
    }

    #[test]
    fn a_wrong_buffer_is_refused() {
        let strategy = Banded::square_root(3).expect("valid");
        let mut stream = CorrelatedNoise::share(strategy.clone(), 1.0, 100.0, 3, 1, 10).expect("valid");
        let mut rng = ChaCha20Rng::from_seed([6; 32]);
        assert!(stream.step(&mut rng, &mut [0; 9]).is_err() && stream.step(&mut rng, &mut [0; 10]).is_ok());
        assert!(CorrelatedNoise::share(strategy.clone(), 1.0, 1e9, 3, 1, 10).is_err());
        assert!(CorrelatedNoise::share(strategy, 1.0, 100.0, 3, 1, 0).is_err());
    }
}
