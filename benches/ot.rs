//! Oblivious transfer: base transfers, set-up, extension per transfer, and triples on top of it. Seeds are fixed; the speed does not
//! depend on the values.
//!
//! Where one end is timed alone, it has one thread: transfers per second per core. The set-up runs both ends in turn on one thread.
//! Elsewhere both parties share the cores of this machine. The bytes at the end come from counted channels; they are compared with what is declared, byte for byte, and
//! with the formulas of PROTOCOL.md, which do not round to whole messages.

#![allow(clippy::print_stdout, reason = "the bytes are part of the result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tercet_ot::base::{BaseReceiver, BaseSender};
use tercet_ot::channel::memory::{self, MemoryChannel};
use tercet_ot::extension::{
    ExtensionReceiver, ExtensionSender, FieldBits, ReceiverSetup, RotReceiver, RotSender, SECURITY,
    SenderSetup,
};
use tercet_ot::link::{self, Link};
use tercet_ot::product::{ChoiceSide, Elementwise, MatrixPlan, MatrixShape, Ring};
use tercet_ot::{Context, OtError, triples};

/// Random transfers in one call of the extension.
const TRANSFERS: usize = 1 << 18;

/// Element-wise triples in one call.
const TRIPLES: usize = 1 << 13;

/// A layer of 128 units on a batch of 128 images.
const LAYER: MatrixShape = MatrixShape { rows: 128, inner: 784, columns: 128 };

/// All field parameters, and the one of triples.
const FIELDS: std::ops::RangeInclusive<u8> = 1..=8;
const TRIPLE_FIELD: u8 = 4;

fn field(k: u8) -> FieldBits {
    FieldBits::new(k).expect("1 to 8 are field parameters")
}

fn context() -> Context {
    Context::new(&[1; 32], 0, 1)
}

fn choices() -> Vec<u64> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    (0..TRANSFERS / 64).map(|_| rng.next_u64()).collect()
}

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    // As the node does at its start.
    tercet_share::allocation::keep_freed_memory();
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group
}

/// 128 base transfers at both ends.
fn base_transfers(choices: &[u8], rng: &mut ChaCha20Rng) -> Result<(), OtError> {
    let (sender, offer) = BaseSender::start(context(), choices.len(), rng);
    let (receiver, answer) = BaseReceiver::start(context(), choices, rng);
    black_box((sender.finish(&answer)?, receiver.finish(&offer)?));
    Ok(())
}

fn setup(field: FieldBits) -> Result<(ExtensionSender, ExtensionReceiver), OtError> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (sender, to_receiver) = SenderSetup::start(context(), field, &mut rng);
    let (receiver, to_sender) = ReceiverSetup::start(context(), field, &mut rng);
    let (receiver, trees) = receiver.finish(&to_receiver)?;
    Ok((sender.finish(&to_sender, &trees)?, receiver))
}

fn base(c: &mut Criterion) {
    let mut group = group(c, "OT set-up, both ends on one thread");
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let choices: Vec<u8> = (0..SECURITY).map(|_| (rng.next_u32() & 1) as u8).collect();
    group.throughput(Throughput::Elements(SECURITY as u64));
    group.bench_function("128 base transfers", |b| {
        b.iter(|| base_transfers(&choices, &mut rng).expect("both are honest"));
    });
    for k in FIELDS {
        group.bench_function(BenchmarkId::new("base transfers and trees, k", k), |b| {
            b.iter(|| setup(field(k)).expect("both are honest"));
        });
    }
    group.finish();
}

/// Each end alone on one thread.
fn extension_per_core(c: &mut Criterion) {
    let mut group = group(c, "OT extension, one end on one thread");
    group.throughput(Throughput::Elements(TRANSFERS as u64));
    let choices = choices();
    let core = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
    for k in FIELDS {
        let (_, mut receiver) = setup(field(k)).expect("both are honest");
        group.bench_function(BenchmarkId::new("receiver, random transfers, k", k), |b| {
            b.iter_custom(|n| {
                core.install(|| {
                    let began = Instant::now();
                    for _ in 0..n {
                        let (rows, message) = receiver.extend(&choices, TRANSFERS).expect("enough choices");
                        black_box((rows.messages(), message));
                    }
                    began.elapsed()
                })
            });
        });
        let (mut sender, mut receiver) = setup(field(k)).expect("both are honest");
        group.bench_function(BenchmarkId::new("sender, random transfers, k", k), |b| {
            b.iter_custom(|n| {
                let mut taken = Duration::ZERO;
                for _ in 0..n {
                    let (_, message) = receiver.extend(&choices, TRANSFERS).expect("enough choices");
                    taken += core.install(|| {
                        let began = Instant::now();
                        let rows = sender.extend(TRANSFERS, &message).expect("the receiver is honest");
                        black_box(rows.messages());
                        began.elapsed()
                    });
                }
                taken
            });
        });
    }
    // From correlated to random transfers: the same for every k.
    let (mut sender, mut receiver) = setup(field(TRIPLE_FIELD)).expect("both are honest");
    let mut batch = || {
        let (chosen, message) = receiver.extend(&choices, TRANSFERS).expect("enough choices");
        (chosen, sender.extend(TRANSFERS, &message).expect("the receiver is honest"))
    };
    group.bench_function("receiver, hash alone", |b| {
        core.install(|| b.iter_batched(|| batch().0, |rows| rows.messages(), BatchSize::PerIteration));
    });
    group.bench_function("sender, hash alone", |b| {
        core.install(|| b.iter_batched(|| batch().1, |rows| rows.messages(), BatchSize::PerIteration));
    });
    group.finish();
}

fn extension(c: &mut Criterion) {
    let mut group = group(c, "OT extension, both ends");
    group.throughput(Throughput::Elements(TRANSFERS as u64));
    let choices = choices();
    for k in FIELDS {
        let (mut sender, mut receiver) = setup(field(k)).expect("both are honest");
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

/// What two parties took for an operation after their set-up, and what both sent.
struct Run {
    wall: Duration,
    setup_bytes: u64,
    bytes: u64,
}

/// `count` runs of `operation` at two parties.
fn two_parties(
    k: u8,
    count: u64,
    operation: impl Fn(&mut [Link<MemoryChannel>], &mut ChaCha20Rng) -> Result<(), OtError> + Sync,
) -> Result<Run, OtError> {
    let field = FieldBits::new(k)?;
    let operation = &operation;
    std::thread::scope(|scope| {
        let parties: Vec<std::thread::ScopedJoinHandle<'_, Result<Run, OtError>>> = (0u8..)
            .zip(memory::mesh(2))
            .map(|(me, channels)| {
                scope.spawn(move || {
                    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(me));
                    let mut links = link::connect(channels, &[9; 32], me, field, &mut rng)?;
                    let setup_bytes = sent(&links);
                    let began = Instant::now();
                    (0..count).try_for_each(|_| operation(&mut links, &mut rng))?;
                    Ok(Run { wall: began.elapsed(), setup_bytes, bytes: sent(&links) - setup_bytes })
                })
            })
            .collect();
        let mut both = Run { wall: Duration::ZERO, setup_bytes: 0, bytes: 0 };
        for party in parties {
            let run = party.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            both.wall = both.wall.max(run.wall);
            both.setup_bytes += run.setup_bytes;
            both.bytes += run.bytes;
        }
        Ok(both)
    })
}

fn sent(links: &[Link<MemoryChannel>]) -> u64 {
    links.iter().map(|link| link.channel().bytes_sent()).sum()
}

fn matrix_triples(plan: MatrixPlan, count: u64) -> Run {
    two_parties(TRIPLE_FIELD, count, |links, rng| triples::matrix_triple(links, plan, rng).map(drop))
        .expect("both are honest")
}

fn elementwise_triples(count: u64) -> Run {
    two_parties(TRIPLE_FIELD, count, |links, rng| triples::triples(links, Ring::FULL, TRIPLES, rng).map(drop))
        .expect("both are honest")
}

/// The plan of a matrix product that the protocol would take.
fn cheapest(shape: MatrixShape) -> MatrixPlan {
    MatrixPlan::cheapest(shape, Ring::FULL, field(TRIPLE_FIELD)).expect("the shape is small")
}

fn scalar_products(shape: MatrixShape) -> Throughput {
    Throughput::Elements((shape.rows * shape.inner * shape.columns) as u64)
}

fn products(c: &mut Criterion) {
    let mut group = group(c, "OT triples, two parties, k = 4");
    group.throughput(Throughput::Elements(TRIPLES as u64));
    group.bench_function("element-wise, 64 bits", |b| b.iter_custom(|n| elementwise_triples(n).wall));
    let shape = MatrixShape { rows: 128, inner: 128, columns: 10 };
    group.throughput(scalar_products(shape));
    for digit in [1, 4] {
        let plan = MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Right, digit).expect("the shape is small");
        group.bench_function(BenchmarkId::new("matrix 128x128x10, digits of", digit), |b| {
            b.iter_custom(|n| matrix_triples(plan, n).wall);
        });
    }
    // One triple is 2 GB of messages: a sample is one of them.
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1))
        .throughput(scalar_products(LAYER));
    let plan = cheapest(LAYER);
    group.bench_function(BenchmarkId::new("matrix 128x784x128, digits of", plan.digit()), |b| {
        b.iter_custom(|n| matrix_triples(plan, n).wall);
    });
    group.finish();
}

/// Bytes of `count` things: as `measured` they must be those that are `declared`, and each must be close to `formula`.
fn compare(name: &str, count: usize, measured: u64, declared: u64, formula: f64) {
    assert_eq!(measured, declared, "{name}: the bytes sent are not those declared");
    let each = measured as f64 / count as f64;
    let ratio = each / formula;
    println!("bytes, {name}: {each:.4} measured, {formula:.4} by the formula, ratio {ratio:.5}");
    assert!((ratio - 1.0).abs() < 1e-3, "{name}: {each} bytes are not {formula}");
}

/// Bytes of one direction of a matrix triple: for every entry of the operand that chooses, L transfers, the trees of the digits, and
/// Σ_d m·(L − w·d) bits rounded up to bytes, m the length of a payload row.
fn matrix_formula(plan: MatrixPlan) -> f64 {
    let (shape, ring, w) = (plan.shape(), plan.ring().bits(), plan.digit());
    let (entries, m) = match plan.side() {
        ChoiceSide::Left => (shape.left(), shape.columns),
        ChoiceSide::Right => (shape.right(), shape.rows),
    };
    let digits = || (0..ring).step_by(w);
    let trees: usize = digits().map(|first| 32 * (w.min(ring - first) - 1)).sum();
    let bits: usize = digits().map(|first| m * (ring - first)).sum();
    let transfers = (ring * field(TRIPLE_FIELD).blocks()) as f64 / 8.0;
    entries as f64 * (transfers + (trees + bits.div_ceil(8)) as f64)
}

/// Bytes on counted channels beside the formulas.
fn bytes(_: &mut Criterion) {
    let choices = choices();
    for k in FIELDS {
        let field = field(k);
        let run = two_parties(k, 1, |links, _| {
            let me = 1 - links[0].peer();
            let (channel, sender, receiver) = links[0].parts();
            if me == 0 {
                receiver.receive_random(channel, &choices, TRANSFERS).map(drop)
            } else {
                sender.send_random(channel, TRANSFERS).map(drop)
            }
        })
        .expect("both are honest");
        let blocks = field.blocks();
        let trees = 32 * (SECURITY - blocks);
        let setup = 2 * link::setup_cost(field).bytes_per_peer;
        compare(&format!("set-up, each way, k = {k}"), 2, run.setup_bytes, setup, (8288 + trees) as f64);
        let declared = field.extension_bytes(TRANSFERS) as u64;
        compare(&format!("random transfer, k = {k}"), TRANSFERS, run.bytes, declared, blocks as f64 / 8.0);
    }
    let field = field(TRIPLE_FIELD);
    let (zeros, mut shares) = (vec![0; TRIPLES], vec![0; TRIPLES]);
    let product =
        Elementwise::new(Ring::FULL, &zeros, &zeros, &mut shares).expect("the lengths are the same");
    let declared = 2 * link::exchange_cost(&product, field).bytes_per_peer;
    let formula = triples::bytes_per_product(Ring::FULL, field);
    let name = "element-wise triple of a pair, 64 bits, k = 4";
    compare(name, TRIPLES, elementwise_triples(1).bytes, declared, formula);
    for shape in [MatrixShape { rows: 128, inner: 128, columns: 10 }, LAYER] {
        let plan = cheapest(shape);
        let MatrixShape { rows, inner, columns } = shape;
        let digit = plan.digit();
        let name =
            format!("matrix triple of a pair, {rows}x{inner}x{columns}, 64 bits, k = 4, digits of {digit}");
        let declared = 2 * plan.cost(field).bytes_per_peer;
        compare(&name, 1, matrix_triples(plan, 1).bytes, declared, 2.0 * matrix_formula(plan));
    }
}

criterion_group!(benches, base, extension_per_core, extension, products, bytes);
criterion_main!(benches);
