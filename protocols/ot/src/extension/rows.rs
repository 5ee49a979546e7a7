//! The rows of a batch: correlated transfers, and the random transfers that hashing makes of them.
//!
//! The hash is TMMO of Guo, Katz, Wang, Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers"
//! (S&P 2020): H(i, x) = π(π(x) ⊕ i) ⊕ π(x), with π = AES-128 under a public key, i the number of the transfer in its
//! batch. The key is new for every batch (a hash of the session's transcript and the batch number), so the bound of
//! the paper, quadratic in the calls under one key, counts one batch and not the life of the session.

use crate::base::Transcript;
use crate::kernel::aes::Tmmo;
use crate::secret::Secret;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Rows hashed by one task.
const TASK: usize = 1 << 13;

/// The sender's half of a batch: rows q and the offset Δ.
pub struct SenderRows {
    pub(super) rows: Secret<u128>,
    pub(super) delta: Zeroizing<u128>,
    pub(super) hash: Tmmo,
}

/// The receiver's half of a batch: rows t = q ⊕ c·Δ.
pub struct ReceiverRows {
    pub(super) rows: Secret<u128>,
    pub(super) hash: Tmmo,
}

impl SenderRows {
    /// Transfers in the batch.
    #[allow(clippy::len_without_is_empty, reason = "an empty batch is of no use to ask for")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows q: correlated transfers. A batch gives either these or its hashed messages, so both take it.
    pub fn correlated(self) -> Secret<u128> {
        self.rows
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
    pub fn messages(self) -> [Secret<u128>; 2] {
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

    /// The rows t: correlated transfers. A batch gives either these or its hashed messages, so both take it.
    pub fn correlated(self) -> Secret<u128> {
        self.rows
    }

    /// The chosen message of transfers `first .. first + chosen.len()`: H(t).
    pub(crate) fn pads(&self, first: usize, chosen: &mut [u128]) {
        self.hash.hash(first as u64, &self.rows[first..first + chosen.len()], 0, chosen);
    }

    /// The chosen random message of every transfer.
    pub fn messages(self) -> Secret<u128> {
        let mut chosen = Secret::zeros(self.len());
        chosen.par_chunks_mut(TASK).enumerate().for_each(|(task, chosen)| self.pads(task * TASK, chosen));
        chosen
    }
}

/// The hash of one batch of a link.
pub(super) fn batch_hash(transcript: &Transcript, batch: u64) -> Tmmo {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(b"tercet ot v1 hash key")
        .chain_update(transcript)
        .chain_update(batch.to_le_bytes())
        .finalize()
        .into();
    let mut key = [0u8; 16];
    key.copy_from_slice(&digest[..16]);
    Tmmo::new(u128::from_le_bytes(key))
}
