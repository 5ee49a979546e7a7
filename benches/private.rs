//! What privacy costs: one training step of network A (784-128-128-10), batches of 128 rows, with and without `[privacy]`, by three parties of
//! the helper protocol over memory and over QUIC on loopback, at the same scales and bounds. One run, so that ratios can be taken; the
//! bytes are declared, exact, and compared with the traffic. The ratios at the end are of trainings that make steps in turns, so that a
//! machine that slows down meanwhile slows all of them.
//!
//! The parts of the extra time: the noise of one party for one step is measured alone; the rest is bounding, whose rounds are printed.
//! Three parties share the cores, so the processor time of each counts, and so do the switches between them that every round brings.
//! Rows are synthetic with a fixed seed; all parties share the cores of this machine, one kernel thread each.

#![allow(clippy::print_stdout, reason = "the declared costs are part of the result")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tercet_benches::{
    Link, Network, Protocol, Session, Threads, Training, check_traffic, declared, declared_step, synthetic,
};
use tercet_privacy::sampler::LocalRng;
use tercet_train::privacy::PrivacyPlan;
use tercet_train::spec::{BoundMode, FixedPointSpec, NoiseKind, PrivacySpec};
use tercet_train::{Privacy, TrainingJob};

const BATCH: usize = 128;

/// The trainings that are compared.
const TRAININGS: [(&str, Option<BoundMode>); 3] =
    [("open", None), ("normalise", Some(BoundMode::Normalise)), ("clip", Some(BoundMode::Clip))];

/// The job of the trainings. Bounds and noise are planned for one epoch; the bench goes on beyond it, which changes no cost.
fn job(mode: Option<BoundMode>) -> TrainingJob {
    let mut job = Network::a().job(BATCH);
    // The four batches of the synthetic rows, once each.
    job.training.epochs = 1;
    job.fixed_point =
        FixedPointSpec { frac: 14, range_bits: 18, weight_bits: 7, ..FixedPointSpec::default() };
    job.privacy = mode.map(|mode| {
        let spec = PrivacySpec {
            unit: "record".to_owned(),
            unit_rows: None,
            unit_owners: None,
            noise: NoiseKind::default(),
            epsilon: 3.0,
            delta: 1e-5,
            mode,
            clip: 0.25,
            gamma: (mode == BoundMode::Normalise).then_some(1.0),
            row_norm: Some(9.0),
        };
        Privacy { spec, corrupt: 1 }
    });
    job
}

fn private(c: &mut Criterion) {
    let data = synthetic(784, 10, BATCH);
    let mut open_bytes = 0;
    for (name, mode) in TRAININGS {
        let job = job(mode);
        let step = declared_step(Protocol::Helper, &job, &data).expect("the rows fit the job");
        let bytes = step.online_bytes() + step.offline_bytes();
        if mode.is_none() {
            open_bytes = bytes;
        }
        let ratio = bytes as f64 / open_bytes as f64;
        println!("{name}: {} rounds, {bytes} bytes a step, {ratio:.4} of open", step.rounds);
        if let Some(plan) = PrivacyPlan::new(&job, 4 * BATCH).expect("the job can be private") {
            let (sampler, mut rng) = (plan.sampler(), LocalRng::new().expect("the system has randomness"));
            let mut noise = vec![0; plan.coordinates()];
            let mut group = c.benchmark_group("noise of one party for one step");
            group.sample_size(20);
            group.bench_function(name, |bench| bench.iter(|| sampler.fill(&mut rng, &mut noise)));
            group.finish();
        }
        for (variant, link) in [("in memory", Link::Memory), ("QUIC", Link::Quic)] {
            let mut group = c.benchmark_group(format!("private step, batch {BATCH}, {variant}"));
            group
                .sample_size(10)
                .warm_up_time(Duration::from_secs(1))
                .measurement_time(Duration::from_secs(3));
            let mut session = Session::start(Protocol::Helper, link, Threads::Each(1), &job, &data)
                .expect("the parties join");
            group.bench_function(BenchmarkId::new("A", name), |bench| {
                bench.iter_custom(|steps| session.steps(steps).expect("the training goes on"));
            });
            let cost = declared(Protocol::Helper, &job, &data, session.steps_done());
            check_traffic(&session, &cost.expect("the rows fit the job"))
                .expect("the steps cost what is declared");
            session.finish().expect("the parties leave in good order");
            group.finish();
        }
    }
}

/// Steps that a training makes before it is the next one's turn, and turns.
const TURN: u64 = 20;
const TURNS: usize = 15;

/// Median times of a step of the three trainings, which take turns, and their ratios.
fn ratios(_: &mut Criterion) {
    let data = synthetic(784, 10, BATCH);
    for (variant, link) in [("in memory", Link::Memory), ("QUIC", Link::Quic)] {
        let mut sessions = TRAININGS.map(|(name, mode)| {
            let session = Session::start(Protocol::Helper, link, Threads::Each(1), &job(mode), &data)
                .expect("the parties join");
            (name, session, Vec::new())
        });
        for turn in 0..=TURNS {
            for (_, session, times) in &mut sessions {
                let time = session.steps(TURN).expect("the training goes on");
                if turn > 0 {
                    times.push(time.as_secs_f64() * 1e3 / TURN as f64);
                }
            }
        }
        let mut open = None;
        for (name, session, mut times) in sessions {
            times.sort_by(f64::total_cmp);
            let median = times[TURNS / 2];
            let ratio = median / *open.get_or_insert(median);
            println!("in turns, {variant}, {name}: {median:.2} ms a step, {ratio:.3} of open");
            session.finish().expect("the parties leave in good order");
        }
    }
}

criterion_group!(benches, private, ratios);
criterion_main!(benches);
