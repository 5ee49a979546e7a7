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

use super::elementwise::pack_words;
use super::packing::{Packer, Unpacker};
use super::{CHUNK_TRANSFERS, CrossProduct, Ring};
use crate::error::{OtError, expect_length, same_length};
use crate::extension::{FieldBits, ReceiverRows, SenderRows};
use crate::fold::{Fold, MAX_LANES};
use crate::kernel::fold::{Add, LANE};
use crate::link::Cost;
use crate::pprf;
use crate::prg::{Stream, WIDE};
use crate::secret::Secret;
use rayon::prelude::*;
use std::ops::Range;
use zeroize::Zeroize;

/// Entries of the shared dimension in one chunk.
const INNER_TILE: usize = 1 << 12;

/// Payload values expanded at once.
const TILE: usize = MAX_LANES * LANE / 8;

/// Widest digit: 256 leaves.
const MAX_DIGIT: usize = 8;

/// Digits that [`MatrixPlan::cheapest`] considers by default. Width 4 expands twice the bits of width 1 and sends a
/// quarter; wider digits cost more time than a gigabit link saves.
const DEFAULT_DIGIT: usize = 4;

/// A product of a `rows` × `inner` matrix A with an `inner` × `columns` matrix B, both row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixShape {
    /// Rows of A and of the result.
    pub rows: usize,
    /// Columns of A, rows of B.
    pub inner: usize,
    /// Columns of B and of the result.
    pub columns: usize,
}

impl MatrixShape {
    /// Entries of A.
    pub fn left(&self) -> usize {
        self.rows * self.inner
    }

    /// Entries of B.
    pub fn right(&self) -> usize {
        self.inner * self.columns
    }

    /// Entries of the result.
    pub fn result(&self) -> usize {
        self.rows * self.columns
    }

    /// The shape of Bᵀ·Aᵀ.
    pub(crate) fn transposed(&self) -> Self {
        Self { rows: self.columns, inner: self.inner, columns: self.rows }
    }
}

/// The operand whose bits choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceSide {
    /// A chooses, rows of B are the payload: cheaper if the result is wide.
    Left,
    /// B chooses, columns of A are the payload: cheaper if the result is tall.
    Right,
}

/// How a matrix product is run: public, the same for all parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixPlan {
    shape: MatrixShape,
    ring: Ring,
    side: ChoiceSide,
    digit: usize,
}

impl MatrixPlan {
    /// A plan with a given choice side and digit width w.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if a side is 0 or above 2^20, the number of scalar products is above 2^40, or w is
    /// outside 1..=8.
    pub fn new(shape: MatrixShape, ring: Ring, side: ChoiceSide, digit: usize) -> Result<Self, OtError> {
        for side in [shape.rows, shape.inner, shape.columns] {
            if side == 0 || side > 1 << 20 {
                return Err(OtError::BadArgument {
                    what: "a side of a matrix",
                    got: side as u64,
                    wanted: "1 to 2^20",
                });
            }
        }
        let products = shape.rows as u64 * shape.inner as u64 * shape.columns as u64;
        if products > 1 << 40 {
            return Err(OtError::BadArgument {
                what: "the number of scalar products of a matrix product",
                got: products,
                wanted: "at most 2^40",
            });
        }
        if digit == 0 || digit > MAX_DIGIT {
            return Err(OtError::BadArgument {
                what: "the digit width",
                got: digit as u64,
                wanted: "1 to 8 bits",
            });
        }
        Ok(Self { shape, ring, side, digit: digit.min(ring.bits()) })
    }

    /// The plan that sends fewest bytes, among both choice sides and digits of up to 4 bits.
    ///
    /// # Errors
    /// As [`MatrixPlan::new`].
    pub fn cheapest(shape: MatrixShape, ring: Ring, field: FieldBits) -> Result<Self, OtError> {
        let mut best = Self::new(shape, ring, ChoiceSide::Left, 1)?;
        for side in [ChoiceSide::Left, ChoiceSide::Right] {
            for digit in 1..=DEFAULT_DIGIT {
                let plan = Self::new(shape, ring, side, digit)?;
                if plan.cost(field).bytes_per_peer < best.cost(field).bytes_per_peer {
                    best = plan;
                }
            }
        }
        Ok(best)
    }

    /// The shape of the product.
    pub fn shape(&self) -> MatrixShape {
        self.shape
    }

    /// The ring of the product.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// The operand that chooses.
    pub fn side(&self) -> ChoiceSide {
        self.side
    }

    /// The digit width w.
    pub fn digit(&self) -> usize {
        self.digit
    }

    /// What [`crate::link::exchange`] sends to each peer for this plan: for every entry of the choice side, L
    /// transfers, the trees, and n·Σ_d (L − w·d) bits rounded up to bytes, n the length of a payload row.
    pub fn cost(&self, field: FieldBits) -> Cost {
        let tiles = self.tiles();
        let bytes: usize = (0..tiles.count())
            .map(|chunk| {
                let entries = tiles.entries(chunk);
                field.extension_bytes(entries * self.ring.bits()) + entries * self.entry_bytes()
            })
            .sum();
        Cost { bytes_per_peer: bytes as u64, rounds: tiles.count() as u64 + 1 }
    }

    /// The shape with the choice side on the left.
    fn oriented(&self) -> MatrixShape {
        match self.side {
            ChoiceSide::Left => self.shape,
            ChoiceSide::Right => self.shape.transposed(),
        }
    }

    fn tiles(&self) -> Tiles {
        let shape = self.oriented();
        let inner = shape.inner.min(INNER_TILE);
        let rows = (CHUNK_TRANSFERS / (inner * self.ring.bits())).clamp(1, shape.rows);
        Tiles { shape, rows, inner }
    }

    /// First bit and width of every digit.
    fn digits(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (bits, digit) = (self.ring.bits(), self.digit);
        (0..bits).step_by(digit).map(move |first| (first, digit.min(bits - first)))
    }

    fn tree_bytes(&self) -> usize {
        self.digits().map(|(_, width)| pprf::message_bytes(width)).sum()
    }

    fn entry_bytes(&self) -> usize {
        let bits: usize = self.digits().map(|(first, _)| self.ring.bits() - first).sum();
        self.tree_bytes() + (self.oriented().columns * bits).div_ceil(8)
    }
}

/// The choice side cut into chunks.
struct Tiles {
    shape: MatrixShape,
    rows: usize,
    inner: usize,
}

impl Tiles {
    fn across(&self) -> usize {
        self.shape.inner.div_ceil(self.inner)
    }

    fn count(&self) -> usize {
        self.across() * self.shape.rows.div_ceil(self.rows)
    }

    /// Rows and inner positions of a chunk.
    fn at(&self, chunk: usize) -> (Range<usize>, Range<usize>) {
        let (row, inner) = (chunk / self.across() * self.rows, chunk % self.across() * self.inner);
        (row..self.shape.rows.min(row + self.rows), inner..self.shape.inner.min(inner + self.inner))
    }

    fn entries(&self, chunk: usize) -> usize {
        let (rows, inner) = self.at(chunk);
        rows.len() * inner.len()
    }
}

/// Z += shares of A·B' and A'·B, where primes are a peer's operands.
pub struct MatrixProduct<'a> {
    plan: MatrixPlan,
    /// The choice operand, `rows` × `inner` as oriented.
    x: std::borrow::Cow<'a, [u64]>,
    /// The payload operand, `inner` × `columns` as oriented.
    y: std::borrow::Cow<'a, [u64]>,
    /// This party's share, `rows` × `columns` as oriented.
    z: Secret<u64>,
}

impl<'a> MatrixProduct<'a> {
    /// Prepares the product of this party's shares `a` and `b`.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if a length does not fit the plan's shape.
    pub fn new(plan: MatrixPlan, a: &'a [u64], b: &'a [u64]) -> Result<Self, OtError> {
        let shape = plan.shape;
        same_length("the size of the left matrix", a.len(), shape.left())?;
        same_length("the size of the right matrix", b.len(), shape.right())?;
        let (x, y) = match plan.side {
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
        match self.plan.side {
            ChoiceSide::Left => z,
            ChoiceSide::Right => Secret::new(transpose(&z, shape.rows, shape.columns)),
        }
    }
}

impl Drop for MatrixProduct<'_> {
    fn drop(&mut self) {
        for operand in [&mut self.x, &mut self.y] {
            if let std::borrow::Cow::Owned(values) = operand {
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
    streams: Vec<Stream>,
    fold: Fold<Add>,
}

impl Workspace {
    fn new(plan: &MatrixPlan) -> Self {
        Self {
            pads: [Secret::zeros(plan.ring.bits()), Secret::zeros(plan.ring.bits())],
            leaves: Secret::zeros(1 << plan.digit),
            streams: Vec::with_capacity(1 << plan.digit),
            fold: Fold::new(),
        }
    }

    /// Keys the streams of one digit's leaves.
    fn key(&mut self, width: usize) {
        self.streams.clear();
        self.streams.extend(self.leaves[..1 << width].iter().map(|&seed| Stream::new(seed)));
    }

    /// Expands and folds values `tile·TILE ..` of one digit's leaves, then calls `each(i, U_i, V_i)` with
    /// V = Σ_l 2^l·V_l for `count` values.
    fn expand(&mut self, tile: usize, count: usize, mut each: impl FnMut(usize, u64, u64)) {
        let lanes = count.div_ceil(LANE / 8);
        self.fold.run(&self.streams, (tile * WIDE) as u64, lanes);
        let (total, odd) = self.fold.words();
        let width = self.streams.len().trailing_zeros() as usize;
        let mut weighted = [0u64; TILE];
        for level in 0..width {
            let odd = &odd[level * lanes * 8..(level + 1) * lanes * 8];
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
        let bits = plan.ring.bits();
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
        let bits = plan.ring.bits();
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
        self.plan.tiles().entries(chunk) * self.plan.ring.bits()
    }

    fn correction_bytes(&self, chunk: usize) -> usize {
        self.plan.tiles().entries(chunk) * self.plan.entry_bytes()
    }

    fn choices(&self, chunk: usize) -> Secret<u64> {
        let (rows, inner) = self.plan.tiles().at(chunk);
        let stride = self.plan.oriented().inner;
        let entries: Secret<u64> = Secret::new(
            rows.flat_map(|row| &self.x[row * stride..][inner.clone()]).copied().collect(),
        );
        // Trees are punctured by the complement: see `pprf`.
        pack_words(self.plan.ring, &entries, |x| !x)
    }

    fn send(&mut self, chunk: usize, batch: &SenderRows) -> Vec<u8> {
        let (rows, inner) = self.plan.tiles().at(chunk);
        let (plan, columns) = (&self.plan, self.plan.oriented().columns);
        let (bits, entry) = (plan.ring.bits(), plan.entry_bytes());
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
                    share.iter_mut().for_each(|share| *share = plan.ring.reduce(*share));
                },
            );
        message
    }

    fn receive(&mut self, chunk: usize, batch: &ReceiverRows, corrections: &[u8]) -> Result<(), OtError> {
        expect_length("correction", corrections, self.correction_bytes(chunk))?;
        let (rows, inner) = self.plan.tiles().at(chunk);
        let (plan, shape, x) = (&self.plan, self.plan.oriented(), &self.x);
        let (bits, entry) = (plan.ring.bits(), plan.entry_bytes());
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
                    share.iter_mut().for_each(|share| *share = plan.ring.reduce(*share));
                    Ok(())
                },
            )
            .collect()
    }
}
