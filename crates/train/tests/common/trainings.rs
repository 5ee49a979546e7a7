//! For every protocol: three parties train as in the open, at the declared cost, and open what the job releases.

use tercet_clear::ClearEngine;
use tercet_engine::Cost;
use tercet_train::spec::{BoundMode, LayerSpec, Loss, Optimiser, TargetsSpec};
use tercet_train::{DataSets, Outcome, Release, TrainingJob, plaintext};

use super::{classifier, data, deeper, images, job, normalised, private, three_parties, train, with_adam};

fn largest_difference(a: &Outcome, b: &Outcome) -> f32 {
    let (a, b) = (a.model.as_ref().unwrap(), b.model.as_ref().unwrap());
    let layers = a.layers.iter().zip(&b.layers);
    layers
        .flat_map(|(a, b)| a.weight.iter().zip(&b.weight).chain(a.bias.iter().zip(&b.bias)))
        .fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

fn trained_in_the_clear(job: &TrainingJob, data: &DataSets) -> Outcome {
    let mut data = data.clone();
    // The engine counts as party 0 and takes its rows only.
    data.train.iter_mut().chain(&mut data.test).for_each(|set| set.owner = 0);
    train(ClearEngine::new(job.policy()).strict(), job, data).unwrap().0
}

/// Weights, accuracy and loss are close to those of training in floating point and in fixed point in the open; each party has
/// what the job releases to it, and nothing else.
fn follows(job: &TrainingJob, bound: f32) -> Vec<(Outcome, Cost)> {
    let data = data(job.model.input.len());
    let parties = three_parties(job, &data);
    let (first, second, third) = (&parties[0].0, &parties[1].0, &parties[2].0);
    assert_eq!(first.model, third.model);
    assert!(second.model.is_none());
    assert!(first.metrics[0].loss.is_none() && third.metrics[0].loss.is_none());
    let open = [plaintext::train(job, &data, &mut |_| {}).unwrap(), trained_in_the_clear(job, &data)];
    for (open, what) in open.iter().zip(["floating point", "fixed point"]) {
        let worst = largest_difference(first, open);
        assert!(worst < bound, "weights differ by {worst} from {what}");
        let accuracy = open.metrics[0].accuracy.unwrap();
        for (outcome, _) in &parties {
            let metrics = &outcome.metrics;
            assert!((metrics[0].accuracy.unwrap() - accuracy).abs() < 0.07, "{what}: {metrics:?}");
        }
        let loss = second.metrics[0].loss.unwrap();
        assert!((loss - open.metrics[0].loss.unwrap()).abs() < 0.02, "{what}: {loss}");
    }
    parties
}

/// The meters of `parties` saw what the training is declared to send.
fn sent_as_declared(job: &TrainingJob, parties: &[(Outcome, Cost)]) {
    let declared = crate::declared(job, data(job.model.input.len()));
    for (i, (_, measured)) in parties.iter().enumerate() {
        assert_eq!(measured.online[i], declared.online[i], "party {i}");
        assert_eq!(measured.offline[i], declared.offline[i], "party {i}");
    }
}

#[test]
fn three_parties_train_as_in_the_open_at_the_declared_cost() {
    let job = job(classifier());
    sent_as_declared(&job, &follows(&job, 0.02));
}

#[test]
fn three_parties_train_with_batch_norm_at_the_declared_cost() {
    let job = job(normalised());
    sent_as_declared(&job, &follows(&job, 0.03));
}

#[test]
fn three_parties_train_with_momentum_and_weight_decay() {
    let mut job = job(classifier());
    (job.training.momentum, job.training.weight_decay) = (0.5, 0.01);
    follows(&job, 0.03);
}

#[test]
fn three_parties_train_a_convolution_with_batch_norm_pooling_and_dropout() {
    follows(&job(images()), 0.03);
}

#[test]
fn three_parties_standardise_features_without_opening_any() {
    let mut job = job(classifier());
    job.standardise = true;
    follows(&job, 0.03);
}

#[test]
fn three_parties_train_with_sigmoid_and_squared_error() {
    let mut model = classifier();
    model.layers[1] = LayerSpec::Sigmoid {};
    model.loss = Loss::MeanSquaredError;
    follows(&job(model), 0.02);
}

#[test]
fn three_parties_train_with_adam_at_the_declared_cost() {
    let job = with_adam();
    // Every step divides by the size of a gradient, so that weights whose gradients are mostly rounding differ more.
    let parties = follows(&job, 0.1);
    sent_as_declared(&job, &parties);
}

#[test]
fn three_parties_train_privately_at_the_declared_cost_and_agree_on_the_model() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let job = private(mode);
        let parties = three_parties(&job, &data(6));
        assert_eq!(parties[0].0.model, parties[2].0.model);
        let accuracy = parties[0].0.metrics[0].accuracy.unwrap();
        assert!(accuracy > 0.6, "{mode:?}: {accuracy}");
        sent_as_declared(&job, &parties);
    }
}

#[test]
fn three_parties_agree_on_a_target_and_open_the_model_only_if_it_is_met() {
    let mut job = job(classifier());
    let data = data(6);
    for (accuracy, met) in [(0.05, true), (1.0, false)] {
        // One step of a low rate leaves some of the test rows wrong.
        (job.training.max_steps, job.training.learning_rate) = (Some(1), 0.0625);
        job.targets = TargetsSpec { accuracy: Some(accuracy), ..TargetsSpec::default() };
        let declared = crate::declared(&job, data.clone());
        for (i, (outcome, measured)) in three_parties(&job, &data).into_iter().enumerate() {
            assert_eq!(outcome.met_target, Some(met), "party {i}");
            assert_eq!(outcome.model.is_some(), met && job.release.model.contains(&i), "party {i}");
            // Declared is the run that opens the model, for which a dealer sends nothing.
            let opens = met || crate::DEALER == Some(i);
            assert_eq!(measured.online[i] == declared.online[i], opens, "party {i}");
        }
    }
}

/// Rounds of one more step.
fn rounds_of_a_step(job: &TrainingJob) -> u64 {
    let of = |steps| {
        let mut job = job.clone();
        job.training.max_steps = Some(steps);
        job.release = Release::default();
        crate::declared(&job, data(6)).rounds
    };
    of(2) - of(1)
}

#[test]
fn a_step_of_two_layers_takes_at_most_26_rounds() {
    let rounds = rounds_of_a_step(&job(classifier()));
    assert!((10..=26).contains(&rounds), "{rounds} rounds");
}

#[test]
fn a_private_step_takes_the_rounds_that_bounding_takes_and_none_for_noise() {
    // Norms that are clipped here span so few bits that their comparisons join in one round.
    for (mode, extra) in [(BoundMode::Normalise, 15), (BoundMode::Clip, 14)] {
        let private = private(mode);
        let mut open = private.clone();
        open.privacy = None;
        assert_eq!(rounds_of_a_step(&private) - rounds_of_a_step(&open), extra, "{mode:?}");
    }
}

#[test]
fn a_step_of_adam_takes_16_rounds_more_whatever_the_number_of_layers() {
    for model in [classifier(), deeper()] {
        // With decay the weights are truncated in two rounds whatever the optimiser.
        let mut adam = TrainingJob { model, ..with_adam() };
        adam.training.weight_decay = 0.01;
        let mut descent = adam.clone();
        descent.training.optimiser = Optimiser::Sgd;
        assert_eq!(rounds_of_a_step(&adam) - rounds_of_a_step(&descent), 16);
    }
}
