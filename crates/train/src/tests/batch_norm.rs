//! Batch normalisation on the clear engine against floating point: every optimiser, other scales, the release, what is refused.

use super::*;
use crate::Privacy;
use crate::fixtures::NORM;
use crate::spec::{Adam, BoundMode, NoiseKind, Optimiser, PrivacySpec};

fn normalised(layer: LayerSpec) -> ModelSpec {
    features(8, vec![dense(12), layer, RELU, dense(3)], Loss::SoftmaxCrossEntropy)
}

#[test]
fn every_optimiser_moves_a_batch_normalisation_as_in_floating_point() {
    let momentum = TrainingSpec { momentum: 0.9, weight_decay: 0.05, ..training(6, 16, 0.0625) };
    follows("momentum and decay", &job(normalised(NORM), momentum, FixedPointSpec::default()), 0.03);
    let adam = Optimiser::Adam(Adam { epsilon: 1e-3, ..Adam::default() });
    let adam = TrainingSpec { optimiser: adam, ..training(6, 16, 1.0 / 64.0) };
    follows("adam", &job(normalised(NORM), adam, FixedPointSpec::default()), 0.03);
    // A batch of 20 rows is no power of two, and the last one of 10 rows is none either.
    follows("other batches", &job(normalised(NORM), training(8, 20, 0.25), FixedPointSpec::default()), 0.015);
}

#[test]
fn narrow_rings_and_other_momenta_and_epsilons_follow_the_float_trainer() {
    let narrow = FixedPointSpec {
        activations: Some(12),
        gradients: Some(14),
        range_bits: 5,
        ..FixedPointSpec::default()
    };
    for (momentum, epsilon) in [(0.1, 1e-3), (0.5, 0.25), (1.0, 1e-4), (0.01, 1.0)] {
        let model = normalised(LayerSpec::BatchNorm { momentum, epsilon });
        follows(&format!("{momentum} {epsilon}"), &job(model, training(8, 16, 0.25), narrow), 0.03);
    }
}

#[test]
fn standardised_features_and_a_batch_normalisation_are_folded_into_one_layer() {
    let mut job = job(normalised(NORM), training(6, 16, 0.25), FixedPointSpec::default());
    job.standardise = true;
    let rows = badly_scaled(&job.model);
    let float = plaintext::train(&job, &rows, &mut |_| {}).unwrap();
    let shares = on_shares(&job, &rows);
    let expected = float.metrics[0].loss.unwrap();
    assert!(float.metrics[0].accuracy.unwrap() > 0.9, "{:?}", float.metrics);
    assert!((shares.metrics[0].loss.unwrap() - expected).abs() < 0.02, "{:?} {expected}", shares.metrics);
    for (kind, model) in [("float", float.model.unwrap()), ("shares", shares.model.unwrap())] {
        assert_eq!(model.layers.iter().map(|l| l.index).collect::<Vec<_>>(), [0, 3], "{kind}");
        let (accuracy, loss) = plaintext::evaluate(&job.model, &model, &rows.test).unwrap();
        assert!((loss - expected).abs() < 0.02, "{kind}: {loss} {expected}");
        assert!(accuracy > 0.9, "{kind}: {accuracy}");
    }
}

#[test]
fn what_is_evaluated_is_what_is_released() {
    for (name, model) in models().into_iter().filter(|(name, _)| name.contains("batch-norm")) {
        let job = job(model, training(4, 16, 0.0625), FixedPointSpec::default());
        let rows = data(&job.model, 70, 40);
        let outcome = on_shares(&job, &rows);
        let (accuracy, loss) = plaintext::evaluate(&job.model, &outcome.model.unwrap(), &rows.test).unwrap();
        let metric = outcome.metrics[0];
        // The loss on shares is within 2^-9, and outputs are rounded.
        assert!((metric.loss.unwrap() - loss).abs() < 0.004, "{name}: {metric:?} {loss}");
        assert!((metric.accuracy.unwrap() - accuracy).abs() < 0.03, "{name}: {metric:?} {accuracy}");
    }
}

#[test]
fn a_restored_training_goes_on_with_its_running_averages() {
    let job = job(normalised(NORM), training(3, 16, 0.25), FixedPointSpec::default());
    let rows = data(&job.model, 50, 20);
    let whole = on_shares(&job, &rows);
    let mut first = Trainer::new(engine(&job), &job, rows.clone()).unwrap();
    (0..6).for_each(|_| first.step().unwrap());
    let mut second = Trainer::new(engine(&job), &job, rows.clone()).unwrap();
    second.restore(first.state().clone()).unwrap();
    let resumed = second.run(&mut |_, _| {}).unwrap();
    assert_eq!(resumed.model, whole.model);
    assert_eq!(resumed.metrics, whole.metrics);
    // Without them the same weights would make another model.
    let mut forgetful = Trainer::new(engine(&job), &job, rows).unwrap();
    let mut state = first.state().clone();
    state.parameters[1].running = forgetful.state().parameters[1].running.clone();
    forgetful.restore(state).unwrap();
    assert_ne!(forgetful.run(&mut |_, _| {}).unwrap().model, whole.model);
}

#[test]
fn a_batch_of_one_row_and_scales_that_do_not_fit_are_refused_with_what_to_change() {
    let refused = |change: &dyn Fn(&mut TrainingJob)| {
        let mut job = job(normalised(NORM), training(3, 16, 0.25), FixedPointSpec::default());
        change(&mut job);
        job.validate().unwrap_err().to_string()
    };
    let one = refused(&|j| j.training.batch = 1);
    assert!(
        one.contains("layer 1 (batch-norm) normalises over a batch of one row; use training.batch"),
        "{one}"
    );
    let wide = refused(&|j| j.training.batch = 1 << 12);
    assert!(
        wide.contains("sums of squares over 4096 numbers need 66 bits but the ring has 64; lower"),
        "{wide}"
    );
    let coarse = refused(&|j| {
        (j.fixed_point.activations, j.fixed_point.range_bits) = (Some(6), 6);
    });
    assert!(coarse.contains("has epsilon 0.001, too small beside the rounding of activations"), "{coarse}");
    let least: f64 =
        coarse.split("at least ").nth(1).and_then(|s| s.split(',').next()).unwrap().parse().unwrap();
    let spec = |epsilon| {
        let mut job = job(
            normalised(LayerSpec::BatchNorm { momentum: 0.1, epsilon }),
            training(3, 16, 0.25),
            FixedPointSpec { activations: Some(6), range_bits: 6, ..FixedPointSpec::default() },
        );
        job.training.batch = 16;
        job.validate()
    };
    spec(least).unwrap();
    spec(least / 2.0).unwrap_err();
    let slow = refused(&|j| j.model = normalised(LayerSpec::BatchNorm { momentum: 0.001, epsilon: 1e-3 }));
    assert!(slow.contains("the running variance needs") && slow.contains("raise its momentum"), "{slow}");
    let tiny = refused(&|j| j.model = normalised(LayerSpec::BatchNorm { momentum: 0.1, epsilon: 1e-7 }));
    assert!(tiny.contains("raise its momentum or epsilon"), "{tiny}");

    // 49 rows leave a last batch of one.
    let last = job(normalised(NORM), training(1, 16, 0.25), FixedPointSpec::default());
    let rows = data(&last.model, 49, 20);
    let error = Trainer::new(engine(&last), &last, rows.clone()).err().unwrap().to_string();
    assert!(error.contains("there are 49, so that the last batch of 16 has one row"), "{error}");
    assert!(plaintext::train(&last, &rows, &mut |_| {}).is_err());
    // Of an image a row has many numbers of a channel.
    let (_, model) = models().into_iter().find(|(name, _)| *name == "batch-norm of channels").unwrap();
    let job = job(model, training(1, 16, 0.0625), FixedPointSpec::default());
    let rows = data(&job.model, 49, 20);
    on_shares(&job, &rows);
}

#[test]
fn a_private_training_refuses_a_batch_normalisation() {
    let mut job = job(normalised(NORM), training(1, 16, 0.25), FixedPointSpec::default());
    let spec = PrivacySpec {
        unit: "record".to_owned(),
        unit_rows: None,
        unit_owners: None,
        noise: NoiseKind::default(),
        epsilon: 3.0,
        delta: 1e-5,
        mode: BoundMode::Normalise,
        clip: 1.0,
        gamma: None,
        row_norm: None,
    };
    job.privacy = Some(Privacy { spec, corrupt: 1 });
    let error = job.validate().unwrap_err().to_string();
    assert!(
        error.contains("layer 1 (batch-norm)") && error.contains("no record has a gradient of its own"),
        "{error}"
    );
}

#[test]
fn the_range_guard_looks_at_what_a_batch_normalisation_takes_and_gives() {
    let mut job = job(normalised(NORM), training(2, 16, 0.25), FixedPointSpec::default());
    job.release = crate::Release { model: vec![0], ..Default::default() };
    let rows = data(&job.model, 48, 20);
    let unguarded = on_shares(&job, &rows);
    job.fixed_point.guard_every = Some(3);
    let mut trainer = Trainer::new(engine(&job), &job, rows.clone()).unwrap();
    let guarded = trainer.run(&mut |_, _| {}).unwrap();
    assert_eq!(guarded.model, unguarded.model);
    // Weights and shifts of three layers, the outputs of each, and the gradients of each, in steps 1 and 4.
    let bits: usize = trainer
        .engine()
        .openings()
        .iter()
        .filter(|o| o.opening.reason == Reason::RangeGuard)
        .map(|o| o.values)
        .sum();
    assert_eq!(bits, 2 * 12);

    // A scale of 21 is not below 2^4.
    let mut trainer = Trainer::new(engine(&job), &job, rows).unwrap();
    let mut state = trainer.state().clone();
    let scale = &mut state.parameters[1].weight;
    let one = scale.clone();
    engine(&job).accumulate(scale, &one, 20, 0).unwrap();
    trainer.restore(state).unwrap();
    let error = trainer.run(&mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("weights of layer 1 (batch-norm) are not below 2^4"), "{error}");
}
