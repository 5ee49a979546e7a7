//! Blocking: cuts a product into tasks, a task into cache blocks, a block into tiles.
#![allow(unsafe_code)]

use super::Gemm;
use super::factor::{Left, Piece, Right, RightMode, take, total};
use super::operand::{Layout, Sign, Term};
use super::scratch::{Buffers, with_buffers};
use super::tile::{self, Segment, TileKernel, TileOut};
use rayon::prelude::*;
use std::ops::Range;
use zeroize::Zeroize;

/// Inner dimension of a cache block: a panel of 32 columns then takes 64 KiB, streamed from the L2 cache.
const DEPTH: usize = 256;
/// Columns of a cache block: 256 KiB of packed panels.
const COLS: usize = 128;
/// Rows of a cache block: the left factor takes 384 KiB and stays in the L2 cache from panel to panel. A multiple of
/// the rows of all tiles but AVX2's.
const ROWS: usize = 192;
/// Products below which a second thread costs more than it saves.
const SERIAL_PRODUCTS: usize = 1 << 20;

/// The output array, shared by tasks that write disjoint elements.
#[derive(Clone, Copy)]
struct Output {
    ptr: *mut u64,
    rows: usize,
    /// Columns of one group.
    inner: usize,
}

// SAFETY: tasks write disjoint rows or columns, and the array outlives them (see `product`).
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// Computes a product with at least one non-empty term; shapes have been checked.
pub(super) fn product(options: &Gemm, out: &mut [u64], rows: usize, cols: usize, terms: &[Term<'_>]) {
    if out.is_empty() {
        return;
    }
    let kernel = tile::kernel(options.isa.supported(), options.modulus);
    let output = Output { ptr: out.as_mut_ptr(), rows, inner: cols / options.groups };
    let pixel_row = staged_row(terms);
    let depth: usize = terms.iter().map(Term::depth).sum();
    let threads = if options.parallel && rows * cols * depth > SERIAL_PRODUCTS {
        rayon::current_num_threads()
    } else {
        1
    };
    let (row_parts, col_parts) = grid(threads, rows.div_ceil(kernel.rows), cols.div_ceil(kernel.cols));
    let task = |index: usize| {
        let rows = part(index / col_parts, row_parts, kernel.rows, rows);
        let cols = part(index % col_parts, col_parts, pixel_row.unwrap_or(kernel.cols), cols);
        with_buffers(|buffers| Task { options, kernel, output, rows, cols, pixel_row }.run(terms, buffers));
    };
    match row_parts * col_parts {
        1 => task(0),
        tasks => (0..tasks).into_par_iter().for_each(task),
    }
}

/// Splits the tiles among tasks: by columns first, because each task packs the columns that it needs.
fn grid(threads: usize, row_tiles: usize, col_tiles: usize) -> (usize, usize) {
    let by_cols = col_tiles.min(threads);
    let by_rows = threads.div_ceil(by_cols).min(row_tiles);
    (by_rows, by_cols)
}

/// Part number `index` of `parts` of `0..len`, cut at multiples of `unit`.
fn part(index: usize, parts: usize, unit: usize, len: usize) -> Range<usize> {
    let units = len.div_ceil(unit);
    (index * units / parts * unit).min(len)..((index + 1) * units / parts * unit).min(len)
}

/// Length of a pixel row, if the columns are the same pixels in all terms: the tiles then read them from a stage.
fn staged_row(terms: &[Term<'_>]) -> Option<usize> {
    let mut shapes = terms.iter().map(|term| match &term.b.layout {
        Layout::Patches(p) if term.b.row_is_major() => Some(*p),
        _ => None,
    });
    let first = shapes.next().flatten()?;
    shapes.all(|shape| shape == Some(first)).then_some(first.grid().1)
}

/// The part of a product that one thread computes.
struct Task<'g> {
    options: &'g Gemm,
    kernel: TileKernel,
    output: Output,
    rows: Range<usize>,
    cols: Range<usize>,
    /// Length of a pixel row if the right factor is read from stages.
    pixel_row: Option<usize>,
}

/// Working memory of a task.
struct Work<'b> {
    buffers: &'b mut Buffers,
    segments: Vec<Segment>,
    /// A tile that does not lie contiguous in the output.
    edge: Vec<u64>,
}

impl Task<'_> {
    fn run(&self, terms: &[Term<'_>], buffers: &mut Buffers) {
        let edge = vec![0; self.kernel.rows * self.kernel.cols];
        let mut work = Work { buffers, segments: Vec::new(), edge };
        let mut pieces = Vec::new();
        let mut accumulate = self.options.accumulate;
        let mut room = DEPTH;
        for term in terms {
            let mut at = 0;
            while at < term.depth() {
                let end = (at + room).min(term.depth());
                pieces.push(Piece { term, depth: at..end });
                room -= end - at;
                at = end;
                if room == 0 {
                    self.depth_block(&pieces, &mut work, accumulate);
                    accumulate = true;
                    pieces.clear();
                    room = DEPTH;
                }
            }
        }
        if !pieces.is_empty() {
            self.depth_block(&pieces, &mut work, accumulate);
        }
        work.edge.zeroize();
    }

    /// One stretch of the concatenated inner dimension, for all rows and columns of the task.
    fn depth_block(&self, pieces: &[Piece<'_, '_>], work: &mut Work<'_>, accumulate: bool) {
        let isa = self.options.isa;
        let width = self.kernel.cols;
        let mut next = self.cols.start;
        while next < self.cols.end {
            let cols = self.col_block(next);
            next = cols.end;
            let panels = self.panels(&cols);
            let Buffers { left, right, packing } = &mut *work.buffers;
            let len = |piece| Right::scratch_len(self.right_mode(piece), piece, &cols, width);
            let mut free = total(right, pieces.iter().map(len));
            let mut rights = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let scratch = take(&mut free, len(piece));
                rights.push(Right::new(isa, self.right_mode(piece), piece, &cols, width, scratch, packing));
            }
            for row in self.rows.clone().step_by(ROWS) {
                let rows = row..(row + ROWS).min(self.rows.end);
                let mut free = total(left, pieces.iter().map(|piece| Left::scratch_len(piece, &rows)));
                let mut lefts = Vec::with_capacity(pieces.len());
                for piece in pieces {
                    let scratch = take(&mut free, Left::scratch_len(piece, &rows));
                    lefts.push(Left::new(isa, piece, &rows, scratch, packing));
                }
                for (panel, cols) in panels.iter().enumerate() {
                    work.segments.clear();
                    for ((piece, left), right) in pieces.iter().zip(&lefts).zip(&rights) {
                        push_segments(&mut work.segments, piece, left, right, panel, cols.start);
                    }
                    self.tiles(&work.segments, &rows, cols, &mut work.edge, accumulate);
                }
            }
        }
    }

    /// Columns of the cache block that starts at `first`: whole pixel rows if there are such.
    fn col_block(&self, first: usize) -> Range<usize> {
        let mut end = first + COLS;
        if let Some(row) = self.pixel_row
            && end / row * row > first
        {
            end = end / row * row;
        }
        first..end.min(self.cols.end)
    }

    /// Columns of each panel of a block.
    fn panels(&self, cols: &Range<usize>) -> Vec<Range<usize>> {
        let mut panels = Vec::new();
        let mut first = cols.start;
        while first < cols.end {
            let mut end = (first + self.kernel.cols).min(cols.end);
            if let Some(row) = self.pixel_row {
                end = end.min((first / row + 1) * row);
            }
            panels.push(first..end);
            first = end;
        }
        panels
    }

    /// A right factor is packed unless its columns lie contiguous and it is used too few times to pay for a copy, or
    /// unless it can be staged.
    fn right_mode(&self, piece: &Piece<'_, '_>) -> RightMode {
        let b = &piece.term.b;
        match &b.layout {
            _ if self.pixel_row.is_some() => RightMode::Staged,
            Layout::Grouped(g) if g.groups == 1 && b.minus.is_none() && b.row_is_major() => {
                let whole = self.kernel.exact_edges || self.cols.len().is_multiple_of(self.kernel.cols);
                if whole && self.rows.len() <= self.kernel.in_place_rows {
                    RightMode::InPlace
                } else {
                    RightMode::Packed
                }
            }
            _ => RightMode::Packed,
        }
    }

    /// All tiles of one panel.
    fn tiles(
        &self,
        segments: &[Segment],
        rows: &Range<usize>,
        cols: &Range<usize>,
        edge: &mut [u64],
        accumulate: bool,
    ) {
        let Output { ptr, rows: out_rows, inner } = self.output;
        let (group, first) = (cols.start / inner, cols.start % inner);
        let in_one_group = first + cols.len() <= inner;
        for row in rows.clone().step_by(self.kernel.rows) {
            let tile_rows = (rows.end - row).min(self.kernel.rows);
            let offset = row - rows.start;
            if in_one_group {
                let ptr = ptr.wrapping_add((group * out_rows + row) * inner + first);
                let out = TileOut { ptr, stride: inner, rows: tile_rows, cols: cols.len(), accumulate };
                // SAFETY: the kernel belongs to a supported instruction set. The operands' constructors checked that
                // the slices cover their shapes, copies cover their blocks, and rows and columns lie inside the
                // output, where no other task writes.
                unsafe { (self.kernel.run)(segments, offset, out) };
                continue;
            }
            // The tile crosses from one group to the next.
            let stride = self.kernel.cols;
            let out = TileOut {
                ptr: edge.as_mut_ptr(),
                stride,
                rows: tile_rows,
                cols: cols.len(),
                accumulate: false,
            };
            // SAFETY: as above; `edge` holds a whole tile.
            unsafe { (self.kernel.run)(segments, offset, out) };
            for r in 0..tile_rows {
                for (j, col) in cols.clone().enumerate() {
                    let at = (col / inner * out_rows + row + r) * inner + col % inner;
                    // SAFETY: row and column lie inside the output, and no other task writes this element.
                    unsafe {
                        let c = ptr.add(at);
                        let old = if accumulate { *c } else { 0 };
                        *c = old.wrapping_add(edge[r * stride + j]) & self.options.modulus.mask();
                    }
                }
            }
        }
    }
}

/// Lists what the tiles of one panel read of a piece.
fn push_segments(
    segments: &mut Vec<Segment>,
    piece: &Piece<'_, '_>,
    left: &Left<'_>,
    right: &Right<'_>,
    panel: usize,
    col: usize,
) {
    let len = piece.depth.len();
    let mut done = 0;
    while done < len {
        let (a, b) = (left.stretch(done), right.stretch(panel, col, done));
        let n = (len - done).min(a.len).min(b.len);
        segments.push(Segment {
            a: a.data.as_ptr(),
            a_row: a.row_step,
            a_offsets: a.offsets.map_or(std::ptr::null(), <[usize]>::as_ptr),
            a_step: a.step,
            b: b.data.as_ptr(),
            b_step: b.step,
            b_offsets: b.offsets.map_or(std::ptr::null(), <[usize]>::as_ptr),
            len: n,
            negative: piece.term.sign == Sign::Minus,
        });
        done += n;
    }
}
