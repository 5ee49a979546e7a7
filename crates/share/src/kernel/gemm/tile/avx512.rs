//! The tile in AVX-512: VPMULLQ and VPADDQ for the full ring, VPMADD52LUQ modulo 2^52.
//!
//! 24 of the 32 registers hold sums (6 rows of 4 vectors), 4 hold a line of the right factor, the rest the broadcast
//! element and products. Edges use smaller tiles and masked loads and stores, so no lane beyond the edge is touched.
#![allow(unsafe_code)]

use super::{Segment, TileKernel, TileOut};
use std::arch::x86_64::*;

const ROWS: usize = 6;
const VECTORS: usize = 4;
const LANES: usize = 8;

// A line of the right factor is four whole cache lines, so reading it in place costs no more than from a packed panel
// (measured on Zen 5 for 6 to 512 rows and 128 to 4096 columns).
pub(super) const FULL: TileKernel = TileKernel {
    rows: ROWS,
    cols: VECTORS * LANES,
    exact_edges: true,
    in_place_rows: usize::MAX,
    run: run::<false>,
};
pub(super) const LOW52: TileKernel = TileKernel {
    rows: ROWS,
    cols: VECTORS * LANES,
    exact_edges: true,
    in_place_rows: usize::MAX,
    run: run::<true>,
};

/// # Safety
/// See [`TileKernel::run`].
unsafe fn run<const LOW52: bool>(segments: &[Segment], row: usize, out: TileOut) {
    if Segment::have_offsets(segments) {
        // SAFETY: the caller's promise.
        unsafe { run_tile::<LOW52, true>(segments, row, out) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { run_tile::<LOW52, false>(segments, row, out) }
    }
}

/// # Safety
/// See [`TileKernel::run`]; also `OFFSETS` says whether the segments have offsets.
unsafe fn run_tile<const LOW52: bool, const OFFSETS: bool>(segments: &[Segment], row: usize, out: TileOut) {
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            match (out.rows, out.cols.div_ceil(LANES)) {
                $(
                    // SAFETY: the caller's promise, and the tile shape that the match has found.
                    ($rows, 1) => unsafe { tile::<$rows, 1, LOW52, OFFSETS>(segments, row, out) },
                    // SAFETY: as above.
                    ($rows, 2) => unsafe { tile::<$rows, 2, LOW52, OFFSETS>(segments, row, out) },
                    // SAFETY: as above.
                    ($rows, 3) => unsafe { tile::<$rows, 3, LOW52, OFFSETS>(segments, row, out) },
                    // SAFETY: as above.
                    ($rows, 4) => unsafe { tile::<$rows, 4, LOW52, OFFSETS>(segments, row, out) },
                )*
                _ => unreachable!("a tile has at most {ROWS} rows and {VECTORS} vectors"),
            }
        };
    }
    dispatch!(1 2 3 4 5 6)
}

/// A tile of exactly `R` rows and `V` vectors, the last one possibly partial.
///
/// # Safety
/// See [`TileKernel::run`]; also `out.rows == R`, `out.cols` needs exactly `V` vectors, and `OFFSETS` says whether the
/// segments have offsets.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
unsafe fn tile<const R: usize, const V: usize, const LOW52: bool, const OFFSETS: bool>(
    segments: &[Segment],
    row: usize,
    out: TileOut,
) {
    let last: __mmask8 = 0xff >> (V * LANES - out.cols);
    let zero = _mm512_setzero_si512();
    let mut acc = [[zero; V]; R];
    // The sums are kept with the sign of the current segment, so that a negative term costs one pass of negations
    // and nothing per product.
    let mut negated = false;
    for s in segments {
        if s.negative != negated {
            negate(&mut acc);
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
            let mut line = [zero; V];
            for v in 0..V {
                // SAFETY: the segment has `out.cols` columns at this depth; the mask leaves out those beyond.
                line[v] = unsafe {
                    let at = b.add(v * LANES).cast();
                    if v + 1 == V { _mm512_maskz_loadu_epi64(last, at) } else { _mm512_loadu_epi64(at) }
                };
            }
            for r in 0..R {
                // SAFETY: rows `row..row + R` of the left factor are valid at this depth.
                let x = _mm512_set1_epi64(unsafe { *a[r].add(at) } as i64);
                for v in 0..V {
                    acc[r][v] = if LOW52 {
                        _mm512_madd52lo_epu64(acc[r][v], x, line[v])
                    } else {
                        _mm512_add_epi64(acc[r][v], _mm512_mullo_epi64(x, line[v]))
                    };
                }
            }
            at += s.a_step;
            if !OFFSETS {
                b = b.wrapping_add(s.b_step);
            }
        }
    }
    if negated {
        negate(&mut acc);
    }
    let mask = _mm512_set1_epi64(crate::kernel::gemm::Modulus::Low52.mask() as i64);
    for r in 0..R {
        for v in 0..V {
            let lanes = if v + 1 == V { last } else { 0xff };
            // SAFETY: the destination is valid for `R` rows and `out.cols` columns, which the mask covers exactly,
            // and nobody else accesses it.
            unsafe {
                let c = out.ptr.add(r * out.stride + v * LANES);
                let mut x = acc[r][v];
                if out.accumulate {
                    x = _mm512_add_epi64(x, _mm512_maskz_loadu_epi64(lanes, c.cast()));
                }
                if LOW52 {
                    x = _mm512_and_si512(x, mask);
                }
                _mm512_mask_storeu_epi64(c.cast(), lanes, x);
            }
        }
    }
}

// Inlined, and a plain loop: if the sums were passed by address, the compiler would keep them in memory throughout.
#[inline]
#[target_feature(enable = "avx512f")]
fn negate<const R: usize, const V: usize>(acc: &mut [[__m512i; V]; R]) {
    for r in 0..R {
        for v in 0..V {
            acc[r][v] = _mm512_sub_epi64(_mm512_setzero_si512(), acc[r][v]);
        }
    }
}
