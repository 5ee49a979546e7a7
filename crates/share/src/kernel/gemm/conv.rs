//! Convolution as a matrix product: the geometry, and views of an image batch whose elements are read during packing.
//!
//! No im2col matrix is ever stored. A patch view has two natural axes: the *major* axis counts taps (channel, kernel
//! row, kernel column), or (kernel row, kernel column, channel) for gradients, and the *minor* axis counts pixels
//! (image, row, column) of a grid. The `stage` module reads a block of it.

/// Shape of a two-dimensional convolution over a batch in NCHW order, with square stride and zero padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Input channels.
    pub channels: usize,
    /// Input height in pixels.
    pub height: usize,
    /// Input width in pixels.
    pub width: usize,
    /// Kernel height in pixels.
    pub kernel_h: usize,
    /// Kernel width in pixels.
    pub kernel_w: usize,
    /// Step between two patches, in both directions; at least 1.
    pub stride: usize,
    /// Zero pixels added on each of the four sides.
    pub padding: usize,
}

impl ConvGeometry {
    /// Height of the output in pixels; 0 if the kernel does not fit.
    pub fn out_height(&self) -> usize {
        out_length(self.height, self.kernel_h, self.stride, self.padding)
    }

    /// Width of the output in pixels; 0 if the kernel does not fit.
    pub fn out_width(&self) -> usize {
        out_length(self.width, self.kernel_w, self.stride, self.padding)
    }

    /// Output pixels of one image and one output channel.
    pub fn output_positions(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Elements of one input image: channels × height × width.
    pub fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Inner dimension of the forward product: channels × kernel height × kernel width.
    pub fn patch_len(&self) -> usize {
        self.channels * self.kernel_h * self.kernel_w
    }
}

fn out_length(length: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    assert!(stride >= 1 && kernel >= 1, "a convolution needs a stride and a kernel of at least 1");
    (length + 2 * padding).checked_sub(kernel).map_or(0, |room| room / stride + 1)
}

/// Which tensor a patch view reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchKind {
    /// The input image, seen from each output pixel: forward product and weight gradient.
    Input,
    /// The output gradient, seen from each input pixel: input gradient. Here the channel is the fastest index of the
    /// major axis, so that the weights are its partner as they are stored.
    Gradient,
}

/// An implicit im2col view.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Patches {
    pub(super) kind: PatchKind,
    pub(super) geometry: ConvGeometry,
    pub(super) batch: usize,
    /// Channels of the tensor that is read.
    pub(super) channels: usize,
}

impl Patches {
    /// Height and width of the pixel grid of the minor axis.
    pub(super) fn grid(&self) -> (usize, usize) {
        match self.kind {
            PatchKind::Input => (self.geometry.out_height(), self.geometry.out_width()),
            PatchKind::Gradient => (self.geometry.height, self.geometry.width),
        }
    }

    /// Height and width of the images that are read.
    pub(super) fn source(&self) -> (usize, usize) {
        match self.kind {
            PatchKind::Input => (self.geometry.height, self.geometry.width),
            PatchKind::Gradient => (self.geometry.out_height(), self.geometry.out_width()),
        }
    }

    pub(super) fn major_len(&self) -> usize {
        self.channels * self.geometry.kernel_h * self.geometry.kernel_w
    }

    pub(super) fn minor_len(&self) -> usize {
        let (h, w) = self.grid();
        self.batch * h * w
    }

    /// Elements of the tensor that is read.
    pub(super) fn source_len(&self) -> usize {
        let (h, w) = self.source();
        self.batch * self.channels * h * w
    }

    /// Channel, kernel row and kernel column of a place on the major axis.
    pub(super) fn tap(&self, major: usize) -> (usize, usize, usize) {
        let g = &self.geometry;
        match self.kind {
            PatchKind::Input => {
                let (rest, kx) = (major / g.kernel_w, major % g.kernel_w);
                (rest / g.kernel_h, rest % g.kernel_h, kx)
            }
            PatchKind::Gradient => {
                let (rest, channel) = (major / self.channels, major % self.channels);
                (channel, rest / g.kernel_w, rest % g.kernel_w)
            }
        }
    }

    /// The tap after one on the major axis, without a division.
    pub(super) fn next_tap(&self, channel: usize, ky: usize, kx: usize) -> (usize, usize, usize) {
        let g = &self.geometry;
        match self.kind {
            PatchKind::Input if kx + 1 < g.kernel_w => (channel, ky, kx + 1),
            PatchKind::Input if ky + 1 < g.kernel_h => (channel, ky + 1, 0),
            PatchKind::Input => (channel + 1, 0, 0),
            PatchKind::Gradient if channel + 1 < self.channels => (channel + 1, ky, kx),
            PatchKind::Gradient if kx + 1 < g.kernel_w => (0, ky, kx + 1),
            PatchKind::Gradient => (0, ky + 1, 0),
        }
    }
}
