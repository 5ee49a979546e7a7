//! Polynomials fitted to the integer grid that a fixed-point polynomial has.
//!
//! With `frac` fractional bits in the result and `frac_x` in the variable, the coefficient of x^i has `frac − i · frac_x`
//! fractional bits. Rounding each coefficient of a real fit on its own would lose much: x^3 is large. Here the leading
//! coefficient is found and rounded first, and the others are fitted to what it leaves, so that lower powers take up most of
//! its rounding error.

/// Sample points of a fit.
const NODES: usize = 64;

/// A fitted polynomial.
pub(super) struct Fit {
    /// Coefficients, constant first; exact multiples of their grids.
    pub(super) coefficients: Vec<f64>,
    /// Largest weighted error at the sample points.
    pub(super) worst: f64,
}

/// 2^n, exact. `n` must be within the normal range of `f64`, −1022 to 1023.
pub(super) fn pow2(n: i32) -> f64 {
    f64::from_bits(((1023 + i64::from(n)).clamp(1, 2046) as u64) << 52)
}

/// Fits a polynomial of `degree` to `f` on `lo ≤ x ≤ hi`, with weight `weight` on the error.
///
/// Weighted least squares on points that gather at the ends as those of Chebyshev do, which is close to the smallest largest
/// error. Orthogonal polynomials on the points by Forsythe's recurrence (J. SIAM 5, 1957) give the leading coefficient of
/// each degree in turn. Powers of x above `frac / frac_x` have no grid and are left out.
pub(super) fn fit(
    f: &dyn Fn(f64) -> f64,
    weight: &dyn Fn(f64) -> f64,
    (lo, hi): (f64, f64),
    degree: usize,
    frac_x: u32,
    frac: u32,
) -> Fit {
    let half = (hi - lo) / 2.0;
    let middle = (hi + lo) / 2.0;
    // u(3 − u²)/2 has zero slope at ±1, as the cosine has.
    let t: Vec<f64> = (0..NODES)
        .map(|k| {
            let u = (2 * k + 1) as f64 / NODES as f64 - 1.0;
            u * (3.0 - u * u) / 2.0
        })
        .collect();
    let x: Vec<f64> = t.iter().map(|t| middle + half * t).collect();
    let weights: Vec<f64> = x.iter().map(|&x| weight(x)).collect();
    let squared: Vec<f64> = weights.iter().map(|w| w * w).collect();
    let inner = |a: &[f64], b: &[f64]| -> f64 { (0..NODES).map(|k| squared[k] * a[k] * b[k]).sum() };

    let degree = frac.checked_div(frac_x).map_or(degree, |most| degree.min(most as usize));
    let basis = orthogonal(&t, degree, &inner);

    let mut rest: Vec<f64> = x.iter().map(|&x| f(x)).collect();
    let mut coefficients = vec![0.0; degree + 1];
    for (i, p) in basis.iter().enumerate().rev() {
        let mut leading = inner(&rest, p) / inner(p, p);
        for _ in 0..i {
            leading /= half;
        }
        let grid = pow2(frac as i32 - i as i32 * frac_x as i32);
        let rounded = (leading * grid).round() / grid;
        coefficients[i] = rounded;
        for (r, &x) in rest.iter_mut().zip(&x) {
            *r -= rounded * power(x, i);
        }
    }
    let worst = rest.iter().zip(&weights).map(|(r, w)| r.abs() * w).fold(0.0, f64::max);
    Fit { coefficients, worst }
}

/// Polynomials of degree 0 to `degree`, orthogonal on the points `t`, with leading coefficient 1.
fn orthogonal(t: &[f64], degree: usize, inner: &dyn Fn(&[f64], &[f64]) -> f64) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = vec![vec![1.0; t.len()]];
    for i in 0..degree {
        let p = &basis[i];
        let norm = inner(p, p);
        let tp: Vec<f64> = t.iter().zip(p).map(|(t, p)| t * p).collect();
        let a = inner(&tp, p) / norm;
        let mut next: Vec<f64> = tp.iter().zip(p).map(|(tp, p)| tp - a * p).collect();
        if i > 0 {
            let before = &basis[i - 1];
            let b = norm / inner(before, before);
            for (n, q) in next.iter_mut().zip(before) {
                *n -= b * q;
            }
        }
        basis.push(next);
    }
    basis
}

/// x^i by repeated multiplication: the same bits on every machine, which `f64::powi` does not promise.
pub(super) fn power(x: f64, i: usize) -> f64 {
    (0..i).fold(1.0, |p, _| p * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(c: &[f64], x: f64) -> f64 {
        c.iter().rev().fold(0.0, |y, c| y * x + c)
    }

    #[test]
    fn a_cubic_on_the_grid_is_found_exactly() {
        let target = |x: f64| 0.5 - 1.25 * x + 0.125 * x * x + 2.0 * x * x * x;
        let found = fit(&target, &|_| 1.0, (-3.0, 5.0), 3, 16, 56);
        assert_eq!(found.coefficients.len(), 4);
        for (c, want) in found.coefficients.iter().zip([0.5, -1.25, 0.125, 2.0]) {
            assert!((c - want).abs() < 1e-9, "{c} instead of {want}");
        }
    }

    #[test]
    fn lower_powers_absorb_the_rounding_of_the_leading_one() {
        // With 16 bits in x and 50 in the result, the cube has a grid of 1/4: alone, its rounding error on [0, 2] would be up to 1.
        let found = fit(&libm::exp, &|_| 1.0, (0.0, 2.0), 3, 16, 50);
        assert_eq!(found.coefficients[3] % 0.25, 0.0);
        let worst = (0..=1000)
            .map(|k| k as f64 / 500.0)
            .map(|x| (value(&found.coefficients, x) - libm::exp(x)).abs())
            .fold(0.0, f64::max);
        assert!(worst < 0.05, "error {worst}");
        assert!((worst - found.worst).abs() < 0.2 * worst, "the fit reports {} for {worst}", found.worst);
    }

    #[test]
    fn powers_without_a_grid_are_left_out() {
        let found = fit(&libm::exp, &|_| 1.0, (0.0, 1.0), 3, 16, 40);
        assert_eq!(found.coefficients.len(), 3);
    }

    #[test]
    fn powers_of_two_are_exact() {
        for n in [-60, -1, 0, 1, 62] {
            assert_eq!(pow2(n), f64::from(n).exp2());
        }
    }
}
