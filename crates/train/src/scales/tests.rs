use super::*;
use crate::spec::{InputSpec, LayerSpec, Loss, Optimiser};

fn model() -> ModelSpec {
    let layers = vec![LayerSpec::Dense { units: 16 }, LayerSpec::Relu {}, LayerSpec::Dense { units: 2 }];
    ModelSpec { input: InputSpec::Features(30), layers, loss: Loss::SoftmaxCrossEntropy }
}

fn training(batch: usize, rate: f64) -> TrainingSpec {
    TrainingSpec {
        epochs: 10,
        batch,
        learning_rate: rate,
        momentum: 0.0,
        weight_decay: 0.0,
        seed: 1,
        schedule: Schedule::default(),
        optimiser: Optimiser::Sgd,
        max_steps: None,
        evaluate_every: 0,
    }
}

fn narrow() -> FixedPointSpec {
    FixedPointSpec {
        activations: Some(10),
        gradients: Some(14),
        range_bits: 6,
        gradient_bits: Some(2),
        ..FixedPointSpec::default()
    }
}

#[test]
fn a_power_of_two_rate_is_exact_and_needs_the_fewest_bits() {
    let plan = NumericPlan::new(&model(), &training(128, 0.125), &narrow()).unwrap();
    assert_eq!((plan.rate_factor(0), plan.rate_bits, plan.learning_rate(0)), (1, 10, 0.125));
    // L = 2 + 6 + 10 + 16, S = 10 + 14 + 10, R = L + S − 16.
    assert_eq!((plan.product_ring.bits(), plan.master, plan.ring.bits()), (34, 34, 52));
    assert!(plan.shrunk);
    assert_eq!(plan.weight_ring, plan.product_ring);
}

#[test]
fn wide_scales_fall_back_to_two_rounds_in_the_narrowest_ring() {
    let plan = NumericPlan::new(&model(), &training(128, 0.1), &FixedPointSpec::default()).unwrap();
    assert!(!plan.shrunk);
    assert_eq!(plan.product_ring.bits(), 44);
    assert_eq!(plan.ring.bits(), plan.master + 4 + 2);
    assert!((plan.learning_rate(0) - 0.1).abs() <= 0.1 / 128.0);
}

#[test]
fn decay_keeps_weights_in_the_wide_ring() {
    let t = TrainingSpec { weight_decay: 1e-3, ..training(128, 0.125) };
    let plan = NumericPlan::new(&model(), &t, &narrow()).unwrap();
    assert_eq!(plan.weight_ring, plan.ring);
    assert!((plan.decay(0) - 0.125e-3).abs() < 1e-6);
}

#[test]
fn every_rate_of_a_schedule_is_within_the_tolerance() {
    let t =
        TrainingSpec { schedule: Schedule::Step { every: 3, factor: 0.3, warm_up: 0 }, ..training(50, 0.2) };
    let plan = NumericPlan::new(&model(), &t, &FixedPointSpec { frac: 12, ..Default::default() }).unwrap();
    for epoch in 0..10 {
        let asked = 0.2 * 0.3f64.powi(epoch / 3);
        let used = plan.learning_rate(epoch as u32);
        assert!((used - asked).abs() <= asked / 128.0, "epoch {epoch}: {used} for {asked}");
    }
}

#[test]
fn gliding_rates_and_warm_ups_are_within_their_tolerance() {
    let fixed = FixedPointSpec { frac: 12, ..Default::default() };
    for schedule in [
        Schedule::Constant { warm_up: 40 },
        Schedule::Exponential { factor: 0.7, warm_up: 40 },
        Schedule::Cosine { least: 0.0, warm_up: 40 },
    ] {
        let t = TrainingSpec { schedule, ..training(50, 0.2) };
        let plan = NumericPlan::new(&model(), &t, &fixed).unwrap();
        for epoch in 0..10 {
            for step in [1, 7, 39, 40, 1000] {
                let asked = t.nominal_rate(epoch) * (step as f64 / 40.0).min(1.0);
                let used = plan.learning_rate_of(plan.step_rate(epoch, step).factor);
                // Rounded once with the schedule and once with the warm-up, to 1/64 of the first rate at worst.
                let most = 0.2 / 64.0;
                assert!((used - asked).abs() <= most, "{schedule:?} {epoch} {step}: {used} for {asked}");
            }
            assert!((plan.learning_rate(epoch) - t.nominal_rate(epoch)).abs() <= 0.2 / 128.0);
        }
    }
}

#[test]
fn momentum_is_rounded_within_a_share_of_its_distance_to_one() {
    for m in [0.5, 0.9, 0.99, 0.05] {
        let t = TrainingSpec { momentum: m, ..training(32, 0.125) };
        let plan = NumericPlan::new(&model(), &t, &narrow()).unwrap();
        let used = plan.momentum.unwrap().value();
        assert!((used - m).abs() <= (1.0 - m) / 128.0, "{used} for {m}");
    }
}

#[test]
fn scales_that_do_not_fit_are_refused_with_layer_and_numbers() {
    let wide = FixedPointSpec { frac: 24, range_bits: 20, ..FixedPointSpec::default() };
    let cases = [
        (
            model(),
            training(128, 0.125),
            wide,
            "the products of layer 0 (dense) need 70 bits but the ring has 64",
        ),
        (model(), training(128, 1e-9), FixedPointSpec::default(), "a learning rate of 1e-9"),
        (model(), TrainingSpec { momentum: 0.99999, ..training(128, 0.125) }, narrow(), "momentum"),
        (
            model(),
            training(1, 1.0),
            FixedPointSpec { activations: Some(4), gradients: Some(4), ..FixedPointSpec::default() },
            "weights with 16 fractional bits need more than 16 bits but the ring has 8",
        ),
    ];
    for (m, t, f, part) in cases {
        let error = NumericPlan::new(&m, &t, &f).unwrap_err().to_string();
        assert!(error.contains(part), "{error} does not contain {part}");
    }
}

#[test]
fn the_table_names_every_tensor_and_the_rate() {
    let text = NumericPlan::new(&model(), &training(128, 0.125), &narrow()).unwrap().to_string();
    for part in ["inputs, activations", "master weights", "learning rate 0.125", "in one round"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn wide_rings_are_taken_only_where_weights_outweigh_activations() {
    let conv = |channels| LayerSpec::Conv2d { channels, kernel: 5, stride: 1, padding: 0 };
    let layers = vec![
        conv(20),
        LayerSpec::MaxPool { size: 2 },
        LayerSpec::Relu {},
        LayerSpec::Flatten {},
        LayerSpec::Dense { units: 10 },
    ];
    let input = InputSpec::Image { channels: 1, height: 28, width: 28 };
    let images = ModelSpec { input, layers, loss: Loss::SoftmaxCrossEntropy };
    let plan = NumericPlan::new(&images, &training(128, 0.125), &narrow()).unwrap();
    // R = S + weight_bits + 2.
    assert!(!plan.shrunk && plan.ring.bits() == 34 + 4 + 2, "{plan}");
    assert_eq!(plan.pool_ring.bits(), 6 + 10 + 3);
}
