//! The public, seeded order of mini-batches, the same on shares and in plaintext.

use rand_core::Rng;

use crate::init::{Purpose, public_rng};

/// The mini-batches of `epoch` (from 0) over `rows` rows. Every row is in exactly one batch; the last batch holds what is
/// left and may be smaller. Rows inside a batch are in increasing order, which a sum over the batch does not notice.
pub fn batches(rows: usize, batch: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..rows).collect();
    let mut rng = public_rng(seed, Purpose::Order, u64::from(epoch));
    // Fisher–Yates.
    for i in (1..rows).rev() {
        order.swap(i, below(&mut rng, i as u64 + 1) as usize);
    }
    let mut batches: Vec<Vec<usize>> = order.chunks(batch.max(1)).map(<[usize]>::to_vec).collect();
    batches.iter_mut().for_each(|b| b.sort_unstable());
    batches
}

/// Number of mini-batches in an epoch.
pub fn batches_per_epoch(rows: usize, batch: usize) -> u64 {
    rows.div_ceil(batch.max(1)) as u64
}

/// Uniform below `n`, without bias (Lemire, "Fast random integer generation in an interval", 2019).
fn below(rng: &mut impl Rng, n: u64) -> u64 {
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(n);
        if wide as u64 >= n.wrapping_neg() % n {
            return (wide >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_exactly_one_batch() {
        for (rows, size) in [(1, 1), (10, 3), (128, 128), (129, 128), (455, 32)] {
            let all = batches(rows, size, 3, 2);
            assert_eq!(all.len() as u64, batches_per_epoch(rows, size));
            let mut seen: Vec<usize> = all.concat();
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..rows));
            assert!(all[..all.len() - 1].iter().all(|b| b.len() == size));
        }
    }

    #[test]
    fn epochs_and_seeds_give_different_orders() {
        assert_ne!(batches(100, 10, 1, 0), batches(100, 10, 1, 1));
        assert_ne!(batches(100, 10, 1, 0), batches(100, 10, 2, 0));
        assert_eq!(batches(100, 10, 1, 0), batches(100, 10, 1, 0));
    }

    #[test]
    fn a_row_is_equally_likely_in_every_batch() {
        let mut first = [0u32; 10];
        for seed in 0..4000 {
            let all = batches(10, 1, seed, 0);
            first[all[0][0]] += 1;
        }
        // 400 expected each; sd 19.
        assert!(first.iter().all(|&n| (310..490).contains(&n)), "{first:?}");
    }
}
