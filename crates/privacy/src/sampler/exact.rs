//! Exact comparisons: is a uniformly random real below a number known to any precision asked for?
//!
//! A random real is drawn bit by bit. Its first 64 bits nearly always decide; this module goes on where they do not.
//! Nothing here is on the common path, and nothing here uses floating point.

use num_bigint::BigUint;
use rand_core::CryptoRng;

/// Bits drawn at a time.
const WORD: u64 = 64;

/// Precision beyond the bits already drawn, so that a comparison rarely needs a second round.
const GUARD: u64 = 64;

/// A number in [0, 1] times 2^`bits`, bracketed: low ≤ number·2^bits ≤ high.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bracket {
    pub(super) low: BigUint,
    pub(super) high: BigUint,
}

/// The first bits of a uniformly random real in [0, 1).
pub(super) struct RandomReal {
    prefix: BigUint,
    bits: u64,
}

impl RandomReal {
    /// A real whose first 64 bits are `first`.
    pub(super) fn starting(first: u64) -> Self {
        Self { prefix: first.into(), bits: WORD }
    }

    /// Precision at which the next comparison should be made.
    pub(super) fn precision(&self) -> u64 {
        self.bits + GUARD
    }

    /// Whether the real is below the bracketed number, given at [`Self::precision`]; `None` if more bits are needed.
    pub(super) fn below(&self, number: &Bracket) -> Option<bool> {
        let low = &self.prefix << GUARD;
        let high = (&self.prefix + 1u8) << GUARD;
        if high <= number.low {
            Some(true)
        } else if low >= number.high {
            Some(false)
        } else {
            None
        }
    }

    pub(super) fn extend(&mut self, rng: &mut (impl CryptoRng + ?Sized)) {
        self.prefix = (&self.prefix << WORD) | BigUint::from(rng.next_u64());
        self.bits += WORD;
    }
}

/// e^{−numerator/denominator} at precision `bits`.
///
/// The argument is halved until it is below 1/16, the alternating series is summed, and the result is squared back;
/// every step is rounded outwards.
pub(super) fn exp_neg(numerator: &BigUint, denominator: &BigUint, bits: u64) -> Bracket {
    let halvings = (numerator.bits() + 5).saturating_sub(denominator.bits());
    // Each squaring at most doubles the width of the bracket.
    let working = bits + halvings + 32;
    let argument = (numerator << working) / (denominator << halvings);
    let one = BigUint::from(1u8) << working;
    let (mut positive, mut negative) = (one.clone(), BigUint::default());
    let (mut term, mut count) = (one.clone(), 0u32);
    while term.bits() > 0 {
        count += 1;
        term = ((term * &argument) >> working) / count;
        if count % 2 == 1 { negative += &term } else { positive += &term }
    }
    // The truncated argument and each truncated term are off by less than one unit, the cut tail as well.
    let slack = BigUint::from(2 * count + 4);
    let middle = positive - negative;
    let mut low = if middle > slack { &middle - &slack } else { BigUint::default() };
    let mut high = (middle + slack).min(one.clone());
    for _ in 0..halvings {
        low = (&low * &low) >> working;
        high = (((&high * &high) >> working) + 1u8).min(one.clone());
    }
    let drop = working - bits;
    Bracket { low: low >> drop, high: (high >> drop) + 1u8 }
}

/// Whether a uniformly random real that starts with the 64 bits `first` is below e^{−numerator/denominator}.
pub(super) fn bernoulli_exp_neg(
    first: u64,
    numerator: &BigUint,
    denominator: &BigUint,
    rng: &mut (impl CryptoRng + ?Sized),
) -> bool {
    if numerator.bits() == 0 {
        return true;
    }
    let mut real = RandomReal::starting(first);
    loop {
        // e^{−x} is irrational for a fraction x > 0, so the brackets separate after finitely many rounds.
        if let Some(decided) = real.below(&exp_neg(numerator, denominator, real.precision())) {
            return decided;
        }
        real.extend(rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn the_bracket_is_tight_and_holds_the_float_value() {
        for (n, d) in [(0u32, 1u32), (1, 1), (1, 1000), (7, 3), (45, 1), (700, 9)] {
            let bracket = exp_neg(&n.into(), &d.into(), 200);
            assert!(&bracket.high - &bracket.low <= BigUint::from(4u8), "{n}/{d}");
            let leading =
                (&bracket.low >> 100u32).to_string().parse::<f64>().expect("digits") / 2f64.powi(100);
            let exact = (-f64::from(n) / f64::from(d)).exp();
            assert!((leading - exact).abs() < 1e-15 * exact + 1e-29, "{n}/{d}: {leading} {exact}");
        }
    }

    #[test]
    fn brackets_at_two_precisions_agree() {
        let (n, d) = (BigUint::from(123_456_789u64), BigUint::from(33_333_333u64));
        let (fine, coarse) = (exp_neg(&n, &d, 512), exp_neg(&n, &d, 128));
        assert!(&fine.low >> 384u32 >= coarse.low && &fine.high >> 384u32 <= coarse.high);
    }

    #[test]
    fn a_tie_in_the_first_word_is_settled_by_further_bits() {
        let (n, d) = (BigUint::from(1u8), BigUint::from(2u8));
        let tied = (exp_neg(&n, &d, 64).low).iter_u64_digits().next().expect("one word");
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        // The next bits of e^{−1/2} after its first word decide the share of acceptances.
        let fraction = {
            let wide = exp_neg(&n, &d, 128).low;
            (wide - (BigUint::from(tied) << 64u32)).iter_u64_digits().next().expect("one word") as f64
                / 2f64.powi(64)
        };
        let accepted =
            (0..4000).filter(|_| bernoulli_exp_neg(tied, &n, &d, &mut rng)).count() as f64 / 4000.0;
        assert!((accepted - fraction).abs() < 6.0 * 0.5 / 4000f64.sqrt(), "{accepted} {fraction}");
        assert!(
            bernoulli_exp_neg(tied - 2, &n, &d, &mut rng) && !bernoulli_exp_neg(tied + 2, &n, &d, &mut rng)
        );
    }
}
