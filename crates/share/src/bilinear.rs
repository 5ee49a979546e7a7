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
}

impl<'a> Product<'a> {
    /// `+ map(left, right)`.
    pub fn plus(left: &'a Tensor, right: &'a Tensor) -> Product<'a> {
        Product { negative: false, left, right, minus: None }
    }

    /// `− map(left, right)`.
    pub fn minus(left: &'a Tensor, right: &'a Tensor) -> Product<'a> {
        Product { negative: true, left, right, minus: None }
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
        let modulus = if ring.bits() <= 52 { Modulus::Low52 } else { Modulus::Full };
        let groups = match self {
            Bilinear::Conv(_) => shapes[0].0,
            Bilinear::ConvInputGrad(_) => shapes[0].0,
            _ => 1,
        };
        let terms: Vec<Term<'_>> = terms.iter().map(|t| self.term(t)).collect();
        Gemm::new().modulus(modulus).groups(groups.max(1)).run(out.data_mut(), &terms);
        Ok(out)
    }

    /// `map(left, right)` modulo 2^64.
    pub fn apply(&self, left: &Tensor, right: &Tensor) -> Result<Tensor, ShareError> {
        self.apply_sum(&[Product::plus(left, right)], [left.shape(), right.shape()], Ring::FULL)
    }

    fn term<'a>(&self, t: &Product<'a>) -> Term<'a> {
        let sign = if t.negative { Sign::Minus } else { Sign::Plus };
        let minus = |op: Operand<'a>| t.minus.map_or(op, |m| op.minus(m.data()));
        let matrix = |x: &'a Tensor| Operand::matrix(x.data(), x.rows(), x.cols());
        let batch = t.left.rows();
        match self {
            Bilinear::MatMul { left_t, right_t } => {
                let (a, b) = (matrix(t.left), minus(matrix(t.right)));
                Term::new(sign, if *left_t { a.t() } else { a }, if *right_t { b.t() } else { b })
            }
            Bilinear::Conv(g) => {
                Term::new(sign, minus(matrix(t.right)).t(), Operand::patches(t.left.data(), batch, *g).t())
            }
            Bilinear::ConvWeightGrad(g) => {
                let out = t.right.cols() / g.output_positions();
                let grad = minus(Operand::channel_rows(t.right.data(), batch, out, g.output_positions()));
                Term::new(sign, Operand::patches(t.left.data(), batch, *g).t(), grad.t())
            }
            Bilinear::ConvInputGrad(g) => {
                let out = t.right.cols();
                let weights =
                    minus(Operand::matrix(t.right.data(), g.channels, g.kernel_h * g.kernel_w * out));
                Term::new(sign, weights, Operand::gradient_patches(t.left.data(), batch, out, *g).t())
            }
            Bilinear::Hadamard => unreachable!("element-wise products do not go through the matrix kernel"),
        }
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
