//! Goodness of fit and speed of the discrete Gaussian sampler at 10^7 samples a width (or as many as the argument says).
//!
//! `cargo run --release -p tercet-privacy --example goodness_of_fit`. Seeds come from the operating system, so the
//! p-values differ from run to run; below 1e-4 in more than one row of a run is a failure.

#![allow(clippy::print_stdout)]

#[path = "../tests/goodness/mod.rs"]
mod goodness;

use goodness::chi_square;
use std::time::Instant;
use tercet_privacy::sampler::{DiscreteGaussian, LocalRng, Variance};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse::<usize>())?;
    println!(
        "{:>10} {:>12} {:>12} {:>6} {:>10} {:>12} {:>14}",
        "sigma", "samples", "chi-square", "dof", "p", "var ratio", "samples/s"
    );
    for sigma in [0.5, 1.0, 3.7, 100.0, 1e4, 1e6] {
        let law = DiscreteGaussian::new(Variance::of_sigma(sigma)?);
        let mut rng = LocalRng::new()?;
        let start = Instant::now();
        let samples = law.samples(&mut rng, count);
        let rate = count as f64 / start.elapsed().as_secs_f64();
        let fit = chi_square(&samples, sigma, law.variance(), 1000);
        println!(
            "{sigma:>10} {count:>12} {:>12.1} {:>6} {:>10.4} {:>12.6} {rate:>14.3e}",
            fit.statistic, fit.freedom, fit.p_value, fit.variance_ratio
        );
    }
    Ok(())
}
