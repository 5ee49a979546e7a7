//! Matrix products: every choice bit serves a whole row, and w choice bits share one correction.
//!
//! For an entry x of the choice side, cut into digits α of w bits, and a row y of n values of the payload side, the
//! sender grows a tree with 2^w leaves from w transfers, the receiver the tree without leaf α. Leaves expand to
//! vectors r_v of n ring values. With U = Σ r_v and V = Σ v·r_v the sender publishes one correction row y − U, and
//!
//!   receiver: Σ_{v≠α} (α − v)·r_v + α·(y − U) = α·y − V,   sender: V.
//!
//! This is the small-field construction of SoftSpokenOT carried over to Z_2^L, with "field" elements 0 … 2^w − 1;
//! w = 1 is Gilboa's product. The digit of weight 2^(w·d) needs its correction modulo 2^(L − w·d) only. Correction
//! bits for one scalar product, L = 64: 2080 at w = 1, 1056 at w = 2, 544 at w = 4, 288 at w = 8. The price is
//! 2^w/w expanded bits where w = 1 has 2, and 32·(w − 1) bytes of tree message per digit, shared by the n values.

mod plan;

pub use plan::{ChoiceSide, MatrixPlan, MatrixShape};

use super::CrossProduct;
use super::elementwise::pack_words;
use super::packing::{Packer, Unpacker};
use crate::error::{OtError, expect_length, same_length};
use crate::extension::{ReceiverRows, SenderRows};
use crate::fold::{Fold, MAX_LANES};
use crate::kernel::aes::{LANE_BLOCKS, Streams};
use crate::kernel::fold::{Add, LANE_WORDS};
use crate::pprf;
use crate::secret::Secret;
use rayon::prelude::*;
use std::borrow::Cow;
use zeroize::Zeroize;

/// Payload values expanded at once.
const TILE: usize = MAX_LANES * LANE_WORDS;

/// Z += shares of A·B' and A'·B, where primes are a peer's operands.
pub struct MatrixProduct<'a> {
    plan: MatrixPlan,
    /// The choice operand, `rows` × `inner` as oriented.
    x: Cow<'a, [u64]>,
    /// The payload operand, `inner` × `columns` as oriented.
    y: Cow<'a, [u64]>,
    /// This party's share, `rows` × `columns` as oriented.
    z: Secret<u64>,
}

impl<'a> MatrixProduct<'a> {
    /// Prepares the product of this party's shares `a` and `b`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if a length does not fit the plan's shape.
    pub fn new(plan: MatrixPlan, a: &'a [u64], b: &'a [u64]) -> Result<Self, OtError> {
        let shape = plan.shape();
        same_length("the size of the left matrix", a.len(), shape.left())?;
        same_length("the size of the right matrix", b.len(), shape.right())?;
        let (x, y) = match plan.side() {
            ChoiceSide::Left => (a.into(), b.into()),
            ChoiceSide::Right => (
                transpose(b, shape.inner, shape.columns).into(),
                transpose(a, shape.rows, shape.inner).into(),
            ),
        };
        Ok(Self { plan, x, y, z: Secret::zeros(shape.result()) })
    }

    /// This party's share of all cross terms, row-major.
    pub fn into_share(mut self) -> Secret<u64> {
        let shape = self.plan.oriented();
        let z = std::mem::replace(&mut self.z, Secret::new(Vec::new()));
        match self.plan.side() {
            ChoiceSide::Left => z,
            ChoiceSide::Right => Secret::new(transpose(&z, shape.rows, shape.columns)),
        }
    }
}

impl Drop for MatrixProduct<'_> {
    fn drop(&mut self) {
        for operand in [&mut self.x, &mut self.y] {
            if let Cow::Owned(values) = operand {
                values.zeroize();
            }
        }
    }
}

fn transpose(values: &[u64], rows: usize, columns: usize) -> Vec<u64> {
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

/// Working memory of one task.
struct Workspace {
    pads: [Secret<u128>; 2],
    leaves: Secret<u128>,
    streams: Streams,
    fold: Fold<Add>,
}

impl Workspace {
    fn new(plan: &MatrixPlan) -> Self {
        Self {
            pads: [Secret::zeros(plan.ring().bits()), Secret::zeros(plan.ring().bits())],
            leaves: Secret::zeros(1 << plan.digit()),
            streams: Streams::new(&vec![0; 1 << plan.digit()]),
            fold: Fold::new(),
        }
    }

    /// Keys the streams of one digit's leaves.
    fn key(&mut self, width: usize) {
        self.streams.rekey(&self.leaves[..1 << width]);
    }

    /// Expands and folds values `tile·TILE ..` of one digit's leaves, then calls `each(i, U_i, V_i)` with
    /// V = Σ_l 2^l·V_l for `count` values.
    fn expand(&mut self, tile: usize, count: usize, mut each: impl FnMut(usize, u64, u64)) {
        let lanes = count.div_ceil(LANE_WORDS);
        let width = self.streams.len().trailing_zeros() as usize;
        self.fold.run(&self.streams, 0, width, (tile * MAX_LANES * LANE_BLOCKS) as u64, lanes);
        let (total, odd) = self.fold.words();
        let mut weighted = [0u64; TILE];
        for level in 0..width {
            let odd = &odd[level * lanes * LANE_WORDS..(level + 1) * lanes * LANE_WORDS];
            for (sum, odd) in weighted.iter_mut().zip(odd) {
                *sum = sum.wrapping_add(odd << level);
            }
        }
        for i in 0..count {
            each(i, total[i], weighted[i]);
        }
        weighted.zeroize();
    }

    /// Sender's half of one entry: adds V to `share`, writes trees and corrections.
    fn send(
        &mut self,
        plan: &MatrixPlan,
        rows: &SenderRows,
        first: usize,
        y: &[u64],
        share: &mut [u64],
        out: &mut [u8],
    ) {
        let bits = plan.ring().bits();
        let mut keys: Secret<[u128; 2]> = Secret::zeros(bits);
        let [zero, one] = &mut self.pads;
        rows.pads(first, zero, one);
        for (key, (zero, one)) in keys.iter_mut().zip(zero.iter().zip(one.iter())) {
            *key = [*zero, *one];
        }
        let (mut trees, corrections) = out.split_at_mut(plan.tree_bytes());
        let mut packer = Packer::new(corrections);
        for (weight, width) in plan.digits() {
            let (tree, rest) = trees.split_at_mut(pprf::message_bytes(width));
            pprf::grow(&keys[weight..weight + width], &mut self.leaves[..1 << width], tree);
            trees = rest;
            self.key(width);
            for (tile, (share, y)) in share.chunks_mut(TILE).zip(y.chunks(TILE)).enumerate() {
                self.expand(tile, y.len(), |i, total, weighted| {
                    let correction = y[i].wrapping_sub(total) & u64::MAX >> (64 - bits + weight);
                    packer.push(correction, bits - weight);
                    share[i] = share[i].wrapping_add(weighted << weight);
                });
            }
        }
        packer.finish();
    }

    /// Receiver's half of one entry with value `x`: adds x·y − V to `share`.
    fn receive(
        &mut self,
        plan: &MatrixPlan,
        rows: &ReceiverRows,
        first: usize,
        x: u64,
        share: &mut [u64],
        sent: &[u8],
    ) -> Result<(), OtError> {
        let bits = plan.ring().bits();
        rows.pads(first, &mut self.pads[0]);
        let (mut trees, corrections) = sent.split_at(plan.tree_bytes());
        let mut unpacker = Unpacker::new(corrections);
        for (weight, width) in plan.digits() {
            let digit = x >> weight & ((1 << width) - 1);
            let (tree, rest) = trees.split_at(pprf::message_bytes(width));
            let keys = &self.pads[0][weight..weight + width];
            pprf::puncture(keys, digit as usize, tree, &mut self.leaves[..1 << width]);
            trees = rest;
            self.key(width);
            for (tile, share) in share.chunks_mut(TILE).enumerate() {
                self.expand(tile, share.len(), |i, total, weighted| {
                    let correction = unpacker.pull(bits - weight);
                    let product = digit.wrapping_mul(total.wrapping_add(correction)).wrapping_sub(weighted);
                    share[i] = share[i].wrapping_add(product << weight);
                });
            }
        }
        unpacker.finish()
    }
}

impl CrossProduct for MatrixProduct<'_> {
    fn chunks(&self) -> usize {
        self.plan.tiles().count()
    }

    fn transfers(&self, chunk: usize) -> usize {
        self.plan.tiles().entries(chunk) * self.plan.ring().bits()
    }

    fn correction_bytes(&self, chunk: usize) -> usize {
        self.plan.tiles().entries(chunk) * self.plan.entry_bytes()
    }

    fn choices(&self, chunk: usize) -> Secret<u64> {
        let (rows, inner) = self.plan.tiles().at(chunk);
        let stride = self.plan.oriented().inner;
        // Of the right size from the beginning: a vector that grows leaves copies behind.
        let mut entries = Secret::zeros(rows.len() * inner.len());
        for (entries, row) in entries.chunks_exact_mut(inner.len()).zip(rows) {
            entries.copy_from_slice(&self.x[row * stride..][inner.clone()]);
        }
        // Trees are punctured by the complement: see `pprf`.
        pack_words(self.plan.ring(), &entries, |x| !x)
    }

    fn send(&mut self, chunk: usize, batch: &SenderRows) -> Vec<u8> {
        let (rows, inner) = self.plan.tiles().at(chunk);
        let (plan, columns) = (&self.plan, self.plan.oriented().columns);
        let (bits, entry) = (plan.ring().bits(), plan.entry_bytes());
        let y = &self.y[inner.start * columns..inner.end * columns];
        let mut message = vec![0; rows.len() * inner.len() * entry];
        self.z[rows.start * columns..rows.end * columns]
            .par_chunks_mut(columns)
            .zip(message.par_chunks_mut(inner.len() * entry))
            .enumerate()
            .for_each_init(
                || Workspace::new(plan),
                |space, (row, (share, message))| {
                    let cells = y.chunks(columns).zip(message.chunks_mut(entry));
                    for (position, (y, out)) in cells.enumerate() {
                        let first = (row * inner.len() + position) * bits;
                        space.send(plan, batch, first, y, share, out);
                    }
                    share.iter_mut().for_each(|share| *share = plan.ring().reduce(*share));
                },
            );
        message
    }

    fn receive(&mut self, chunk: usize, batch: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        expect_length("correction", corrections, self.correction_bytes(chunk))?;
        let (rows, inner) = self.plan.tiles().at(chunk);
        let (plan, shape, x) = (&self.plan, self.plan.oriented(), &self.x);
        let (bits, entry) = (plan.ring().bits(), plan.entry_bytes());
        self.z[rows.start * shape.columns..rows.end * shape.columns]
            .par_chunks_mut(shape.columns)
            .zip(corrections.par_chunks(inner.len() * entry))
            .enumerate()
            .map_init(
                || Workspace::new(plan),
                |space, (row, (share, sent))| {
                    let x = &x[(rows.start + row) * shape.inner..][inner.clone()];
                    for (position, (x, sent)) in x.iter().zip(sent.chunks(entry)).enumerate() {
                        let first = (row * inner.len() + position) * bits;
                        space.receive(plan, batch, first, *x, share, sent)?;
                    }
                    share.iter_mut().for_each(|share| *share = plan.ring().reduce(*share));
                    Ok(())
                },
            )
            .collect()
    }
}
