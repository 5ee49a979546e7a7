//! Chi-square test of discrete Gaussian samples, shared by the tests and by `examples/goodness_of_fit.rs`.

/// The outcome of a test.
#[derive(Debug)]
pub struct Fit {
    /// The chi-square statistic.
    pub statistic: f64,
    /// Degrees of freedom.
    pub freedom: f64,
    /// Probability of a statistic at least as large from honest samples.
    pub p_value: f64,
    /// Sample variance over the stated variance.
    pub variance_ratio: f64,
}

/// Tests `samples` against N_ℤ(0, σ²) in at most `bins` bins of about equal probability.
pub fn chi_square(samples: &[i64], sigma: f64, stated_variance: f64, bins: usize) -> Fit {
    let law = Law::new(sigma);
    let mut edges: Vec<i64> = (1..bins).map(|k| law.quantile(k as f64 / bins as f64)).collect();
    edges.dedup();
    // Bin i holds the integers in (edges[i−1], edges[i]].
    let mut counts = vec![0u64; edges.len() + 1];
    for sample in samples {
        counts[edges.partition_point(|edge| edge < sample)] += 1;
    }
    let total = samples.len() as f64;
    let cumulative: Vec<f64> = edges.iter().map(|&edge| law.cdf(edge)).chain([1.0]).collect();
    let mut statistic = 0.0;
    for (i, count) in counts.iter().enumerate() {
        let before = if i == 0 { 0.0 } else { cumulative[i - 1] };
        let expected = total * (cumulative[i] - before);
        assert!(expected > 5.0, "bin {i} expects only {expected} samples");
        statistic += (*count as f64 - expected).powi(2) / expected;
    }
    let freedom = (counts.len() - 1) as f64;
    let squares: f64 = samples.iter().map(|&x| (x as f64).powi(2)).sum();
    let variance_ratio = squares / total / stated_variance;
    Fit { statistic, freedom, p_value: upper_gamma(0.5 * freedom, 0.5 * statistic), variance_ratio }
}

/// The distribution function of N_ℤ(0, σ²), independent of the library: by summation for small σ, by the midpoint rule
/// with its first correction for large σ.
struct Law {
    sigma: f64,
    /// P[X ≤ x] for x = −reach..=reach; empty for large σ.
    table: Vec<f64>,
    reach: i64,
}

impl Law {
    fn new(sigma: f64) -> Self {
        if sigma > 2000.0 {
            return Self { sigma, table: Vec::new(), reach: 0 };
        }
        let reach = (12.0 * sigma).ceil() as i64 + 2;
        let weights: Vec<f64> = (-reach..=reach).map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let table = weights.iter().map(|w| {
            sum += w / total;
            sum
        });
        Self { sigma, table: table.collect(), reach }
    }

    fn cdf(&self, x: i64) -> f64 {
        if !self.table.is_empty() {
            let index = (x + self.reach).clamp(0, 2 * self.reach) as usize;
            return self.table[index];
        }
        // Σ_{j ≤ x} φ(j) = ∫^{x+1/2} φ − φ'(x+1/2)/24 + …; the next term is of order σ⁻⁴.
        let at = (x as f64 + 0.5) / self.sigma;
        let slope = -at * (-0.5 * at * at).exp() / (2.0 * std::f64::consts::PI).sqrt() / self.sigma.powi(2);
        0.5 * libm::erfc(-at / std::f64::consts::SQRT_2) - slope / 24.0
    }

    fn quantile(&self, p: f64) -> i64 {
        let reach = (12.0 * self.sigma) as i64 + 2;
        let (mut low, mut high) = (-reach, reach);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.cdf(middle) < p { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// Q(a, x), the regularised upper incomplete gamma function.
fn upper_gamma(a: f64, x: f64) -> f64 {
    let front = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-15 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - front * sum;
    }
    // Continued fraction by Lentz's method.
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut value = d;
    for i in 1..10_000 {
        let k = f64::from(i);
        let factor = -k * (k - a);
        b += 2.0;
        d = 1.0 / (factor * d + b);
        c = b + factor / c;
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * value
}
