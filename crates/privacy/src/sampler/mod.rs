//! Exact samples from the discrete Gaussian N_ℤ(0, σ²) of Canonne, Kamath and Steinke 2020.
//!
//! With a step k, a power of two between σ/4 and σ/2, a candidate is x = k·z + u: z ≥ 0 from a cumulative table with probability
//! proportional to e^{−z²k²/2σ²}, u uniform in 0..k, accepted with probability e^{−u(u+2kz)/2σ²}, then a random sign,
//! with −0 refused. The accepted law is exactly the stated one for any step (the method of Ducas et al. 2013).
//!
//! Exact: σ² is a fraction, every decision compares a random real with a number known to any precision. Three stages share the
//! work, and each goes on with more bits of the same reals: `lanes` settles a decision with 16 bits of both and a proven error
//! bound, many candidates at once; what it leaves open (6 of 10 000 candidates) is settled with 64 bits and
//! a proven error bound, one at a time; and where these do not suffice either (below 2^−55) exact arithmetic continues.
//! No floating point decides anything.
//!
//! Time: the first stage costs every candidate the same work whatever its value, and in rejection sampling the number of candidates does
//! not depend on the accepted values. The continuation of an open decision takes longer, and that a decision is open does say something
//! about its value, for the numbers that 16 bits tell apart are coarse in the tail. With σ = 2k a decision is open in 3 of 10 000
//! candidates for z up to 3, in 3.6 % for z = 7 and always for z = 9; with σ = 3.99k in 48 % for z = 16 and always for z = 18. Every draw
//! beyond about 4.5 σ is continued. Who could time single candidates, of which a core decides hundreds of millions a second, would learn which draws
//! are large. No message shows it: noise is drawn in a thread of its own, one step ahead, and nothing that is sent waits for single
//! candidates. So it takes an observer inside the machine, which side channels of the machine are open to in any case.
//!
//! Tests of fit are in `tests/sampler.rs`; the long one, of 10^7 samples a width, runs with
//! `cargo test --release -p tercet-privacy --test sampler -- --ignored`.
//!
//! Samples cost 8 random bytes a candidate, 9 for σ above 2^33. Noise of a training is drawn with [`LocalRng`].

mod check;
mod exact;
mod exp;
mod lanes;
mod local;
mod table;
mod variance;

pub use check::check_variance;
pub use local::LocalRng;
pub use variance::{SIGMA_RANGE, Variance};

use exp::Reciprocal;
use lanes::{BLOCK, LANES, Stage, Tails, Words};
use num_bigint::BigUint;
use rand_core::CryptoRng;
use table::Table;
use tercet_share::kernel::Isa;
use zeroize::{Zeroize, Zeroizing};

/// Blocks of candidates whose randomness is drawn at once: one key stream of a [`LocalRng`].
const BLOCKS: usize = local::STREAM / BLOCK;

/// Candidates of a block that are usually accepted: tells how many blocks to draw for the last samples.
const USUAL: usize = 48;

/// A sampler for one σ. It holds tables only, no secret.
#[derive(Debug, Clone)]
pub struct DiscreteGaussian {
    variance: Variance,
    step_bits: u32,
    table: Table,
    reciprocal: Reciprocal,
    stage: Stage,
}

impl DiscreteGaussian {
    /// A sampler for N_ℤ(0, `variance`).
    pub fn new(variance: Variance) -> Self {
        // Any step gives the same law; this one keeps the table short and acceptance above 0.83. Without a step, for σ below 4, the −0
        // that are refused are what is lost: about 0.56 of the candidates are accepted at σ = 0.5, 0.71 at σ = 1. The comparison is exact,
        // because the error bound of the lanes rests on σ/k ≥ 2.
        let fits = |bits: u32| variance.denominator() << (2 * bits + 2) <= *variance.numerator();
        let step_bits = (1..=lanes::U_BITS).take_while(|&bits| fits(bits)).last().unwrap_or(0);
        let table = Table::new(&variance, 1 << step_bits);
        let reciprocal = Reciprocal::of(&variance);
        let stage = Stage::new(&variance, &table, step_bits);
        Self { variance, step_bits, table, reciprocal, stage }
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

    /// Fills `out` with independent samples, in units. `rng` must be local and secret, see [`LocalRng`].
    pub fn fill(&self, rng: &mut (impl CryptoRng + ?Sized), out: &mut [i64]) {
        self.draw(Isa::best(), rng, out);
    }

    fn draw(&self, isa: Isa, rng: &mut (impl CryptoRng + ?Sized), mut out: &mut [i64]) {
        let mut random = Zeroizing::new(Random { blocks: [0; BLOCKS * BLOCK], tails: [[0; LANES]; BLOCKS] });
        let mut z = Zeroizing::new([0u16; LANES]);
        let mut last = Zeroizing::new([0i64; LANES]);
        while !out.is_empty() {
            let wanted = BLOCKS.min(out.len().div_ceil(USUAL));
            rng.fill_bytes(&mut random.blocks[..wanted * BLOCK]);
            if self.stage.long() {
                rng.fill_bytes(random.tails[..wanted].as_flattened_mut());
            }
            let blocks = random.blocks.as_chunks::<BLOCK>().0;
            for (block, tails) in blocks.iter().zip(&random.tails).take(wanted) {
                let mut decided = self.stage.decide(isa, block, &mut z);
                let mut open = decided.undecided;
                while open != 0 {
                    let lane = open.trailing_zeros() as usize;
                    let kept = self.candidate(lanes::words(block, tails, lane), rng, &mut z[lane]);
                    decided.kept |= u64::from(kept) << lane;
                    open &= open - 1;
                }
                let values = |to: &mut _| self.stage.values(isa, block, tails, &z, decided.kept, to);
                let count = match out.first_chunk_mut() {
                    Some(to) => values(to),
                    None => {
                        let count = values(&mut last).min(out.len());
                        out[..count].copy_from_slice(&last[..count]);
                        count
                    }
                };
                out = &mut std::mem::take(&mut out)[count..];
            }
        }
    }

    /// `count` samples, wiped when dropped.
    pub fn samples(&self, rng: &mut (impl CryptoRng + ?Sized), count: usize) -> Zeroizing<Vec<i64>> {
        let mut out = Zeroizing::new(vec![0; count]);
        self.fill(rng, &mut out);
        out
    }

    /// Adds one sample to every element of `share`, modulo 2^64.
    pub fn add_to(&self, rng: &mut (impl CryptoRng + ?Sized), share: &mut [u64]) {
        let samples = self.samples(rng, share.len());
        share.iter_mut().zip(samples.iter()).for_each(|(to, sample)| *to = to.wrapping_add_signed(*sample));
    }

    /// Draws z of one candidate, and whether it is accepted, with more random bits for what 16 bits do not decide.
    #[cold]
    fn candidate(&self, words: Words, rng: &mut (impl CryptoRng + ?Sized), z: &mut u16) -> bool {
        let mut longer = |first: u16| u64::from(first) << 48 | rng.next_u64() >> 16;
        let (table_word, accept_word) = (longer(words.table), longer(words.accept));
        let draw = self.table.draw(table_word);
        let found = if draw.tie { self.table.settle(table_word, rng) } else { draw.z };
        // Below 48 even beyond the table.
        *z = found as u16;
        self.accepts(found, words.u >> (lanes::U_BITS - self.step_bits), accept_word, rng)
    }

    /// Whether a random real that starts with `word` is below e^{−u(u+2kz)/2σ²}.
    fn accepts(&self, z: u64, u: u64, word: u64, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
        let w = u128::from(u) * (u128::from(u) + (u128::from(z) << (self.step_bits + 1)));
        // Without a step u is 0 and there is nothing to compare. The 64-bit bound holds for every z of the table.
        if self.step_bits > 0 && z <= self.table.reach() {
            let threshold = exp::exp_neg_word(self.reciprocal.times(w));
            let below = word < threshold.saturating_sub(exp::ERROR);
            let above = word > threshold.saturating_add(exp::ERROR);
            if below | above {
                return below;
            }
        }
        self.settle(w, word, rng)
    }

    #[cold]
    fn settle(&self, w: u128, word: u64, rng: &mut (impl CryptoRng + ?Sized)) -> bool {
        let numerator = BigUint::from(w) * self.variance.denominator();
        exact::bernoulli_exp_neg(word, &numerator, &(self.variance.numerator() * 2u8), rng)
    }
}

/// Random bytes of blocks of candidates, at an address that the generator can write words to.
#[derive(Zeroize)]
#[repr(C, align(64))]
struct Random {
    blocks: [u8; BLOCKS * BLOCK],
    tails: [Tails; BLOCKS],
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn law(sigma: f64) -> DiscreteGaussian {
        DiscreteGaussian::new(Variance::of_sigma(sigma).expect("supported"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn acceptance_agrees_with_exact_arithmetic_around_the_threshold(
            sigma in 4.5f64..1e12,
            z in 0u64..30,
            part in 0.0f64..1.0,
            offset in -400i64..400,
        ) {
            let law = law(sigma);
            let step = 1u64 << law.step_bits;
            let u = ((part * step as f64) as u64).min(step - 1);
            let w = u128::from(u) * (u128::from(u) + 2 * u128::from(step) * u128::from(z));
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
    fn the_step_is_the_power_of_two_that_the_error_bounds_rest_on() {
        let last = SIGMA_RANGE.1;
        for (sigma, bits) in
            [(0.125, 0), (3.999_999, 0), (4.0, 1), (7.999_999, 1), (8.0, 2), (1e6, 18), (last, 39)]
        {
            assert_eq!(law(sigma).step_bits, bits, "{sigma}");
        }
        // Two steps or more, and less than four: exactly.
        for (numerator, denominator, bits) in [(64, 1, 2), (63, 1, 1), (u64::MAX, 1 << 58, 1), (16, 1, 1)] {
            let variance = Variance::ratio(numerator, denominator).expect("supported");
            assert_eq!(DiscreteGaussian::new(variance).step_bits, bits, "{numerator}/{denominator}");
        }
    }

    #[test]
    fn every_instruction_set_draws_the_same_samples() {
        for sigma in [0.125, 0.7, 3.0, 4.0, 1e3, 3e9, SIGMA_RANGE.1] {
            let law = law(sigma);
            let samples = |isa| {
                let mut out = vec![0; 5000];
                law.draw(isa, &mut ChaCha20Rng::from_seed([4; 32]), &mut out);
                out
            };
            let expected = samples(Isa::Portable);
            for isa in Isa::available() {
                assert_eq!(samples(isa), expected, "{sigma} {isa:?}");
            }
        }
    }
}
