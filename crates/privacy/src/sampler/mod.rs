//! Exact samples from the discrete Gaussian N_ℤ(0, σ²) of Canonne, Kamath and Steinke 2020.
//!
//! With a step k of about σ/4, a candidate is x = k·z + u: z ≥ 0 from a cumulative table with probability
//! proportional to e^{−z²k²/2σ²}, u uniform in 0..k, accepted with probability e^{−u(u+2kz)/2σ²}, then a random sign,
//! with −0 refused. The accepted law is exactly the stated one for any step (the method of Ducas et al. 2013).
//!
//! Exact: σ² is a fraction, every decision compares a random real with a number known to any precision. The common path
//! settles a decision with 64 bits of both and a proven error bound; where these do not suffice (below 2^−55 a
//! candidate) exact arithmetic continues with more bits. No floating point decides anything.
//!
//! Constant time: all candidates cost the same work whatever their value, and in rejection sampling the number of
//! candidates does not depend on the accepted values. What remains is the continuation at a tie.

mod check;
mod exact;
mod exp;
mod table;
mod variance;

pub use check::check_variance;
pub use variance::{SIGMA_RANGE, Variance};

use crate::error::PrivacyError;
use exp::Reciprocal;
use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use table::Table;
use zeroize::{Zeroize, Zeroizing};

/// The table serves standard deviations of at most this many steps.
const TABLE_SIGMA: f64 = 4.0;

/// Candidates whose randomness is drawn at once, three words each.
const CANDIDATES: usize = 64;
const CANDIDATE_BYTES: usize = 24;

/// A sampler for one σ. It holds tables only, no secret.
#[derive(Debug, Clone)]
pub struct DiscreteGaussian {
    variance: Variance,
    step: u64,
    /// 2^63 modulo the step: the words that would bias a uniform draw below the step.
    bias: u64,
    table: Table,
    reciprocal: Reciprocal,
}

/// A generator seeded with 32 bytes from the operating system: noise must never come from a seed that a peer knows.
///
/// # Errors
/// The operating system gave no randomness.
pub fn local_rng() -> Result<ChaCha20Rng, PrivacyError> {
    let mut seed = Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|error| PrivacyError::OsRandomness(error.to_string()))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

impl DiscreteGaussian {
    /// A sampler for N_ℤ(0, `variance`).
    pub fn new(variance: Variance) -> Self {
        // Any step gives the same law; this one keeps the table short and acceptance above 0.8.
        let step = (variance.sigma() / TABLE_SIGMA).ceil().max(1.0) as u64;
        let table = Table::new(&variance, step);
        let reciprocal = Reciprocal::of(&variance);
        Self { variance, step, bias: (1 << 63) % step, table, reciprocal }
    }

    /// The parameter σ².
    pub fn parameter(&self) -> &Variance {
        &self.variance
    }

    /// The variance of the distribution in squared units, as a float: below σ = 3 by its sum, else σ² itself, from
    /// which it then differs by less than 1e-70.
    pub fn variance(&self) -> f64 {
        let parameter = self.variance.sigma().powi(2);
        if parameter >= 9.0 {
            return parameter;
        }
        let weight = |x: i32| (-f64::from(x * x) / (2.0 * parameter)).exp();
        let square_sum: f64 = (1..200).map(|x| 2.0 * f64::from(x * x) * weight(x)).sum();
        square_sum / (1.0 + (1..200).map(|x| 2.0 * weight(x)).sum::<f64>())
    }

    /// Fills `out` with independent samples, in units. `rng` must be local and secret, see [`local_rng`].
    pub fn fill(&self, rng: &mut (impl CryptoRng + ?Sized), out: &mut [i64]) {
        let mut bytes = [0u8; CANDIDATES * CANDIDATE_BYTES];
        let mut filled = 0;
        while filled < out.len() {
            let wanted = CANDIDATES.min(out.len() - filled + 8);
            let batch = &mut bytes[..wanted * CANDIDATE_BYTES];
            rng.fill_bytes(batch);
            for words in batch.chunks_exact(CANDIDATE_BYTES) {
                let (value, accepted) = self.candidate(word(words, 0), word(words, 8), word(words, 16), rng);
                // A rejected value is overwritten by the next one.
                out[filled] = value;
                filled += usize::from(accepted);
                if filled == out.len() {
                    break;
                }
            }
        }
        bytes.zeroize();
    }

    /// `count` samples, wiped when dropped.
    pub fn samples(&self, rng: &mut (impl CryptoRng + ?Sized), count: usize) -> Zeroizing<Vec<i64>> {
        let mut out = Zeroizing::new(vec![0; count]);
        self.fill(rng, &mut out);
        out
    }

    /// Adds one sample to every element of `share`, modulo 2^64.
    pub fn add_to(&self, rng: &mut (impl CryptoRng + ?Sized), share: &mut [u64]) {
        let mut noise = Zeroizing::new([0i64; 256]);
        for block in share.chunks_mut(noise.len()) {
            let noise = &mut noise[..block.len()];
            self.fill(rng, noise);
            for (element, sample) in block.iter_mut().zip(noise.iter()) {
                *element = element.wrapping_add_signed(*sample);
            }
        }
    }

    /// One candidate from three random words, and whether it is accepted.
    #[inline]
    fn candidate(
        &self,
        table_word: u64,
        accept_word: u64,
        rest: u64,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> (i64, bool) {
        let draw = self.table.draw(table_word);
        let z = if draw.tie { self.table.settle(table_word, rng) } else { draw.z };
        let negative = rest & 1;
        // u uniform in 0..k from 63 bits: the product's low part tells the few words that would bias it (Lemire).
        let product = u128::from(rest >> 1) * u128::from(self.step);
        let u = (product >> 63) as u64;
        let unbiased = product as u64 & (u64::MAX >> 1) >= self.bias;
        let x = self.step.wrapping_mul(z).wrapping_add(u);
        // A step of 1 leaves u = 0 and nothing to accept; the step is public.
        let kept = self.step == 1 || self.accepts(z, u, accept_word, rng);
        let minus_zero = (negative == 1) & (x == 0);
        let value = (x ^ negative.wrapping_neg()).wrapping_add(negative) as i64;
        (value, kept & unbiased & !minus_zero)
    }

    /// Whether a random real that starts with `word` is below e^{−u(u+2kz)/2σ²}.
    #[inline]
    fn accepts(&self, z: u64, u: u64, word: u64, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
        let w = u128::from(u) * (u128::from(u) + 2 * u128::from(self.step) * u128::from(z));
        let threshold = exp::exp_neg_word(self.reciprocal.times(w));
        let below = word < threshold.saturating_sub(exp::ERROR);
        let above = word > threshold.saturating_add(exp::ERROR);
        if below | above { below } else { self.settle(w, word, rng) }
    }

    #[cold]
    fn settle(&self, w: u128, word: u64, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
        let numerator = BigUint::from(w) * self.variance.denominator();
        exact::bernoulli_exp_neg(word, &numerator, &(self.variance.numerator() * 2u8), rng)
    }
}

/// The little-endian word at `offset` of a candidate's bytes.
#[inline]
fn word(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn acceptance_agrees_with_exact_arithmetic_around_the_threshold(
            sigma in 4.5f64..1e12,
            z in 0u64..36,
            part in 0.0f64..1.0,
            offset in -400i64..400,
        ) {
            let law = DiscreteGaussian::new(Variance::of_sigma(sigma).expect("supported"));
            let u = ((part * law.step as f64) as u64).min(law.step - 1);
            let w = u128::from(u) * (u128::from(u) + 2 * u128::from(law.step) * u128::from(z));
            let threshold = exp::exp_neg_word(law.reciprocal.times(w));
            let word = threshold.saturating_add_signed(offset);
            let numerator = BigUint::from(w) * law.variance.denominator();
            let exact = exact::exp_neg(&numerator, &(law.variance.numerator() * 2u8), 192);
            // Where the first 64 bits tie, either may be right: the next bits decide.
            let word_end = BigUint::from(word) + 1u8;
            let surely_below = word_end <= &exact.low >> 128;
            let surely_above = BigUint::from(word) > &exact.high >> 128;
            let accepted = law.accepts(z, u, word, &mut ChaCha20Rng::from_seed([9; 32]));
            prop_assert!(accepted || !surely_below, "{sigma} {z} {u} {offset}");
            prop_assert!(!accepted || !surely_above, "{sigma} {z} {u} {offset}");
        }
    }

    #[test]
    fn a_candidate_of_minus_zero_and_a_biased_word_are_refused() {
        let mut rng = ChaCha20Rng::from_seed([8; 32]);
        let narrow = DiscreteGaussian::new(Variance::of_sigma(1.0).expect("supported"));
        assert_eq!(narrow.candidate(0, 0, 0, &mut rng), (0, true));
        assert_eq!(narrow.candidate(0, 0, 1, &mut rng), (0, false));
        let wide = DiscreteGaussian::new(Variance::of_sigma(12.0).expect("supported"));
        assert_eq!((wide.step, wide.bias), (3, (1u64 << 63) % 3));
        // The words 0 and 1 give u = 0; one of three residues more than the others must go.
        assert!(
            !wide.candidate(u64::MAX / 2, 0, 0, &mut rng).1 && wide.candidate(u64::MAX / 2, 0, 2, &mut rng).1
        );
    }
}
