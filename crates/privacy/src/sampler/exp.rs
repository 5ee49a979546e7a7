//! e^{−γ} in 64-bit fixed point with a proven error, without branches or lookups that depend on γ.

use super::variance::Variance;
use num_bigint::BigUint;

/// |computed − e^{−γ}·2^64| is at most this for γ < 8: 32 from the argument (two units of 2^−60), the rest rounding.
pub(super) const ERROR: u64 = 128;

/// Fractional bits of γ.
const ARGUMENT_BITS: u32 = 60;

/// 1/(2σ²) as `mantissa·2^−exponent`, the mantissa rounded down to 64 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reciprocal {
    mantissa: u64,
    /// exponent − [`ARGUMENT_BITS`]: the shift that turns mantissa·w into γ at 60 fractional bits.
    shift: u32,
}

impl Reciprocal {
    /// For σ of at least 2, so that the shift is positive.
    pub(super) fn of(variance: &Variance) -> Self {
        let (numerator, denominator) = (variance.denominator(), variance.numerator() * 2u8);
        // The quotient at this exponent has 64 or 65 bits.
        let mut exponent = denominator.bits() + 64 - numerator.bits();
        let mut mantissa: BigUint = (numerator << exponent) / &denominator;
        while mantissa.bits() > 64 {
            mantissa >>= 1u8;
            exponent -= 1;
        }
        let mantissa = mantissa.iter_u64_digits().next().unwrap_or(0);
        Self { mantissa, shift: (exponent as u32).saturating_sub(ARGUMENT_BITS) }
    }

    /// γ = w/(2σ²) at 60 fractional bits, for γ < 8. The true value is in [returned, returned + 2).
    #[inline]
    pub(super) fn times(self, w: u128) -> u64 {
        let (high, low) = ((w >> 64) as u64, w as u64);
        let low_product = u128::from(low) * u128::from(self.mantissa);
        let top = u128::from(high) * u128::from(self.mantissa) + (low_product >> 64);
        let bottom = low_product as u64;
        // The shift is public: it depends on σ alone.
        if self.shift >= 64 {
            (top >> (self.shift - 64)) as u64
        } else {
            (top << (64 - self.shift)) as u64 | (bottom >> self.shift)
        }
    }
}

/// 2^{−j/8}·2^63 for j = 0..8, rounded.
const EIGHTH_ROOTS: [u64; 8] = [
    0x8000000000000000,
    0x75606373ee921c97,
    0x6ba27e656b4eb57a,
    0x62b39508aa836d6f,
    0x5a827999fcef3242,
    0x52ff6b54d8a89c75,
    0x4c1bf828c6dc54b8,
    0x45cae0f1f545eb73,
];

/// ⌊8/ln 2 · 2^60⌋.
const STEPS_PER_UNIT: u64 = 0xb8aa3b295c17f0bb;

/// ⌊ln 2 / 8 · 2^72⌋.
const STEP: u128 = 0x162e42fefa39ef3579;

/// 2^63/i! for i = 0..=12, rounded.
const INVERSE_FACTORIALS: [u64; 13] = [
    0x8000000000000000,
    0x8000000000000000,
    0x4000000000000000,
    0x1555555555555555,
    0x0555555555555555,
    0x0111111111111111,
    0x002d82d82d82d82e,
    0x0006806806806807,
    0x0000d00d00d00d01,
    0x0000171de3a556c7,
    0x0000024fc9f6ef14,
    0x00000035cc8acfeb,
    0x000000047bb63bfe,
];

/// e^{−γ}·2^64 to within [`ERROR`], at most 2^64 − 1; `argument` is γ at 60 fractional bits, below 8.
#[inline]
pub(super) fn exp_neg_word(argument: u64) -> u64 {
    // γ = steps·(ln 2)/8 + rest, with 0 ≤ rest < 2·(ln 2)/8 whatever the rounding of the quotient.
    let steps = ((u128::from(argument) * u128::from(STEPS_PER_UNIT)) >> (2 * ARGUMENT_BITS)) as u64;
    let rest = ((u128::from(argument) << 4) - ((u128::from(steps) * STEP) >> 8)) as u64;
    // The alternating series by Horner's rule, at 63 fractional bits.
    let mut series = INVERSE_FACTORIALS[12];
    for coefficient in INVERSE_FACTORIALS[..12].iter().rev() {
        series = coefficient - ((u128::from(series) * u128::from(rest)) >> 64) as u64;
    }
    // A scan with masks, so that the table access does not depend on γ.
    let (whole, eighth) = (steps >> 3, steps & 7);
    let mut root = 0;
    for (j, word) in (0u64..).zip(EIGHTH_ROOTS) {
        root |= word & u64::from(j == eighth).wrapping_neg();
    }
    let product = (u128::from(series) * u128::from(root)) >> (62 + whole);
    u64::try_from(product).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::exact::exp_neg;
    use proptest::prelude::*;

    fn error(argument: u64) -> u64 {
        let exact = exp_neg(&argument.into(), &(1u64 << ARGUMENT_BITS).into(), 64);
        let exact = exact
            .low
            .iter_u64_digits()
            .next()
            .unwrap_or(0)
            .max(u64::from(exact.low.bits() > 64).wrapping_neg());
        exact.abs_diff(exp_neg_word(argument))
    }

    proptest! {
        #[test]
        fn the_word_is_within_a_quarter_of_its_stated_error(argument in 0u64..8 << ARGUMENT_BITS) {
            prop_assert!(error(argument) <= ERROR / 4, "{}", error(argument));
        }

        #[test]
        fn the_argument_is_within_two_units(w in 0u128..1 << 83, sigma in 2.0f64..1e12) {
            let variance = Variance::of_sigma(sigma).expect("valid");
            let exact = ((BigUint::from(w) * variance.denominator()) << ARGUMENT_BITS) / (variance.numerator() * 2u8);
            prop_assume!(exact.bits() <= 63);
            let exact = exact.iter_u64_digits().next().unwrap_or(0);
            let found = Reciprocal::of(&variance).times(w);
            prop_assert!(found <= exact && exact - found < 2, "{found} {exact}");
        }
    }

    #[test]
    fn the_edges_of_every_reduction_step_are_within_the_error() {
        let step = std::f64::consts::LN_2 / 8.0 * 2f64.powi(ARGUMENT_BITS as i32);
        for k in 0..92 {
            let at = (f64::from(k) * step) as u64;
            for argument in [at.saturating_sub(300), at.saturating_sub(1), at, at + 1, at + 300] {
                assert!(error(argument) <= ERROR / 4, "{k} {}", error(argument));
            }
        }
        assert_eq!(exp_neg_word(0), u64::MAX);
    }
}
