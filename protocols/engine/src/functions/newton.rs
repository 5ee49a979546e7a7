//! Where a Newton step for a reciprocal starts: a polynomial on an interval.

use tercet_share::Ring;

use super::{
    finish,
    fit::{fit, pow2},
    pieces::{encodable, join},
};
use crate::{Engine, EngineError};

/// Fractional bits of the polynomial: |r| ≤ 1 + error must stay below the truncation's range.
const FRAC: u32 = 60;

/// Largest error of use: one Newton step leaves its square, half of which either way is 2^−11.
const LARGEST_ERROR: f64 = 1.0 / 32.0;

/// A polynomial that approximates 1/S on 1 ≤ S ≤ `most` well enough for one Newton step.
pub(super) struct Start {
    /// Fractional bits of S as its variable.
    pub(super) frac_sum: u32,
    /// Bound of |1 − S·r|, rounding of S included.
    pub(super) error: f64,
    coefficients: Vec<f64>,
}

impl Start {
    /// The best of degrees 2 to 7 and of 5 to 12 fractional bits; `None` if none is good enough.
    ///
    /// A high degree needs a coarse variable: the product of the two must stay below 60.
    pub(super) fn new(most: f64) -> Option<Start> {
        let mut choices: Vec<(f64, usize, u32)> = (2..=7usize)
            .flat_map(|degree| (5..=12u32).map(move |frac_sum| (degree, frac_sum)))
            .filter(|&(degree, frac_sum)| degree as u32 * frac_sum <= FRAC)
            .map(|(degree, frac_sum)| (ideal_error(most, degree, frac_sum), degree, frac_sum))
            .filter(|(ideal, ..)| *ideal < LARGEST_ERROR)
            .collect();
        choices.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best: Option<Start> = None;
        for (ideal, degree, frac_sum) in choices {
            let reached = best.as_ref().map_or(LARGEST_ERROR, |b| b.error);
            if ideal >= reached {
                break;
            }
            if let Some(start) = Start::fitted(most, degree, frac_sum).filter(|s| s.error < reached) {
                best = Some(start);
            }
        }
        best
    }

    /// The polynomial of the smallest largest |1 − S·r| is (1 − T(t(S)) / T(t(0))) / S, with T of Chebyshev and degree one more, and t
    /// mapping [1, most] to [1, −1]. Fitting it to the grid adds the grid's error.
    fn fitted(most: f64, degree: usize, frac_sum: u32) -> Option<Start> {
        let at_zero = chebyshev(degree + 1, centred(most, 0.0));
        let minimax = |s: f64| (1.0 - chebyshev(degree + 1, centred(most, s)) / at_zero) / s;
        let fitted = fit(&minimax, &|s| s, (1.0, most), degree, frac_sum, FRAC);
        let error = ideal_error(most, degree, frac_sum) + fitted.worst;
        encodable(std::slice::from_ref(&fitted.coefficients), frac_sum, FRAC).then_some(Start {
            frac_sum,
            error,
            coefficients: fitted.coefficients,
        })
    }

    /// r ≈ 1/S with `frac` fractional bits in the full ring. Two rounds.
    pub(super) fn evaluate<E: Engine>(
        &self,
        engine: &mut E,
        sum: &E::Masked,
        frac: u32,
    ) -> Result<E::Masked, EngineError> {
        let r = join(engine, sum, &[], std::slice::from_ref(&self.coefficients), FRAC)?;
        finish(engine, &r, frac, Ring::FULL)
    }
}

/// T_n(t) of Chebyshev.
fn chebyshev(n: usize, t: f64) -> f64 {
    let (mut now, mut next) = (1.0, t);
    for _ in 0..n {
        (now, next) = (next, 2.0 * t * next - now);
    }
    now
}

/// Maps 1 ≤ s ≤ most to 1 ≥ t ≥ −1.
fn centred(most: f64, s: f64) -> f64 {
    (most + 1.0 - 2.0 * s) / (most - 1.0)
}

/// Error of the minimax polynomial, and that of rounding S: off by one unit, or a little more on shares.
fn ideal_error(most: f64, degree: usize, frac_sum: u32) -> f64 {
    1.0 / chebyshev(degree + 1, centred(most, 0.0)) + pow2(-(frac_sum as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_error_covers_the_polynomial_for_a_rounded_sum() {
        for most in [3.0, 5.0, 10.0] {
            let start = Start::new(most).unwrap();
            let unit = pow2(-(start.frac_sum as i32));
            let steps = ((most - 1.0) / unit) as usize;
            for k in 0..=steps {
                let s = 1.0 + k as f64 * unit;
                let r = start.coefficients.iter().rev().fold(0.0, |y, c| y * s + c);
                for exact in [s - unit, s + unit] {
                    let error = (1.0 - exact * r).abs();
                    // The bound is made for roundings of relative size unit / s, and r is at most 1.
                    assert!(
                        error <= start.error + 1e-3,
                        "{error} instead of {} at {s} of {most}",
                        start.error
                    );
                }
            }
        }
    }

    #[test]
    fn an_interval_too_wide_for_one_step_is_refused() {
        assert!(Start::new(10.0).is_some());
        assert!(Start::new(40.0).is_none());
    }
}
