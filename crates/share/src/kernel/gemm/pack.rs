//! Packing: rewriting a block of a factor so that the tile reads it in order.
//!
//! The right factor becomes panels of one tile's width: `[panel][depth][lane]`. The left factor is read by broadcast
//! at any row and depth stride, so it is only materialised in its natural order where it cannot be read in place.
#![allow(unsafe_code)]

use super::conv::Patches;
use super::operand::{Grouped, Layout, Operand};
use super::scratch::{PackBuffers, Scratch};
use super::stage::{Stage, stage_len};
#[cfg(target_arch = "x86_64")]
use super::vectors::Avx512;
use super::vectors::{Portable, Vectors};
use crate::kernel::Isa;
use std::ops::Range;

/// Rows of the left factor, or columns of the right one (`lanes`), over a stretch of the inner dimension (`depth`).
#[derive(Clone)]
pub(super) struct Block {
    pub(super) lanes: Range<usize>,
    pub(super) depth: Range<usize>,
}

/// Instantiates a packing routine under each set of CPU features. The routine is safe; only its entry is not.
macro_rules! per_isa {
    ($(#[$meta:meta])* $name:ident = $body:ident <$life:lifetime> ( $($arg:ident : $ty:ty),* $(,)? ) -> $ret:ty) => {
        $(#[$meta])*
        pub(super) fn $name<$life>(isa: Isa, $($arg: $ty),*) -> $ret {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi2")]
            fn avx2<$life>($($arg: $ty),*) -> $ret {
                $body::<Portable>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<$life>($($arg: $ty),*) -> $ret {
                $body::<Avx512>($($arg),*)
            }
            match isa.supported() {
                // SAFETY: `supported` returns an instruction set only if the CPU has it.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<Portable>($($arg),*),
            }
        }
    };
}

per_isa! {
    /// Packs a block of the right factor into panels of `width` lanes. `lanes_major` says whether the lanes run along
    /// the major axis of the operand, which is then transposed on the way. Lanes beyond the block hold anything.
    pack_panels = pack_panels_body<'a>(
        operand: &Operand<'a>, lanes_major: bool, block: &Block, width: usize, out: &mut [u64],
        buffers: &mut PackBuffers,
    ) -> ()
}

per_isa! {
    /// Copies a block of the left factor in natural order: `[lane][depth]` if the lanes are major, otherwise
    /// `[depth][lane]`, with lines `stride` apart.
    materialise = materialise_body<'a>(
        operand: &Operand<'a>, lanes_major: bool, block: &Block, stride: usize, out: &mut [u64],
        buffers: &mut PackBuffers,
    ) -> ()
}

per_isa! {
    /// Stages a block of a patch view, with pixels as lanes and taps as depth; see [`Stage::new`].
    stage = stage_body<'s>(
        patches: &Patches, data: &[u64], minus: Option<&[u64]>, block: &Block, cells: &'s mut [u64],
    ) -> Stage<'s>
}

#[inline(always)]
fn stage_body<'s, V: Vectors>(
    patches: &Patches,
    data: &[u64],
    minus: Option<&[u64]>,
    block: &Block,
    cells: &'s mut [u64],
) -> Stage<'s> {
    Stage::new::<V>(patches, data, minus, &block.lanes, &block.depth, cells)
}

#[inline(always)]
fn materialise_body<V: Vectors>(
    operand: &Operand<'_>,
    lanes_major: bool,
    block: &Block,
    stride: usize,
    out: &mut [u64],
    buffers: &mut PackBuffers,
) {
    let source = Source::new::<V>(operand, lanes_major, block, &mut buffers.cells);
    if lanes_major {
        for (line, lane) in out.chunks_mut(stride).zip(block.lanes.clone()) {
            source.read_line::<V>(lane, block.depth.start, &mut line[..block.depth.len()]);
        }
    } else {
        source.read_lines::<V>(&block.lanes, &block.depth, stride, out);
    }
}

#[inline(always)]
fn pack_panels_body<V: Vectors>(
    operand: &Operand<'_>,
    lanes_major: bool,
    block: &Block,
    width: usize,
    out: &mut [u64],
    buffers: &mut PackBuffers,
) {
    let source = Source::new::<V>(operand, lanes_major, block, &mut buffers.cells);
    for (panel, first) in out.chunks_mut(width * block.depth.len()).zip(block.lanes.clone().step_by(width)) {
        let lanes = first..(first + width).min(block.lanes.end);
        if lanes_major {
            source.transpose_lanes::<V>(&lanes, &block.depth, width, panel, &mut buffers.lines);
        } else {
            source.read_lines::<V>(&lanes, &block.depth, width, panel);
        }
    }
}

/// A block of an operand, ready to be read in natural order.
enum Source<'s> {
    Grouped(Grouped, &'s [u64], Option<&'s [u64]>),
    /// The stage and its first tap.
    Patches(Stage<'s>, usize),
}

impl<'s> Source<'s> {
    #[inline(always)]
    fn new<V: Vectors>(
        operand: &Operand<'s>,
        lanes_major: bool,
        block: &Block,
        cells: &'s mut Scratch,
    ) -> Self {
        match &operand.layout {
            Layout::Grouped(g) => Self::Grouped(*g, operand.data, operand.minus),
            Layout::Patches(p) => {
                let (taps, pixels) =
                    if lanes_major { (&block.lanes, &block.depth) } else { (&block.depth, &block.lanes) };
                let cells = cells.elements(stage_len(p, pixels, taps));
                let stage = Stage::new::<V>(p, operand.data, operand.minus, pixels, taps, cells);
                Self::Patches(stage, taps.start)
            }
        }
    }

    /// Elements (major, minor..minor + dst.len()).
    #[inline(always)]
    fn read_line<V: Vectors>(&self, major: usize, minor: usize, dst: &mut [u64]) {
        match self {
            Self::Grouped(g, data, minus) => g.read_line::<V>(major, minor, data, *minus, dst),
            Self::Patches(stage, first) => stage.read_line::<V>(major - first, minor, dst),
        }
    }

    /// Lanes are contiguous in the source: `out[k * stride + lane]` for every depth k.
    #[inline(always)]
    fn read_lines<V: Vectors>(
        &self,
        lanes: &Range<usize>,
        depth: &Range<usize>,
        stride: usize,
        out: &mut [u64],
    ) {
        match self {
            Self::Grouped(g, data, minus) => {
                // The lanes split into the same contiguous runs at every depth.
                let mut done = 0;
                while done < lanes.len() {
                    let (at, contiguous) = g.locate(lanes.start + done);
                    let n = contiguous.min(lanes.len() - done);
                    for (line, k) in out.chunks_mut(stride).zip(depth.clone()) {
                        let at = at + k * g.row_stride;
                        V::copy(&mut line[done..done + n], &data[at..at + n], minus.map(|m| &m[at..at + n]));
                    }
                    done += n;
                }
            }
            Self::Patches(stage, _) => stage.read_lines::<V>(lanes, out, stride),
        }
    }

    /// Depth is contiguous in the source: eight lanes at a time are transposed into the panel.
    #[inline(always)]
    fn transpose_lanes<V: Vectors>(
        &self,
        lanes: &Range<usize>,
        depth: &Range<usize>,
        width: usize,
        panel: &mut [u64],
        lines: &mut Scratch,
    ) {
        let len = depth.len();
        for offset in (0..lanes.len()).step_by(8) {
            let rows = (lanes.len() - offset).min(8);
            let lane = lanes.start + offset;
            match self {
                Self::Grouped(g, data, None) => {
                    let mut done = 0;
                    while done < len {
                        let (at, contiguous) = g.locate(depth.start + done);
                        let n = contiguous.min(len - done);
                        let source = &data[at + lane * g.row_stride..];
                        V::transpose(
                            source,
                            g.row_stride,
                            rows,
                            n,
                            &mut panel[done * width + offset..],
                            width,
                        );
                        done += n;
                    }
                }
                _ => {
                    let source = lines.elements(8 * len);
                    for (r, line) in source.chunks_mut(len).take(rows).enumerate() {
                        self.read_line::<V>(lane + r, depth.start, line);
                    }
                    V::transpose(source, len, rows, len, &mut panel[offset..], width);
                }
            }
        }
    }
}
