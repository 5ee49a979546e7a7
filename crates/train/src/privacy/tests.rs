//! The mechanism on the clear engine and over the helper protocol, and its deliberate faults.

use ndarray::{Array1, Array2};
use tercet_clear::ClearEngine;
use tercet_engine::{Cost, Engine, EngineError, Meta, Opening, Policy, Reason, Rule, Shared};
use tercet_helper::local::{self, Program};
use tercet_helper::{CostEngine, Roles};
use tercet_net::PartyId;
use tercet_privacy::PrivacyError;
use tercet_privacy::accountant::Neighbours;
use tercet_privacy::sampler::{DiscreteGaussian, Variance, check_variance};
use tercet_share::{Ring, Tensor, fixed};

use super::noise::Noise;
use super::{KAPPA, PrivacyPlan, clipping, numeric};
use crate::fixtures::{RELU, clouds, data, dense, features, image, job, training};
use crate::layers::Factors;
use crate::spec::{
    BoundMode, FixedPointSpec, LayerSpec, Loss, NoiseKind, PrivacySpec, Schedule, TrainingSpec,
};
use crate::{DataSets, NumericPlan, Privacy, Release, TrainError, Trainer, TrainingJob};

fn spec(mode: BoundMode) -> PrivacySpec {
    PrivacySpec {
        unit: "record".to_owned(),
        unit_rows: None,
        unit_owners: None,
        noise: NoiseKind::default(),
        epsilon: 1.0,
        delta: 1e-5,
        mode,
        clip: 0.5,
        gamma: (mode == BoundMode::Normalise).then_some(0.25),
        row_norm: Some(4.0),
    }
}

/// A linear model on 60 rows, four epochs of three batches.
fn linear(mode: BoundMode) -> TrainingJob {
    let model = features(8, vec![dense(3)], Loss::SoftmaxCrossEntropy);
    let fixed = FixedPointSpec { weight_bits: 9, ..FixedPointSpec::default() };
    let mut job = job(model, training(4, 20, 0.5), fixed);
    job.privacy = Some(Privacy { spec: spec(mode), corrupt: 1 });
    job
}

/// A network of two dense layers, two steps.
fn network(mode: BoundMode) -> TrainingJob {
    let mut job = linear(mode);
    job.model = features(8, vec![dense(6), RELU, dense(3)], Loss::SoftmaxCrossEntropy);
    job.training.max_steps = Some(2);
    job.fixed_point.range_bits = 14;
    job
}

const ROWS: usize = 60;

fn plans(job: &TrainingJob) -> (NumericPlan, PrivacyPlan) {
    let plan = PrivacyPlan::new(job, ROWS).unwrap().unwrap();
    let mut numeric = numeric(job).unwrap();
    plan.widen(&mut numeric);
    (numeric, plan)
}

fn clear() -> ClearEngine {
    ClearEngine::new(Policy::default()).strict()
}

/// Numbers in -1 to 1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / f64::from(1 << 30) - 1.0
    }

    /// A row of norm `norm`.
    fn row(&mut self, width: usize, norm: f64) -> Array1<f64> {
        let row = Array1::from_shape_simple_fn(width, || self.next());
        let length = row.dot(&row).sqrt();
        row * (norm / length)
    }
}

fn shared(e: &mut ClearEngine, rows: &Array2<f64>, frac: u32, ring: Ring) -> <ClearEngine as Engine>::Masked {
    let meta = Meta { rows: rows.nrows(), cols: rows.ncols(), frac, ring };
    let values = fixed::encode_all(rows.iter().copied(), frac, ring).unwrap();
    e.public(&Tensor::from_vec(meta.rows, meta.cols, values), meta).unwrap()
}

/// Factors of `rows` rows for every layer of the plan, of norms from nothing to the most that the bounds allow.
fn factors(
    e: &mut ClearEngine,
    plan: &PrivacyPlan,
    numeric: &NumericPlan,
    rows: usize,
) -> Vec<Factors<ClearEngine>> {
    let mut numbers = Numbers(77);
    let widths = plan.layers.iter().enumerate().map(|(i, l)| (if i == 0 { 8 } else { 6 }, l.outputs, *l));
    widths
        .map(|(inputs, outputs, bounds)| {
            let (mut a, mut d) = (Array2::zeros((rows, inputs)), Array2::zeros((rows, outputs)));
            for row in 0..rows {
                // The last row is as large as can be; the others go from tiny to large.
                let part = ((row + 1) as f64 / rows as f64).powi(6);
                let largest = (bounds.input_norm.powi(2) - 1.0).sqrt();
                a.row_mut(row).assign(&numbers.row(inputs, 0.999 * largest * part.max(0.05)));
                d.row_mut(row).assign(&numbers.row(outputs, 0.999 * bounds.delta_norm * part));
            }
            Factors {
                input: shared(e, &a, numeric.activation, numeric.ring),
                delta: shared(e, &d, numeric.gradient, numeric.delta_ring),
            }
        })
        .collect()
}

fn signed(x: &<ClearEngine as Engine>::Masked) -> Vec<f64> {
    x.elements().data().iter().map(|&v| x.meta().ring.signed(v) as f64).collect()
}

/// Norm of each row's gradient in units, from the gradient itself: every product of an input, or of the one of the bias, and a δ.
fn contributions(factors: &[Factors<ClearEngine>], numeric: &NumericPlan) -> Vec<f64> {
    let rows = factors[0].input.meta().rows;
    let one = f64::from(numeric.activation).exp2();
    (0..rows)
        .map(|row| {
            let squares = factors.iter().map(|f| {
                let (inputs, outputs) = (f.input.meta().cols, f.delta.meta().cols);
                let (a, d) = (signed(&f.input), signed(&f.delta));
                let mut a = a[row * inputs..(row + 1) * inputs].to_vec();
                a.push(one);
                let d = &d[row * outputs..(row + 1) * outputs];
                a.iter().flat_map(|a| d.iter().map(move |d| (a * d).powi(2))).sum::<f64>()
            });
            squares.sum::<f64>().sqrt()
        })
        .collect()
}

#[test]
fn no_row_contributes_more_than_the_sensitivity() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        for job in [linear(mode), network(mode)] {
            let (numeric, plan) = plans(&job);
            let mut e = clear();
            let factors = factors(&mut e, &plan, &numeric, 200);
            let before = contributions(&factors, &numeric);
            let bounded = clipping::bounded(&mut e, &numeric, &plan, factors).unwrap();
            let after = contributions(&bounded, &numeric);
            let largest = after.iter().copied().fold(0.0, f64::max);
            let delta = plan.sensitivity.total;
            assert!(largest <= delta, "{mode:?}: {largest} of {delta}");
            assert!(largest > 0.9 * delta, "{mode:?}: only {largest} of {delta}: the rows check nothing");
            // The fault: bounding switched off.
            let unbounded = before.iter().copied().fold(0.0, f64::max);
            assert!(unbounded > 5.0 * delta, "{mode:?}: {unbounded} of {delta}");
            assert!(e.violations().is_empty(), "{:?}", e.violations());
        }
    }
}

#[test]
fn rows_are_scaled_by_the_factor_of_their_gradient_over_all_layers() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        for job in [linear(mode), network(mode)] {
            let (numeric, plan) = plans(&job);
            let mut e = clear();
            let factors = factors(&mut e, &plan, &numeric, 100);
            let scale = f64::from(numeric.activation + numeric.gradient).exp2();
            let norms: Vec<f64> = contributions(&factors, &numeric).iter().map(|n| n / scale).collect();
            let before: Vec<Array2<f64>> = factors.iter().map(|f| f.delta.decode()).collect();
            let bounded = clipping::bounded(&mut e, &numeric, &plan, factors).unwrap();
            for (f, before) in bounded.iter().zip(&before) {
                let after = f.delta.decode();
                for ((row, norm), (after, before)) in
                    norms.iter().enumerate().zip(after.rows().into_iter().zip(before.rows()))
                {
                    let c = match mode {
                        BoundMode::Normalise => 1.0 / norm.hypot(0.25),
                        BoundMode::Clip => 1.0 / norm.max(0.5),
                    };
                    // Very large rows lose precision in their factor, or count as zero.
                    if *norm > 60.0 {
                        continue;
                    }
                    for (after, before) in after.iter().zip(before) {
                        // The root is at most 2.4 % below, and then c and the product are rounded.
                        let (least, most) = (0.976 * c * before.abs(), 1.002 * c * before.abs());
                        let within = (least - 2e-4..=most + 2e-4).contains(&(after * before.signum()));
                        assert!(within, "{mode:?} row {row} of norm {norm}: {after} {before} {c}");
                    }
                }
            }
        }
    }
}

#[test]
fn bounding_costs_its_norms_its_factors_and_its_scaling() {
    let (numeric, plan) = plans(&network(BoundMode::Clip));
    let mut e = CostEngine::new(Roles::new(PartyId::ALL[0], PartyId::ALL[1], PartyId::ALL[2]).unwrap());
    let factors = |e: &mut CostEngine| -> Vec<Factors<CostEngine>> {
        let of = |e: &mut CostEngine, cols, frac, ring| {
            let meta = Meta { rows: 100, cols, frac, ring };
            e.public(&Tensor::zeros(100, cols), meta).unwrap()
        };
        let widths = [(8, 6), (6, 3)];
        let part = |(a, d)| Factors {
            input: of(e, a, numeric.activation, numeric.ring),
            delta: of(e, d, numeric.gradient, numeric.delta_ring),
        };
        widths.into_iter().map(part).collect()
    };
    let all = factors(&mut e);
    let begin = e.measured();
    let total = clipping::squared_norm(&mut e, &plan.norms, &all).unwrap();
    let norms = e.measured();
    let factor = clipping::checked_factor(&mut e, &plan, &total).unwrap();
    let factors_found = e.measured();
    clipping::scaled(&mut e, &numeric, &factor, all).unwrap();
    let scaled = e.measured();
    let all = factors(&mut e);
    clipping::bounded(&mut e, &numeric, &plan, all).unwrap();
    assert_eq!(e.measured() - scaled, scaled - begin, "nothing else is sent");
    // Norms and factors are of rows, whatever the width of the layers; scaling is of every δ.
    let bytes = |cost: Cost| cost.online_bytes() + cost.offline_bytes();
    assert_eq!((norms - begin).rounds, 2);
    assert_eq!((factors_found - norms).rounds, 11);
    assert!(bytes(norms - begin) < 100 * 300, "{}", bytes(norms - begin));
    assert!(bytes(factors_found - norms) < 100 * 1200, "{}", bytes(factors_found - norms));
    assert!(bytes(scaled - factors_found) < 100 * 9 * 33, "{}", bytes(scaled - factors_found));
}

#[test]
fn a_factor_that_breaks_the_bound_counts_as_zero() {
    let mut e = clear();
    let squares = [0.25, 1.0, 4.0, 30.0, 100.0];
    let over = [0.0, 0.5, 1.0, 1.0 + 0.9 * KAPPA, 1.0 + 1.1 * KAPPA, 1.2, 3.0];
    let rows: Vec<(f64, f64)> =
        squares.iter().flat_map(|s: &f64| over.iter().map(move |o| (*s, o / s.sqrt()))).collect();
    let column = |pick: fn(&(f64, f64)) -> f64| {
        Array2::from_shape_vec((rows.len(), 1), rows.iter().map(pick).collect()).unwrap()
    };
    let square = shared(&mut e, &column(|r| r.0), 16, Ring::FULL);
    let c = shared(&mut e, &column(|r| r.1), 16, Ring::FULL);
    let kept = clipping::enforced(&mut e, &c, &square, 12).unwrap().decode();
    for ((s, c), kept) in rows.iter().zip(kept.column(0)) {
        let expected = if c * s.sqrt() <= 1.0 + KAPPA { *c } else { 0.0 };
        assert!((kept - expected).abs() < 1e-4, "{s} {c}: {kept}");
    }
}

#[test]
fn the_rounding_terms_of_the_sensitivity_are_needed() {
    // Few fractional bits and many outputs, and δ whose every entry rounds up.
    let mut job = linear(BoundMode::Clip);
    job.model = features(8, vec![dense(64)], Loss::BinaryCrossEntropy);
    job.fixed_point.gradients = Some(8);
    job.training.max_steps = Some(1);
    let (numeric, plan) = plans(&job);
    let mut worst = 0f64;
    for step in 0..40 {
        let mut e = clear();
        let a = Numbers(5).row(8, 3.0 + 0.02 * f64::from(step)).insert_axis(ndarray::Axis(0));
        let d = Array2::from_elem((1, 64), 0.3);
        let factors = vec![Factors {
            input: shared(&mut e, &a, numeric.activation, numeric.ring),
            delta: shared(&mut e, &d, numeric.gradient, numeric.delta_ring),
        }];
        let bounded = clipping::bounded(&mut e, &numeric, &plan, factors).unwrap();
        worst = worst.max(contributions(&bounded, &numeric)[0]);
    }
    assert!(worst > plan.sensitivity.clipped, "{worst} is within {} without them", plan.sensitivity.clipped);
    assert!(worst <= plan.sensitivity.total, "{worst} of {}", plan.sensitivity.total);
}

/// Adds each party's noise of `steps` steps to zeros and opens the sums; `quiet` adds none.
struct NoiseOnly<'a> {
    plan: &'a PrivacyPlan,
    count: usize,
    steps: usize,
    quiet: Option<usize>,
}

impl Program for NoiseOnly<'_> {
    type Output = Option<Vec<i64>>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, EngineError> {
        let meta = Meta { rows: self.count, cols: 1, frac: 0, ring: Ring::FULL };
        let zeros = e.public(&Tensor::zeros(self.count, 1), meta)?;
        let mut noise = Noise::new(self.plan).unwrap();
        let mut all = Vec::new();
        for _ in 0..self.steps {
            let (weight, bias) = (e.lift(&zeros)?, e.lift(&zeros)?);
            let mut gradients = [crate::layers::Gradient { weight, bias }];
            if Some(e.party()) != self.quiet {
                noise.add(e, &mut gradients)?;
            }
            let sums = e.remask(&[&gradients[0].weight, &gradients[0].bias])?;
            let opening = Opening { reason: Reason::Model, what: "noise".to_owned(), to: vec![0] };
            let opened = e.reveal(&[&sums[0], &sums[1]], opening)?;
            all.extend(opened.iter().flatten().flat_map(|t| t.iter().map(|&v| v as i64)));
        }
        Ok((e.party() == 0).then_some(all))
    }
}

fn noise_of_three(plan: &PrivacyPlan, quiet: Option<usize>) -> Vec<i64> {
    let policy = Policy::new(vec![Rule { reason: Reason::Model, to: vec![0] }]);
    let (count, mut plan) = (10_000, plan.clone());
    plan.sensitivity.coordinates = 2 * count as u64;
    let [opened, ..] = local::run(&NoiseOnly { plan: &plan, count, steps: 1, quiet }, &policy).unwrap();
    opened.unwrap()
}

#[test]
fn the_noise_of_three_parties_has_the_stated_variance_and_none_may_be_missing() {
    let (_, plan) = plans(&linear(BoundMode::Clip));
    let stated = 3.0 * plan.share_deviation().powi(2);
    // The honest two of three reach σΔ.
    let honest = 2.0 * plan.share_deviation().powi(2);
    assert!((honest.sqrt() / (plan.sigma * plan.sensitivity.total) - 1.0).abs() < 1e-9);
    check_variance(&noise_of_three(&plan, None), stated).unwrap();
    for quiet in 0..3 {
        let missing = check_variance(&noise_of_three(&plan, Some(quiet)), stated).unwrap_err();
        assert!(matches!(missing, PrivacyError::Variance { .. }), "{missing}");
    }
}

#[test]
fn noise_scaled_by_a_tenth_is_noticed() {
    let (_, plan) = plans(&linear(BoundMode::Clip));
    let sum = |sampler: DiscreteGaussian| {
        let mut e = clear();
        let meta = Meta { rows: 10_000, cols: 1, frac: 0, ring: Ring::FULL };
        let zeros = e.public(&Tensor::zeros(10_000, 1), meta).unwrap();
        let mut gradients =
            [crate::layers::Gradient { weight: e.lift(&zeros).unwrap(), bias: e.lift(&zeros).unwrap() }];
        Noise::with(&sampler, 20_000).unwrap().add(&mut e, &mut gradients).unwrap();
        gradients[0].weight.elements().data().iter().map(|&v| v as i64).collect::<Vec<_>>()
    };
    let stated = 3.0 * plan.share_deviation().powi(2);
    check_variance(&sum(plan.sampler()), stated).unwrap();
    let tenth = Variance::of_sigma(plan.share_deviation() * 0.1).unwrap();
    check_variance(&sum(DiscreteGaussian::new(tenth)), stated).unwrap_err();
    // Local randomness: nothing that both runs share decides it.
    assert_ne!(sum(plan.sampler()), sum(plan.sampler()));
}

#[test]
fn noise_that_is_drawn_ahead_is_used_once() {
    let law = DiscreteGaussian::new(Variance::of_sigma(1e6).unwrap());
    let meta = Meta { rows: 1000, cols: 1, frac: 0, ring: Ring::FULL };
    let mut e = clear();
    let zeros = e.public(&Tensor::zeros(1000, 1), meta).unwrap();
    let mut noise = Noise::with(&law, 2000).unwrap();
    let mut step = || {
        let mut gradients =
            [crate::layers::Gradient { weight: e.lift(&zeros).unwrap(), bias: e.lift(&zeros).unwrap() }];
        noise.add(&mut e, &mut gradients).unwrap();
        let [crate::layers::Gradient { weight, bias }] = gradients;
        [weight.elements().data().to_vec(), bias.elements().data().to_vec()].concat()
    };
    let both = [step(), step()].concat();
    let mut all = both.clone();
    all.sort_unstable();
    all.dedup();
    // Chance makes about two of 4,000 numbers equal; a draw that is used twice, hundreds.
    assert!(all.len() > 3950, "{}", all.len());
    // Three times s², not nine: no party takes another's draw.
    let variance = both.iter().map(|v| (*v as i64 as f64).powi(2)).sum::<f64>() / both.len() as f64;
    assert!((variance / 3e12 - 1.0).abs() < 0.15, "{variance} of the three parties");
}

#[test]
fn noise_of_another_number_of_coordinates_is_refused() {
    let meta = Meta { rows: 1000, cols: 1, frac: 0, ring: Ring::FULL };
    let mut e = clear();
    let zeros = e.public(&Tensor::zeros(1000, 1), meta).unwrap();
    for coordinates in [1, 1999, 2001] {
        let law = DiscreteGaussian::new(Variance::of_sigma(1e6).unwrap());
        let mut gradients =
            [crate::layers::Gradient { weight: e.lift(&zeros).unwrap(), bias: e.lift(&zeros).unwrap() }];
        let error =
            Noise::with(&law, coordinates).unwrap().add(&mut e, &mut gradients).unwrap_err().to_string();
        assert!(
            error.contains(&format!("counts {coordinates} coordinates, the gradients have 2000")),
            "{error}"
        );
    }
}

#[test]
fn banded_noise_of_the_clear_engine_is_of_three_parties() {
    let (_, mut plan) = plans(&banded(3));
    plan.sensitivity.coordinates = 20_000;
    let mut e = clear();
    let meta = Meta { rows: 10_000, cols: 1, frac: 0, ring: Ring::FULL };
    let zeros = e.public(&Tensor::zeros(10_000, 1), meta).unwrap();
    let mut gradients =
        [crate::layers::Gradient { weight: e.lift(&zeros).unwrap(), bias: e.lift(&zeros).unwrap() }];
    // The first step has nothing to take back.
    Noise::new(&plan).unwrap().add(&mut e, &mut gradients).unwrap();
    let first = gradients[0].weight.elements().data().iter().map(|&v| v as i64).collect::<Vec<_>>();
    check_variance(&first, 3.0 * plan.share_deviation().powi(2)).unwrap();
}

/// Weights and biases of the only layer after and before the first step, in real numbers.
fn first_step(job: &TrainingJob, rows: DataSets) -> Vec<f64> {
    let mut trainer = Trainer::new(clear(), job, rows).unwrap();
    let read = |trainer: &Trainer<ClearEngine>| {
        let parameter = &trainer.state().parameters[0];
        let parts = [&parameter.weight, &parameter.bias];
        let values = parts.iter().flat_map(|part| {
            let Meta { frac, ring, .. } = part.meta();
            let scale = (-f64::from(frac)).exp2();
            part.elements().data().iter().map(move |&v| ring.signed(v) as f64 * scale).collect::<Vec<_>>()
        });
        values.collect::<Vec<_>>()
    };
    let before = read(&trainer);
    trainer.step().unwrap();
    assert!(trainer.engine().violations().is_empty(), "{:?}", trainer.engine().violations());
    read(&trainer).iter().zip(before).map(|(after, before)| after - before).collect()
}

#[test]
fn one_huge_row_moves_the_weights_by_its_bound_and_the_noise_alone() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let mut job = linear(mode);
        (job.training.batch, job.training.max_steps) = (1, Some(1));
        job.fixed_point.range_bits = 18;
        job.release = Release { model: vec![0], ..Release::default() };
        let spec = &mut job.privacy.as_mut().unwrap().spec;
        (spec.epsilon, spec.row_norm) = (8.0, Some(100.0));
        let mut rows = DataSets { train: clouds(&job.model, 1, 1, 1), test: Vec::new() };
        // Of the norm that the job allows, so that the owner leaves it as it is.
        rows.train[0].values.as_mut().unwrap().features.fill(100.0 / 8f32.sqrt() * 0.999);

        let (_, plan) = plans(&job);
        let norm = |moved: &[f64]| moved.iter().map(|v| v * v).sum::<f64>().sqrt();
        let unit = (-f64::from(plan.fraction_bits)).exp2();
        let noise = 3f64.sqrt() * plan.share_deviation() * (plan.coordinates() as f64).sqrt();
        let rate = job.training.learning_rate * 0.5;
        let most = rate * unit * (plan.sensitivity.total + 8.0 * noise);
        let moved = norm(&first_step(&job, rows.clone()));
        assert!(moved <= most, "{mode:?}: {moved} of {most}");
        // The same row in an open training.
        job.privacy = None;
        let open = norm(&first_step(&job, rows));
        assert!(open > 2.0 * most, "{mode:?}: {open} of {most}: the row checks nothing");
    }
}

#[test]
fn a_step_moves_the_weights_by_noise_of_the_planned_variance() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let mut job = linear(mode);
        job.model = features(100, vec![dense(100)], Loss::BinaryCrossEntropy);
        job.training.max_steps = Some(1);
        (job.fixed_point.weight_bits, job.fixed_point.range_bits) = (12, 18);
        job.release = Release { model: vec![0], ..Release::default() };
        let rows = DataSets { train: clouds(&job.model, ROWS, 1, 1), test: Vec::new() };
        let (_, plan) = plans(&job);
        // Two runs on the same rows: what the gradients move is the same in both.
        let [one, other] = [(); 2].map(|()| first_step(&job, rows.clone()));
        // rate · C / batch of a gradient bounded to 1, in its units.
        let unit = job.training.learning_rate * 0.5 / 20.0 * (-f64::from(plan.fraction_bits)).exp2();
        let noise: Vec<i64> = one.iter().zip(&other).map(|(a, b)| ((a - b) / unit).round() as i64).collect();
        check_variance(&noise, 2.0 * 3.0 * plan.share_deviation().powi(2)).unwrap();
    }
}

#[test]
fn truncated_velocities_move_weights_as_far_as_the_bound_says() {
    let mut job = linear(BoundMode::Clip);
    job.model = features(8, vec![dense(64)], Loss::BinaryCrossEntropy);
    (job.training.epochs, job.training.batch) = (1, 1);
    job.privacy.as_mut().unwrap().spec.epsilon = 100.0;
    let fixed = &mut job.fixed_point;
    (fixed.activations, fixed.gradients, fixed.weights) = (Some(4), Some(6), Some(8));
    fixed.range_bits = 16;
    let steps = 100;
    let weights = |momentum: f64| {
        let job = TrainingJob { training: TrainingSpec { momentum, ..job.training.clone() }, ..job.clone() };
        PrivacyPlan::new(&job, steps).unwrap().unwrap().layers[0].weight_norm
    };
    // Hardly any momentum, but a truncation of 576 numbers in every step, all of them off to one side.
    let moved = weights(0.001) - weights(0.0);
    let rate = job.training.learning_rate * 0.5;
    let truncated = (9.0 * 64.0f64).sqrt() * super::TRUNCATION_UNITS / f64::from(1 << 10);
    let least = steps as f64 * rate * truncated;
    assert!(moved > least && moved < 2.0 * least, "{moved} of {least}");
}

#[test]
fn both_views_of_a_planned_run_are_within_its_epsilon() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let (_, plan) = plans(&linear(mode));
        let (outside, corrupt) = (plan.views.outsider.best(), plan.views.corrupt_party.unwrap().best());
        assert!(corrupt <= 1.0 && corrupt > 0.999, "{corrupt}");
        assert!(outside < corrupt, "{outside} {corrupt}");
        assert_eq!(plan.views.neighbours, Some(Neighbours::ZeroOutOne));
        // Three batches an epoch, four epochs: a record takes part four times.
        assert_eq!((plan.steps, plan.participations), (12, 4));
        assert_eq!([0, 1, 3, 4, 12].map(|steps| plan.uses_after(steps)), [0, 1, 1, 2, 4]);
    }
    let mut two = linear(BoundMode::Clip);
    let one = PrivacyPlan::new(&two, ROWS).unwrap().unwrap();
    two.privacy.as_mut().unwrap().corrupt = 2;
    let two = PrivacyPlan::new(&two, ROWS).unwrap().unwrap();
    let ratio = two.share_deviation() / one.share_deviation();
    assert!((ratio - 2f64.sqrt()).abs() < 0.01, "one honest party's noise alone must do: {ratio}");
}

/// A linear model on 60 rows with noise correlated over the three batches of an epoch.
fn banded(bands: usize) -> TrainingJob {
    let mut job = linear(BoundMode::Clip);
    job.privacy.as_mut().unwrap().spec.noise = NoiseKind::Banded { bands };
    job
}

#[test]
fn banded_noise_is_a_multiple_of_the_sensitivity_of_the_whole_training() {
    let (_, plan) = plans(&banded(3));
    let c = [1.0, 0.5, 0.375];
    let squares: f64 = c.iter().map(|c| c * c).sum();
    // A record takes part in four steps, three apart: four columns of three bands.
    let exact = plan.sensitivity.total * (4.0 * squares).sqrt();
    let over = plan.noise_sensitivity - exact;
    assert!(over > 0.0 && over < 1000.0, "rounding is {over} units of {exact}");
    let (_, independent) = plans(&linear(BoundMode::Clip));
    assert_eq!(independent.noise_sensitivity, independent.sensitivity.total);
    // One Gaussian of the whole training, against one of each of four steps.
    assert!((independent.sigma / plan.sigma - 2.0).abs() < 1e-4, "{} {}", independent.sigma, plan.sigma);
    assert_eq!([0, 1, 3, 12].map(|steps| plan.uses_after(steps)), [0, 1, 1, 1]);
    assert_eq!(plan.events().len(), 1);
    let corrupt = plan.views.corrupt_party.unwrap().best();
    assert!(corrupt <= 1.0 && corrupt > 0.999, "{corrupt}");
}

#[test]
fn banded_noise_of_three_parties_undone_is_independent_noise_of_the_planned_variance() {
    let (_, mut plan) = plans(&banded(3));
    let (count, steps, c) = (1000, 4, [1.0, 0.5, 0.375]);
    plan.sensitivity.coordinates = 2 * count as u64;
    let policy = Policy::new(vec![Rule { reason: Reason::Model, to: vec![0] }]);
    let draws = |quiet| {
        let [opened, ..] = local::run(&NoiseOnly { plan: &plan, count, steps, quiet }, &policy).unwrap();
        let y: Vec<f64> = opened.unwrap().into_iter().map(|v| v as f64).collect();
        let d = 2 * count;
        assert_eq!(y.len(), steps * d);
        let z = (0..steps * d).map(|at| {
            let (step, place) = (at / d, at % d);
            let back = (0..c.len().min(step + 1)).map(|j| c[j] * y[(step - j) * d + place]);
            back.sum::<f64>().round() as i64
        });
        (z.collect::<Vec<_>>(), y)
    };
    let stated = 3.0 * plan.share_deviation().powi(2);
    let (z, y) = draws(None);
    check_variance(&z, stated).unwrap();
    // Correlated it is: neighbouring steps take noise back.
    let product: f64 =
        y.iter().zip(&y[2 * count..]).map(|(a, b)| a * b).sum::<f64>() / (3.0 * 2.0 * count as f64);
    assert!(product < -0.3 * stated, "{product} of {stated}");
    for quiet in 0..3 {
        check_variance(&draws(Some(quiet)).0, stated).unwrap_err();
    }
}

#[test]
fn banded_noise_lets_a_training_of_many_small_batches_learn_more() {
    let run = |bands: usize| {
        let mut job = banded(bands);
        (job.training.batch, job.training.epochs, job.training.learning_rate) = (20, 4, 0.5);
        job.fixed_point.weight_bits = 12;
        job.fixed_point.range_bits = 16;
        job.privacy.as_mut().unwrap().spec.clip = 1.0;
        let rows = data(&job.model, 800, 400);
        let mut trainer = Trainer::new(ClearEngine::new(job.policy()).strict(), &job, rows).unwrap();
        let outcome = trainer.run(&mut |_, _| {}).unwrap();
        assert!(trainer.engine().violations().is_empty());
        outcome.metrics[0].loss.unwrap()
    };
    // The noise is real: one run alone says little.
    let mean = |bands: usize| (0..8).map(|_| run(bands)).sum::<f64>() / 8.0;
    let (independent, banded) = (mean(1), mean(40));
    assert!(banded < 0.8 * independent, "{banded} {independent}");
}

#[test]
fn a_unit_of_several_rows_gets_as_much_more_noise() {
    let record = plans(&linear(BoundMode::Clip)).1;
    for (rows, owners, times) in [(1, Some(1), 1.0), (4, Some(1), 4.0), (2, Some(3), 6.0), (2, None, 6.0)] {
        let mut job = linear(BoundMode::Clip);
        job.fixed_point.weight_bits = 12;
        job.fixed_point.range_bits = 16;
        let spec = &mut job.privacy.as_mut().unwrap().spec;
        (spec.unit, spec.unit_rows, spec.unit_owners) = ("patient".to_owned(), Some(rows), owners);
        let plan = plans(&job).1;
        assert_eq!(plan.sigma, record.sigma);
        // The rounding of bounded gradients depends a little on the ranges.
        let ratio = plan.share_deviation() / record.share_deviation();
        assert!((ratio / times - 1.0).abs() < 0.01, "{rows} {owners:?}: {ratio} instead of {times}");
    }
}

#[test]
fn a_private_training_learns_and_is_never_the_same_twice() {
    for mode in [BoundMode::Normalise, BoundMode::Clip] {
        let mut job = linear(mode);
        job.training.batch = 600;
        job.training.epochs = 8;
        job.training.learning_rate = if mode == BoundMode::Clip { 4.0 } else { 2.0 };
        job.fixed_point.weight_bits = 8;
        let rows = data(&job.model, 600, 200);
        let run = || {
            let engine = ClearEngine::new(job.policy()).strict();
            let mut trainer = Trainer::new(engine, &job, rows.clone()).unwrap();
            let outcome = trainer.run(&mut |_, _| {}).unwrap();
            assert!(trainer.engine().violations().is_empty());
            outcome
        };
        let (first, second) = (run(), run());
        let accuracy = first.metrics[0].accuracy.unwrap();
        assert!(accuracy > 0.8, "{mode:?}: {accuracy}");
        assert_ne!(first.model, second.model, "{mode:?}");
    }
}

#[test]
fn rows_are_shortened_by_their_owner_and_bad_targets_refused() {
    let job = linear(BoundMode::Clip);
    let mut rows = data(&job.model, 40, 20);
    let values = rows.train[0].values.as_mut().unwrap();
    values.features.row_mut(3).fill(100.0);
    let privacy = job.privacy.as_ref().unwrap();
    super::rows::bound(&mut rows, privacy).unwrap();
    let features = &rows.train[0].values.as_ref().unwrap().features;
    let norms = features.rows().into_iter().map(|r| r.dot(&r).sqrt());
    let largest = norms.fold(0f32, f32::max);
    assert!((3.999..=4.00001).contains(&largest), "{largest}");
    rows.train[0].values.as_mut().unwrap().targets[(5, 0)] = 7.0;
    let error = super::rows::bound(&mut rows, privacy).unwrap_err().to_string();
    assert!(error.contains("row 5") && !error.contains('7'), "{error}");
}

#[test]
fn what_cannot_be_private_is_refused_in_one_sentence() {
    let refused = |change: &dyn Fn(&mut TrainingJob), part: &str| {
        let mut job = linear(BoundMode::Normalise);
        change(&mut job);
        let error = PrivacyPlan::new(&job, ROWS).map(|_| ()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(part), "expected {part:?} in: {text}");
        error
    };
    fn privacy(job: &mut TrainingJob) -> &mut PrivacySpec {
        &mut job.privacy.as_mut().unwrap().spec
    }
    for delta in [0.0, 1.0, -1e-5, f64::NAN] {
        refused(&|job| privacy(job).delta = delta, "privacy.delta is");
    }
    refused(&|job| privacy(job).epsilon = 0.0, "privacy.epsilon is 0");
    refused(&|job| privacy(job).unit = String::new(), "privacy.unit is empty");
    refused(&|job| privacy(job).unit = "patient".to_owned(), "privacy.unit_rows is missing");
    refused(&|job| privacy(job).unit_rows = Some(2), "privacy.unit_rows is 2; leave it out");
    let patients = |job: &mut TrainingJob, rows, owners| {
        let spec = privacy(job);
        (spec.unit, spec.unit_rows, spec.unit_owners) = ("patient".to_owned(), Some(rows), owners);
    };
    refused(&|job| patients(job, 0, None), "privacy.unit_rows is 0");
    refused(&|job| patients(job, 2, Some(4)), "privacy.unit_owners is 4");
    let banded = |job: &mut TrainingJob, bands| privacy(job).noise = NoiseKind::Banded { bands };
    // Three batches an epoch.
    refused(&|job| banded(job, 4), "privacy.noise.bands is 4; use at most 3");
    refused(&|job| banded(job, 0), "1 to 4096 bands");
    // Half a million coordinates.
    let wide = |job: &mut TrainingJob| {
        banded(job, 400);
        job.model = features(5000, vec![dense(100)], Loss::SoftmaxCrossEntropy);
        (job.training.epochs, job.training.batch) = (1, 1);
    };
    refused(&wide, "privacy.noise.bands is 400; use at most 269");
    let both = |job: &mut TrainingJob| {
        banded(job, 2);
        patients(job, 2, None);
    };
    refused(&both, "use \"record\" with banded noise");
    let falling = |job: &mut TrainingJob| {
        banded(job, 2);
        job.training.schedule = Schedule::Step { every: 1, factor: 0.5, warm_up: 0 };
    };
    refused(&falling, "constant learning rate without");
    refused(&|job| privacy(job).clip = f64::INFINITY, "privacy.clip is inf");
    refused(&|job| privacy(job).row_norm = Some(0.0), "privacy.row_norm is 0");
    refused(&|job| privacy(job).mode = BoundMode::Clip, "privacy.gamma");
    refused(&|job| job.privacy.as_mut().unwrap().corrupt = 3, "at least one must be honest");
    refused(&|job| job.standardise = true, "not covered by the noise");
    let rates = |job: &mut TrainingJob, rate, clip| {
        job.training.learning_rate = rate;
        privacy(job).clip = clip;
    };
    refused(&|job| rates(job, 512.0, 4.0), "training.learning_rate times privacy.clip is 512 times 4; use");
    refused(
        &|job| rates(job, 1e-12, 0.5),
        "training.learning_rate 0.000000000001 times privacy.clip 0.5, a rate of 5e-13 with batches of 20 needs",
    );
    refused(
        &|job| job.training.weight_decay = 0.25,
        "training.weight_decay is 0.25 in a private training; leave it out, or set it to 0",
    );
    refused(&|job| job.model.loss = Loss::MeanSquaredError, "mean-squared-error");
    refused(&|job| job.fixed_point.weight_bits = 2, "fixed_point.weight_bits is 2, but weights of layer 0");
    refused(&|job| job.fixed_point.range_bits = 4, "fixed_point.range_bits is 4, but outputs of layer 0");
    let conv = LayerSpec::Conv2d { channels: 2, kernel: 3, stride: 1, padding: 1 };
    let layers = vec![conv, RELU, LayerSpec::Flatten {}, dense(3)];
    refused(&|job| job.model = image(6, layers.clone(), Loss::SoftmaxCrossEntropy), "layer 0 (conv2d)");
    let out_of_reach = refused(
        &|job| {
            privacy(job).epsilon = 1e-9;
            privacy(job).delta = 1e-15;
            job.training.epochs = 1_000_000;
        },
        "out of reach",
    );
    assert!(matches!(out_of_reach, TrainError::Privacy(_)));
}
