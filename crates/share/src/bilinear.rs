//! Bilinear maps: every product in training is one of these, so that one sharing rule covers them all.

use crate::{
    Ring, ShareError, Tensor,
    kernel::{self, ConvGeometry, Gemm, Modulus, Operand, Sign, Term},
};

/// A public bilinear map of two matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bilinear {
    /// Matrix product, of either operand or its transpose (no copy is made).
    MatMul {
        /// Use the transpose of the left operand.
        left_t: bool,
        /// Use the transpose of the right operand.
        right_t: bool,
    },
    /// Element-wise product of equal shapes.
    Hadamard,
    /// Inner product of each row with that row of the other operand, of equal shapes: `rows × 1`.
    RowDots,
    /// Each row of the right operand times the number of that row of the left operand, which is `rows × 1`.
    RowScale,
    /// Convolution: images `batch × (C·H·W)`, weights `(C·kh·kw) × out`, result `batch × (out·oh·ow)`, channel-major.
    Conv(ConvGeometry),
    /// Gradient of a convolution's weights: images, then output gradient `batch × (out·oh·ow)`; result `(C·kh·kw) × out`.
    ConvWeightGrad(ConvGeometry),
    /// Gradient of a convolution's images: output gradient `batch × (out·oh·ow)`, then weights; result `batch × (C·H·W)`.
    ConvInputGrad(ConvGeometry),
}

/// One signed product of a sum: `± map(left, right − minus)`.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    /// Subtract this product instead of adding it.
    pub negative: bool,
    /// Left operand.
    pub left: &'a Tensor,
    /// Right operand.
    pub right: &'a Tensor,
    /// Subtracted from the right operand on the fly; of the same shape.
    pub minus: Option<&'a Tensor>,
    /// The rows of the left operand that are not known to be zero, as disjoint ranges (first, past the last); `None` is all. The
    /// others must be zero: matrix products and convolutions leave them out.
    pub rows: Option<&'a [(usize, usize)]>,
}

impl<'a> Product<'a> {
    /// `+ map(left, right)`.
    pub fn plus(left: &'a Tensor, right: &'a Tensor) -> Product<'a> {
        Product { negative: false, left, right, minus: None, rows: None }
    }

    /// `− map(left, right)`.
    pub fn minus(left: &'a Tensor, right: &'a Tensor) -> Product<'a> {
        Product { negative: true, left, right, minus: None, rows: None }
    }
}

impl Bilinear {
    /// The plain matrix product.
    pub const MATMUL: Bilinear = Bilinear::MatMul { left_t: false, right_t: false };

    /// Shape of the result, or an error that names both shapes.
    pub fn shape(&self, l: (usize, usize), r: (usize, usize)) -> Result<(usize, usize), ShareError> {
        let bad = |what| Err(ShareError::Shape { what, left: l, right: r });
        match self {
            Bilinear::MatMul { left_t, right_t } => {
                let (m, k) = if *left_t { (l.1, l.0) } else { l };
                let (k2, n) = if *right_t { (r.1, r.0) } else { r };
                if k == k2 { Ok((m, n)) } else { bad("a matrix product") }
            }
            Bilinear::Hadamard if l == r => Ok(l),
            Bilinear::Hadamard => bad("an element-wise product"),
            Bilinear::RowDots if l == r => Ok((l.0, 1)),
            Bilinear::RowDots => bad("inner products of rows"),
            Bilinear::RowScale if l == (r.0, 1) => Ok(r),
            Bilinear::RowScale => bad("a scaling of rows"),
            Bilinear::Conv(g) => {
                if l.1 == g.input_len() && r.0 == g.patch_len() {
                    Ok((l.0, r.1 * g.output_positions()))
                } else {
                    bad("a convolution")
                }
            }
            Bilinear::ConvWeightGrad(g) => {
                let p = g.output_positions();
                if l.1 == g.input_len() && r.0 == l.0 && r.1.is_multiple_of(p) {
                    Ok((g.patch_len(), r.1 / p))
                } else {
                    bad("a convolution's weight gradient")
                }
            }
            Bilinear::ConvInputGrad(g) => {
                if r.0 == g.patch_len() && l.1 == r.1 * g.output_positions() {
                    Ok((l.0, g.input_len()))
                } else {
                    bad("a convolution's input gradient")
                }
            }
        }
    }

    /// The sum of the signed products, in one pass over the output; exact modulo 2^`ring` (bits above are arbitrary).
    /// `shapes` are those of the operands, and the shape of the result when there are no terms.
    pub fn apply_sum(
        &self,
        terms: &[Product<'_>],
        shapes: [(usize, usize); 2],
        ring: Ring,
    ) -> Result<Tensor, ShareError> {
        let (rows, cols) = self.shape(shapes[0], shapes[1])?;
        for t in terms {
            let fits = t.left.shape() == shapes[0]
                && t.right.shape() == shapes[1]
                && t.minus.is_none_or(|m| m.shape() == shapes[1]);
            if !fits {
                return Err(ShareError::Shape {
                    what: "a sum of products",
                    left: t.left.shape(),
                    right: t.right.shape(),
                });
            }
        }
        let mut out = Tensor::zeros(rows, cols);
        if let Bilinear::Hadamard = self {
            for t in terms {
                hadamard(out.data_mut(), t);
            }
            return Ok(out);
        }
        if let Bilinear::RowDots = self {
            for t in terms {
                row_dots(out.data_mut(), t);
            }
            return Ok(out);
        }
        if let Bilinear::RowScale = self {
            for t in terms {
                row_scale(out.data_mut(), t);
            }
            return Ok(out);
        }
        let modulus = if ring.bits() <= 52 { Modulus::Low52 } else { Modulus::Full };
        let gemm = Gemm::new().modulus(modulus);
        let all = (0, shapes[0].0);
        let groups = |rows: usize| match self {
            Bilinear::Conv(_) | Bilinear::ConvInputGrad(_) => rows.max(1),
            _ => 1,
        };
        match self {
            // Sums over the rows of both operands: a term for each range.
            Bilinear::MatMul { left_t: true, right_t: false } | Bilinear::ConvWeightGrad(_) => {
                let ranges = terms.iter().flat_map(|t| {
                    t.rows
                        .unwrap_or(std::slice::from_ref(&all))
                        .iter()
                        .map(|range| self.term(t, *range, true))
                });
                gemm.run(out.data_mut(), &ranges.collect::<Vec<_>>());
            }
            // Row by row.
            Bilinear::MatMul { left_t: false, .. } | Bilinear::Conv(_) => {
                let whole = terms.iter().filter(|t| t.rows.is_none());
                let whole: Vec<Term<'_>> = whole.map(|t| self.term(t, all, false)).collect();
                gemm.groups(groups(all.1)).run(out.data_mut(), &whole);
                for t in terms {
                    for &(from, to) in t.rows.unwrap_or_default() {
                        let gemm = gemm.accumulate(true).groups(groups(to - from));
                        let out = &mut out.data_mut()[from * cols..to * cols];
                        gemm.run(out, &[self.term(t, (from, to), false)]);
                    }
                }
            }
            _ => {
                let terms: Vec<Term<'_>> = terms.iter().map(|t| self.term(t, all, false)).collect();
                gemm.groups(groups(all.1)).run(out.data_mut(), &terms);
            }
        }
        Ok(out)
    }

    /// `map(left, right)` modulo 2^64.
    pub fn apply(&self, left: &Tensor, right: &Tensor) -> Result<Tensor, ShareError> {
        self.apply_sum(&[Product::plus(left, right)], [left.shape(), right.shape()], Ring::FULL)
    }

    /// The product with a range of the left operand's rows, and if `both`, with the same rows of the right one.
    fn term<'a>(&self, t: &Product<'a>, (from, to): (usize, usize), both: bool) -> Term<'a> {
        let sign = if t.negative { Sign::Minus } else { Sign::Plus };
        let batch = to - from;
        let left = &t.left.data()[from * t.left.cols()..to * t.left.cols()];
        let right_rows = if both { (from, to) } else { (0, t.right.rows()) };
        let cut = |x: &'a Tensor| &x.data()[right_rows.0 * x.cols()..right_rows.1 * x.cols()];
        let right = cut(t.right);
        let minus = |op: Operand<'a>| t.minus.map_or(op, |m| op.minus(cut(m)));
        let matrix = |rows: usize| minus(Operand::matrix(right, rows, t.right.cols()));
        match self {
            Bilinear::MatMul { left_t, right_t } => {
                let (a, b) =
                    (Operand::matrix(left, batch, t.left.cols()), matrix(right_rows.1 - right_rows.0));
                Term::new(sign, if *left_t { a.t() } else { a }, if *right_t { b.t() } else { b })
            }
            Bilinear::Conv(g) => {
                Term::new(sign, matrix(t.right.rows()).t(), Operand::patches(left, batch, *g).t())
            }
            Bilinear::ConvWeightGrad(g) => {
                let out = t.right.cols() / g.output_positions();
                let grad = minus(Operand::channel_rows(right, batch, out, g.output_positions()));
                Term::new(sign, Operand::patches(left, batch, *g).t(), grad.t())
            }
            Bilinear::ConvInputGrad(g) => {
                let out = t.right.cols();
                let weights = minus(Operand::matrix(right, g.channels, g.kernel_h * g.kernel_w * out));
                Term::new(sign, weights, Operand::gradient_patches(left, batch, out, *g).t())
            }
            Bilinear::Hadamard | Bilinear::RowDots | Bilinear::RowScale => {
                unreachable!("element-wise products do not go through the matrix kernel")
            }
        }
    }
}

fn row_dots(out: &mut [u64], t: &Product<'_>) {
    // The sum is negated before and after it grows by what is to be subtracted.
    if t.negative {
        kernel::neg_assign(out);
    }
    match t.minus {
        Some(minus) => kernel::dot_rows_minus(out, t.left.data(), t.right.data(), minus.data()),
        None => kernel::dot_rows(out, t.left.data(), t.right.data()),
    }
    if t.negative {
        kernel::neg_assign(out);
    }
}

fn row_scale(out: &mut [u64], t: &Product<'_>) {
    let mut factors = t.left.clone();
    if t.negative {
        kernel::neg_assign(factors.data_mut());
    }
    match t.minus {
        Some(minus) => kernel::scale_rows_minus(out, factors.data(), t.right.data(), minus.data()),
        None => kernel::scale_rows(out, factors.data(), t.right.data()),
    }
}

fn hadamard(out: &mut [u64], t: &Product<'_>) {
    match t.minus {
        Some(m) => {
            let mut right = t.right.clone();
            kernel::sub_assign(right.data_mut(), m.data());
            hadamard(out, &Product { right: &right, minus: None, ..*t });
        }
        None if t.negative => kernel::mul_sub(out, t.left.data(), t.right.data()),
        None => kernel::mul_add(out, t.left.data(), t.right.data()),
    }
}
