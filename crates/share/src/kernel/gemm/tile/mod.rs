//! Register tiles: the inner loop of the matrix product, one file per instruction set.
//!
//! A tile computes up to `rows` × `cols` outputs over a list of [`Segment`]s, keeping the sums in registers, and then
//! stores or accumulates them.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::Modulus;
use crate::kernel::Isa;

/// Both factors over one stretch of the inner dimension.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// First row of the block of the left factor; row r, depth k lies at `a + r * a_row + k * a_step`, or at
    /// `a + a_offsets[r] + k * a_step` if there are offsets.
    pub(super) a: *const u64,
    pub(super) a_row: usize,
    pub(super) a_offsets: *const usize,
    pub(super) a_step: usize,
    /// Panel of the right factor; depth k, column j lies at `b + k * b_step + j`, or at `b + b_offsets[k] + j` if there
    /// are offsets. All segments of a tile have them or none has.
    pub(super) b: *const u64,
    pub(super) b_step: usize,
    pub(super) b_offsets: *const usize,
    pub(super) len: usize,
    /// Whether the product is subtracted.
    pub(super) negative: bool,
}

impl Segment {
    /// Address of a row at depth 0.
    ///
    /// # Safety
    /// `row` is a row of the block.
    #[inline(always)]
    unsafe fn row(&self, row: usize) -> *const u64 {
        let offset = if self.a_offsets.is_null() {
            row * self.a_row
        } else {
            // SAFETY: there is an offset for each row.
            unsafe { *self.a_offsets.add(row) }
        };
        self.a.wrapping_add(offset)
    }

    /// Whether the segments of a tile have offsets of the right factor.
    fn have_offsets(segments: &[Self]) -> bool {
        segments.first().is_some_and(|s| !s.b_offsets.is_null())
    }
}

/// Where a tile goes: row r, column j is written to `ptr + r * stride + j`.
#[derive(Clone, Copy)]
pub(super) struct TileOut {
    pub(super) ptr: *mut u64,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Add to what is there instead of overwriting it.
    pub(super) accumulate: bool,
}

/// A tile kernel and its shape.
#[derive(Clone, Copy)]
pub(super) struct TileKernel {
    /// Rows of a full tile.
    pub(super) rows: usize,
    /// Columns of a full tile and width of a packed panel.
    pub(super) cols: usize,
    /// Whether a tile with fewer columns reads nothing of the right factor beyond them. If not, such a tile needs a
    /// packed panel of full width.
    pub(super) exact_edges: bool,
    /// Rows up to which a contiguous right factor is read in place; above, packing it pays.
    pub(super) in_place_rows: usize,
    /// Arguments: segments, row of the block at which the tile starts, destination.
    ///
    /// # Safety
    /// The CPU must have the instruction set. `1 <= out.rows <= rows`, `1 <= out.cols <= cols`. Every address that
    /// the segments and the destination describe for those rows and columns must be valid, and the destination must
    /// not be accessed by anyone else meanwhile. Without `exact_edges`, each segment must have `cols` readable
    /// columns.
    pub(super) run: unsafe fn(&[Segment], usize, TileOut),
}

/// The tile kernel for an instruction set (which must be supported) and a modulus.
pub(super) fn kernel(isa: Isa, modulus: Modulus) -> TileKernel {
    match (isa, modulus) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Modulus::Full) => avx512::FULL,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Modulus::Low52) => avx512::LOW52,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Modulus::Full) => avx2::FULL,
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Modulus::Low52) => avx2::LOW52,
        (_, Modulus::Full) => portable::FULL,
        (_, Modulus::Low52) => portable::LOW52,
    }
}
