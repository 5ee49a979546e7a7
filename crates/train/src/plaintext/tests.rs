use super::loss as loss_of_rows;
use super::*;
use crate::fixtures::{RELU, clouds, data, dense, features, job, models, training, weights};
use crate::spec::FixedPointSpec;

const SEED: u64 = 11;

/// Summed loss of `rows` at the network's weights, in double precision.
fn summed_loss(
    network: &mut Network<f64>,
    loss: Loss,
    table: &(Array2<f64>, Vec<f64>),
    pass: Option<(u64, u64)>,
) -> f64 {
    let index: Vec<usize> = (0..table.0.nrows()).collect();
    network.forward(&table.0, &index, pass);
    loss_of_rows::total(loss, network.outputs(index.len()), &table.1, table.1.len() / index.len())
}

fn doubles(rows: &[Rows]) -> (Array2<f64>, Vec<f64>) {
    let x = join(rows, |v| &v.features).unwrap().mapv(f64::from);
    let t = join(rows, |v| &v.targets).unwrap().mapv(f64::from);
    (x, t.iter().copied().collect())
}

/// Gradients of the summed loss over `rows` rows of [`clouds`].
pub(crate) fn gradients(model: &ModelSpec, seed: u64, rows: usize) -> TrainedModel {
    let architecture = Architecture::new(model).unwrap();
    let table = doubles(&clouds(model, rows, seed, 1));
    let mut network = Network::<f64>::new(&architecture, &weights(&architecture, seed), rows);
    let pass = Some((SEED, 1));
    summed_loss(&mut network, model.loss, &table, pass);
    network.backward(&table.1, rows, pass);
    network.gradients()
}

/// Largest difference between the backward pass and central differences, and the largest gradient.
pub(crate) fn gradient_check(model: &ModelSpec, seed: u64, rows: usize) -> (f64, f64) {
    let architecture = Architecture::new(model).unwrap();
    let table = doubles(&clouds(model, rows, seed, 1));
    let mut network = Network::<f64>::new(&architecture, &weights(&architecture, seed), rows);
    let pass = Some((SEED, 1));
    summed_loss(&mut network, model.loss, &table, pass);
    network.backward(&table.1, rows, pass);
    let gradients = network.gradients();
    let (mut worst, mut largest) = (0f64, 0f64);
    for layer in &gradients.layers {
        let flat: Vec<(bool, usize, f32)> = layer
            .weight
            .iter()
            .enumerate()
            .map(|(i, g)| (true, i, *g))
            .chain(layer.bias.iter().enumerate().map(|(i, g)| (false, i, *g)))
            .collect();
        for (weight, at, gradient) in flat {
            let step = 1e-5;
            let mut at_offset = |by: f64| {
                *network.parameter(layer.index, weight, at) += by;
                summed_loss(&mut network, model.loss, &table, pass)
            };
            let (above, below) = (at_offset(step), at_offset(-2.0 * step));
            at_offset(step);
            worst = worst.max(((above - below) / (2.0 * step) - f64::from(gradient)).abs());
            largest = largest.max(f64::from(gradient).abs());
        }
    }
    (worst, largest)
}

#[test]
fn every_backward_pass_agrees_with_central_differences() {
    for (name, model) in models() {
        let (worst, largest) = gradient_check(&model, SEED, 6);
        assert!(worst < 1e-4 * largest.max(1.0), "{name}: off by {worst} of {largest}");
        assert!(largest > 0.1, "{name}: all gradients are near zero, so that nothing was checked");
    }
}

#[test]
fn training_separates_clouds_of_points() {
    let model = features(8, vec![dense(16), RELU, dense(3)], Loss::SoftmaxCrossEntropy);
    let job = job(model.clone(), training(15, 16, 0.25), FixedPointSpec::default());
    let outcome = train(&job, &data(&model, 200, 90), &mut |_| {}).unwrap();
    let metric = outcome.metrics[0];
    assert!(metric.accuracy.unwrap() > 0.95, "{metric:?}");
    assert_eq!(outcome.steps, 15 * 13);
    let released = outcome.model.unwrap();
    let (accuracy, loss) = evaluate(&model, &released, &data(&model, 1, 90).test).unwrap();
    assert_eq!(Some(accuracy), metric.accuracy);
    assert!((loss - metric.loss.unwrap()).abs() < 1e-6, "{loss} {metric:?}");
}

#[test]
fn released_weights_after_dropout_need_no_dropout() {
    let (_, model) = models().into_iter().find(|(name, _)| *name == "dropout").unwrap();
    let job = job(model.clone(), training(3, 8, 0.125), FixedPointSpec::default());
    let rows = data(&model, 40, 30);
    let outcome = train(&job, &rows, &mut |_| {}).unwrap();
    let (_, loss) = evaluate(&model, &outcome.model.unwrap(), &rows.test).unwrap();
    let measured = outcome.metrics[0].loss.unwrap();
    assert!((loss - measured).abs() < 1e-5, "{loss} and {measured}");
}

#[test]
fn missing_rows_are_refused() {
    let model = features(8, vec![dense(3)], Loss::SoftmaxCrossEntropy);
    let job = job(model.clone(), training(1, 8, 0.125), FixedPointSpec::default());
    let mut rows = data(&model, 10, 10);
    rows.train[0].values = None;
    let error = train(&job, &rows, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("the training rows: some are missing"), "{error}");
}
