//! Reading a block of a patch view.
//!
//! The part of the images that a block touches is first copied with its zero padding (and the subtraction of a
//! difference) into a small stage. There, every tap of every pixel is at a fixed offset from the pixel, so that packing
//! copies pixel rows without looking at borders. With a stride of s, the image is split into s² planes of equal phase,
//! which makes neighbouring pixels neighbours in memory again. For the input gradient, the output gradient is spread
//! out by the stride instead.

use super::conv::{PatchKind, Patches};
use super::vectors::Vectors;
use std::ops::Range;

/// A block of a patch view: pixels `pixels` of the minor axis, taps `taps` of the major axis.
pub(super) struct Stage<'s> {
    cells: &'s [u64],
    /// Offset of each tap of the block from its pixel.
    offsets: Vec<usize>,
    shape: Shape,
    grid: (usize, usize),
}

/// Extent of a stage: `[image][channel][phase][row][column]`.
#[derive(Clone)]
struct Shape {
    images: Range<usize>,
    /// Rows of the pixel grid.
    rows: Range<usize>,
    channels: Range<usize>,
    /// Planes per direction.
    phases: usize,
    height: usize,
    width: usize,
}

/// Part of one pixel row.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Offset in the pixels that were asked for.
    lane: usize,
    len: usize,
    /// Place of the first pixel in the stage.
    at: usize,
}

/// Elements after the last cell, for tiles that read whole vectors.
const SLACK: usize = 32;

/// Pixels of a panel line that are located at a time; at most this many runs result.
const MAX_RUNS: usize = 32;

impl Shape {
    fn new(patches: &Patches, pixels: &Range<usize>, taps: &Range<usize>) -> Self {
        let g = &patches.geometry;
        let (h, w) = patches.grid();
        let images = pixels.start / (h * w)..(pixels.end - 1) / (h * w) + 1;
        let rows = if images.len() == 1 { pixels.start / w % h..(pixels.end - 1) / w % h + 1 } else { 0..h };
        match patches.kind {
            PatchKind::Input => {
                let kernel = g.kernel_h * g.kernel_w;
                Self {
                    images,
                    channels: taps.start / kernel..(taps.end - 1) / kernel + 1,
                    phases: g.stride,
                    height: rows.len() + (g.kernel_h - 1) / g.stride,
                    width: w + (g.kernel_w - 1) / g.stride,
                    rows,
                }
            }
            PatchKind::Gradient => Self {
                images,
                channels: 0..patches.channels,
                phases: 1,
                height: rows.len() + g.kernel_h - 1,
                width: w + g.kernel_w - 1,
                rows,
            },
        }
    }

    fn plane_len(&self) -> usize {
        self.height * self.width
    }

    fn image_len(&self) -> usize {
        self.channels.len() * self.phases * self.phases * self.plane_len()
    }

    fn len(&self) -> usize {
        self.images.len() * self.image_len() + SLACK
    }

    /// Offset of a tap from its pixel.
    fn tap(&self, patches: &Patches, channel: usize, ky: usize, kx: usize) -> usize {
        let g = &patches.geometry;
        let channel = channel - self.channels.start;
        match patches.kind {
            PatchKind::Input => {
                if g.stride == 1 {
                    return channel * self.plane_len() + ky * self.width + kx;
                }
                let phase = ky % g.stride * g.stride + kx % g.stride;
                let plane = channel * self.phases * self.phases + phase;
                plane * self.plane_len() + ky / g.stride * self.width + kx / g.stride
            }
            PatchKind::Gradient => {
                channel * self.plane_len() + (g.kernel_h - 1 - ky) * self.width + g.kernel_w - 1 - kx
            }
        }
    }
}

/// Elements of scratch that [`Stage::new`] needs.
pub(super) fn stage_len(patches: &Patches, pixels: &Range<usize>, taps: &Range<usize>) -> usize {
    Shape::new(patches, pixels, taps).len()
}

impl<'s> Stage<'s> {
    /// Copies what the block needs into `cells`, which has at least [`stage_len`] elements. The block is not empty.
    #[inline(always)]
    pub(super) fn new<V: Vectors>(
        patches: &Patches,
        data: &[u64],
        minus: Option<&[u64]>,
        pixels: &Range<usize>,
        taps: &Range<usize>,
        cells: &'s mut [u64],
    ) -> Self {
        let shape = Shape::new(patches, pixels, taps);
        let g = &patches.geometry;
        let (source_h, source_w) = patches.source();
        let mut lines = cells[..shape.len() - SLACK].chunks_exact_mut(shape.width);
        for image in shape.images.clone() {
            for channel in shape.channels.clone() {
                let plane = (image * patches.channels + channel) * source_h * source_w;
                for phase in 0..shape.phases * shape.phases {
                    let (phase_y, phase_x) = (phase / shape.phases, phase % shape.phases);
                    for (row, line) in (&mut lines).take(shape.height).enumerate() {
                        let source_row = match patches.kind {
                            PatchKind::Input => {
                                ((shape.rows.start + row) * g.stride + phase_y).checked_sub(g.padding)
                            }
                            PatchKind::Gradient => (shape.rows.start + row + g.padding)
                                .checked_sub(g.kernel_h - 1)
                                .filter(|t| t.is_multiple_of(g.stride))
                                .map(|t| t / g.stride),
                        };
                        let Some(source_row) = source_row.filter(|row| *row < source_h) else {
                            line.fill(0);
                            continue;
                        };
                        let source = plane + source_row * source_w..plane + (source_row + 1) * source_w;
                        let (data, minus) = (&data[source.clone()], minus.map(|m| &m[source.clone()]));
                        match patches.kind {
                            PatchKind::Input => {
                                stage_row::<V>(line, data, minus, phase_x, g.padding, g.stride, 1)
                            }
                            PatchKind::Gradient => {
                                stage_row::<V>(line, data, minus, g.padding, g.kernel_w - 1, 1, g.stride);
                            }
                        }
                    }
                }
            }
        }
        let mut offsets = Vec::with_capacity(taps.len());
        let (mut channel, mut ky, mut kx) = patches.tap(taps.start);
        for _ in taps.clone() {
            offsets.push(shape.tap(patches, channel, ky, kx));
            (channel, ky, kx) = patches.next_tap(channel, ky, kx);
        }
        Self { cells, offsets, shape, grid: patches.grid() }
    }

    /// Offset of each tap of the block from its pixel.
    pub(super) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The stage from a pixel on, and how many pixels of its row begin there: tap t of pixel i of these is at the offset
    /// of t plus i.
    pub(super) fn at_pixel(&self, pixel: usize) -> (&[u64], usize) {
        let run = self.runs(pixel, usize::MAX).next().expect("a pixel makes a run");
        (&self.cells[run.at..], run.len)
    }

    /// Splits pixels `start..start + len` at the ends of pixel rows.
    #[inline(always)]
    fn runs(&self, start: usize, len: usize) -> impl Iterator<Item = Run> {
        let (h, w) = self.grid;
        let (mut image, mut row, mut col) = (start / (h * w), start / w % h, start % w);
        let mut lane = 0;
        std::iter::from_fn(move || {
            if lane == len {
                return None;
            }
            let at = (image - self.shape.images.start) * self.shape.image_len()
                + (row - self.shape.rows.start) * self.shape.width
                + col;
            let run = Run { lane, len: (w - col).min(len - lane), at };
            lane += run.len;
            (col, row) = (0, row + 1);
            if row == h {
                (row, image) = (0, image + 1);
            }
            Some(run)
        })
    }

    /// Copies pixels `pixel..pixel + dst.len()` at the tap number `tap` of the block.
    #[inline(always)]
    pub(super) fn read_line<V: Vectors>(&self, tap: usize, pixel: usize, dst: &mut [u64]) {
        let offset = self.offsets[tap];
        for run in self.runs(pixel, dst.len()) {
            let at = run.at + offset;
            V::copy(&mut dst[run.lane..run.lane + run.len], &self.cells[at..at + run.len], None);
        }
    }

    /// Copies pixels `pixels` at all taps of the block, one line per tap, lines `stride` apart in `out`.
    #[inline(always)]
    pub(super) fn read_lines<V: Vectors>(&self, pixels: &Range<usize>, out: &mut [u64], stride: usize) {
        let mut runs = [Run::default(); MAX_RUNS];
        for start in pixels.clone().step_by(MAX_RUNS) {
            let mut count = 0;
            for run in self.runs(start, (pixels.end - start).min(MAX_RUNS)) {
                runs[count] = run;
                count += 1;
            }
            for (line, offset) in out.chunks_mut(stride).zip(&self.offsets) {
                for run in &runs[..count] {
                    let (to, at) = (start - pixels.start + run.lane, run.at + offset);
                    V::copy(&mut line[to..to + run.len], &self.cells[at..at + run.len], None);
                }
            }
        }
    }
}

/// Cell i becomes element `(i * step + ahead - behind) / spread` of a source row, or zero where there is none.
#[inline(always)]
fn stage_row<V: Vectors>(
    line: &mut [u64],
    data: &[u64],
    minus: Option<&[u64]>,
    ahead: usize,
    behind: usize,
    step: usize,
    spread: usize,
) {
    if step == 1 && spread == 1 {
        let first = behind.saturating_sub(ahead).min(line.len());
        let end = (data.len() + behind).saturating_sub(ahead).clamp(first, line.len());
        line[..first].fill(0);
        line[end..].fill(0);
        if first < end {
            let source = first + ahead - behind..end + ahead - behind;
            V::copy(&mut line[first..end], &data[source.clone()], minus.map(|m| &m[source]));
        }
        return;
    }
    for (i, cell) in line.iter_mut().enumerate() {
        let element = (i * step + ahead)
            .checked_sub(behind)
            .filter(|t| t.is_multiple_of(spread))
            .map(|t| t / spread)
            .filter(|at| *at < data.len());
        *cell = element.map_or(0, |at| data[at].wrapping_sub(minus.map_or(0, |m| m[at])));
    }
}
