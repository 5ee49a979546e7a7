//! Operands of the matrix product: logical matrices over slices, read in place or packed on the fly.

use super::conv::{ConvGeometry, PatchKind, Patches};
use super::vectors::Vectors;

/// A logical matrix over borrowed ring elements. Building one copies nothing.
///
/// Constructors panic if the slice does not have the length that the shape asks for.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub(super) data: &'a [u64],
    pub(super) minus: Option<&'a [u64]>,
    pub(super) layout: Layout,
    /// Whether logical rows run along the major axis of the layout.
    row_is_major: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Layout {
    Grouped(Grouped),
    Patches(Patches),
}

/// Element (major, g·inner + j) lies at `g * group_stride + major * row_stride + j`.
#[derive(Clone, Copy)]
pub(super) struct Grouped {
    pub(super) major: usize,
    pub(super) groups: usize,
    pub(super) inner: usize,
    pub(super) row_stride: usize,
    pub(super) group_stride: usize,
}

impl Grouped {
    /// Source address of an element of the first line, and how many elements follow contiguously from there.
    #[inline(always)]
    pub(super) fn locate(&self, minor: usize) -> (usize, usize) {
        if self.groups == 1 {
            return (minor, self.inner - minor);
        }
        let (g, j) = (minor / self.inner, minor % self.inner);
        (g * self.group_stride + j, self.inner - j)
    }

    /// Reads elements (major, minor..minor + dst.len()).
    #[inline(always)]
    pub(super) fn read_line<V: Vectors>(
        &self,
        major: usize,
        minor: usize,
        data: &[u64],
        minus: Option<&[u64]>,
        dst: &mut [u64],
    ) {
        let mut done = 0;
        while done < dst.len() {
            let (at, contiguous) = self.locate(minor + done);
            let n = contiguous.min(dst.len() - done);
            let at = at + major * self.row_stride;
            V::copy(&mut dst[done..done + n], &data[at..at + n], minus.map(|m| &m[at..at + n]));
            done += n;
        }
    }
}

impl<'a> Operand<'a> {
    /// A row-major `rows` × `cols` matrix without gaps.
    pub fn matrix(data: &'a [u64], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix operand: {rows}x{cols} does not match the slice length");
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major `rows` × `cols` matrix whose rows begin `row_stride` elements apart.
    pub fn strided(data: &'a [u64], rows: usize, cols: usize, row_stride: usize) -> Self {
        let needed = if rows == 0 { 0 } else { (rows - 1) * row_stride + cols };
        assert!(
            data.len() >= needed && row_stride >= cols,
            "matrix operand: {rows}x{cols} with row stride {row_stride} does not fit the slice"
        );
        let layout = Grouped { major: rows, groups: 1, inner: cols, row_stride, group_stride: 0 };
        Self { data, minus: None, layout: Layout::Grouped(layout), row_is_major: true }
    }

    /// An NCHW tensor as a matrix of `channels` rows and `batch * pixels` columns.
    ///
    /// With D the output gradient of a convolution in this form, `patches.t() * D.t()` is the weight gradient (see
    /// [`Operand::patches`]).
    pub fn channel_rows(data: &'a [u64], batch: usize, channels: usize, pixels: usize) -> Self {
        assert_eq!(
            data.len(),
            batch * channels * pixels,
            "NCHW operand: shape does not match the slice length"
        );
        let layout = Grouped {
            major: channels,
            groups: batch,
            inner: pixels,
            row_stride: pixels,
            group_stride: channels * pixels,
        };
        Self { data, minus: None, layout: Layout::Grouped(layout), row_is_major: true }
    }

    /// The patches of an NCHW batch: `batch * out_h * out_w` rows and `channels * kernel_h * kernel_w` columns.
    ///
    /// With weights W stored as a matrix of that many rows and one column per output channel, `W.t() * patches.t()`
    /// written in `batch` groups is the convolution in NCHW order.
    pub fn patches(data: &'a [u64], batch: usize, geometry: ConvGeometry) -> Self {
        let patches = Patches { kind: PatchKind::Input, geometry, batch, channels: geometry.channels };
        Self::from_patches(data, patches)
    }

    /// The output gradient of a convolution as seen from each input pixel: `batch * height * width` rows and
    /// `kernel_h * kernel_w * out_channels` columns. `data` is NCHW with `out_channels` channels.
    ///
    /// The same weights, read as `channels` rows and `kernel_h * kernel_w * out_channels` columns, times the transpose
    /// of this, written in `batch` groups, are the input gradient in NCHW order.
    pub fn gradient_patches(
        data: &'a [u64],
        batch: usize,
        out_channels: usize,
        geometry: ConvGeometry,
    ) -> Self {
        let patches = Patches { kind: PatchKind::Gradient, geometry, batch, channels: out_channels };
        Self::from_patches(data, patches)
    }

    fn from_patches(data: &'a [u64], patches: Patches) -> Self {
        assert_eq!(
            data.len(),
            patches.source_len(),
            "convolution operand: shape does not match the slice length"
        );
        Self { data, minus: None, layout: Layout::Patches(patches), row_is_major: false }
    }

    /// The transpose.
    #[must_use]
    pub fn t(mut self) -> Self {
        self.row_is_major = !self.row_is_major;
        self
    }

    /// The difference of this operand and `other`, a slice of the same layout. It is formed during packing.
    #[must_use]
    pub fn minus(mut self, other: &'a [u64]) -> Self {
        assert_eq!(self.data.len(), other.len(), "difference operand: slices differ in length");
        assert!(self.minus.is_none(), "difference operand: only one slice can be subtracted");
        self.minus = Some(other);
        self
    }

    /// Rows of the logical matrix.
    pub fn rows(&self) -> usize {
        if self.row_is_major { self.major_len() } else { self.minor_len() }
    }

    /// Columns of the logical matrix.
    pub fn cols(&self) -> usize {
        if self.row_is_major { self.minor_len() } else { self.major_len() }
    }

    fn major_len(&self) -> usize {
        match &self.layout {
            Layout::Grouped(g) => g.major,
            Layout::Patches(p) => p.major_len(),
        }
    }

    fn minor_len(&self) -> usize {
        match &self.layout {
            Layout::Grouped(g) => g.groups * g.inner,
            Layout::Patches(p) => p.minor_len(),
        }
    }

    /// Whether the rows run along the contiguous axis: then the rows of a left factor, or the depth of a right one,
    /// are contiguous.
    pub(super) fn row_is_major(&self) -> bool {
        self.row_is_major
    }
}

/// Sign of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The product is added.
    Plus,
    /// The product is subtracted.
    Minus,
}

/// One signed product `± a · b` of a sum of products.
#[derive(Clone, Copy)]
pub struct Term<'a> {
    pub(super) sign: Sign,
    pub(super) a: Operand<'a>,
    pub(super) b: Operand<'a>,
}

impl<'a> Term<'a> {
    /// `sign a · b`. Panics if the inner dimensions differ.
    pub fn new(sign: Sign, a: Operand<'a>, b: Operand<'a>) -> Self {
        assert_eq!(a.cols(), b.rows(), "matrix product: inner dimensions differ");
        Self { sign, a, b }
    }

    /// `+ a · b`.
    pub fn plus(a: Operand<'a>, b: Operand<'a>) -> Self {
        Self::new(Sign::Plus, a, b)
    }

    /// `- a · b`.
    pub fn minus(a: Operand<'a>, b: Operand<'a>) -> Self {
        Self::new(Sign::Minus, a, b)
    }

    /// Inner dimension of this term.
    pub(super) fn depth(&self) -> usize {
        self.a.cols()
    }
}
