//! Speed of extension and of triples, both parties in one process.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p tercet-ot --example throughput` gives figures per core: the two
//! sides of the extension are run one after the other and timed apart. Seeds are fixed; the speed does not
//! depend on the values.
#![allow(clippy::print_stdout, reason = "a report for a person")]

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::time::Instant;
use tercet_ot::extension::{ExtensionReceiver, ExtensionSender, FieldBits, ReceiverSetup, SenderSetup};
use tercet_ot::{Context, OtError};

const COUNT: usize = 1 << 20;

fn link(field: FieldBits) -> Result<(ExtensionSender, ExtensionReceiver), OtError> {
    let context = Context::new(&[1; 32], 0, 1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (sender, to_receiver) = SenderSetup::start(context, field, &mut rng);
    let (receiver, to_sender) = ReceiverSetup::start(context, field, &mut rng);
    let (receiver, trees) = receiver.finish(&to_receiver)?;
    Ok((sender.finish(&to_sender, &trees)?, receiver))
}

fn main() -> Result<(), OtError> {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let choices: Vec<u64> = (0..COUNT / 64).map(|_| rng.next_u64()).collect();
    println!("{} threads, {COUNT} random transfers a batch, best of 5", rayon::current_num_threads());
    println!("k  bytes/OT  receiver MOT/s  (hash)  sender MOT/s  (hash)  set-up ms");
    for k in 1..=8 {
        let field = FieldBits::new(k)?;
        let start = Instant::now();
        let (mut sender, mut receiver) = link(field)?;
        let setup = start.elapsed().as_secs_f64() * 1e3;
        let mut best = [f64::MAX; 4];
        for _ in 0..5 {
            let mut lap = [0.0; 4];
            let start = Instant::now();
            let (t, message) = receiver.extend(&choices, COUNT)?;
            lap[0] = start.elapsed().as_secs_f64();
            let chosen = t.messages();
            lap[1] = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let q = sender.extend(COUNT, &message)?;
            lap[2] = start.elapsed().as_secs_f64();
            let messages = q.messages();
            lap[3] = start.elapsed().as_secs_f64();
            assert_eq!(messages[(choices[0] & 1) as usize][0], chosen[0]);
            for (best, lap) in best.iter_mut().zip(lap) {
                *best = best.min(lap);
            }
        }
        let rate = |seconds: f64| COUNT as f64 / seconds / 1e6;
        println!(
            "{k}  {:8.2}  {:14.1}  {:6.1}  {:12.1}  {:6.1}  {setup:9.1}",
            field.extension_bytes(COUNT) as f64 / COUNT as f64,
            rate(best[1]),
            rate(best[1] - best[0]),
            rate(best[3]),
            rate(best[3] - best[2]),
        );
    }
    Ok(())
}
