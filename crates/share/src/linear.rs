//! Linear maps: applied to every component of a share alike, at no communication.

use std::sync::Arc;

use crate::{ShareError, Tensor, kernel};

/// A public linear map on a matrix.
#[derive(Clone, Debug, PartialEq)]
pub enum Linear {
    /// Multiplication by a public integer (the scale of the result is the operand's; see the engine's `rescale`).
    Scale(i64),
    /// The transpose.
    Transpose,
    /// Row i of the result is row `index[i]` of the operand.
    GatherRows(Arc<[usize]>),
    /// Column j of the result is column `index[j]` of the operand, or zero for `usize::MAX` (padding).
    GatherCols(Arc<[usize]>),
    /// The adjoint of [`Linear::GatherCols`]: column `index[j]` of the result (of `cols` columns) collects column j; `usize::MAX` is dropped.
    ScatterCols {
        /// Target column of each operand column.
        index: Arc<[usize]>,
        /// Columns of the result.
        cols: usize,
    },
    /// One row: the sum over all rows.
    SumRows,
    /// One column: the sum over all columns.
    SumCols,
    /// Sums over runs of `group` neighbouring columns.
    SumGroups(usize),
    /// Each column repeated `times` times, side by side.
    RepeatCols(usize),
    /// A single row repeated `times` times.
    RepeatRows(usize),
    /// The same elements in a matrix of so many rows and columns.
    Reshape(usize, usize),
}

/// Marks a padded position in [`Linear::GatherCols`].
pub const PADDING: usize = usize::MAX;

impl Linear {
    /// Shape of the result for an operand of `rows × cols`.
    pub fn shape(&self, (rows, cols): (usize, usize)) -> Result<(usize, usize), ShareError> {
        let bad = |what, right| Err(ShareError::Shape { what, left: (rows, cols), right });
        match self {
            Linear::Scale(_) => Ok((rows, cols)),
            Linear::Transpose => Ok((cols, rows)),
            Linear::GatherRows(index) if index.iter().any(|&i| i >= rows) => {
                bad("gather of rows", (index.len(), cols))
            }
            Linear::GatherRows(index) => Ok((index.len(), cols)),
            Linear::GatherCols(index) if index.iter().any(|&i| i != PADDING && i >= cols) => {
                bad("gather of columns", (rows, index.len()))
            }
            Linear::GatherCols(index) => Ok((rows, index.len())),
            Linear::ScatterCols { index, cols: out } => {
                if index.len() != cols || index.iter().any(|&i| i != PADDING && i >= *out) {
                    return bad("scatter of columns", (rows, *out));
                }
                Ok((rows, *out))
            }
            Linear::SumRows => Ok((1, cols)),
            Linear::SumCols => Ok((rows, 1)),
            Linear::SumGroups(g) if *g == 0 || cols % g != 0 => bad("sum over groups of columns", (rows, *g)),
            Linear::SumGroups(g) => Ok((rows, cols / g)),
            Linear::RepeatCols(t) => Ok((rows, cols * t)),
            Linear::RepeatRows(_) if rows != 1 => bad("repetition of one row", (1, cols)),
            Linear::RepeatRows(t) => Ok((*t, cols)),
            Linear::Reshape(r, c) if r * c != rows * cols => bad("reshape", (*r, *c)),
            Linear::Reshape(r, c) => Ok((*r, *c)),
        }
    }

    /// Applies the map. The arithmetic is modulo 2^64, hence right in every narrower ring.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, ShareError> {
        let (rows, cols) = self.shape(x.shape())?;
        let mut out = Tensor::zeros(rows, cols);
        let (src, dst) = (x.data(), out.data_mut());
        match self {
            Linear::Scale(c) => {
                dst.copy_from_slice(src);
                kernel::scale(dst, *c as u64);
            }
            Linear::Transpose => {
                for (r, row) in src.chunks_exact(x.cols().max(1)).enumerate() {
                    for (c, v) in row.iter().enumerate() {
                        dst[c * cols + r] = *v;
                    }
                }
            }
            Linear::GatherRows(index) => {
                for (row, &i) in dst.chunks_exact_mut(cols.max(1)).zip(index.iter()) {
                    row.copy_from_slice(x.row(i));
                }
            }
            Linear::GatherCols(index) => {
                for (r, row) in dst.chunks_exact_mut(cols.max(1)).enumerate() {
                    let from = x.row(r);
                    for (v, &i) in row.iter_mut().zip(index.iter()) {
                        *v = if i == PADDING { 0 } else { from[i] };
                    }
                }
            }
            Linear::ScatterCols { index, .. } => {
                for (r, row) in dst.chunks_exact_mut(cols.max(1)).enumerate() {
                    for (v, &i) in x.row(r).iter().zip(index.iter()) {
                        if i != PADDING {
                            row[i] = row[i].wrapping_add(*v);
                        }
                    }
                }
            }
            Linear::SumRows => {
                for row in src.chunks_exact(cols.max(1)) {
                    kernel::add_assign(dst, row);
                }
            }
            Linear::SumCols => sum_runs(src, x.cols(), dst),
            Linear::SumGroups(g) => sum_runs(src, *g, dst),
            Linear::RepeatCols(_) => {
                for (r, row) in dst.chunks_exact_mut(cols.max(1)).enumerate() {
                    for part in row.chunks_exact_mut(x.cols().max(1)) {
                        part.copy_from_slice(x.row(r));
                    }
                }
            }
            Linear::RepeatRows(_) => {
                dst.chunks_exact_mut(cols.max(1)).for_each(|row| row.copy_from_slice(src))
            }
            Linear::Reshape(..) => dst.copy_from_slice(src),
        }
        Ok(out)
    }
}

fn sum_runs(src: &[u64], run: usize, dst: &mut [u64]) {
    for (d, chunk) in dst.iter_mut().zip(src.chunks_exact(run.max(1))) {
        *d = chunk.iter().fold(0, |a, v| a.wrapping_add(*v));
    }
}
