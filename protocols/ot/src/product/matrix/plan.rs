//! How a matrix product is cut and run, and what it costs: public choices only.

use crate::error::OtError;
use crate::extension::FieldBits;
use crate::link::Cost;
use crate::pprf;
use crate::product::{CHUNK_TRANSFERS, Ring};
use std::ops::Range;

/// Entries of the shared dimension in one chunk.
const INNER_TILE: usize = 1 << 12;

/// Corrections that a chunk aims at: what both ends may send each other before they receive.
const CHUNK_BYTES: usize = 8 << 20;

/// Most corrections of one entry: a chunk has at least one, both ends send theirs before they receive, for two products at
/// once if operands have owners, and the transport queues 64 MiB.
const MAX_ENTRY_BYTES: usize = 24 << 20;

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
    fn transposed(&self) -> Self {
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
    /// [`OtError::BadArgument`] if a side is 0 or above 2^20, the number of scalar products is above 2^40, w is outside
    /// 1..=8, or a payload row is so long that one entry takes more than 24 MiB of corrections.
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
        let plan = Self { shape, ring, side, digit: digit.min(ring.bits()) };
        if plan.entry_bytes() > MAX_ENTRY_BYTES {
            return Err(OtError::BadArgument {
                what: "the bytes of corrections for one entry of a matrix product",
                got: plan.entry_bytes() as u64,
                wanted: "at most 24 MiB, by shorter payload rows, wider digits or the other choice side",
            });
        }
        Ok(plan)
    }

    /// The plan that sends fewest bytes, among both choice sides and digits of up to 4 bits.
    ///
    /// # Errors
    /// As [`MatrixPlan::new`], if that refuses all of them.
    pub fn cheapest(shape: MatrixShape, ring: Ring, field: FieldBits) -> Result<Self, OtError> {
        let mut best = Self::new(shape, ring, ChoiceSide::Left, 1);
        for side in [ChoiceSide::Left, ChoiceSide::Right] {
            for digit in 1..=DEFAULT_DIGIT {
                let plan = Self::new(shape, ring, side, digit);
                best = match (best, plan) {
                    (Ok(best), Ok(plan)) if plan.bytes(field) < best.bytes(field) => Ok(plan),
                    (Ok(best), _) => Ok(best),
                    (Err(_), plan) => plan,
                };
            }
        }
        best
    }

    fn bytes(&self, field: FieldBits) -> u64 {
        self.cost(field).bytes_per_peer
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
        let (choices, corrections) = self.messages(field);
        Cost { bytes_per_peer: choices + corrections, rounds: self.tiles().count() as u64 + 1 }
    }

    /// Bytes of the choice bits, and of the corrections, of one direction.
    pub(crate) fn messages(&self, field: FieldBits) -> (u64, u64) {
        let tiles = self.tiles();
        (0..tiles.count()).fold((0, 0), |(choices, corrections), chunk| {
            let entries = tiles.entries(chunk);
            let chosen = field.extension_bytes(entries * self.ring.bits()) as u64;
            (choices + chosen, corrections + (entries * self.entry_bytes()) as u64)
        })
    }

    /// The shape with the choice side on the left.
    pub(super) fn oriented(&self) -> MatrixShape {
        match self.side {
            ChoiceSide::Left => self.shape,
            ChoiceSide::Right => self.shape.transposed(),
        }
    }

    pub(super) fn tiles(&self) -> Tiles {
        let shape = self.oriented();
        let entries = (CHUNK_BYTES / self.entry_bytes()).max(1);
        let inner = shape.inner.min(INNER_TILE).min(entries);
        let rows = (CHUNK_TRANSFERS / (inner * self.ring.bits())).min(entries / inner).clamp(1, shape.rows);
        Tiles { shape, rows, inner }
    }

    /// First bit and width of every digit.
    pub(super) fn digits(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (bits, digit) = (self.ring.bits(), self.digit);
        (0..bits).step_by(digit).map(move |first| (first, digit.min(bits - first)))
    }

    pub(super) fn tree_bytes(&self) -> usize {
        self.digits().map(|(_, width)| pprf::message_bytes(width)).sum()
    }

    pub(super) fn entry_bytes(&self) -> usize {
        let bits: usize = self.digits().map(|(first, _)| self.ring.bits() - first).sum();
        self.tree_bytes() + (self.oriented().columns * bits).div_ceil(8)
    }
}

/// The choice side cut into chunks.
pub(super) struct Tiles {
    shape: MatrixShape,
    rows: usize,
    inner: usize,
}

impl Tiles {
    fn across(&self) -> usize {
        self.shape.inner.div_ceil(self.inner)
    }

    pub(super) fn count(&self) -> usize {
        self.across() * self.shape.rows.div_ceil(self.rows)
    }

    /// Rows and inner positions of a chunk.
    pub(super) fn at(&self, chunk: usize) -> (Range<usize>, Range<usize>) {
        let (row, inner) = (chunk / self.across() * self.rows, chunk % self.across() * self.inner);
        (row..self.shape.rows.min(row + self.rows), inner..self.shape.inner.min(inner + self.inner))
    }

    pub(super) fn entries(&self, chunk: usize) -> usize {
        let (rows, inner) = self.at(chunk);
        rows.len() * inner.len()
    }
}
