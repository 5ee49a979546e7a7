//! Conjunctions of several bit masks, each from two smaller ones.

use std::collections::BTreeMap;

use tercet_share::PackedBits;

use super::and::and_all;
use super::correlations::Correlations;
use crate::error::OtError;

/// XOR shares of the conjunction of every set of masks, each mask by its purpose. Sets that are halves of others are made
/// once. Steps: log2 of the largest set.
pub(super) fn monomials<B: Correlations>(
    by: &mut B,
    masks: &BTreeMap<u64, PackedBits>,
    sets: &[&[u64]],
) -> Result<Vec<PackedBits>, OtError> {
    let mut made: BTreeMap<&[u64], PackedBits> = BTreeMap::new();
    for (purpose, mask) in masks {
        made.insert(std::slice::from_ref(purpose), mask.clone());
    }
    let mut wanted: Vec<&[u64]> = Vec::new();
    sets.iter().for_each(|set| add(set, &mut wanted));
    wanted.sort_unstable_by_key(|set| (depth(set.len()), *set));
    wanted.dedup();
    for stage in wanted.chunk_by(|a, b| depth(a.len()) == depth(b.len())) {
        let pairs: Vec<_> = stage
            .iter()
            .map(|set| {
                let (a, b) = halves(set);
                (&made[a], &made[b])
            })
            .collect();
        let products = and_all(by, &pairs)?;
        made.extend(stage.iter().copied().zip(products));
    }
    Ok(sets.iter().map(|set| made[set].clone()).collect())
}

fn halves(set: &[u64]) -> (&[u64], &[u64]) {
    set.split_at(set.len().div_ceil(2))
}

/// The set and everything it is made of, single masks apart.
fn add<'a>(set: &'a [u64], wanted: &mut Vec<&'a [u64]>) {
    if set.len() >= 2 {
        let (a, b) = halves(set);
        add(a, wanted);
        add(b, wanted);
        wanted.push(set);
    }
}

fn depth(len: usize) -> u32 {
    len.next_power_of_two().trailing_zeros()
}
