//! One party's bit times another party's ring value.

use super::packing::{Packer, Unpacker};
use super::{CHUNK_TRANSFERS, CrossProduct, Ring};
use crate::error::{OtError, expect_length, same_length};
use crate::extension::{ReceiverRows, SenderRows};
use crate::secret::Secret;
use rayon::prelude::*;
use std::ops::Range;

/// The moduli of a list of values: 2^L for all, or falling by one bit from each value to the next.
///
/// Bit j of a number is worth 2^j, so a share of it modulo 2^L takes part with its lowest L − j bits only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moduli {
    top: usize,
    period: usize,
}

impl Moduli {
    /// The same ring for all values.
    pub fn same(ring: Ring) -> Self {
        Self { top: ring.bits(), period: 1 }
    }

    /// 2^L, 2^(L−1), … for `period` values, then again from 2^L: the moduli of the bits of `period`-bit numbers.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if `period` is 0 or above L.
    pub fn falling(ring: Ring, period: usize) -> Result<Self, OtError> {
        if (1..=ring.bits()).contains(&period) {
            Ok(Self { top: ring.bits(), period })
        } else {
            Err(OtError::BadArgument {
                what: "the number of bits of a number",
                got: period as u64,
                wanted: "at least 1 and at most the ring width",
            })
        }
    }

    /// All moduli halved; a modulus of 2 becomes 1, and its values take no bits.
    pub(crate) fn halved(self) -> Self {
        Self { top: self.top - 1, ..self }
    }

    /// Values of a period.
    pub fn period(self) -> usize {
        self.period
    }

    /// The bits of value `i`.
    pub fn width(self, i: usize) -> usize {
        self.top - i % self.period
    }

    /// `value` modulo the modulus of value `i`.
    pub fn reduce(self, i: usize, value: u64) -> u64 {
        low_bits(value, self.width(i))
    }

    /// Bits of the first `count` values together.
    pub fn total_bits(self, count: usize) -> usize {
        let whole = |n: usize| n * self.top - n * n.saturating_sub(1) / 2;
        count / self.period * whole(self.period) + whole(count % self.period)
    }

    /// Values of a chunk: whole periods, whole words of choice bits and whole bytes of corrections.
    pub(crate) fn chunk(self) -> usize {
        CHUNK_TRANSFERS / (64 * self.period) * (64 * self.period)
    }

    /// Values of a task, with the same property.
    fn task(self) -> usize {
        64 * self.period * (64 / self.period).max(1)
    }
}

/// The lowest `width` bits, 0 to 64.
fn low_bits(value: u64, width: usize) -> u64 {
    if width == 0 { 0 } else { value & u64::MAX >> (64 - width) }
}

/// z_i += additive shares of b_i·y'_i and b'_i·y_i: correlated transfers over rings.
///
/// One transfer and as many correction bits as value i has, for each element and role.
pub struct Selections<'a> {
    moduli: Moduli,
    bits: &'a [u64],
    y: &'a [u64],
    z: &'a mut [u64],
}

impl<'a> Selections<'a> {
    /// Prepares products of packed `bits` (choice side) and values `y` (payload side), added into `z`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if lengths do not fit.
    pub fn new(moduli: Moduli, bits: &'a [u64], y: &'a [u64], z: &'a mut [u64]) -> Result<Self, OtError> {
        same_length("the number of choice words", bits.len(), y.len().div_ceil(64))?;
        same_length("the length of the output", z.len(), y.len())?;
        Ok(Self { moduli, bits, y, z })
    }

    fn range(&self, chunk: usize) -> Range<usize> {
        let step = self.moduli.chunk();
        chunk * step..self.y.len().min((chunk + 1) * step)
    }
}

impl CrossProduct for Selections<'_> {
    fn chunks(&self) -> usize {
        self.y.len().div_ceil(self.moduli.chunk())
    }

    fn transfers(&self, chunk: usize) -> usize {
        self.range(chunk).len()
    }

    fn correction_bytes(&self, chunk: usize) -> usize {
        self.moduli.total_bits(self.transfers(chunk)).div_ceil(8)
    }

    fn choices(&self, chunk: usize) -> Secret<u64> {
        let range = self.range(chunk);
        Secret::new(self.bits[range.start / 64..range.end.div_ceil(64)].to_vec())
    }

    fn send(&mut self, chunk: usize, rows: &SenderRows) -> Vec<u8> {
        let (moduli, range) = (self.moduli, self.range(chunk));
        let size = moduli.task();
        let size_bytes = task_bytes(moduli);
        let mut message = vec![0; self.correction_bytes(chunk)];
        self.z[range.clone()]
            .par_chunks_mut(size)
            .zip(self.y[range].par_chunks(size))
            .zip(message.par_chunks_mut(size_bytes))
            .enumerate()
            .for_each_init(
                || [Secret::zeros(size), Secret::zeros(size)],
                |[zero, one], (task, ((z, y), message))| {
                    let (zero, one) = (&mut zero[..y.len()], &mut one[..y.len()]);
                    rows.pads(task * size, zero, one);
                    let mut packer = Packer::new(message);
                    for (i, (((z, y), zero), one)) in z.iter_mut().zip(y).zip(zero).zip(one).enumerate() {
                        let correction = (*zero as u64).wrapping_sub(*one as u64).wrapping_add(*y);
                        packer.push(moduli.reduce(i, correction), moduli.width(i));
                        *z = moduli.reduce(i, z.wrapping_sub(*zero as u64));
                    }
                    packer.finish();
                },
            );
        message
    }

    fn receive(&mut self, chunk: usize, rows: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        expect_length("correction", corrections, self.correction_bytes(chunk))?;
        let (moduli, range) = (self.moduli, self.range(chunk));
        let size = moduli.task();
        let size_bytes = task_bytes(moduli);
        let bits = self.choices(chunk);
        self.z[range]
            .par_chunks_mut(size)
            .zip(corrections.par_chunks(size_bytes))
            .enumerate()
            .map_init(
                || Secret::zeros(size),
                |chosen, (task, (z, corrections))| {
                    let chosen = &mut chosen[..z.len()];
                    rows.pads(task * size, chosen);
                    let mut unpacker = Unpacker::new(corrections);
                    for (i, (z, chosen)) in z.iter_mut().zip(chosen).enumerate() {
                        let bit = bits[(task * size + i) / 64] >> (i % 64) & 1;
                        let taken = bit.wrapping_neg() & unpacker.pull(moduli.width(i));
                        *z = moduli.reduce(i, z.wrapping_add(*chosen as u64).wrapping_add(taken));
                    }
                    unpacker.finish()
                },
            )
            .collect()
    }
}

/// Bytes of the corrections of a whole task; at least 1, for moduli that need none.
fn task_bytes(moduli: Moduli) -> usize {
    (moduli.total_bits(moduli.task()) / 8).max(1)
}
