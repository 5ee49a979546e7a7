//! One training step of network A (784-128-128-10) and of the breast cancer network (30-16-2), batches of 128 rows: in plaintext, in
//! fixed point in the open, and by three parties over memory and over QUIC on loopback.
//!
//! Rows are synthetic with a fixed seed and shared before the measurement. All parties share the cores of this machine, one
//! kernel thread each; compare ratios of one run.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tercet_benches::{
    Clear, Link, Network, Plaintext, Protocol, Session, Threads, Training, check_traffic, declared, synthetic,
};
use tercet_train::Architecture;

const BATCH: usize = 128;

fn measure(c: &mut Criterion, network: &Network, variant: &str, training: &mut dyn Training) {
    let mut group = c.benchmark_group(format!("training step, batch {BATCH}"));
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    group.bench_function(BenchmarkId::new(network.name, variant), |bench| {
        bench.iter_custom(|steps| training.steps(steps).expect("the training goes on"));
    });
    group.finish();
}

fn training(c: &mut Criterion) {
    for network in [Network::breast_cancer(), Network::a()] {
        let job = network.job(BATCH);
        let architecture = Architecture::new(&network.model).expect("the layers fit together");
        let data = synthetic(architecture.inputs(), architecture.outputs(), BATCH);
        let mut plaintext = Plaintext::new(&job, &data).expect("the rows fit the job");
        measure(c, &network, "plaintext f32", &mut plaintext);
        let mut clear = Clear::new(&job, &data).expect("the rows fit the job");
        measure(c, &network, "clear fixed point", &mut clear);
        for (variant, link) in [("helper, in memory", Link::Memory), ("helper, QUIC", Link::Quic)] {
            let mut session = Session::start(Protocol::Helper, link, Threads::Each(1), &job, &data)
                .expect("the parties join");
            measure(c, &network, variant, &mut session);
            let cost = declared(Protocol::Helper, &job, &data, session.steps_done());
            check_traffic(&session, &cost.expect("the rows fit the job"))
                .expect("the steps cost what is declared");
            session.finish().expect("the parties leave in good order");
        }
    }
}

criterion_group!(benches, training);
criterion_main!(benches);
