//! Oblivious transfer: base transfers, set-up, extension per transfer, and triples on top of it. Seeds are fixed; the speed does not
//! depend on the values.
//!
//! Where one end is timed alone, it has one thread: transfers per second per core. The set-up runs both ends in turn on one thread.
//! Two parties have one thread each and an in-memory channel between them; the time is that of the slower one, from when both are
//! set up. The channel counts what they send, which is compared with what is declared, byte for byte, and with the formulas of
//! PROTOCOL.md, which do not round to whole messages.

#![allow(clippy::print_stdout, reason = "the bytes are part of the result")]

use std::hint::black_box;
use std::sync::Barrier;
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
use tercet_ot::product::{Ands, ChoiceSide, Elementwise, MatrixPlan, MatrixShape, Moduli, Ring};
use tercet_ot::{Context, OtError, dabit, triples};

/// Random transfers in one call of the extension.
const TRANSFERS: usize = 1 << 18;

/// What one call makes of element-wise triples, bit triples, doubly shared bits, and numbers with shared bits.
const TRIPLES: usize = 1 << 13;
const BIT_TRIPLES: usize = 1 << 20;
const SHARED_BITS: usize = 1 << 17;
const NUMBERS: usize = 1 << 11;

/// A layer of 128 units on a batch of 128 images.
const LAYER: MatrixShape = MatrixShape { rows: 128, inner: 784, columns: 128 };

/// All field parameters.
const FIELDS: std::ops::RangeInclusive<u8> = 1..=8;

/// The field parameter of triples and shared bits.
const TRIPLE_FIELD: u8 = 4;

fn field(k: u8) -> FieldBits {
    FieldBits::new(k).expect("1 to 8 are field parameters")
}

fn context() -> Context {
    Context::new(&[1; 32], 0, 1)
}

fn core() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started")
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
    let core = core();
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

/// What two parties took for an operation after their set-up, and what both sent.
struct Run {
    wall: Duration,
    setup_bytes: u64,
    bytes: u64,
}

/// `count` runs of `operation` at two parties of one thread each.
fn two_parties(
    k: u8,
    count: u64,
    operation: impl Fn(&mut [Link<MemoryChannel>], u8, &mut ChaCha20Rng) -> Result<(), OtError> + Sync,
) -> Run {
    let (both_ready, operation) = (&Barrier::new(2), &operation);
    let party = move |me: u8, channels: Vec<MemoryChannel>| -> Result<Run, OtError> {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(me));
        let links = link::connect(channels, &[9; 32], me, field(k), &mut rng);
        // Whatever came of it: the other party waits here.
        both_ready.wait();
        let began = Instant::now();
        let mut links = links?;
        let setup_bytes = sent(&links);
        (0..count).try_for_each(|_| operation(&mut links, me, &mut rng))?;
        Ok(Run { wall: began.elapsed(), setup_bytes, bytes: sent(&links) - setup_bytes })
    };
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let parties: Vec<_> = (0u8..)
            .zip(memory::mesh(2))
            .map(|(me, channels)| scope.spawn(move || core().install(|| party(me, channels))))
            .collect();
        let joined = parties.into_iter().map(|party| party.join().expect("no party panics"));
        joined.map(|run| run.expect("both are honest")).collect()
    });
    Run {
        wall: runs.iter().map(|run| run.wall).max().unwrap_or_default(),
        setup_bytes: runs.iter().map(|run| run.setup_bytes).sum(),
        bytes: runs.iter().map(|run| run.bytes).sum(),
    }
}

fn sent(links: &[Link<MemoryChannel>]) -> u64 {
    links.iter().map(|link| link.channel().bytes_sent()).sum()
}

/// What is known of the bytes of an operation before it runs.
struct Stated {
    /// What one call makes.
    name: String,
    count: usize,
    /// Bytes of one call, both parties together, as the crate declares them.
    declared: u64,
    /// Bytes of each thing made, by the formulas of PROTOCOL.md.
    formula: f64,
}

impl Stated {
    /// Compares the bytes of one call: they must be those that are declared, and each thing's close to the formula.
    fn compare(&self, measured: u64) {
        let Stated { name, count, declared, formula } = self;
        assert_eq!(measured, *declared, "{name}: the bytes sent are not those declared");
        let each = measured as f64 / *count as f64;
        let ratio = each / formula;
        println!("bytes, {name}: {each:.4} measured, {formula:.4} by the formula, ratio {ratio:.5}");
        assert!((ratio - 1.0).abs() < 1e-3, "{name}: {each} bytes are not {formula}");
    }
}

/// Times `run`, which makes a number of calls, and compares the bytes that they sent; `None` where the filter leaves it out.
fn timed(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    stated: &Stated,
    run: impl Fn(u64) -> Run,
) -> Option<Run> {
    let mut last = None;
    group.bench_function(id, |b| {
        b.iter_custom(|n| {
            let run = run(n);
            assert_eq!(run.bytes, n * stated.declared, "{} in {n} calls", stated.name);
            let wall = run.wall;
            last = Some(Run { bytes: run.bytes / n, ..run });
            wall
        });
    });
    let last = last?;
    stated.compare(last.bytes);
    Some(last)
}

fn extension(c: &mut Criterion) {
    let mut group = group(c, "OT extension, two parties of one thread each");
    group.throughput(Throughput::Elements(TRANSFERS as u64));
    let choices = &choices();
    for k in FIELDS {
        let field = field(k);
        let random = |n| {
            two_parties(k, n, |links, me, _| {
                let (channel, sender, receiver) = links[0].parts();
                if me == 0 {
                    receiver.receive_random(channel, choices, TRANSFERS).map(|made| drop(black_box(made)))
                } else {
                    sender.send_random(channel, TRANSFERS).map(|made| drop(black_box(made)))
                }
            })
        };
        let blocks = field.blocks();
        let transfers = Stated {
            name: format!("random transfer, k = {k}"),
            count: TRANSFERS,
            declared: field.extension_bytes(TRANSFERS) as u64,
            formula: blocks as f64 / 8.0,
        };
        let id = BenchmarkId::new("random transfers, k", k);
        if let Some(run) = timed(&mut group, id, &transfers, random) {
            let setup = Stated {
                name: format!("set-up, each way, k = {k}"),
                count: 2,
                declared: 2 * link::setup_cost(field).bytes_per_peer,
                formula: (8288 + 32 * (SECURITY - blocks)) as f64,
            };
            setup.compare(run.setup_bytes);
        }
    }
    group.finish();
}

fn scalar_products(shape: MatrixShape) -> Throughput {
    Throughput::Elements((shape.rows * shape.inner * shape.columns) as u64)
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

fn matrix(group: &mut BenchmarkGroup<'_, WallTime>, plan: MatrixPlan) {
    let (MatrixShape { rows, inner, columns }, digit) = (plan.shape(), plan.digit());
    let stated = Stated {
        name: format!("matrix triple of a pair, {rows}x{inner}x{columns}, 64 bits, k = 4, digits of {digit}"),
        count: 1,
        declared: 2 * plan.cost(field(TRIPLE_FIELD)).bytes_per_peer,
        formula: 2.0 * matrix_formula(plan),
    };
    group.throughput(scalar_products(plan.shape()));
    let id = BenchmarkId::new(format!("matrix {rows}x{inner}x{columns}, digits of"), digit);
    timed(group, id, &stated, |n| {
        two_parties(TRIPLE_FIELD, n, |links, _, rng| triples::matrix_triple(links, plan, rng).map(drop))
    });
}

fn products(c: &mut Criterion) {
    let mut group = group(c, "OT triples, two parties of one thread each, k = 4");
    let field = field(TRIPLE_FIELD);

    let (zeros, mut shares) = (vec![0; TRIPLES], vec![0; TRIPLES]);
    let product =
        Elementwise::new(Ring::FULL, &zeros, &zeros, &mut shares).expect("the lengths are the same");
    let stated = Stated {
        name: "element-wise triple of a pair, 64 bits, k = 4".to_owned(),
        count: TRIPLES,
        declared: 2 * link::exchange_cost(&product, field).bytes_per_peer,
        formula: triples::bytes_per_product(Ring::FULL, field),
    };
    group.throughput(Throughput::Elements(TRIPLES as u64));
    timed(&mut group, BenchmarkId::new("element-wise, bits", 64), &stated, |n| {
        two_parties(TRIPLE_FIELD, n, |links, _, rng| {
            triples::triples(links, Ring::FULL, TRIPLES, rng).map(drop)
        })
    });

    let (zeros, mut shares) = (vec![0; BIT_TRIPLES / 64], vec![0; BIT_TRIPLES / 64]);
    let product = Ands::new(BIT_TRIPLES, &zeros, &zeros, &mut shares).expect("the lengths are the same");
    let stated = Stated {
        name: "bit triple of a pair, k = 4".to_owned(),
        count: BIT_TRIPLES,
        declared: 2 * link::exchange_cost(&product, field).bytes_per_peer,
        formula: 2.0 * (field.blocks() + 1) as f64 / 8.0,
    };
    group.throughput(Throughput::Elements(BIT_TRIPLES as u64));
    timed(&mut group, BenchmarkId::new("element-wise, bits", 1), &stated, |n| {
        two_parties(TRIPLE_FIELD, n, |links, _, rng| triples::bit_triples(links, BIT_TRIPLES, rng).map(drop))
    });

    let shape = MatrixShape { rows: 128, inner: 128, columns: 10 };
    for digit in [1, 4] {
        let plan = MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Right, digit).expect("the shape is small");
        matrix(&mut group, plan);
    }
    // One triple is 2 GB of messages: a sample is one of them.
    group
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1));
    let plan = MatrixPlan::cheapest(LAYER, Ring::FULL, field).expect("the shape is small");
    matrix(&mut group, plan);
    group.finish();
}

fn shared_bits(c: &mut Criterion) {
    let mut group = group(c, "OT shared bits, two parties of one thread each, k = 4");
    let (field, ring) = (field(TRIPLE_FIELD), Ring::FULL.bits());
    let falling = Moduli::falling(Ring::FULL, ring).expect("a number has as many bits as its ring");
    // A bit of weight 2^j matters modulo 2^(L − j).
    let bytes = |j: usize| (field.blocks() + ring - j - 1) as f64 / 8.0;
    let made = [
        ("doubly shared bit", Moduli::same(Ring::FULL), SHARED_BITS, 1, bytes(0)),
        ("number with shared bits", falling, NUMBERS, ring, (0..ring).map(bytes).sum()),
    ];
    for (name, moduli, count, bits, formula) in made {
        let declared = |rank| dabit::to_ring_cost(rank, 2, moduli, field, count * bits).bytes;
        let stated = Stated {
            name: format!("{name} of a pair, 64 bits, k = 4"),
            count,
            declared: declared(0) + declared(1),
            formula,
        };
        group.throughput(Throughput::Elements(count as u64));
        timed(&mut group, BenchmarkId::new(format!("{name}, ring bits"), ring), &stated, |n| {
            two_parties(TRIPLE_FIELD, n, |links, me, rng| {
                dabit::dabits(links, me, moduli, count * bits, rng).map(drop)
            })
        });
    }
    group.finish();
}

criterion_group!(benches, base, extension_per_core, extension, products, shared_bits);
criterion_main!(benches);
