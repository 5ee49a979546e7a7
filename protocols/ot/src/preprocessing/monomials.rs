//! Conjunctions of several bit masks, each from two smaller ones.

use std::collections::{BTreeMap, VecDeque};

use tercet_share::PackedBits;

/// The conjunctions of several sets of masks, each mask by its purpose. Sets that are halves of others are made once.
pub(super) struct Monomials<'a> {
    made: BTreeMap<&'a [u64], PackedBits>,
    /// What is left to make, step by step: log2 of the largest set.
    steps: VecDeque<Vec<&'a [u64]>>,
}

impl<'a> Monomials<'a> {
    /// Of XOR shares of the masks.
    pub(super) fn new(masks: BTreeMap<u64, PackedBits>, sets: &[&'a [u64]]) -> Monomials<'a> {
        let mut wanted: Vec<&'a [u64]> = Vec::new();
        sets.iter().for_each(|set| add(set, &mut wanted));
        wanted.sort_unstable_by_key(|set| (depth(set.len()), *set));
        wanted.dedup();
        let singles = sets.iter().flat_map(|set| set.chunks(1));
        let made = singles.filter_map(|one| Some((one, masks.get(&one[0])?.clone()))).collect();
        let steps = wanted.chunk_by(|a, b| depth(a.len()) == depth(b.len())).map(<[_]>::to_vec).collect();
        Monomials { made, steps }
    }

    /// Whether no step is left.
    pub(super) fn done(&self) -> bool {
        self.steps.is_empty()
    }

    /// The conjunctions of the next step; none after the last.
    pub(super) fn pairs(&self) -> Vec<(&PackedBits, &PackedBits)> {
        let of = |set: &&[u64]| {
            let (a, b) = halves(set);
            (&self.made[a], &self.made[b])
        };
        self.steps.front().map_or_else(Vec::new, |step| step.iter().map(of).collect())
    }

    /// Takes the results of that step.
    pub(super) fn absorb(&mut self, products: Vec<PackedBits>) {
        self.made.extend(self.steps.pop_front().unwrap_or_default().into_iter().zip(products));
    }

    /// XOR shares of the conjunction of every set.
    pub(super) fn finish(self, sets: &[&[u64]]) -> Vec<PackedBits> {
        sets.iter().map(|set| self.made[set].clone()).collect()
    }
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
