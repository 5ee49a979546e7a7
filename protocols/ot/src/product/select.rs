//! One party's bit times another party's ring value.

use super::packing::{Packer, Unpacker};
use super::{CHUNK_TRANSFERS, CrossProduct, Ring};
use crate::error::{OtError, expect_length, same_length};
use crate::extension::{ReceiverRows, SenderRows};
use crate::secret::Secret;
use rayon::prelude::*;
use std::ops::Range;

/// Elements of one task: a multiple of 64, so that tasks meet at byte boundaries and at choice words.
const TASK: usize = 1 << 12;

/// z_i += additive shares of b_i·y'_i and b'_i·y_i modulo 2^L: correlated transfers over a ring.
///
/// One transfer and L correction bits for each element and role.
pub struct Selections<'a> {
    ring: Ring,
    bits: &'a [u64],
    y: &'a [u64],
    z: &'a mut [u64],
}

impl<'a> Selections<'a> {
    /// Prepares products of packed `bits` (choice side) and values `y` (payload side), added into `z`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if lengths do not fit.
    pub fn new(ring: Ring, bits: &'a [u64], y: &'a [u64], z: &'a mut [u64]) -> Result<Self, OtError> {
        same_length("the number of choice words", bits.len(), y.len().div_ceil(64))?;
        same_length("the length of the output", z.len(), y.len())?;
        Ok(Self { ring, bits, y, z })
    }

    fn range(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK_TRANSFERS..self.y.len().min((chunk + 1) * CHUNK_TRANSFERS)
    }
}

impl CrossProduct for Selections<'_> {
    fn chunks(&self) -> usize {
        self.y.len().div_ceil(CHUNK_TRANSFERS)
    }

    fn transfers(&self, chunk: usize) -> usize {
        self.range(chunk).len()
    }

    fn correction_bytes(&self, chunk: usize) -> usize {
        (self.transfers(chunk) * self.ring.bits()).div_ceil(8)
    }

    fn choices(&self, chunk: usize) -> Secret<u64> {
        let range = self.range(chunk);
        Secret::new(self.bits[range.start / 64..range.end.div_ceil(64)].to_vec())
    }

    fn send(&mut self, chunk: usize, rows: &SenderRows) -> Vec<u8> {
        let (ring, range) = (self.ring, self.range(chunk));
        let mut message = vec![0; self.correction_bytes(chunk)];
        self.z[range.clone()]
            .par_chunks_mut(TASK)
            .zip(self.y[range].par_chunks(TASK))
            .zip(message.par_chunks_mut(TASK * ring.bits() / 8))
            .enumerate()
            .for_each_init(
                || [Secret::zeros(TASK), Secret::zeros(TASK)],
                |[zero, one], (task, ((z, y), message))| {
                    let (zero, one) = (&mut zero[..y.len()], &mut one[..y.len()]);
                    rows.pads(task * TASK, zero, one);
                    let mut packer = Packer::new(message);
                    for (((z, y), zero), one) in z.iter_mut().zip(y).zip(zero).zip(one) {
                        let correction = (*zero as u64).wrapping_sub(*one as u64).wrapping_add(*y);
                        packer.push(ring.reduce(correction), ring.bits());
                        *z = ring.reduce(z.wrapping_sub(*zero as u64));
                    }
                    packer.finish();
                },
            );
        message
    }

    fn receive(&mut self, chunk: usize, rows: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        expect_length("correction", corrections, self.correction_bytes(chunk))?;
        let (ring, range) = (self.ring, self.range(chunk));
        let bits = self.choices(chunk);
        self.z[range]
            .par_chunks_mut(TASK)
            .zip(corrections.par_chunks(TASK * ring.bits() / 8))
            .enumerate()
            .map_init(
                || Secret::zeros(TASK),
                |chosen, (task, (z, corrections))| {
                    let chosen = &mut chosen[..z.len()];
                    rows.pads(task * TASK, chosen);
                    let mut unpacker = Unpacker::new(corrections);
                    for (i, (z, chosen)) in z.iter_mut().zip(chosen).enumerate() {
                        let bit = bits[(task * TASK + i) / 64] >> (i % 64) & 1;
                        let taken = bit.wrapping_neg() & unpacker.pull(ring.bits());
                        *z = ring.reduce(z.wrapping_add(*chosen as u64).wrapping_add(taken));
                    }
                    unpacker.finish()
                },
            )
            .collect()
    }
}
