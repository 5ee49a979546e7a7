//! Training on the clear engine against training in floating point.

mod batch_norm;

use ndarray::Array2;
use tercet_clear::ClearEngine;
use tercet_engine::{Engine, Reason};

use crate::fixtures::{RELU, clouds, data, dense, features, job, models, training, weights};
use crate::layers::{Context, Network, TrainingStep};
use crate::optimiser::State;
use crate::plaintext;
use crate::sharing;
use crate::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Schedule, TargetsSpec, TrainingSpec,
};
use crate::{Architecture, NumericPlan, TrainedModel, Trainer, TrainingJob, init, losses, standardise};

const SEED: u64 = 11;

fn engine(job: &TrainingJob) -> ClearEngine {
    ClearEngine::new(job.policy()).strict()
}

/// Gradients of one batch on the clear engine: weight and bias of each layer.
fn gradients_on_shares(model: &ModelSpec, rows: usize) -> Vec<(Array2<f64>, Array2<f64>)> {
    let job = job(model.clone(), training(1, rows, 0.125), FixedPointSpec::default());
    let mut e = engine(&job);
    let plan = NumericPlan::new(&job.model, &job.training, &job.fixed_point).unwrap();
    let architecture = Architecture::new(model).unwrap();
    let sets = crate::DataSets { train: clouds(model, rows, SEED, 1), test: Vec::new() };
    let scale = standardise::input_scale(&plan, false, rows);
    let (train, _) = sharing::share(&mut e, Some(0), &plan, &architecture, scale, &sets).unwrap();
    let mut state = State::initial(&mut e, &plan, &weights(&architecture, SEED)).unwrap();
    let truncated = state.begin(&mut e, &plan).unwrap();
    let (x, t) = train.range(&mut e, 0..rows).unwrap();
    let mut network = Network::new(&architecture);
    let mut cx =
        Context { engine: &mut e, plan: &plan, training: Some(TrainingStep { seed: SEED, step: 1 }) };
    let outputs = network.forward(&mut cx, x, &truncated).unwrap();
    let delta = losses::gradient(&mut cx, model.loss, outputs, &t).unwrap();
    let factors = network.backward(&mut cx, delta, &truncated).unwrap();
    let gradients = network.gradients(&mut cx, &factors).unwrap();
    // Gradients are read with h more fractional bits than they have: c · G is the update.
    let unread = f64::from(plan.rate_bits).exp2();
    gradients.iter().map(|g| (g.weight.decode() * unread, g.bias.decode() * unread)).collect()
}

#[test]
fn every_backward_pass_on_shares_agrees_with_central_differences() {
    for (name, model) in models() {
        let rows = 6;
        let found = gradients_on_shares(&model, rows);
        let (worst_float, largest) = plaintext::tests::gradient_check(&model, SEED, rows);
        let expected = plaintext::tests::gradients(&model, SEED, rows);
        assert_eq!(found.len(), expected.layers.len(), "{name}");
        let mut worst = 0f64;
        for ((weight, bias), layer) in found.iter().zip(&expected.layers) {
            assert_eq!(weight.dim(), layer.weight.dim(), "{name}");
            for (a, b) in weight.iter().zip(&layer.weight).chain(bias.iter().zip(&layer.bias)) {
                worst = worst.max((a - f64::from(*b)).abs());
            }
        }
        // Six rows, each with the softmax's or sigmoid's error of 2^-10 times inputs of a few units.
        assert!(worst + worst_float < 0.02 * largest.max(1.0), "{name}: off by {worst} of {largest}");
    }
}

/// Trains on the clear engine; the outcome of party 0.
fn on_shares(job: &TrainingJob, rows: &crate::DataSets) -> crate::Outcome {
    let mut trainer = Trainer::new(engine(job), job, rows.clone()).unwrap();
    let outcome = trainer.run(&mut |_, _| {}).unwrap();
    assert!(trainer.engine().violations().is_empty(), "{:?}", trainer.engine().violations());
    outcome
}

fn largest_difference(a: &TrainedModel, b: &TrainedModel) -> f32 {
    let mut worst = 0f32;
    // Initial weights have batch normalisations, which are folded in released ones.
    let common = b.layers.iter().filter_map(|b| Some((a.layers.iter().find(|a| a.index == b.index)?, b)));
    for (a, b) in common {
        assert_eq!(a.weight.dim(), b.weight.dim());
        for (a, b) in a.weight.iter().zip(&b.weight).chain(a.bias.iter().zip(&b.bias)) {
            worst = worst.max((a - b).abs());
        }
    }
    worst
}

/// How far weights move from their initial values in plaintext, to give differences a scale.
fn movement(job: &TrainingJob, trained: &TrainedModel) -> f32 {
    let architecture = Architecture::new(&job.model).unwrap();
    largest_difference(&init::weights(&architecture, job.training.seed, 16), trained)
}

fn follows(name: &str, job: &TrainingJob, bound: f32) {
    let rows = data(&job.model, 70, 40);
    let float = plaintext::train(job, &rows, &mut |_| {}).unwrap();
    let shares = on_shares(job, &rows);
    let (float_model, shares_model) = (float.model.unwrap(), shares.model.unwrap());
    let moved = movement(job, &float_model);
    let worst = largest_difference(&float_model, &shares_model);
    assert!(moved > 10.0 * bound, "{name}: weights moved by {moved} only, too little for the bound {bound}");
    assert!(worst <= bound, "{name}: weights differ by {worst} after moving by {moved}");
    let (f, s) = (float.metrics[0], shares.metrics[0]);
    assert!((f.loss.unwrap() - s.loss.unwrap()).abs() < 0.01, "{name}: {f:?} {s:?}");
    assert!((f.accuracy.unwrap() - s.accuracy.unwrap()).abs() < 0.051, "{name}: {f:?} {s:?}");
    assert_eq!((f.step, s.rows), (s.step, f.rows));
}

fn classifier() -> ModelSpec {
    features(8, vec![dense(12), RELU, dense(3)], Loss::SoftmaxCrossEntropy)
}

#[test]
fn training_follows_the_float_trainer_weight_by_weight() {
    follows("constant rate", &job(classifier(), training(8, 16, 0.25), FixedPointSpec::default()), 0.01);
    let uneven = TrainingSpec {
        schedule: Schedule::Step { every: 3, factor: 0.5, warm_up: 0 },
        ..training(8, 16, 0.3)
    };
    follows("step schedule", &job(classifier(), uneven, FixedPointSpec::default()), 0.01);
}

#[test]
fn momentum_and_decay_follow_the_float_trainer() {
    let momentum = TrainingSpec { momentum: 0.9, ..training(6, 16, 0.0625) };
    follows("momentum", &job(classifier(), momentum.clone(), FixedPointSpec::default()), 0.02);
    let decay = TrainingSpec { weight_decay: 0.05, ..training(8, 16, 0.25) };
    follows("decay", &job(classifier(), decay, FixedPointSpec::default()), 0.01);
    let both = TrainingSpec { weight_decay: 0.05, ..momentum };
    follows("both", &job(classifier(), both, FixedPointSpec::default()), 0.02);
}

#[test]
fn every_schedule_follows_the_float_trainer() {
    for schedule in [
        Schedule::Constant { warm_up: 12 },
        Schedule::Exponential { factor: 0.8, warm_up: 0 },
        Schedule::Cosine { least: 0.05, warm_up: 6 },
    ] {
        let spec = TrainingSpec { schedule, ..training(8, 16, 0.3) };
        follows(&format!("{schedule:?}"), &job(classifier(), spec, FixedPointSpec::default()), 0.01);
    }
}

#[test]
fn shrunk_rings_follow_the_float_trainer() {
    let fixed = FixedPointSpec {
        activations: Some(12),
        gradients: Some(14),
        range_bits: 5,
        ..FixedPointSpec::default()
    };
    let job = job(classifier(), training(8, 16, 0.25), fixed);
    let plan = NumericPlan::new(&job.model, &job.training, &job.fixed_point).unwrap();
    assert!(plan.shrunk, "{plan}");
    follows("shrunk", &job, 0.03);
}

#[test]
fn every_model_trains_as_in_floating_point() {
    for (name, model) in models() {
        let rate = if matches!(model.input, InputSpec::Image { .. }) { 0.0625 } else { 0.25 };
        follows(name, &job(model, training(5, 16, rate), FixedPointSpec::default()), 0.015);
    }
}

#[test]
fn decay_shrinks_weights() {
    let free = job(classifier(), training(8, 16, 0.25), FixedPointSpec::default());
    let mut bound = free.clone();
    bound.training.weight_decay = 0.2;
    let rows = data(&free.model, 70, 40);
    let norm = |m: &TrainedModel| m.layers.iter().map(|l| l.weight.mapv(|w| w * w).sum()).sum::<f32>();
    let (free, bound) = (on_shares(&free, &rows).model.unwrap(), on_shares(&bound, &rows).model.unwrap());
    assert!(norm(&bound) < 0.8 * norm(&free), "{} {}", norm(&bound), norm(&free));
}

#[test]
fn rows_of_three_owners_train_like_rows_of_one() {
    let mut job = job(classifier(), training(3, 16, 0.25), FixedPointSpec::default());
    job.training.evaluate_every = 1;
    // The clear engine is party 0 and sees only its own rows, so all are its own; owners differ in blocks alone.
    let one = data(&job.model, 60, 20);
    let mut three = one.clone();
    three.train = clouds(&job.model, 60, 1, 3);
    three.train.iter_mut().for_each(|r| r.owner = 0);
    let (one, three) = (on_shares(&job, &one), on_shares(&job, &three));
    assert_eq!(one.model, three.model);
    assert_eq!((one.metrics.len(), one.steps), (3, 12));
    assert_eq!(one.metrics, three.metrics);
}

/// Rows with badly scaled features: the fourth is constant, others differ by a factor of 50.
fn badly_scaled(model: &ModelSpec) -> crate::DataSets {
    let mut rows = data(model, 90, 40);
    for set in rows.train.iter_mut().chain(&mut rows.test) {
        for (c, mut column) in set.values.as_mut().unwrap().features.columns_mut().into_iter().enumerate() {
            let scale = [0.3, 0.006, 0.1, 0.0, 0.02, 0.3, 0.05, 0.2][c];
            column.mapv_inplace(|x| x * scale - 0.5 + 0.1 * c as f32);
        }
    }
    rows
}

/// The inverse of the fold: weights for standardised features.
fn unfolded(mut model: TrainedModel, rows: &crate::DataSets) -> TrainedModel {
    let by = standardise::Standards::of(&rows.train[0].values.as_ref().unwrap().features);
    let first = &mut model.layers[0];
    for (mut row, (mean, factor)) in first.weight.rows_mut().into_iter().zip(by.each()) {
        first.bias.zip_mut_with(&row, |b, w| *b += mean as f32 * w);
        row.mapv_inplace(|w| w / factor as f32);
    }
    model
}

#[test]
fn standardised_on_shares_equals_standardised_in_floating_point() {
    let dropout = features(
        8,
        vec![LayerSpec::Dropout { rate: 0.1 }, dense(12), RELU, dense(3)],
        Loss::SoftmaxCrossEntropy,
    );
    let narrow =
        FixedPointSpec { activations: Some(10), gradients: Some(14), range_bits: 6, ..Default::default() };
    let wide = FixedPointSpec { weight_bits: 10, ..Default::default() };
    for (name, model, fixed) in [
        ("plain", classifier(), FixedPointSpec::default()),
        ("dropout", dropout, FixedPointSpec::default()),
        ("narrow", classifier(), narrow),
        ("wide weights", classifier(), wide),
    ] {
        let mut job = job(model, training(6, 16, 0.25), fixed);
        job.standardise = true;
        let rows = badly_scaled(&job.model);
        let float = plaintext::train(&job, &rows, &mut |_| {}).unwrap();
        let shares = on_shares(&job, &rows);
        let (float_model, model) = (float.model.unwrap(), shares.model.unwrap());
        let worst =
            largest_difference(&unfolded(float_model.clone(), &rows), &unfolded(model.clone(), &rows));
        assert!(worst < 0.03, "{name}: {worst}");
        assert!(float.metrics[0].accuracy.unwrap() > 0.9, "{name}: {:?}", float.metrics);
        let (expected, found) = (float.metrics[0].loss.unwrap(), shares.metrics[0].loss.unwrap());
        assert!((expected - found).abs() < 0.02, "{name}: {expected} {found}");

        // The released models classify the rows as they are, before any standardisation.
        for (kind, model) in [("float", &float_model), ("shares", &model)] {
            let (accuracy, loss) = plaintext::evaluate(&job.model, model, &rows.test).unwrap();
            assert!((loss - expected).abs() < 0.02, "{name}, {kind}: {loss} {expected}");
            assert!(accuracy > 0.9, "{name}, {kind}: {accuracy}");
        }
    }
}

#[test]
fn a_model_is_released_on_standardised_features_only_if_its_first_layer_is_dense() {
    let (_, model) = models().into_iter().find(|(name, _)| *name == "convolution").unwrap();
    let mut job = job(model, training(1, 16, 0.25), FixedPointSpec::default());
    job.validate().unwrap();
    job.standardise = true;
    let error = job.validate().unwrap_err().to_string();
    assert!(error.contains("release.model") && error.contains("begin with a dense layer"), "{error}");
    job.release.model.clear();
    job.validate().unwrap();
}

#[test]
fn only_what_the_job_releases_is_opened() {
    let mut job = job(classifier(), training(2, 16, 0.25), FixedPointSpec::default());
    job.training.evaluate_every = 1;
    let rows = data(&job.model, 40, 20);
    let reasons = |job: &TrainingJob| {
        let mut trainer = Trainer::new(engine(job), job, rows.clone()).unwrap();
        let outcome = trainer.run(&mut |_, _| {}).unwrap();
        let reasons: Vec<Reason> = trainer.engine().openings().iter().map(|o| o.opening.reason).collect();
        (outcome, reasons)
    };
    let (_, all) = reasons(&job);
    assert_eq!(all, [Reason::Accuracy, Reason::Loss, Reason::Accuracy, Reason::Loss, Reason::Model]);
    job.release = crate::Release { model: vec![1], ..Default::default() };
    let (outcome, one) = reasons(&job);
    assert_eq!(one, [Reason::Model]);
    assert!(outcome.metrics.is_empty());
    job.release.model.clear();
    assert!(reasons(&job).1.is_empty());
}

#[test]
fn an_opening_that_the_policy_forbids_stops_the_run_with_its_step() {
    let job = job(classifier(), training(1, 16, 0.25), FixedPointSpec::default());
    let rows = data(&job.model, 40, 20);
    let mut trainer = Trainer::new(ClearEngine::new(Default::default()), &job, rows).unwrap();
    let error = trainer.run(&mut |_, _| {}).unwrap_err().to_string();
    assert!(error.starts_with("training stopped at step 3") && error.contains("refused"), "{error}");
}

#[test]
fn rows_that_do_not_fit_are_named_without_their_values() {
    let job = job(classifier(), training(1, 16, 0.25), FixedPointSpec::default());
    let good = data(&job.model, 40, 20);
    let refused = |change: &dyn Fn(&mut crate::DataSets)| {
        let mut rows = good.clone();
        change(&mut rows);
        match Trainer::new(engine(&job), &job, rows) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    };
    let narrow = refused(&|r| r.train[0].values.as_mut().unwrap().features = Array2::zeros((40, 7)));
    assert!(narrow.contains("the training rows of party 0") && narrow.contains("(40, 8)"), "{narrow}");
    let missing = refused(&|r| r.test[0].values = None);
    assert!(missing.contains("the test rows of party 0"), "{missing}");
    let large = refused(&|r| r.train[0].values.as_mut().unwrap().features[(3, 2)] = 123456.0);
    assert!(large.contains("row 3 and column 2") && !large.contains("123456"), "{large}");
    let nan = refused(&|r| r.train[0].values.as_mut().unwrap().targets[(1, 0)] = f32::NAN);
    assert!(nan.contains("row 1 and column 0"), "{nan}");
    let none = refused(&|r| r.train.clear());
    assert!(none.contains("the training rows: there are none"), "{none}");
    let no_test = refused(&|r| r.test.clear());
    assert!(no_test.contains("releases accuracy or loss"), "{no_test}");
}

#[test]
fn a_restored_training_ends_as_an_uninterrupted_one() {
    let spec = TrainingSpec { momentum: 0.5, weight_decay: 0.01, ..training(3, 16, 0.25) };
    let job = job(classifier(), spec, FixedPointSpec::default());
    let rows = data(&job.model, 50, 20);
    let whole = on_shares(&job, &rows);
    let mut first = Trainer::new(engine(&job), &job, rows.clone()).unwrap();
    for _ in 0..6 {
        first.step().unwrap();
    }
    let mut second = Trainer::new(engine(&job), &job, rows.clone()).unwrap();
    second.restore(first.state().clone()).unwrap();
    let resumed = second.run(&mut |_, _| {}).unwrap();
    assert_eq!(resumed.model, whole.model);
    assert_eq!(resumed.metrics, whole.metrics);

    let mut other = job.clone();
    other.training.momentum = 0.0;
    let mut other = Trainer::new(engine(&other), &other, rows).unwrap();
    let error = other.restore(first.state().clone()).unwrap_err().to_string();
    assert!(error.contains("the state to restore"), "{error}");
}

#[test]
fn progress_is_reported_after_every_step_and_evaluation() {
    let mut job = job(classifier(), training(3, 16, 0.25), FixedPointSpec::default());
    job.training.max_steps = Some(7);
    job.training.evaluate_every = 1;
    let rows = data(&job.model, 40, 20);
    let mut on_clear = Vec::new();
    let mut trainer = Trainer::new(engine(&job), &job, rows.clone()).unwrap();
    assert_eq!((trainer.steps(), trainer.batches_per_epoch(), trainer.evaluations()), (7, 3, 3));
    trainer.run(&mut |p, _| on_clear.push((p.step, p.epoch, p.metric.is_some()))).unwrap();
    // Three batches an epoch: evaluations after steps 3 and 6 and at the end.
    let expected = [
        (1, 1, false),
        (2, 1, false),
        (3, 1, false),
        (3, 1, true),
        (4, 2, false),
        (5, 2, false),
        (6, 2, false),
        (6, 2, true),
        (7, 3, false),
        (7, 3, true),
    ];
    assert_eq!(on_clear, expected);
    let mut in_float = Vec::new();
    plaintext::train(&job, &rows, &mut |p| in_float.push((p.step, p.epoch, p.metric.is_some()))).unwrap();
    assert_eq!(in_float, expected);
}

#[test]
fn a_model_that_misses_its_target_is_not_opened_unless_the_job_says_so() {
    let mut job = job(classifier(), training(1, 16, 0.015625), FixedPointSpec::default());
    let rows = data(&job.model, 40, 60);
    let run = |job: &TrainingJob| {
        let mut trainer = Trainer::new(engine(job), job, rows.clone()).unwrap();
        let outcome = trainer.run(&mut |_, _| {}).unwrap();
        let reasons: Vec<Reason> = trainer.engine().openings().iter().map(|o| o.opening.reason).collect();
        (outcome, reasons)
    };
    let (free, _) = run(&job);
    let reached = free.metrics[0].accuracy.unwrap();
    assert!((0.1..0.99).contains(&reached), "{reached} leaves no room for a miss");
    assert_eq!((free.met_target, free.model.is_some()), (None, true));
    let one_more = reached + 1.0 / 60.0;
    for (accuracy, open_anyway, met) in
        [(reached, false, true), (one_more, false, false), (one_more, true, false)]
    {
        job.targets = TargetsSpec { accuracy: Some(accuracy), epsilon: None, open_anyway };
        // Whether or not anybody receives the accuracy itself.
        for release in [vec![0], vec![]] {
            job.release.accuracy = release;
            let (outcome, reasons) = run(&job);
            assert_eq!(outcome.met_target, Some(met), "{accuracy}");
            assert_eq!(outcome.model.is_some(), met || open_anyway, "{accuracy}");
            assert_eq!(reasons.contains(&Reason::Model), met || open_anyway, "{reasons:?}");
            assert_eq!(reasons.contains(&Reason::Accuracy), !job.release.accuracy.is_empty());
            assert_eq!(reasons.iter().filter(|r| **r == Reason::Target).count(), 1);
        }
    }
}
