//! Products of bits: AND, on packed words.

use super::{CHUNK_TRANSFERS, CrossProduct};
use crate::error::{OtError, expect_length, same_length};
use crate::extension::{ReceiverRows, SenderRows};
use crate::secret::Secret;
use rayon::prelude::*;
use std::ops::Range;

/// Words of one task.
const TASK: usize = 64;

/// z ⊕= XOR-shares of x ∧ y' and x' ∧ y, where primes are a peer's operands. All packed, 64 bits a word.
///
/// One transfer and one correction bit for each bit and role: for k = 4 that is 8.25 bytes for each AND and pair.
pub struct Ands<'a> {
    count: usize,
    x: &'a [u64],
    y: &'a [u64],
    z: &'a mut [u64],
}

impl<'a> Ands<'a> {
    /// Prepares `count` products of `x` (choice side) and `y` (payload side), added into `z`. Bits beyond `count`
    /// are ignored in `x` and `y` and left alone in `z`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if an operand does not have ⌈count/64⌉ words.
    pub fn new(count: usize, x: &'a [u64], y: &'a [u64], z: &'a mut [u64]) -> Result<Self, OtError> {
        let words = count.div_ceil(64);
        same_length("the number of words of the choice operand", x.len(), words)?;
        same_length("the number of words of the payload operand", y.len(), words)?;
        same_length("the number of words of the output", z.len(), words)?;
        Ok(Self { count, x, y, z })
    }

    fn words(&self, chunk: usize) -> Range<usize> {
        let step = CHUNK_TRANSFERS / 64;
        chunk * step..self.x.len().min((chunk + 1) * step)
    }
}

impl CrossProduct for Ands<'_> {
    fn chunks(&self) -> usize {
        self.count.div_ceil(CHUNK_TRANSFERS)
    }

    fn transfers(&self, chunk: usize) -> usize {
        CHUNK_TRANSFERS.min(self.count - chunk * CHUNK_TRANSFERS)
    }

    fn correction_bytes(&self, chunk: usize) -> usize {
        self.transfers(chunk).div_ceil(8)
    }

    fn choices(&self, chunk: usize) -> Secret<u64> {
        Secret::new(self.x[self.words(chunk)].to_vec())
    }

    fn send(&mut self, chunk: usize, rows: &SenderRows) -> Vec<u8> {
        let (words, count) = (self.words(chunk), self.transfers(chunk));
        let mut corrections = vec![0u64; words.len()];
        self.z[words.clone()]
            .par_chunks_mut(TASK)
            .zip(self.y[words].par_chunks(TASK))
            .zip(corrections.par_chunks_mut(TASK))
            .enumerate()
            .for_each_init(
                || [Secret::zeros(64 * TASK), Secret::zeros(64 * TASK)],
                |[zero, one], (task, ((z, y), corrections))| {
                    let first = task * TASK * 64;
                    let used = (64 * z.len()).min(count - first);
                    rows.pads(first, &mut zero[..used], &mut one[..used]);
                    for (i, ((z, y), correction)) in z.iter_mut().zip(y).zip(corrections).enumerate() {
                        let span = 64 * i..used.min(64 * (i + 1));
                        let share = lowest_bits(&zero[span.clone()]);
                        *correction =
                            (share ^ lowest_bits(&one[span.clone()]) ^ y) & u64::MAX >> (64 - span.len());
                        *z ^= share;
                    }
                },
            );
        let mut message: Vec<u8> = corrections.iter().flat_map(|word| word.to_le_bytes()).collect();
        message.truncate(self.correction_bytes(chunk));
        message
    }

    fn receive(&mut self, chunk: usize, rows: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        expect_length("correction", corrections, self.correction_bytes(chunk))?;
        let (words, count) = (self.words(chunk), self.transfers(chunk));
        if !count.is_multiple_of(8) && corrections.last().is_some_and(|last| last >> (count % 8) != 0) {
            return Err(OtError::TrailingBits { what: "correction" });
        }
        self.z[words.clone()]
            .par_chunks_mut(TASK)
            .zip(self.x[words].par_chunks(TASK))
            .zip(corrections.par_chunks(8 * TASK))
            .enumerate()
            .for_each_init(
                || Secret::zeros(64 * TASK),
                |chosen, (task, ((z, x), corrections))| {
                    let first = task * TASK * 64;
                    let used = (64 * z.len()).min(count - first);
                    rows.pads(first, &mut chosen[..used]);
                    for (i, ((z, x), bytes)) in z.iter_mut().zip(x).zip(corrections.chunks(8)).enumerate() {
                        let mut word = [0; 8];
                        word[..bytes.len()].copy_from_slice(bytes);
                        *z ^= lowest_bits(&chosen[64 * i..used.min(64 * (i + 1))])
                            ^ x & u64::from_le_bytes(word);
                    }
                },
            );
        Ok(())
    }
}

/// The lowest bits of up to 64 pads, packed.
fn lowest_bits(pads: &[u128]) -> u64 {
    pads.iter().enumerate().fold(0, |word, (i, pad)| word | (*pad as u64 & 1) << i)
}
