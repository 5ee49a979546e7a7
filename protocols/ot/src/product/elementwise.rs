//! Element-wise products modulo 2^L.

use super::packing::{Packer, Unpacker};
use super::{CHUNK_TRANSFERS, CrossProduct, Ring};
use crate::error::{OtError, expect_length, same_length};
use crate::extension::{ReceiverRows, SenderRows};
use crate::secret::Secret;
use rayon::prelude::*;
use std::ops::Range;

/// Elements of one task: a multiple of 8, so that tasks meet at byte boundaries of the corrections.
const TASK: usize = 128;

/// Elements hashed at once.
const STRIDE: usize = 8;

/// z_i += shares of x_i·y'_i and x'_i·y_i, where primes are a peer's operands.
///
/// L transfers and L·(L+1)/2 correction bits for each element and role: for L = 64 and k = 4 that is 256 + 260 bytes,
/// 1032 bytes on the wire for each element and pair of parties.
pub struct Elementwise<'a> {
    ring: Ring,
    x: &'a [u64],
    y: &'a [u64],
    z: &'a mut [u64],
}

impl<'a> Elementwise<'a> {
    /// Prepares products of `x` (this party's choice side) and `y` (its payload side), summed into `z`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if lengths differ.
    pub fn new(ring: Ring, x: &'a [u64], y: &'a [u64], z: &'a mut [u64]) -> Result<Self, OtError> {
        same_length("the length of the payload operand", y.len(), x.len())?;
        same_length("the length of the output", z.len(), x.len())?;
        Ok(Self { ring, x, y, z })
    }

    fn per_chunk(&self) -> usize {
        CHUNK_TRANSFERS / self.ring.bits() / TASK * TASK
    }

    fn range(&self, chunk: usize) -> Range<usize> {
        let step = self.per_chunk();
        chunk * step..self.x.len().min((chunk + 1) * step)
    }

    fn task_bytes(&self) -> usize {
        TASK * self.ring.correction_bits() / 8
    }
}

impl CrossProduct for Elementwise<'_> {
    fn chunks(&self) -> usize {
        self.x.len().div_ceil(self.per_chunk())
    }

    fn transfers(&self, chunk: usize) -> usize {
        self.range(chunk).len() * self.ring.bits()
    }

    fn correction_bytes(&self, chunk: usize) -> usize {
        (self.range(chunk).len() * self.ring.correction_bits()).div_ceil(8)
    }

    fn choices(&self, chunk: usize) -> Secret<u64> {
        pack_words(self.ring, &self.x[self.range(chunk)], |x| x)
    }

    fn send(&mut self, chunk: usize, rows: &SenderRows) -> Vec<u8> {
        let (ring, range) = (self.ring, self.range(chunk));
        let bits = ring.bits();
        let mut message = vec![0; self.correction_bytes(chunk)];
        let task_bytes = self.task_bytes();
        self.z[range.clone()]
            .par_chunks_mut(TASK)
            .zip(self.y[range].par_chunks(TASK))
            .zip(message.par_chunks_mut(task_bytes))
            .enumerate()
            .for_each_init(
                || [Secret::zeros(STRIDE * bits), Secret::zeros(STRIDE * bits)],
                |[zero, one], (task, ((z, y), message))| {
                    let mut packer = Packer::new(message);
                    for (part, (z, y)) in z.chunks_mut(STRIDE).zip(y.chunks(STRIDE)).enumerate() {
                        let first = (task * TASK + part * STRIDE) * bits;
                        let count = y.len() * bits;
                        rows.pads(first, &mut zero[..count], &mut one[..count]);
                        for (i, (z, y)) in z.iter_mut().zip(y).enumerate() {
                            for j in 0..bits {
                                let (zero, one) = (zero[i * bits + j] as u64, one[i * bits + j] as u64);
                                let correction = zero.wrapping_sub(one).wrapping_add(*y);
                                packer.push(correction & u64::MAX >> (64 - bits + j), bits - j);
                                *z = z.wrapping_sub(zero << j);
                            }
                            *z = ring.reduce(*z);
                        }
                    }
                    packer.finish();
                },
            );
        message
    }

    fn receive(&mut self, chunk: usize, rows: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        expect_length("correction", corrections, self.correction_bytes(chunk))?;
        let (ring, range) = (self.ring, self.range(chunk));
        let bits = ring.bits();
        let task_bytes = self.task_bytes();
        self.z[range.clone()]
            .par_chunks_mut(TASK)
            .zip(self.x[range].par_chunks(TASK))
            .zip(corrections.par_chunks(task_bytes))
            .enumerate()
            .map_init(
                || Secret::zeros(STRIDE * bits),
                |chosen, (task, ((z, x), corrections))| {
                    let mut unpacker = Unpacker::new(corrections);
                    for (part, (z, x)) in z.chunks_mut(STRIDE).zip(x.chunks(STRIDE)).enumerate() {
                        let first = (task * TASK + part * STRIDE) * bits;
                        rows.pads(first, &mut chosen[..x.len() * bits]);
                        for (i, (z, x)) in z.iter_mut().zip(x).enumerate() {
                            for j in 0..bits {
                                let taken = (x >> j & 1).wrapping_neg() & unpacker.pull(bits - j);
                                *z = z.wrapping_add((chosen[i * bits + j] as u64).wrapping_add(taken) << j);
                            }
                            *z = ring.reduce(*z);
                        }
                    }
                    unpacker.finish()
                },
            )
            .collect()
    }
}

/// The low L bits of each value, one after the other.
pub(super) fn pack_words(ring: Ring, values: &[u64], map: impl Fn(u64) -> u64) -> Secret<u64> {
    let bits = ring.bits();
    let mut out: Secret<u64> = Secret::zeros((values.len() * bits).div_ceil(64));
    for (i, &value) in values.iter().enumerate() {
        let value = ring.reduce(map(value));
        let (word, shift) = (i * bits / 64, i * bits % 64);
        out[word] |= value << shift;
        if shift + bits > 64 {
            out[word + 1] |= value >> (64 - shift);
        }
    }
    out
}
