//! Claims about the discrete Gaussian sampler.

mod goodness;

use goodness::chi_square;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use tercet_privacy::PrivacyError;
use tercet_privacy::sampler::{DiscreteGaussian, LocalRng, Variance, check_variance};

fn sampler(sigma: f64) -> DiscreteGaussian {
    DiscreteGaussian::new(Variance::of_sigma(sigma).expect("supported"))
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

#[test]
fn samples_fit_the_discrete_gaussian_at_every_width() {
    for (seed, sigma) in [(1, 0.5), (2, 1.0), (3, 3.7), (4, 4.1), (5, 100.0), (6, 1e4), (7, 1e6), (8, 1e9)] {
        let law = sampler(sigma);
        let samples = law.samples(&mut rng(seed), 500_000);
        let fit = chi_square(&samples, sigma, law.variance(), 200);
        assert!(
            fit.p_value > 1e-4 && fit.freedom >= 3.0 && (fit.variance_ratio - 1.0).abs() < 0.02,
            "{sigma}: {fit:?}"
        );
        check_variance(&samples, law.variance()).unwrap_or_else(|e| panic!("{sigma}: {e}"));
    }
}

#[test]
#[ignore = "ten million samples a width: for a release build"]
fn ten_million_samples_fit_the_discrete_gaussian() {
    for (seed, sigma) in [(41, 0.5), (42, 1.0), (43, 3.7), (44, 100.0), (45, 1e4), (46, 1e6)] {
        let law = sampler(sigma);
        let samples = law.samples(&mut rng(seed), 10_000_000);
        let fit = chi_square(&samples, sigma, law.variance(), 1000);
        assert!(fit.p_value > 1e-4 && (fit.variance_ratio - 1.0).abs() < 0.003, "{sigma}: {fit:?}");
    }
}

/// Correlation of samples `lag` apart, of their values and of their sizes: each normal with deviation 1/√count for independent ones.
fn correlations(samples: &[i64], lag: usize) -> [f64; 2] {
    let of = |value: &dyn Fn(i64) -> f64| {
        let values: Vec<f64> = samples.iter().map(|&x| value(x)).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        let pairs = values.iter().zip(&values[lag..]);
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / variance / count
    };
    [of(&|x| x as f64), of(&|x| x.abs() as f64)]
}

#[test]
fn neighbouring_draws_are_independent() {
    for (seed, sigma) in [(51, 1.0), (52, 3.7), (53, 1e4), (54, 1e10)] {
        let mut samples = sampler(sigma).samples(&mut rng(seed), 1_000_000);
        // Neighbouring lanes, half a block and a block of candidates, and about as many accepted ones.
        for lag in [1, 2, 16, 32, 48, 53, 64] {
            for found in correlations(&samples, lag) {
                assert!(found.abs() < 5e-3, "{sigma} {lag}: {found}");
            }
        }
        // One draw in fifty that copies its neighbour's size must show.
        (1..samples.len()).step_by(50).for_each(|at| samples[at] = -samples[at - 1]);
        assert!(correlations(&samples, 1)[1] > 5e-3, "{sigma}");
    }
}

#[test]
fn the_test_of_fit_notices_a_wrong_width_and_a_missing_zero() {
    let law = sampler(100.0);
    let samples = law.samples(&mut rng(9), 500_000);
    let fit = chi_square(&samples, 101.5, law.variance(), 200);
    assert!(fit.p_value < 1e-6 && fit.statistic > fit.freedom, "{fit:?}");
    let narrow = sampler(0.5);
    let mut samples = narrow.samples(&mut rng(10), 500_000);
    // −0 kept as 0 instead of refused would double the zeros; a twentieth of that must already show.
    samples.iter_mut().step_by(20).for_each(|x| *x = 0);
    assert!(chi_square(&samples, 0.5, narrow.variance(), 200).p_value < 1e-6);
}

#[test]
fn noise_scaled_by_a_tenth_is_caught() {
    let law = sampler(1e5);
    let mut samples = law.samples(&mut rng(11), 10_000);
    assert_eq!(check_variance(&samples, law.variance()), Ok(()));
    samples.iter_mut().for_each(|x| *x /= 10);
    let refused = check_variance(&samples, law.variance());
    assert!(
        matches!(refused, Err(PrivacyError::Variance { ratio, .. }) if (ratio - 0.01).abs() < 0.001),
        "{refused:?}"
    );
    assert!(matches!(check_variance(&samples[..10], 1.0), Err(PrivacyError::TooFew { .. })));
}

#[test]
fn the_honest_shares_of_all_parties_sum_to_the_stated_variance() {
    let (sigma, sensitivity, parties, corrupt) = (1.3, 5000.0, 3, 1);
    let law = DiscreteGaussian::new(Variance::share(sigma, sensitivity, parties, corrupt).expect("valid"));
    let shares: Vec<_> = (0..parties as u8).map(|p| law.samples(&mut rng(20 + p), 200_000)).collect();
    let sum_of = |who: &[usize]| -> Vec<i64> {
        (0..200_000).map(|i| who.iter().map(|&p| shares[p][i]).sum()).collect()
    };
    let stated = (sigma * sensitivity).powi(2);
    for honest in [[0, 1], [0, 2], [1, 2]] {
        assert_eq!(check_variance(&sum_of(&honest), stated), Ok(()));
        assert!(chi_square(&sum_of(&honest), sigma * sensitivity, stated, 200).p_value > 1e-4);
    }
    assert_eq!(check_variance(&sum_of(&[0, 1, 2]), 1.5 * stated), Ok(()));
    assert!(check_variance(&sum_of(&[0, 1, 2]), stated).is_err());
}

#[test]
fn adding_noise_to_a_share_wraps_around_the_ring() {
    let law = sampler(1e6);
    let mut share = vec![u64::MAX; 3000];
    law.add_to(&mut rng(30), &mut share);
    let noise: Vec<i64> = share.iter().map(|s| s.wrapping_add(1) as i64).collect();
    assert_eq!(check_variance(&noise, law.variance()), Ok(()));
    assert!(noise.iter().any(|&x| x > 0) && noise.iter().any(|&x| x < 0));
}

#[test]
fn local_generators_differ() {
    let law = sampler(1e6);
    let draw = || law.samples(&mut LocalRng::new().expect("the system has randomness"), 20);
    assert_ne!(*draw(), *draw());
}
