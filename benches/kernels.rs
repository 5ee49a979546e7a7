//! Kernels and generators on one machine: matrix products for every instruction set, packing, one-hot comparison, ChaCha.
//!
//! Inputs are pseudo-random with a fixed key. Figures are throughputs of this machine; compare ratios of one run.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tercet_share::{
    PairKey, PairPrg,
    kernel::{self, Gemm, Isa, Modulus, Operand, Term},
};

fn random(n: usize, seed: u8) -> Vec<u64> {
    PairPrg::new(PairKey::from_bytes([seed; 32]))
        .stream(0, 0)
        .map(|s| s.elements(n, 64))
        .expect("the first stream of a generator is unused")
}

/// (m, k, n) of network A: forward, weight gradient, hidden layer, output layer.
const SHAPES: [(usize, usize, usize); 4] =
    [(128, 784, 128), (784, 128, 128), (128, 128, 128), (128, 128, 10)];

fn gemm(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    for (m, k, n) in SHAPES {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let mut out = vec![0u64; m * n];
        group.throughput(Throughput::Elements((m * k * n) as u64));
        for isa in Isa::available() {
            for (name, modulus) in [("64", Modulus::Full), ("52", Modulus::Low52)] {
                for parallel in [false, true] {
                    let threads = if parallel { "all cores" } else { "one core" };
                    let id = BenchmarkId::new(format!("{isa:?} 2^{name} {threads}"), format!("{m}x{k}x{n}"));
                    let gemm = Gemm::new().isa(isa).modulus(modulus).parallel(parallel);
                    group.bench_function(id, |bench| {
                        bench.iter(|| {
                            let term = Term::plus(Operand::matrix(&a, m, k), Operand::matrix(&b, k, n));
                            gemm.run(&mut out, &[term]);
                        });
                    });
                }
            }
        }
    }
    // The plain triple loop, for the ratio.
    let (m, k, n) = SHAPES[0];
    let (a, b) = (random(m * k, 1), random(k * n, 2));
    let mut out = vec![0u64; m * n];
    group.throughput(Throughput::Elements((m * k * n) as u64));
    group.bench_function(BenchmarkId::new("plain loops", format!("{m}x{k}x{n}")), |bench| {
        bench.iter(|| {
            out.fill(0);
            for i in 0..m {
                for t in 0..k {
                    for j in 0..n {
                        out[i * n + j] = out[i * n + j].wrapping_add(a[i * k + t].wrapping_mul(b[t * n + j]));
                    }
                }
            }
            std::hint::black_box(&mut out);
        });
    });
    group.finish();
}

fn packing(c: &mut Criterion) {
    const N: usize = 1 << 17;
    let values = random(N, 3);
    let mut group = c.benchmark_group("packing");
    group.throughput(Throughput::Bytes(8 * N as u64));
    for width in [1, 18, 34, 44, 52, 64] {
        let mut bytes = Vec::new();
        kernel::pack(&values, width, &mut bytes);
        let mut out = vec![0u64; N];
        group.bench_function(BenchmarkId::new("pack", width), |b| {
            b.iter(|| {
                let mut fresh = Vec::with_capacity(bytes.len());
                kernel::pack(&values, width, &mut fresh);
                fresh
            });
        });
        group.bench_function(BenchmarkId::new("unpack", width), |b| {
            b.iter(|| kernel::unpack(&bytes, width, &mut out).is_ok());
        });
    }
    group.finish();
}

fn one_hot(c: &mut Criterion) {
    const N: usize = 1 << 15;
    let values = random(N, 4);
    let shares: Vec<u16> = random(N, 5).into_iter().map(|v| v as u16).collect();
    let (mut less, mut equal) = (vec![0u64; N / 64], vec![0u64; N / 64]);
    let mut group = c.benchmark_group("one-hot comparison");
    group.throughput(Throughput::Elements(N as u64));
    group.bench_function("4-bit block", |b| {
        b.iter(|| {
            kernel::compare_digits(
                &values,
                8,
                4,
                &shares,
                &kernel::DigitTables::ORDER,
                &mut less,
                &mut equal,
            );
        });
    });
    group.finish();
}

fn prg(c: &mut Criterion) {
    const N: usize = 1 << 17;
    let mut group = c.benchmark_group("prg");
    for bits in [16, 32, 44, 64] {
        let mut op = 0;
        let mut generator = PairPrg::new(PairKey::from_bytes([9; 32]));
        group.throughput(Throughput::Elements(N as u64));
        group.bench_function(BenchmarkId::new("elements", bits), |b| {
            b.iter(|| {
                op += 1;
                generator.stream(op, 0).map(|s| s.elements(N, bits))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, gemm, packing, one_hot, prg);
criterion_main!(benches);
