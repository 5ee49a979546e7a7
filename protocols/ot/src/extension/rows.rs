//! The rows of a batch: correlated transfers, and the random transfers that hashing makes of them.

use crate::hash::TweakHash;
use crate::secret::Secret;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Rows hashed by one task.
const TASK: usize = 1 << 13;

/// The sender's half of a batch: rows q and the offset Δ.
pub struct SenderRows {
    pub(super) rows: Secret<u128>,
    pub(super) delta: Zeroizing<u128>,
    pub(super) hash: TweakHash,
}

/// The receiver's half of a batch: rows t = q ⊕ c·Δ.
pub struct ReceiverRows {
    pub(super) rows: Secret<u128>,
    pub(super) hash: TweakHash,
}

impl SenderRows {
    /// Transfers in the batch.
    #[allow(clippy::len_without_is_empty, reason = "an empty batch is of no use to ask for")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows q: correlated transfers. Use either these or the hashed messages of a batch, not both.
    pub fn correlated(&self) -> &[u128] {
        &self.rows
    }

    /// The offset Δ, the same for every batch of a link. Secret.
    pub fn delta(&self) -> u128 {
        *self.delta
    }

    /// Both messages of transfers `first .. first + zero.len()`: zero[i] = H(q), one[i] = H(q ⊕ Δ).
    pub(crate) fn pads(&self, first: usize, zero: &mut [u128], one: &mut [u128]) {
        let rows = &self.rows[first..first + zero.len()];
        self.hash.hash(first as u64, rows, 0, zero);
        self.hash.hash(first as u64, rows, *self.delta, one);
    }

    /// Both random messages of every transfer.
    pub fn messages(&self) -> [Secret<u128>; 2] {
        let mut zero = Secret::zeros(self.len());
        let mut one = Secret::zeros(self.len());
        zero.par_chunks_mut(TASK)
            .zip(one.par_chunks_mut(TASK))
            .enumerate()
            .for_each(|(task, (zero, one))| self.pads(task * TASK, zero, one));
        [zero, one]
    }
}

impl ReceiverRows {
    /// Transfers in the batch.
    #[allow(clippy::len_without_is_empty, reason = "an empty batch is of no use to ask for")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows t: correlated transfers. Use either these or the hashed messages of a batch, not both.
    pub fn correlated(&self) -> &[u128] {
        &self.rows
    }

    /// The chosen message of transfers `first .. first + chosen.len()`: H(t).
    pub(crate) fn pads(&self, first: usize, chosen: &mut [u128]) {
        self.hash.hash(first as u64, &self.rows[first..first + chosen.len()], 0, chosen);
    }

    /// The chosen random message of every transfer.
    pub fn messages(&self) -> Secret<u128> {
        let mut chosen = Secret::zeros(self.len());
        chosen
            .par_chunks_mut(TASK)
            .enumerate()
            .for_each(|(task, chosen)| self.pads(task * TASK, chosen));
        chosen
    }
}
