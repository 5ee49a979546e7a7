//! The layer alone, on numbers as large as the job lets them be.

use ndarray::{Array1, Array2, Axis};
use tercet_clear::ClearEngine;
use tercet_engine::{Meta, Policy};
use tercet_share::{Tensor, fixed};

use super::*;
use crate::fixtures::{NORM, RELU, dense, features, training};
use crate::layers::TrainingStep;
use crate::spec::{FixedPointSpec, Loss};

fn public(
    engine: &mut ClearEngine,
    x: &Array2<f64>,
    frac: u32,
    ring: Ring,
) -> <ClearEngine as Engine>::Masked {
    let (rows, cols) = x.dim();
    let values = fixed::encode_all(x.iter().copied(), frac, ring).unwrap();
    let meta = Meta { rows, cols, frac, ring };
    engine.public(&Tensor::from_vec(rows, cols, values), meta).unwrap()
}

/// The layer by its definition: y, the gradient of x, and that of γ = 1.
fn exact(x: &Array2<f64>, delta: &Array2<f64>, epsilon: f64) -> [Array2<f64>; 3] {
    let mean = |v: &Array2<f64>| v.mean_axis(Axis(0)).unwrap().insert_axis(Axis(0));
    let d = x - &mean(x);
    let root = mean(&(&d * &d)).mapv(|v| 1.0 / (v + epsilon).sqrt());
    let normal = &d * &root;
    let along = mean(&(delta * &normal));
    let below = (delta - &mean(delta) - &(&normal * &along)) * &root;
    let gamma = along * x.nrows() as f64;
    [normal, below, gamma]
}

fn at_the_bounds(rows: usize, fixed: FixedPointSpec) {
    let layers = vec![dense(5), NORM, RELU, dense(3)];
    let model = features(4, layers, Loss::SoftmaxCrossEntropy);
    let plan = NumericPlan::new(&model, &training(1, rows.max(16), 0.25), &fixed).unwrap();
    let norm = *plan.norm(1).unwrap();
    let unit = (-f64::from(plan.activation)).exp2();
    let most = f64::from(plan.range_bits).exp2() - 4.0 * unit;
    let steepest = f64::from(plan.gradient_bits).exp2() - 1.0;
    let sign = |r: usize| if r.is_multiple_of(2) { 1.0 } else { -1.0 };
    let x = Array2::from_shape_fn((rows, 5), |(r, c)| match c {
        0 => sign(r) * most,
        1 if r > 0 => -most,
        1 | 2 => most,
        3 => 2.0 * sign(r) * unit,
        _ => ((r * 37) % 101) as f64 / 25.0 - 2.0,
    });
    // All along the largest deviation: the largest sums. Where a deviation is small, the gradient of x is larger than this.
    let delta = Array2::from_shape_fn((rows, 5), |(r, c)| match c {
        0 => sign(r) * steepest,
        1 => sign(r / 2) * steepest,
        2 => sign(r) * steepest / 64.0,
        3 => sign(r / 2) * steepest / 64.0,
        _ => ((r * 53) % 97) as f64 / 970.0 - 0.05,
    });

    let mut engine = ClearEngine::new(Policy::default()).strict();
    let e = &mut engine;
    let masked = public(e, &x, plan.activation + plan.weight, plan.product_ring);
    let value = Value::Pending { offset: e.lift(&masked).unwrap(), frac: plan.activation };
    let weight = public(e, &Array2::ones((1, 5)), plan.weight, plan.weight_ring);
    let bias = public(e, &Array2::zeros((1, 5)), plan.weight, plan.weight_ring);
    let [mean, variance] = norm.running(&plan).map(|frac| {
        let zeros = public(e, &Array2::zeros((1, 5)), frac, Ring::FULL);
        e.lift(&zeros).unwrap()
    });
    let weights = Weights { weight, bias, running: Some((mean, variance)) };
    let delta_shared = public(e, &delta, plan.gradient, plan.delta_ring);

    let training = Some(TrainingStep { seed: 1, step: 1 });
    let mut cx = Context { engine: e, plan: &plan, training };
    let mut layer = BatchNorm::new(1, 1);
    let y = layer.forward(&mut cx, value, Some(&weights)).unwrap();
    let back = layer.backward(&mut cx, Value::Masked(delta_shared), None, true).unwrap();
    let found = |value: Value<ClearEngine>| match value {
        Value::Pending { offset, .. } => offset.decode(),
        Value::Masked(m) => m.decode(),
    };
    let (y, below) = (found(y), found(back.input.unwrap()));
    let gamma = back.factors.unwrap().input.decode();
    let [y_exact, below_exact, gamma_exact] = exact(&x, &delta, norm.epsilon);
    let root: Array1<f64> = {
        let d = &x - &x.mean_axis(Axis(0)).unwrap().insert_axis(Axis(0));
        (&d * &d).mean_axis(Axis(0)).unwrap().mapv(|v| 1.0 / (v + norm.epsilon).sqrt())
    };
    let largest = |v: &Array2<f64>, c: usize| v.column(c).iter().fold(0f64, |m, v| m.max(v.abs()));
    for c in 0..5 {
        let steepest = largest(&delta, c);
        // x and its mean are each off by 1.5 units, which r makes larger. What wraps is off by far more than all this.
        let moved = 3.0 * unit * root[c];
        let least = (-f64::from(plan.gradient)).exp2();
        // So is a·d, whose r² has a grid of its own.
        let along = steepest * largest(&x, c) * 2.0 * (-f64::from(norm.square)).exp2();
        let bounds = [
            ("y", &y, &y_exact, largest(&y_exact, c) / 256.0 + moved + 2.0 * unit),
            (
                "gradient",
                &below,
                &below_exact,
                root[c] * steepest * (1.0 / 128.0 + moved) + along + 4.0 * least * root[c].max(1.0),
            ),
            ("scale", &gamma, &gamma_exact, rows as f64 * steepest * (1.0 / 256.0 + moved) + root[c] / 256.0),
        ];
        for (what, found, exact, bound) in bounds {
            let error = largest(&(found - exact), c);
            assert!(error <= bound, "{rows} rows, {what} of column {c}: off by {error}, more than {bound}");
        }
    }
}

#[test]
fn numbers_and_gradients_at_the_bounds_of_the_job_do_not_wrap() {
    let narrow = FixedPointSpec {
        activations: Some(10),
        gradients: Some(14),
        range_bits: 6,
        ..FixedPointSpec::default()
    };
    for fixed in [narrow, FixedPointSpec::default()] {
        // Powers of two and others, and last batches that are smaller than the plan's.
        for rows in [2, 3, 12, 16, 100, 128, 1000] {
            at_the_bounds(rows, fixed);
        }
    }
}
