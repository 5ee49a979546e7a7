//! Claims about the accountant beyond the reference rows.

use tercet_privacy::PrivacyError;
use tercet_privacy::accountant::view::{BatchesKnownTo, Run, Sampling, Units, views};
use tercet_privacy::accountant::{Epsilons, Mechanism, Method, Target, calibrate, delta, epsilon, zcdp};

const GAUSSIAN: Mechanism = Mechanism::Gaussian { sigma: 4.0 };

#[test]
fn no_bound_is_below_the_exact_gaussian_curve() {
    for sigma in [0.3, 1.0, 7.0, 300.0] {
        for steps in [1, 10, 1000] {
            for target in [1e-2, 1e-5, 1e-9] {
                let found = epsilon(&[(Mechanism::Gaussian { sigma }, steps)], target).expect("valid");
                let exact = found.exact.expect("Gaussian");
                let (rdp, pld) = (found.rdp.expect("Gaussian"), found.pld.expect("Gaussian"));
                assert!(rdp >= exact && pld >= exact * (1.0 - 1e-12), "{sigma} {steps} {target} {found:?}");
                // Absolute at ε near 0, where the curve is flat.
                assert!(pld <= exact * 1.0005 + 1e-4, "{sigma} {steps} {target} {found:?}");
            }
        }
    }
}

#[test]
fn no_bound_is_below_the_exact_laplace_curve() {
    for (scale, target) in [(1.0f64, 1e-5f64), (0.5, 1e-2), (20.0, 1e-3)] {
        let exact = (1.0 / scale + 2.0 * (-target).ln_1p()).max(0.0);
        let found = epsilon(&[(Mechanism::Laplace { scale }, 1)], target).expect("valid");
        assert!(found.rdp.expect("Laplace") >= exact && found.pld.expect("Laplace") >= exact, "{found:?}");
    }
}

#[test]
fn loss_distributions_never_lose_to_renyi_and_never_beat_a_single_known_step() {
    let sampled = Mechanism::PoissonGaussian { q: 0.1, sigma: 2.0 };
    let found = epsilon(&[(sampled, 1)], 1e-6).expect("valid");
    assert!(found.pld < found.rdp);
    // One step, by hand: δ(ε) = q·δ_G(ln(1 + (e^ε − 1)/q)) for removing a record.
    let at = found.pld.expect("Poisson");
    let inner = (at.exp_m1() / 0.1).ln_1p();
    let exact = 0.1 * tercet_privacy::accountant::gaussian::delta(0.5, inner);
    assert!((exact / 1e-6 - 1.0).abs() < 1e-3, "{exact}");
}

#[test]
fn different_mechanisms_compose() {
    let events = [
        (Mechanism::PoissonGaussian { q: 0.01, sigma: 1.0 }, 500),
        (Mechanism::Gaussian { sigma: 5.0 }, 3),
        (Mechanism::Laplace { scale: 2.0 }, 2),
    ];
    let found = epsilon(&events, 1e-5).expect("valid");
    // Reference: dp_accounting 0.6.0.
    assert!((found.rdp.expect("covered") / 2.960569147528644 - 1.0).abs() < 1e-8);
    assert!((found.pld.expect("covered") / 2.7250597579609446 - 1.0).abs() < 1e-4);
    assert_eq!(found.exact, None);
    let split = [events[0], events[1], events[2], events[1]].map(|(m, k)| (m, k));
    let joined = [events[0], (events[1].0, 6), events[2]];
    assert_eq!(epsilon(&split, 1e-5), epsilon(&joined, 1e-5));
}

#[test]
fn delta_and_epsilon_are_inverse() {
    let events = [(Mechanism::PoissonGaussian { q: 0.05, sigma: 1.5 }, 200)];
    let at = epsilon(&events, 1e-5).expect("valid").best();
    let back = delta(&events, at).expect("valid");
    assert!((back / 1e-5 - 1.0).abs() < 1e-3, "{back}");
    assert!((delta(&[(GAUSSIAN, 1)], 0.9263415040).expect("valid") / 1e-5 - 1.0).abs() < 1e-6);
}

#[test]
fn calibration_returns_the_smallest_noise_that_meets_the_target() {
    let gaussian = |sigma: f64| vec![(Mechanism::Gaussian { sigma }, 40)];
    let poisson = |sigma: f64| vec![(Mechanism::PoissonGaussian { q: 0.05, sigma }, 200)];
    let by = |method| Target { epsilon: 1.0, delta: 1e-5, method };
    for method in [Method::Rdp, Method::Pld, Method::Exact, Method::Best] {
        let sigma = calibrate(by(method), gaussian).expect("reachable");
        let value = |sigma| {
            let found = epsilon(&gaussian(sigma), 1e-5).expect("valid");
            match method {
                Method::Rdp => found.rdp,
                Method::Pld => found.pld,
                _ => found.exact,
            }
        };
        assert!(value(sigma) <= Some(1.0) && value(sigma * (1.0 - 1e-5)) > Some(1.0), "{method:?} {sigma}");
    }
    let by_rdp = calibrate(by(Method::Rdp), poisson).expect("reachable");
    let by_pld = calibrate(by(Method::Best), poisson).expect("reachable");
    assert!(by_pld < by_rdp);
    assert!(epsilon(&poisson(by_pld), 1e-5).expect("valid").pld <= Some(1.0));
}

#[test]
fn a_target_out_of_reach_is_named() {
    let target = Target { epsilon: 1e-9, delta: 1e-12, method: Method::Exact };
    let refused = calibrate(target, |sigma| vec![(Mechanism::Gaussian { sigma }, 1_000_000)]);
    assert!(matches!(refused, Err(PrivacyError::Unreachable { .. })), "{refused:?}");
    let wrong = Target { epsilon: f64::NAN, ..target };
    assert!(matches!(
        calibrate(wrong, |s| vec![(Mechanism::Gaussian { sigma: s }, 1)]),
        Err(PrivacyError::NotPositive { .. })
    ));
    let uncovered = Target { epsilon: 1.0, delta: 1e-5, method: Method::Exact };
    let refused = calibrate(uncovered, |sigma| vec![(Mechanism::PoissonGaussian { q: 0.1, sigma }, 1)]);
    assert_eq!(refused, Err(PrivacyError::Undefined("poisson_gaussian")));
}

#[test]
fn every_bad_parameter_is_refused_by_name() {
    let one = |mechanism, steps, delta| epsilon(&[(mechanism, steps)], delta).expect_err("refused");
    for bad in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(one(GAUSSIAN, 1, bad), PrivacyError::Delta(_)), "{bad}");
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(one(Mechanism::Gaussian { sigma: bad }, 1, 1e-5), PrivacyError::NotPositive { .. }));
        assert!(matches!(one(Mechanism::Laplace { scale: bad }, 1, 1e-5), PrivacyError::NotPositive { .. }));
        assert!(matches!(one(Mechanism::Zcdp { rho: bad }, 1, 1e-5), PrivacyError::NotPositive { .. }));
    }
    for bad in [0.0, -0.5, 1.0001, f64::NAN] {
        let mechanism = Mechanism::PoissonGaussian { q: bad, sigma: 1.0 };
        assert!(matches!(one(mechanism, 1, 1e-5), PrivacyError::SamplingRate(_)), "{bad}");
    }
    for (batch, n) in [(0, 10), (11, 10), (1, 0)] {
        let fixed = Mechanism::FixedSizeGaussian { sigma: 1.0, batch, n };
        assert_eq!(one(fixed, 1, 1e-5), PrivacyError::Batch { batch, records: n });
        let truncated = Mechanism::TruncatedPoissonGaussian { q: 0.1, sigma: 1.0, batch, n };
        assert_eq!(one(truncated, 1, 1e-5), PrivacyError::Batch { batch, records: n });
    }
    assert_eq!(one(GAUSSIAN, 0, 1e-5), PrivacyError::Zero { what: "the number of steps" });
    assert!(matches!(one(GAUSSIAN, u64::MAX, 1e-5), PrivacyError::TooLarge { .. }));
    assert_eq!(epsilon(&[], 1e-5), Err(PrivacyError::Empty));
    let mixed = [
        (Mechanism::PoissonGaussian { q: 0.1, sigma: 1.0 }, 1),
        (Mechanism::FixedSizeGaussian { sigma: 1.0, batch: 1, n: 10 }, 1),
    ];
    assert!(matches!(epsilon(&mixed, 1e-5), Err(PrivacyError::MixedNeighbours { .. })));
    let neither = [
        (Mechanism::TruncatedPoissonGaussian { q: 0.1, sigma: 1.0, batch: 5, n: 10 }, 1),
        (Mechanism::Zcdp { rho: 0.1 }, 1),
    ];
    assert!(matches!(epsilon(&neither, 1e-5), Err(PrivacyError::Undefined(_))));
    for message in [one(GAUSSIAN, 0, 1e-5), one(GAUSSIAN, 1, 2.0)].map(|e| e.to_string()) {
        assert!(message.contains("give"), "{message}");
    }
}

#[test]
fn extreme_parameters_neither_panic_nor_hang() {
    let poisson = |q, sigma| Mechanism::PoissonGaussian { q, sigma };
    let truncated = |q, batch, n| Mechanism::TruncatedPoissonGaussian { q, sigma: 1.0, batch, n };
    for (mechanism, steps) in [
        (poisson(1e-6, 0.5), 1u64 << 30),
        (poisson(0.9, 0.01), 10),
        (poisson(0.5, 1e6), 1),
        (poisson(1e-9, 1e8), 1),
        (poisson(0.3, 0.001), 3),
        (Mechanism::Gaussian { sigma: 0.001 }, 1 << 40),
        (Mechanism::Laplace { scale: 0.001 }, 1 << 40),
        (Mechanism::Laplace { scale: 1e9 }, 1),
        (truncated(1.0, 1, 1), 1),
        (truncated(1.0, 1, 1_000_000), 1),
        (truncated(1e-9, 1_000_000_000, 1_000_000_000), 1),
        (truncated(0.5, 1, 1 << 32), 1),
        (truncated(0.5, 1 << 31, 1 << 32), 1),
        (Mechanism::FixedSizeGaussian { sigma: 0.001, batch: 1, n: 1 << 32 }, 1 << 40),
    ] {
        match epsilon(&[(mechanism, steps)], 1e-6) {
            Ok(found) => {
                assert!(found.best() >= 0.0 && found.best().is_finite(), "{mechanism:?} {steps}: {found:?}")
            }
            Err(error) => {
                assert!(matches!(error, PrivacyError::Undefined(_)), "{mechanism:?} {steps}: {error}")
            }
        }
    }
    let huge = Mechanism::FixedSizeGaussian { sigma: 1.0, batch: 1, n: u64::MAX };
    assert!(matches!(epsilon(&[(huge, 1)], 1e-6), Err(PrivacyError::TooLarge { .. })));
    for tiny in [1e-4, 1e-300] {
        let refused = epsilon(&[(Mechanism::Laplace { scale: tiny }, 1)], 1e-6);
        assert!(matches!(refused, Err(PrivacyError::TooSmall { .. })));
    }
}

#[test]
fn zcdp_adds_up_and_converts_no_looser_than_the_order_list() {
    let events = [(Mechanism::Gaussian { sigma: 5.0 }, 3), (Mechanism::Zcdp { rho: 0.02 }, 2)];
    let rho = zcdp::rho(&events).expect("defined");
    assert!((rho - 0.1).abs() < 1e-15);
    let continuous = zcdp::epsilon(rho, 1e-6).expect("valid");
    let listed = epsilon(&events, 1e-6).expect("valid").rdp.expect("defined");
    assert!(continuous <= listed && continuous > listed * 0.999);
    assert_eq!(zcdp::rho(&[(Mechanism::PoissonGaussian { q: 0.5, sigma: 1.0 }, 1)]), None);
}

fn run() -> Run {
    Run {
        sampling: Sampling::Poisson { q: 0.01 },
        sigma: 1.0,
        steps: 1000,
        participations: None,
        parties: 3,
        corrupt: 1,
        batches_known_to: BatchesKnownTo::Nobody,
        units: Some(Units { sensitivity: 1e5, coordinates: 100_000 }),
    }
}

#[test]
fn a_corrupt_party_sees_less_noise_than_an_outsider() {
    let seen = views(&run(), 1e-5).expect("valid");
    let corrupt = seen.corrupt_party.expect("two others");
    // The honest shares give σ; the outsider also faces the third share.
    assert!((corrupt.pld.expect("Poisson") / 1.82824365 - 1.0).abs() < 1e-4);
    assert!((seen.outsider_sigma - 1.5f64.sqrt()).abs() < 1e-8);
    assert!(seen.outsider.pld < corrupt.pld);
    assert!(seen.discrete_excess > 0.0 && seen.discrete_excess < 1e-20);
}

#[test]
fn no_amplification_is_claimed_towards_those_who_know_the_batches() {
    let known = views(&Run { batches_known_to: BatchesKnownTo::Parties, ..run() }, 1e-5).expect("valid");
    let hidden = views(&run(), 1e-5).expect("valid");
    assert_eq!(known.outsider, hidden.outsider);
    let plain = epsilon(&[(Mechanism::Gaussian { sigma: 1.0 }, 1000)], 1e-5).expect("valid");
    let corrupt = known.corrupt_party.expect("two others").exact.expect("plain Gaussian");
    assert!((corrupt / plain.exact.expect("Gaussian") - 1.0).abs() < 1e-6);
    let open = views(&Run { batches_known_to: BatchesKnownTo::Everyone, ..run() }, 1e-5).expect("valid");
    assert!(open.outsider.best() > 10.0 * hidden.outsider.best());
    // Ten epochs in which every record is used once: ten plain steps.
    let epochs = Run { batches_known_to: BatchesKnownTo::Parties, participations: Some(10), ..run() };
    let ten = views(&epochs, 1e-5).expect("valid").corrupt_party.expect("two others");
    let expected = epsilon(&[(Mechanism::Gaussian { sigma: 1.0 }, 10)], 1e-5).expect("valid");
    assert!((ten.best() / expected.best() - 1.0).abs() < 1e-6);
}

#[test]
fn a_run_without_an_honest_party_or_with_coarse_noise_is_refused() {
    assert_eq!(
        views(&Run { corrupt: 3, ..run() }, 1e-5),
        Err(PrivacyError::Corrupt { corrupt: 3, parties: 3 })
    );
    let coarse = Run { units: Some(Units { sensitivity: 2.0, coordinates: 1 }), ..run() };
    assert!(matches!(views(&coarse, 1e-5), Err(PrivacyError::SigmaRange { .. })));
    let alone = views(&Run { parties: 1, corrupt: 0, ..run() }, 1e-5).expect("valid");
    assert_eq!(alone.corrupt_party, None);
}

#[test]
fn reports_use_the_agreed_keys() {
    let found = epsilon(&[(Mechanism::Zcdp { rho: 0.1 }, 1)], 1e-6).expect("valid");
    let json = serde_json::to_value(found).expect("serialises");
    assert!(json["eps_rdp"].is_f64() && json["eps_pld"].is_null() && json["eps_exact"].is_null());
    let back: Epsilons = serde_json::from_value(json).expect("parses");
    assert_eq!(back, found);
    let text = r#"{"mechanism":"poisson_gaussian","q":0.1,"sigma":2.0}"#;
    let mechanism: Mechanism = serde_json::from_str(text).expect("parses");
    assert_eq!(mechanism, Mechanism::PoissonGaussian { q: 0.1, sigma: 2.0 });
    assert!(serde_json::from_str::<Mechanism>(r#"{"mechanism":"gaussian","sigma":1.0,"q":1}"#).is_err());
}
