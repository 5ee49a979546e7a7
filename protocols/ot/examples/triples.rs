//! Speed and traffic of triples, all parties in one process over in-memory channels.
//!
//! `cargo run --release -p tercet-ot --example triples -- [parties] [k] [part of a name]`. The time is the wall time of all parties
//! together on this machine's cores; on a machine each, a party needs about a `parties`-th of the work. Seeds are
//! fixed; the speed does not depend on the values.
#![allow(clippy::print_stdout, reason = "a report for a person")]

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Instant;
use tercet_ot::channel::memory::{self, MemoryChannel};
use tercet_ot::extension::FieldBits;
use tercet_ot::link::{self, Link};
use tercet_ot::product::{ChoiceSide, MatrixPlan, MatrixShape, Moduli, Ring};
use tercet_ot::{OtError, dabit, triples};

type Links = Vec<Link<MemoryChannel>>;

fn sent(links: &Links) -> u64 {
    links.iter().map(|link| link.channel().bytes_sent()).sum()
}

/// Runs one operation as every party and prints its time and the bytes of one party.
fn measure(
    parties: u8,
    field: FieldBits,
    name: &str,
    count: usize,
    operation: impl Fn(&mut Links, u8, &mut ChaCha20Rng) -> Result<(), OtError> + Sync,
) -> Result<(), OtError> {
    if !name.contains(&std::env::args().nth(3).unwrap_or_default()) {
        return Ok(());
    }
    let operation = &operation;
    let outcome: Result<Vec<_>, OtError> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0u8..)
            .zip(memory::mesh(parties))
            .map(|(me, channels)| {
                scope.spawn(move || {
                    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(me));
                    let mut links = link::connect(channels, &[9; 32], me, field, &mut rng)?;
                    let before = sent(&links);
                    let start = Instant::now();
                    operation(&mut links, me, &mut rng)?;
                    Ok((start.elapsed().as_secs_f64(), sent(&links) - before))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a party panicked")).collect()
    });
    let outcome = outcome?;
    let seconds = outcome.iter().map(|o| o.0).fold(0.0, f64::max);
    let total: u64 = outcome.iter().map(|o| o.1).sum();
    let pairs = u64::from(parties) * u64::from(parties - 1) / 2;
    println!(
        "{name:44} {seconds:8.3} s {:12.0} /s {:14} bytes per pair {:10.2} each",
        count as f64 / seconds,
        total / pairs,
        total as f64 / pairs as f64 / count as f64
    );
    Ok(())
}

fn main() -> Result<(), OtError> {
    let mut arguments = std::env::args().skip(1);
    let parties = arguments.next().and_then(|a| a.parse().ok()).unwrap_or(2);
    let field = FieldBits::new(arguments.next().and_then(|a| a.parse().ok()).unwrap_or(4))?;
    println!("{parties} parties, k = {}, {} threads", field.get(), rayon::current_num_threads());
    let n = 1 << 17;
    measure(parties, field, "element-wise triples, 64 bits", n, |links, _, rng| {
        triples::triples(links, Ring::FULL, n, rng).map(drop)
    })?;
    let n = 1 << 23;
    measure(parties, field, "bit triples", n, |links, _, rng| triples::bit_triples(links, n, rng).map(drop))?;
    let n = 1 << 21;
    measure(parties, field, "dabits, 64 bits", n, |links, me, rng| {
        dabit::dabits(links, me, Moduli::same(Ring::FULL), n, rng).map(drop)
    })?;
    let (n, moduli) = (1 << 15, Moduli::falling(Ring::FULL, 64)?);
    measure(parties, field, "random numbers with shared bits, 64 bits", n, |links, me, rng| {
        dabit::dabits(links, me, moduli, 64 * n, rng).map(drop)
    })?;
    let shape = MatrixShape { rows: 128, inner: 784, columns: 128 };
    for digit in [1, 2, 3, 4, 5, 6] {
        let plan = MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Left, digit)?;
        let products = shape.rows * shape.inner * shape.columns;
        measure(
            parties,
            field,
            &format!("matrix 128x784x128, digits of {digit}"),
            products,
            |links, _, rng| triples::matrix_triple(links, plan, rng).map(drop),
        )?;
    }
    Ok(())
}
