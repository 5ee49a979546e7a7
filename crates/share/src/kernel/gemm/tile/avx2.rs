//! The tile in AVX2, which has no 64-bit product.
//!
//! With a = a1·2^32 + a0 and b likewise, a·b mod 2^64 = a0·b0 + 2^32·(a0·b1 + a1·b0). The two cross products come from
//! one 32-bit multiplication of `a` by `b` with its halves exchanged. They are summed as 32-bit numbers and folded in
//! once at the end, so a product costs two multiplications and two additions.
#![allow(unsafe_code)]

use super::{Segment, TileKernel, TileOut};
use crate::kernel::gemm::Modulus;
use std::arch::x86_64::*;

const ROWS: usize = 5;
const VECTORS: usize = 1;
const LANES: usize = 4;
const COLS: usize = VECTORS * LANES;

/// A line of the right factor is narrower than a cache line's worth of columns, so packing soon pays.
const IN_PLACE_ROWS: usize = 12;

pub(super) const FULL: TileKernel = TileKernel {
    rows: ROWS,
    cols: COLS,
    exact_edges: false,
    in_place_rows: IN_PLACE_ROWS,
    run: run::<{ u64::MAX }>,
};
pub(super) const LOW52: TileKernel = TileKernel {
    rows: ROWS,
    cols: COLS,
    exact_edges: false,
    in_place_rows: IN_PLACE_ROWS,
    run: run::<{ Modulus::Low52.mask() }>,
};

/// # Safety
/// See [`TileKernel::run`].
unsafe fn run<const MASK: u64>(segments: &[Segment], row: usize, out: TileOut) {
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            match (out.rows, Segment::have_offsets(segments)) {
                $(
                    // SAFETY: the caller's promise, and the shape that the match has found.
                    ($rows, false) => unsafe { tile::<$rows, MASK, false>(segments, row, out) },
                    // SAFETY: as above.
                    ($rows, true) => unsafe { tile::<$rows, MASK, true>(segments, row, out) },
                )*
                _ => unreachable!("a tile has at most {ROWS} rows"),
            }
        };
    }
    dispatch!(1 2 3 4 5)
}

/// A tile of exactly `R` rows.
///
/// # Safety
/// See [`TileKernel::run`]; also `out.rows == R`, and `OFFSETS` says whether the segments have offsets.
#[target_feature(enable = "avx2")]
unsafe fn tile<const R: usize, const MASK: u64, const OFFSETS: bool>(
    segments: &[Segment],
    row: usize,
    out: TileOut,
) {
    let zero = _mm256_setzero_si256();
    let mut low = [[zero; VECTORS]; R];
    let mut cross = [[zero; VECTORS]; R];
    let mut negated = false;
    for s in segments {
        if s.negative != negated {
            for r in 0..R {
                for v in 0..VECTORS {
                    low[r][v] = _mm256_sub_epi64(zero, low[r][v]);
                    cross[r][v] = _mm256_sub_epi32(zero, cross[r][v]);
                }
            }
            negated = s.negative;
        }
        // SAFETY: rows `row..row + R` belong to the block.
        let a: [*const u64; R] = std::array::from_fn(|r| unsafe { s.row(row + r) });
        let mut at = 0;
        let mut b = s.b;
        for k in 0..s.len {
            if OFFSETS {
                // SAFETY: there is an offset for each depth.
                b = s.b.wrapping_add(unsafe { *s.b_offsets.add(k) });
            }
            let mut line = [zero; VECTORS];
            let mut swapped = [zero; VECTORS];
            for v in 0..VECTORS {
                // SAFETY: without `exact_edges` every segment has `COLS` readable columns at this depth.
                line[v] = unsafe { _mm256_loadu_si256(b.add(v * LANES).cast()) };
                swapped[v] = _mm256_shuffle_epi32::<0b10_11_00_01>(line[v]);
            }
            for r in 0..R {
                // SAFETY: rows `row..row + R` of the left factor are valid at this depth.
                let x = _mm256_set1_epi64x(unsafe { *a[r].add(at) } as i64);
                for v in 0..VECTORS {
                    low[r][v] = _mm256_add_epi64(low[r][v], _mm256_mul_epu32(x, line[v]));
                    cross[r][v] = _mm256_add_epi32(cross[r][v], _mm256_mullo_epi32(x, swapped[v]));
                }
            }
            at += s.a_step;
            if !OFFSETS {
                b = b.wrapping_add(s.b_step);
            }
        }
    }
    for r in 0..R {
        let mut sums = [0u64; COLS];
        for v in 0..VECTORS {
            // Upper half: sum of both 32-bit halves of the cross products; the lower half is shifted out.
            let both = _mm256_add_epi32(cross[r][v], _mm256_slli_epi64::<32>(cross[r][v]));
            let high = _mm256_slli_epi64::<32>(_mm256_srli_epi64::<32>(both));
            let mut x = _mm256_add_epi64(low[r][v], high);
            if negated {
                x = _mm256_sub_epi64(zero, x);
            }
            // SAFETY: `sums` has room for `VECTORS` vectors.
            unsafe { _mm256_storeu_si256(sums.as_mut_ptr().add(v * LANES).cast(), x) };
        }
        for j in 0..out.cols {
            // SAFETY: the destination is valid for `R` rows and `out.cols` columns and is ours alone.
            unsafe {
                let c = out.ptr.add(r * out.stride + j);
                let old = if out.accumulate { *c } else { 0 };
                *c = old.wrapping_add(sums[j]) & MASK;
            }
        }
    }
}
