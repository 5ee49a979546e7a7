//! A matrix of ring elements that is wiped when dropped and never printed.

use std::fmt;

use ndarray::ArrayView2;
use zeroize::Zeroize;

/// Row-major matrix of ring elements. Wiped on drop; `Debug` shows its shape only.
///
/// Batches are rows: a batch of images of C channels, height H and width W is `batch × (C·H·W)`, channel-major.
#[derive(Clone, Default)]
pub struct Tensor {
    rows: usize,
    cols: usize,
    data: Vec<u64>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Tensor {
        Tensor { rows, cols, data: vec![0; rows * cols] }
    }

    /// Wraps `data` of `rows · cols` elements in row-major order.
    ///
    /// # Panics
    /// If the length differs: callers derive both from the same public shape.
    pub fn from_vec(rows: usize, cols: usize, data: Vec<u64>) -> Tensor {
        assert_eq!(data.len(), rows * cols, "a {rows}x{cols} tensor from {} elements", data.len());
        Tensor { rows, cols, data }
    }

    /// A tensor whose every element is `value`.
    pub fn filled(rows: usize, cols: usize, value: u64) -> Tensor {
        Tensor { rows, cols, data: vec![value; rows * cols] }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// `(rows, cols)`.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Elements in row-major order.
    pub fn data(&self) -> &[u64] {
        &self.data
    }

    /// Elements in row-major order, mutable.
    pub fn data_mut(&mut self) -> &mut [u64] {
        &mut self.data
    }

    /// One row.
    pub fn row(&self, r: usize) -> &[u64] {
        &self.data[r * self.cols..(r + 1) * self.cols]
    }

    /// As an ndarray view.
    pub fn view(&self) -> ArrayView2<'_, u64> {
        ArrayView2::from_shape((self.rows, self.cols), &self.data)
            .expect("length is rows * cols by construction")
    }

    /// The same elements in another shape of equal size.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn reshaped(mut self, rows: usize, cols: usize) -> Tensor {
        assert_eq!(rows * cols, self.data.len(), "reshape keeps the number of elements");
        self.rows = rows;
        self.cols = cols;
        self
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        self.data.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor").field("rows", &self.rows).field("cols", &self.cols).finish_non_exhaustive()
    }
}
