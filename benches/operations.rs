//! Each operation of the helper protocol with three threads over the in-memory transport, per element.
//!
//! 16,384 elements, the activations of one hidden layer of network A. The three parties share the cores of one machine.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tercet_engine::{Engine, EngineError, Gate, Input, Meta, Policy, Relu, Sign, Truncate};
use tercet_helper::local::{self, Program};
use tercet_share::{Bilinear, Ring, Tensor};

const N: usize = 1 << 14;
/// Operations in one measured run, so that setting up three parties weighs little.
const REPEAT: usize = 20;

#[derive(Clone, Copy)]
enum Operation {
    Truncate,
    TruncateShrunk,
    Relu,
    Gate,
    Nonnegative,
    Argmax,
    MatMul,
}

impl Program for Operation {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), EngineError> {
        let meta = Meta { rows: 128, cols: N / 128, frac: 16, ring: Ring::FULL };
        let values = (e.party() == 0).then(|| Tensor::filled(meta.rows, meta.cols, 12345));
        let x = e.input(vec![Input { owner: 0, values, meta }])?.swap_remove(0);
        let z = e.product(&Bilinear::Hadamard, &x, &x)?;
        let truncate = |out| Truncate { value: &z, shift: 16, out };
        let bit = e.relu(&[Relu { truncate: truncate(Ring::FULL), width: 32 }])?.swap_remove(0).1;
        for _ in 0..REPEAT {
            match self {
                Operation::Truncate => drop(e.truncate(&[truncate(Ring::FULL)])?),
                Operation::TruncateShrunk => drop(e.truncate(&[truncate(Ring::new(44)?)])?),
                Operation::Relu => drop(e.relu(&[Relu { truncate: truncate(Ring::FULL), width: 32 }])?),
                Operation::Gate => drop(e.gate(&[Gate { truncate: truncate(Ring::FULL), bit: &bit }])?),
                Operation::Nonnegative => {
                    drop(e.nonnegative(&[Sign { value: &x, width: 32, out: None, cuts: &[0.0] }], &[])?)
                }
                Operation::Argmax => drop(e.argmax(&x, 4, 32, Ring::FULL)?),
                Operation::MatMul => drop(e.product(&Bilinear::MATMUL, &x, &x)?),
            }
        }
        Ok(())
    }
}

fn operations(c: &mut Criterion) {
    let mut group = c.benchmark_group("helper, in memory, three threads");
    group.sample_size(10);
    group.throughput(Throughput::Elements((N * REPEAT) as u64));
    for (name, op) in [
        ("truncate, full ring", Operation::Truncate),
        ("truncate to 2^44", Operation::TruncateShrunk),
        ("truncate and ReLU, k=32", Operation::Relu),
        ("gate", Operation::Gate),
        ("comparison, k=32", Operation::Nonnegative),
        ("argmax of 4, k=32", Operation::Argmax),
        ("matrix product 128x128x128", Operation::MatMul),
    ] {
        group.bench_function(name, |b| b.iter(|| local::run(&op, &Policy::default())));
    }
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
