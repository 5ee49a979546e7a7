//! Oblivious transfer: set-up, extension per transfer, and triples on top of it. Seeds are fixed; the speed does not depend on
//! the values. Both parties run in this process and share its cores.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tercet_ot::channel::memory::{self, MemoryChannel};
use tercet_ot::extension::{ExtensionReceiver, ExtensionSender, FieldBits, ReceiverSetup, SenderSetup};
use tercet_ot::link::{self, Link};
use tercet_ot::product::{ChoiceSide, MatrixPlan, MatrixShape, Ring};
use tercet_ot::{Context, OtError, triples};

/// Random transfers in one call of the extension.
const TRANSFERS: usize = 1 << 18;

fn setup(field: FieldBits) -> Result<(ExtensionSender, ExtensionReceiver), OtError> {
    let context = Context::new(&[1; 32], 0, 1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (sender, to_receiver) = SenderSetup::start(context, field, &mut rng);
    let (receiver, to_sender) = ReceiverSetup::start(context, field, &mut rng);
    let (receiver, trees) = receiver.finish(&to_receiver)?;
    Ok((sender.finish(&to_sender, &trees)?, receiver))
}

fn extension(c: &mut Criterion) {
    let mut group = c.benchmark_group("OT extension, both ends");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let field = FieldBits::new(4).expect("4 is a field size");
    group.bench_function("set-up with base transfers", |b| b.iter(|| setup(field).expect("both are honest")));
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let choices: Vec<u64> = (0..TRANSFERS / 64).map(|_| rng.next_u64()).collect();
    group.throughput(Throughput::Elements(TRANSFERS as u64));
    for k in [1, 2, 4, 6] {
        let field = FieldBits::new(k).expect("1 to 8 are field sizes");
        let (mut sender, mut receiver) = setup(field).expect("both are honest");
        group.bench_function(BenchmarkId::new("random transfers, k", k), |b| {
            b.iter(|| {
                let (rows, message) = receiver.extend(&choices, TRANSFERS).expect("enough choices");
                let chosen = rows.messages();
                let pairs = sender.extend(TRANSFERS, &message).expect("the receiver is honest").messages();
                (chosen, pairs)
            });
        });
    }
    group.finish();
}

/// The wall time of `count` runs of `operation` at two parties after their set-up.
fn two_parties(
    count: u64,
    operation: impl Fn(&mut [Link<MemoryChannel>], &mut ChaCha20Rng) -> Result<(), OtError> + Sync,
) -> Result<Duration, OtError> {
    let field = FieldBits::new(4)?;
    let operation = &operation;
    std::thread::scope(|scope| {
        let parties: Vec<std::thread::ScopedJoinHandle<'_, Result<Duration, OtError>>> = (0u8..)
            .zip(memory::mesh(2))
            .map(|(me, channels)| {
                scope.spawn(move || {
                    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(me));
                    let mut links = link::connect(channels, &[9; 32], me, field, &mut rng)?;
                    let began = Instant::now();
                    (0..count).try_for_each(|_| operation(&mut links, &mut rng))?;
                    Ok(began.elapsed())
                })
            })
            .collect();
        let mut longest = Duration::ZERO;
        for party in parties {
            longest = longest.max(party.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(longest)
    })
}

fn products(c: &mut Criterion) {
    const TRIPLES: usize = 1 << 13;
    let mut group = c.benchmark_group("OT triples, two parties, k = 4");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(TRIPLES as u64));
    group.bench_function("element-wise, 64 bits", |b| {
        b.iter_custom(|n| {
            two_parties(n, |links, rng| triples::triples(links, Ring::FULL, TRIPLES, rng).map(drop))
                .expect("both are honest")
        });
    });
    let shape = MatrixShape { rows: 128, inner: 128, columns: 10 };
    group.throughput(Throughput::Elements((shape.rows * shape.inner * shape.columns) as u64));
    for digit in [1, 4] {
        let plan = MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Right, digit).expect("the shape is small");
        group.bench_function(BenchmarkId::new("matrix 128x128x10, digits of", digit), |b| {
            b.iter_custom(|n| {
                two_parties(n, |links, rng| triples::matrix_triple(links, plan, rng).map(drop))
                    .expect("both are honest")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, extension, products);
criterion_main!(benches);
