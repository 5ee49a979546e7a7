//! How the tiles read a piece of each factor: in place, from a copy, or from a stage.
//!
//! A piece is walked in stretches, over which the left factor advances by a constant step, and the right one by a
//! constant step or a table of offsets.

use super::operand::{Grouped, Layout, Operand, Term};
use super::pack::{self, Block};
use super::scratch::{PackBuffers, Scratch};
use super::stage::{Stage, stage_len};
use crate::kernel::Isa;
use std::ops::Range;

/// Contiguous depth below which a left factor is gathered instead of read in place piece by piece.
const SHORT_RUN: usize = 32;

/// Stretch of the inner dimension of one term inside a cache block.
pub(super) struct Piece<'t, 'a> {
    pub(super) term: &'t Term<'a>,
    pub(super) depth: Range<usize>,
}

/// Where the right factor is read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RightMode {
    /// From packed panels.
    Packed,
    /// From the operand.
    InPlace,
    /// From a stage; the panels then end where pixel rows end.
    Staged,
}

/// A piece of the right factor, ready for the columns of one cache block.
pub(super) enum Right<'s> {
    Packed { panels: &'s [u64], width: usize, len: usize },
    InPlace { data: &'s [u64], row_stride: usize },
    Staged { stage: Stage<'s> },
}

/// A piece of the left factor, ready for a block of rows.
pub(super) enum Left<'s> {
    /// Depth is contiguous in stretches.
    Rows { grouped: Grouped, data: &'s [u64], row: usize, start: usize },
    /// Each row is one tap of a stage, and depth is contiguous up to the end of a pixel row.
    Taps { stage: Stage<'s>, first: usize },
    /// One step per row and one per depth.
    Steps { data: &'s [u64], row_step: usize, depth_step: usize },
}

/// What a tile reads from some depth on.
pub(super) struct Stretch<'s> {
    pub(super) data: &'s [u64],
    /// From one depth to the next.
    pub(super) step: usize,
    /// Place of each depth of the right factor, instead of the step, or of each row of the left one.
    pub(super) offsets: Option<&'s [usize]>,
    /// From one row to the next (left factor).
    pub(super) row_step: usize,
    pub(super) len: usize,
}

impl<'s> Right<'s> {
    /// Elements of scratch that [`Right::new`] needs.
    pub(super) fn scratch_len(
        mode: RightMode,
        piece: &Piece<'_, '_>,
        cols: &Range<usize>,
        width: usize,
    ) -> usize {
        match (mode, &piece.term.b.layout) {
            (RightMode::Packed, _) => cols.len().next_multiple_of(width) * piece.depth.len(),
            (RightMode::Staged, Layout::Patches(p)) => stage_len(p, cols, &piece.depth),
            _ => 0,
        }
    }

    /// Packs or stages what must be, into `scratch`.
    pub(super) fn new<'a: 's>(
        isa: Isa,
        mode: RightMode,
        piece: &Piece<'_, 'a>,
        cols: &Range<usize>,
        width: usize,
        scratch: &'s mut [u64],
        buffers: &mut PackBuffers,
    ) -> Self {
        let b = &piece.term.b;
        let block = Block { lanes: cols.clone(), depth: piece.depth.clone() };
        match (mode, &b.layout) {
            (RightMode::InPlace, Layout::Grouped(g)) => {
                let data: &'a [u64] = b.data;
                Self::InPlace { data: &data[piece.depth.start * g.row_stride..], row_stride: g.row_stride }
            }
            (RightMode::Staged, Layout::Patches(p)) => {
                Self::Staged { stage: pack::stage(isa, p, b.data, b.minus, &block, scratch) }
            }
            _ => {
                pack::pack_panels(isa, b, !b.row_is_major(), &block, width, scratch, buffers);
                Self::Packed { panels: scratch, width, len: piece.depth.len() }
            }
        }
    }

    /// The stretch from depth `done` of the piece on, at the panel number `panel`, whose first column is `col`.
    pub(super) fn stretch(&self, panel: usize, col: usize, done: usize) -> Stretch<'_> {
        let (data, step, len) = match self {
            Self::Packed { panels, width, len } => {
                (&panels[(panel * len + done) * width..], *width, len - done)
            }
            Self::InPlace { data, row_stride } => (&data[done * row_stride + col..], *row_stride, usize::MAX),
            Self::Staged { stage } => {
                let offsets = Some(&stage.offsets()[done..]);
                return Stretch {
                    data: stage.at_pixel(col).0,
                    step: 0,
                    offsets,
                    row_step: 0,
                    len: usize::MAX,
                };
            }
        };
        Stretch { data, step, offsets: None, row_step: 0, len }
    }
}

impl<'s> Left<'s> {
    /// Whether a left factor must be copied before the tiles can read it: differences, patches with pixels as rows, and
    /// NCHW views whose runs are too short or lie across the rows.
    pub(super) fn is_copied(a: &Operand<'_>) -> bool {
        match &a.layout {
            Layout::Grouped(g) => {
                a.minus.is_some() || g.groups > 1 && (!a.row_is_major() || g.inner < SHORT_RUN)
            }
            Layout::Patches(_) => !a.row_is_major(),
        }
    }

    /// Elements of scratch that [`Left::new`] needs.
    pub(super) fn scratch_len(piece: &Piece<'_, '_>, rows: &Range<usize>) -> usize {
        match &piece.term.a.layout {
            Layout::Patches(p) if !Self::is_copied(&piece.term.a) => return stage_len(p, &piece.depth, rows),
            Layout::Grouped(_) if !Self::is_copied(&piece.term.a) => return 0,
            _ => {}
        }
        let lines = if piece.term.a.row_is_major() { rows.len() } else { piece.depth.len() };
        lines * Self::line_stride(piece, rows)
    }

    /// Distance of two lines of a copy: one cache line of slack keeps them off the same cache set.
    fn line_stride(piece: &Piece<'_, '_>, rows: &Range<usize>) -> usize {
        let line = if piece.term.a.row_is_major() { piece.depth.len() } else { rows.len() };
        line.next_multiple_of(8) + 8
    }

    /// Copies what must be, into `scratch`.
    pub(super) fn new<'a: 's>(
        isa: Isa,
        piece: &Piece<'_, 'a>,
        rows: &Range<usize>,
        scratch: &'s mut [u64],
        buffers: &mut PackBuffers,
    ) -> Self {
        let a = &piece.term.a;
        let data: &'a [u64] = a.data;
        match &a.layout {
            Layout::Grouped(g) if !Self::is_copied(a) && a.row_is_major() => {
                Self::Rows { grouped: *g, data, row: rows.start, start: piece.depth.start }
            }
            Layout::Grouped(g) if !Self::is_copied(a) => Self::Steps {
                data: &data[piece.depth.start * g.row_stride + rows.start..],
                row_step: 1,
                depth_step: g.row_stride,
            },
            Layout::Patches(p) if !Self::is_copied(a) => {
                let block = Block { lanes: piece.depth.clone(), depth: rows.clone() };
                let stage = pack::stage(isa, p, data, a.minus, &block, scratch);
                Self::Taps { stage, first: piece.depth.start }
            }
            _ => {
                let stride = Self::line_stride(piece, rows);
                let block = Block { lanes: rows.clone(), depth: piece.depth.clone() };
                pack::materialise(isa, a, a.row_is_major(), &block, stride, scratch, buffers);
                let (row_step, depth_step) = if a.row_is_major() { (stride, 1) } else { (1, stride) };
                Self::Steps { data: scratch, row_step, depth_step }
            }
        }
    }

    /// The stretch from depth `done` of the piece on, at the first row of the block.
    pub(super) fn stretch(&self, done: usize) -> Stretch<'_> {
        match self {
            Self::Rows { grouped, data, row, start } => {
                let (at, len) = grouped.locate(start + done);
                Stretch {
                    data: &data[at + row * grouped.row_stride..],
                    step: 1,
                    offsets: None,
                    row_step: grouped.row_stride,
                    len,
                }
            }
            Self::Taps { stage, first } => {
                let (data, len) = stage.at_pixel(first + done);
                Stretch { data, step: 1, offsets: Some(stage.offsets()), row_step: 0, len }
            }
            Self::Steps { data, row_step, depth_step } => Stretch {
                data: &data[done * depth_step..],
                step: *depth_step,
                offsets: None,
                row_step: *row_step,
                len: usize::MAX,
            },
        }
    }
}

/// Cuts `len` elements of scratch off the front of `rest`.
pub(super) fn take<'s>(rest: &mut &'s mut [u64], len: usize) -> &'s mut [u64] {
    let (first, left) = std::mem::take(rest).split_at_mut(len);
    *rest = left;
    first
}

/// Scratch for pieces that need `lens` elements each.
pub(super) fn total(scratch: &mut Scratch, lens: impl Iterator<Item = usize>) -> &mut [u64] {
    scratch.elements(lens.sum())
}
