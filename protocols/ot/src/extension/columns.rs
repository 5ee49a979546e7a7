//! The columns of the extension matrix, a stretch of 8192 transfers at a time, and their transpose.

use super::{FieldBits, SECURITY};
use crate::fold::{Fold, MAX_LANES};
use crate::kernel::aes::Streams;
use crate::kernel::fold::{LANE_WORDS, Lane, Xor};
use crate::kernel::transpose::{Tile, Transpose};
use zeroize::Zeroize;

/// Transfers of a lane.
const LANE_BITS: usize = 64 * LANE_WORDS;

/// Transfers in a stretch.
pub(super) const STRETCH: usize = MAX_LANES * LANE_BITS;

/// Distance between columns in memory, in lanes: odd, so that the columns spread over all cache sets.
const PITCH: usize = MAX_LANES + 1;

/// The leaves of all trees of one party, ready to be expanded.
pub(super) struct Seeds {
    field: FieldBits,
    streams: Streams,
}

impl Seeds {
    /// Takes the leaves of all trees, in order of block and number.
    pub(super) fn new(field: FieldBits, leaves: &[u128]) -> Self {
        Self { field, streams: Streams::new(leaves) }
    }

    pub(super) fn field(&self) -> FieldBits {
        self.field
    }
}

/// Working memory for one stretch.
pub(super) struct Workspace {
    fold: Fold<Xor>,
    columns: Vec<Lane>,
    transpose: Transpose,
}

impl Workspace {
    pub(super) fn new() -> Self {
        Self { fold: Fold::new(), columns: vec![[0; 8]; SECURITY * PITCH], transpose: Transpose::detect() }
    }

    /// Computes all columns for the `rows.len()` transfers that start at block `first` of the seeds' streams, and
    /// writes the rows. `adjust(block, u)` sees the folded sum of every block and may change what is added to the
    /// columns whose bit is set in `delta`: the sender adds the message; the receiver, for whom `delta` is 0, makes it.
    pub(super) fn stretch(
        &mut self,
        seeds: &Seeds,
        first: u64,
        delta: u128,
        rows: &mut [u128],
        mut adjust: impl FnMut(usize, &mut [Lane]),
    ) {
        let lanes = rows.len().div_ceil(LANE_BITS);
        for block in 0..seeds.field.blocks() {
            let span = seeds.field.span(block);
            // Only the last tree can be smaller, so the trees before any are full.
            self.fold.run(&seeds.streams, block << seeds.field.get(), span.len(), first, lanes);
            adjust(block, self.fold.total());
            for (level, column) in span.enumerate() {
                let mask = ((delta >> column & 1) as u64).wrapping_neg();
                let (total, odd) = self.fold.sums(level);
                let to = &mut self.columns[column * PITCH..column * PITCH + lanes];
                for ((to, odd), total) in to.iter_mut().zip(odd).zip(total) {
                    *to = std::array::from_fn(|i| odd[i] ^ total[i] & mask);
                }
            }
        }
        self.transpose_rows(rows);
    }

    fn transpose_rows(&self, rows: &mut [u128]) {
        let mut tile: Tile = [0; 128];
        let mut out: Tile = [0; 128];
        for (position, rows) in rows.chunks_mut(128).enumerate() {
            let (lane, word) = (position / 4, 2 * (position % 4));
            for (column, to) in tile.iter_mut().enumerate() {
                let lane = &self.columns[column * PITCH + lane];
                *to = u128::from(lane[word]) | u128::from(lane[word + 1]) << 64;
            }
            self.transpose.run(&mut tile, &mut out);
            rows.copy_from_slice(&out[..rows.len()]);
        }
        tile.zeroize();
        out.zeroize();
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        self.columns.as_flattened_mut().zeroize();
    }
}

/// Blocks of each seed's stream that `count` transfers use up: whole lanes.
pub(super) fn blocks_drawn(count: usize) -> u64 {
    (count.div_ceil(LANE_BITS) * LANE_BITS / 128) as u64
}

/// The lowest `count` bits set.
pub(super) fn low_mask(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
