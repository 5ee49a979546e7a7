//! Matrix products over all cores: ndarray's single-core product on halves of the result's rows.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use super::Real;

/// Multiply-adds below which splitting costs more than it saves.
const SERIAL: usize = 1 << 17;

/// c ← a·b + beta·c.
pub(super) fn gemm<F: Real>(a: ArrayView2<'_, F>, b: ArrayView2<'_, F>, beta: F, c: ArrayViewMut2<'_, F>) {
    let parts = rayon::current_num_threads().min(a.nrows()).max(1);
    let work = a.nrows() * a.ncols() * b.ncols();
    split(a, b, beta, c, if work < SERIAL { 1 } else { parts });
}

fn split<F: Real>(
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    beta: F,
    mut c: ArrayViewMut2<'_, F>,
    parts: usize,
) {
    if parts <= 1 {
        general_mat_mul(F::one(), &a, &b, beta, &mut c);
        return;
    }
    let middle = a.nrows() * (parts / 2) / parts;
    let (a0, a1) = a.split_at(Axis(0), middle);
    let (c0, c1) = c.split_at(Axis(0), middle);
    rayon::join(|| split(a0, b, beta, c0, parts / 2), || split(a1, b, beta, c1, parts - parts / 2));
}

/// `data` as a matrix of `rows × cols`; the caller derives all three from one shape.
pub(super) fn matrix<F>(data: &[F], rows: usize, cols: usize) -> ArrayView2<'_, F> {
    ArrayView2::from_shape((rows, cols), &data[..rows * cols]).expect("the slice was cut to rows * cols")
}

/// `data` as a matrix of `rows × cols` to write to.
pub(super) fn matrix_mut<F>(data: &mut [F], rows: usize, cols: usize) -> ArrayViewMut2<'_, F> {
    ArrayViewMut2::from_shape((rows, cols), &mut data[..rows * cols])
        .expect("the slice was cut to rows * cols")
}
