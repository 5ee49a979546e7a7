//! The narrow half of the sampler: z ≥ 0 with probability proportional to e^{−z²k²/2σ²}, by a cumulative table.
//!
//! The table holds the first 64 bits of each cumulative probability. One random word is compared with all of them,
//! without branches; only if it equals an entry (below 2^−58 a draw) are more bits of both needed.

use super::exact::{Bracket, RandomReal, exp_neg};
use super::variance::Variance;
use num_bigint::BigUint;
use rand_core::CryptoRng;

/// A cumulative table of a half-Gaussian of step k.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// ⌊2^64·P[z ≤ j]⌋ for j = 0, 1, …; the last entry is 2^64 − 1.
    thresholds: Vec<u64>,
    /// k²/2σ² as a fraction.
    numerator: BigUint,
    denominator: BigUint,
}

/// A draw from the table.
pub(super) struct Draw {
    /// z, if `tie` is false.
    pub(super) z: u64,
    /// Whether the word equals a threshold, so that only [`Table::settle`] knows z.
    pub(super) tie: bool,
}

impl Table {
    pub(super) fn new(variance: &Variance, step: u64) -> Self {
        let numerator = variance.denominator() * step * step;
        let denominator = variance.numerator() * 2u8;
        let mut table = Self { thresholds: Vec::new(), numerator, denominator };
        // Cumulative probabilities are irrational: some precision tells their first words.
        let mut bits = 192;
        while table.thresholds.is_empty() {
            let first_words = |c: &Bracket| {
                let low: BigUint = &c.low >> (bits - 64);
                let high: BigUint = (&c.high - 1u8) >> (bits - 64);
                (low == high).then(|| low.iter_u64_digits().next().unwrap_or(0))
            };
            if let Some(words) = table.cumulative(bits).iter().map(first_words).collect::<Option<Vec<u64>>>()
            {
                let end = words.iter().position(|&word| word == u64::MAX).unwrap_or(words.len() - 1);
                table.thresholds = words[..=end].to_vec();
            }
            bits *= 2;
        }
        table
    }

    /// z for a random word: the number of thresholds below it. The same work for every word.
    #[inline]
    pub(super) fn draw(&self, word: u64) -> Draw {
        let (mut z, mut ties) = (0u64, 0u64);
        for &threshold in &self.thresholds {
            z += u64::from(threshold < word);
            ties |= u64::from(threshold == word);
        }
        Draw { z, tie: ties != 0 }
    }

    /// z for a random real that starts with `word`, by exact comparison.
    #[cold]
    pub(super) fn settle(&self, word: u64, rng: &mut (impl CryptoRng + ?Sized)) -> u64 {
        let mut real = RandomReal::starting(word);
        loop {
            let decisions: Vec<Option<bool>> =
                self.cumulative(real.precision()).iter().map(|threshold| real.below(threshold)).collect();
            // z is settled once the real is surely at or above the entry before and surely below its own.
            if let Some(z) = decisions.iter().position(|&decision| decision != Some(false))
                && decisions[z] == Some(true)
            {
                return z as u64;
            }
            real.extend(rng);
        }
    }

    /// P[z ≤ j] for j = 0, 1, …, until what is left is below the precision of `bits`.
    fn cumulative(&self, bits: u64) -> Vec<Bracket> {
        let working = bits + 32;
        let mut sums: Vec<Bracket> = Vec::new();
        let mut total = Bracket { low: BigUint::default(), high: BigUint::default() };
        let mut z = 0u64;
        loop {
            let weight = exp_neg(&(&self.numerator * z * z), &self.denominator, working);
            // From here on weights fall by more than half each, so all later ones together are below twice this one.
            let falling = &self.numerator * (2 * z + 1) >= self.denominator;
            if falling && weight.low.bits() == 0 {
                total.high += weight.high * 2u8;
                break;
            }
            total.low += weight.low;
            total.high += weight.high;
            sums.push(total.clone());
            z += 1;
        }
        let one = BigUint::from(1u8) << bits;
        let share = |sum: Bracket| Bracket {
            low: (sum.low << bits) / &total.high,
            high: ((sum.high << bits) / &total.low + 1u8).min(one.clone()),
        };
        sums.into_iter().map(share).collect()
    }

    /// The largest z that a draw without a tie gives.
    pub(super) fn reach(&self) -> u64 {
        self.thresholds.len() as u64
    }

    /// ⌊2^64·P[z ≤ j]⌋ for j = 0, 1, …
    pub(super) fn thresholds(&self) -> &[u64] {
        &self.thresholds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn table(sigma: f64, step: u64) -> Table {
        Table::new(&Variance::of_sigma(sigma).expect("valid"), step)
    }

    #[test]
    fn thresholds_are_the_cumulative_probabilities() {
        for (sigma, step) in [(0.125, 1), (0.5, 1), (3.7, 1), (1000.0, 250)] {
            let table = table(sigma, step);
            let weight = |z: usize| (-(z as f64 * step as f64 / sigma).powi(2) / 2.0).exp();
            let total: f64 = (0..200).map(weight).sum();
            let mut sum = 0.0;
            for (z, threshold) in table.thresholds().iter().enumerate() {
                sum += weight(z);
                assert!((*threshold as f64 / 2f64.powi(64) - sum / total).abs() < 1e-14, "{sigma} {z}");
            }
            assert_eq!(table.thresholds().last(), Some(&u64::MAX));
            assert!(table.thresholds().len() < 48);
        }
    }

    #[test]
    fn words_off_the_thresholds_settle_to_the_drawn_value() {
        let table = table(3.7, 1);
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for &threshold in table.thresholds() {
            for word in [threshold.saturating_sub(1), threshold.saturating_add(1)] {
                let draw = table.draw(word);
                assert_eq!(draw.tie, table.thresholds().contains(&word), "{word}");
                if !draw.tie {
                    assert_eq!(table.settle(word, &mut rng), draw.z);
                }
            }
        }
    }

    #[test]
    fn a_tie_goes_to_both_neighbours_and_the_last_one_beyond_the_table() {
        let table = table(0.7, 1);
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let tied = table.thresholds()[0];
        assert!(table.draw(tied).tie);
        let mut seen = [0; 2];
        for _ in 0..200 {
            seen[table.settle(tied, &mut rng) as usize] += 1;
        }
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
        let last = table.thresholds().len() as u64 - 1;
        let furthest = (0..200).map(|_| table.settle(u64::MAX, &mut rng)).max();
        assert!(furthest >= Some(last), "{furthest:?}");
    }
}
