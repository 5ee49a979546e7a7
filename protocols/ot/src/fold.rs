//! The sum of all leaves and, for each bit l, the sum of the leaves whose number has bit l set.
//!
//! With leaves r_x (vectors over Z_2 or Z_2^64) this gives U = Σ r_x and V_l = Σ_{x: x_l = 1} r_x, so
//! Σ_x x·r_x = Σ_l 2^l·V_l. A party that lacks leaf α puts any value g there: α_l·U ⊕ V_l (over the integers
//! α·U − Σ 2^l·V_l) has the same value for every g.

use crate::kernel::aes::Streams;
use crate::kernel::fold::{GROUP_WIDTH, Kernel, Lane, Sum};
use std::marker::PhantomData;
use zeroize::Zeroize;

/// Lanes that one fold covers: 1 KiB of each leaf, so that a group of leaves stays in the first cache.
pub(crate) const MAX_LANES: usize = 16;

/// Widest leaf number.
const MAX_WIDTH: usize = 8;

/// Expands trees of up to 2^8 leaves and folds them, up to [`MAX_LANES`] lanes at a time.
pub(crate) struct Fold<S> {
    kernel: Kernel,
    lanes: usize,
    leaves: Vec<Lane>,
    group: Vec<Lane>,
    pending: Vec<Lane>,
    odd: Vec<Lane>,
    sum: PhantomData<S>,
}

impl<S: Sum> Fold<S> {
    pub(crate) fn new() -> Self {
        Self {
            kernel: Kernel::detect(),
            lanes: 0,
            leaves: vec![[0; 8]; MAX_LANES << GROUP_WIDTH],
            group: vec![[0; 8]; MAX_LANES],
            pending: vec![[0; 8]; MAX_LANES * (MAX_WIDTH - GROUP_WIDTH)],
            odd: vec![[0; 8]; MAX_LANES * MAX_WIDTH],
            sum: PhantomData,
        }
    }

    /// Expands the 2^`width` streams from number `start` on, `lanes` lanes each from block `first`, and folds.
    pub(crate) fn run(&mut self, streams: &Streams, start: usize, width: usize, first: u64, lanes: usize) {
        self.lanes = lanes;
        let low = width.min(GROUP_WIDTH);
        self.odd[..width * lanes].fill([0; 8]);
        let (odd, high_odd) = self.odd[..width * lanes].split_at_mut(low * lanes);
        let group = &mut self.group[..lanes];
        let leaves = &mut self.leaves[..lanes << low];
        for number in 0..1usize << (width - low) {
            streams.fill(start + (number << low), first, lanes, leaves);
            self.kernel.group::<S>(low, leaves, group, odd);
            // A run of trailing ones closes that many subtrees of groups, like a carry.
            let closed = (number.trailing_ones() as usize).min(width - low);
            for level in 0..closed {
                let span = level * lanes..(level + 1) * lanes;
                let (odd, pending) = (&mut high_odd[span.clone()], &self.pending[span]);
                for ((group, odd), pending) in group.iter_mut().zip(odd).zip(pending) {
                    *odd = S::lanes(odd, group);
                    *group = S::lanes(group, pending);
                }
            }
            if closed < width - low {
                self.pending[closed * lanes..(closed + 1) * lanes].copy_from_slice(group);
            }
        }
    }

    /// U of the last run. Callers may change it.
    pub(crate) fn total(&mut self) -> &mut [Lane] {
        &mut self.group[..self.lanes]
    }

    /// U and V_l of the last run.
    pub(crate) fn sums(&self, level: usize) -> (&[Lane], &[Lane]) {
        (&self.group[..self.lanes], &self.odd[level * self.lanes..(level + 1) * self.lanes])
    }

    /// U and all V_l of the last run, one after the other.
    pub(crate) fn words(&self) -> (&[u64], &[u64]) {
        (self.group.as_flattened(), self.odd.as_flattened())
    }
}

impl<S> Drop for Fold<S> {
    fn drop(&mut self) {
        for lanes in [&mut self.leaves, &mut self.group, &mut self.pending, &mut self.odd] {
            lanes.as_flattened_mut().zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fold::{Add, Xor};

    /// The definition on whole leaves.
    fn check<S: Sum>(width: usize, lanes: usize) {
        let seeds: Vec<u128> = (0..1u128 << width).map(|seed| seed + 77).collect();
        let streams = Streams::new(&[&[5], seeds.as_slice()].concat());
        let mut fold = Fold::<S>::new();
        fold.run(&streams, 1, 1, 0, 1);
        fold.run(&streams, 1, width, 9, lanes);
        let mut leaves = vec![[0; 8]; lanes << width];
        streams.fill(1, 9, lanes, &mut leaves);
        let leaves = leaves.as_flattened();
        let sum = |keep: &dyn Fn(usize) -> bool, i: usize| {
            (0..1 << width).filter(|x| keep(*x)).fold(0, |sum, x| S::sum(sum, leaves[8 * lanes * x + i]))
        };
        for i in 0..8 * lanes {
            assert_eq!(fold.total().as_flattened()[i], sum(&|_| true, i));
            for level in 0..width {
                assert_eq!(fold.sums(level).1.as_flattened()[i], sum(&|x| x >> level & 1 == 1, i));
            }
        }
    }

    #[test]
    fn the_fold_is_the_sum_of_the_leaves_by_bits_of_their_number() {
        for width in 1..=8 {
            for lanes in [1, 3, MAX_LANES] {
                check::<Xor>(width, lanes);
                check::<Add>(width, lanes);
            }
        }
    }
}
