//! The normal distribution in log space and differences of its distribution function, accurate in both tails.

use std::f64::consts::{LN_2, PI, SQRT_2};

/// Below this argument the asymptotic series of the normal tail is used.
const SERIES_BELOW: f64 = -12.0;

/// Φ(x), the standard normal distribution function.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// ln Φ(x), accurate in the far lower tail where Φ underflows.
pub(crate) fn ln_normal_cdf(x: f64) -> f64 {
    if x > 0.0 {
        return (-0.5 * libm::erfc(x / SQRT_2)).ln_1p();
    }
    if x > SERIES_BELOW {
        return normal_cdf(x).ln();
    }
    // Φ(x) = φ(x)/|x| · (1 − 1/x² + 3/x⁴ − …); eight terms leave less than 1e-11 at x = −12.
    let inverse_square = 1.0 / (x * x);
    let (mut term, mut sum) = (1.0, 1.0);
    for odd in [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0] {
        term *= -odd * inverse_square;
        sum += term;
    }
    -0.5 * x * x - 0.5 * (2.0 * PI).ln() - (-x).ln() + f64::ln(sum)
}

/// ln erfc(x).
pub(crate) fn ln_erfc(x: f64) -> f64 {
    LN_2 + ln_normal_cdf(-x * SQRT_2)
}

/// Φ(b) − Φ(a) for a ≤ b, taken in the tail where the subtraction loses least.
pub(crate) fn normal_mass(a: f64, b: f64) -> f64 {
    let mass = if a >= 0.0 {
        0.5 * (libm::erfc(a / SQRT_2) - libm::erfc(b / SQRT_2))
    } else if b <= 0.0 {
        0.5 * (libm::erfc(-b / SQRT_2) - libm::erfc(-a / SQRT_2))
    } else {
        0.5 * (libm::erf(b / SQRT_2) - libm::erf(a / SQRT_2))
    };
    mass.max(0.0)
}

/// The z ≥ 0 with Φ(−z) ≤ tail, rounded up by less than 1e-6. `tail` may be as small as 1e-300.
pub(crate) fn normal_quantile_above(tail: f64) -> f64 {
    let target = tail.ln();
    let (mut low, mut high) = (0.0, 40.0);
    while high - low > 1e-6 {
        let middle = 0.5 * (low + high);
        if ln_normal_cdf(-middle) > target { low = middle } else { high = middle }
    }
    high
}

/// ln(eᵃ + eᵇ).
pub(crate) fn ln_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// ln of the absolute value of the binomial coefficient over n, for a real n and an integer k ≥ 0.
pub(crate) fn ln_binomial(n: f64, k: f64) -> f64 {
    libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0)
}

/// ln P[Binomial(n, q) ≥ k], summed in log space from the smaller side: about 11·√n terms at most.
pub(crate) fn ln_binomial_tail(n: u64, q: f64, k: u64) -> f64 {
    if k == 0 || q >= 1.0 {
        return if k > n { f64::NEG_INFINITY } else { 0.0 };
    }
    let term = |j: u64| ln_binomial(n as f64, j as f64) + j as f64 * q.ln() + (n - j) as f64 * (-q).ln_1p();
    // Away from the mode the terms fall; 60 e-folds below the sum they no longer count.
    let sum = |terms: &mut dyn Iterator<Item = u64>| {
        let mut sum = f64::NEG_INFINITY;
        for value in terms.map(term) {
            sum = ln_add(sum, value);
            if value < sum - 60.0 {
                break;
            }
        }
        sum
    };
    if k as f64 > n as f64 * q {
        sum(&mut (k..=n)).min(0.0)
    } else {
        let below = sum(&mut (0..k).rev()).min(0.0);
        (-below.exp()).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tail_joins_its_two_formulas_and_matches_known_values() {
        for x in [-11.9, -12.1] {
            let series = ln_normal_cdf(x);
            assert!((series - normal_cdf(x).ln()).abs() < 1e-9, "{x}: {series}");
        }
        // Φ(−20) = 2.753624118606233e-89 and Φ(−40) = 3.655893540915e-350, from a 50-digit calculation.
        assert!((ln_normal_cdf(-20.0) - 2.753624118606233e-89f64.ln()).abs() < 1e-11);
        assert!((ln_normal_cdf(-40.0) - (3.655893540915f64.ln() - 350.0 * 10f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn masses_keep_their_relative_accuracy_in_both_tails() {
        let upper = normal_mass(9.0, 9.5);
        let lower = normal_mass(-9.5, -9.0);
        assert_eq!(upper, lower);
        assert!((upper / (1.1285884059538407e-19 - 1.0494515075362604e-21) - 1.0).abs() < 1e-12);
        assert!((normal_mass(-1.0, 1.0) - 0.6826894921370859).abs() < 1e-15);
    }

    #[test]
    fn the_binomial_tail_matches_a_direct_sum() {
        // P[Bin(10, 0.3) ≥ 5] = 0.1502683326.
        assert!((ln_binomial_tail(10, 0.3, 5).exp() - 0.1502683326).abs() < 1e-10);
        // P[Bin(10, 0.3) ≥ 2] = 0.8506916541, from the other side.
        assert!((ln_binomial_tail(10, 0.3, 2).exp() - 0.8506916541).abs() < 1e-10);
        assert_eq!(ln_binomial_tail(10, 0.3, 11), f64::NEG_INFINITY);
        assert!((ln_binomial_tail(1 << 32, 0.5, 1 << 31).exp() - 0.5).abs() < 1e-4);
        assert_eq!(ln_binomial_tail(1 << 32, 0.5, 1), 0.0);
        assert_eq!(ln_binomial_tail(10, 0.3, 0), 0.0);
    }

    #[test]
    fn the_quantile_is_on_the_safe_side() {
        for tail in [0.1, 1e-5, 1e-20, 1e-100] {
            let z = normal_quantile_above(tail);
            assert!(ln_normal_cdf(-z) <= tail.ln() && ln_normal_cdf(-(z - 1e-5)) > tail.ln());
        }
    }
}
