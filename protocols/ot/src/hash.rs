//! The tweakable correlation-robust hash that breaks the correlation of extended transfers.
//!
//! TMMO of Guo, Katz, Wang, Yu, "Efficient and Secure Multiparty Computation from Fixed-Key Block Ciphers"
//! (S&P 2020): H(i, x) = π(π(x) ⊕ i) ⊕ π(x), with π = AES-128 under a public key. The key is new for every batch
//! of transfers (a hash of the session's transcript and the batch number), so the bound of the paper, quadratic
//! in the calls under one key, counts one batch and not the life of the session.

use crate::base::Transcript;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Rows that one pass of the cipher handles.
const CHUNK: usize = 128;

/// H for one batch. The key is public.
pub(crate) struct TweakHash {
    cipher: Aes128Enc,
}

impl TweakHash {
    pub(crate) fn new(transcript: &Transcript, batch: u64) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"tercet ot v1 hash key")
            .chain_update(transcript)
            .chain_update(batch.to_le_bytes())
            .finalize()
            .into();
        let mut key = [0u8; 16];
        key.copy_from_slice(&digest[..16]);
        Self { cipher: Aes128Enc::new(&Array(key)) }
    }

    /// out[i] = H(first + i, rows[i] ⊕ offset).
    pub(crate) fn hash(&self, first: u64, rows: &[u128], offset: u128, out: &mut [u128]) {
        let mut inner = [Array([0u8; 16]); CHUNK];
        let mut outer: [Block; CHUNK] = inner;
        for (part, (rows, out)) in rows.chunks(CHUNK).zip(out.chunks_mut(CHUNK)).enumerate() {
            let tweak = first + (part * CHUNK) as u64;
            let (inner, outer) = (&mut inner[..rows.len()], &mut outer[..rows.len()]);
            for (block, row) in inner.iter_mut().zip(rows) {
                block.0 = (row ^ offset).to_le_bytes();
            }
            self.cipher.encrypt_blocks(inner);
            for (i, (to, from)) in outer.iter_mut().zip(inner.iter()).enumerate() {
                to.0 = (u128::from_le_bytes(from.0) ^ u128::from(tweak + i as u64)).to_le_bytes();
            }
            self.cipher.encrypt_blocks(outer);
            for ((to, a), b) in out.iter_mut().zip(inner.iter()).zip(outer.iter()) {
                *to = u128::from_le_bytes(a.0) ^ u128::from_le_bytes(b.0);
            }
        }
        for block in inner.iter_mut().chain(outer.iter_mut()) {
            block.0.zeroize();
        }
    }
}
