//! The tile in plain Rust: the twin of the SIMD tiles.
#![allow(unsafe_code)]

use super::{Segment, TileKernel, TileOut};
use crate::kernel::gemm::Modulus;

const ROWS: usize = 4;
const COLS: usize = 8;

/// A line of the right factor is narrower than a cache line's worth of columns, so packing soon pays.
const IN_PLACE_ROWS: usize = 12;

pub(super) const FULL: TileKernel = TileKernel {
    rows: ROWS,
    cols: COLS,
    exact_edges: false,
    in_place_rows: IN_PLACE_ROWS,
    run: tile::<{ u64::MAX }>,
};
pub(super) const LOW52: TileKernel = TileKernel {
    rows: ROWS,
    cols: COLS,
    exact_edges: false,
    in_place_rows: IN_PLACE_ROWS,
    run: tile::<{ Modulus::Low52.mask() }>,
};

/// # Safety
/// See [`TileKernel::run`].
unsafe fn tile<const MASK: u64>(segments: &[Segment], row: usize, out: TileOut) {
    let mut acc = [[0u64; COLS]; ROWS];
    for s in segments {
        for k in 0..s.len {
            let at = match s.b_offsets.is_null() {
                true => k * s.b_step,
                // SAFETY: there is an offset for each depth.
                false => unsafe { *s.b_offsets.add(k) },
            };
            // SAFETY: without `exact_edges` every segment has `COLS` readable columns at each depth below `len`.
            let b = unsafe { *s.b.add(at).cast::<[u64; COLS]>() };
            for r in 0..out.rows {
                // SAFETY: row `row + r` of the left factor is valid for `r < out.rows` and each depth below `len`.
                let a = unsafe { *s.row(row + r).add(k * s.a_step) };
                let a = if s.negative { a.wrapping_neg() } else { a };
                for j in 0..COLS {
                    acc[r][j] = acc[r][j].wrapping_add(a.wrapping_mul(b[j]));
                }
            }
        }
    }
    for r in 0..out.rows {
        for j in 0..out.cols {
            // SAFETY: the destination is valid for `out.rows` rows and `out.cols` columns and is ours alone.
            unsafe {
                let c = out.ptr.add(r * out.stride + j);
                let old = if out.accumulate { *c } else { 0 };
                *c = old.wrapping_add(acc[r][j]) & MASK;
            }
        }
    }
}
