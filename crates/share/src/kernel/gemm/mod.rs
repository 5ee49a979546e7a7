//! Sums of matrix products over Z_2^64 (or modulo 2^52) in one pass.
//!
//! An evaluator computes `-M_X·L_Y - L_X·M_Y` as one product of concatenated inner dimension; convolutions and their
//! gradients are products of implicit patch matrices. See [`Operand`] for what can be multiplied and [`Gemm`] for
//! where the result goes.
//!
//! The structure is that of Goto and van de Geijn (ACM TOMS 2008): the right factor is packed into panels of one tile's
//! width, the tile keeps its sums in registers, and the left factor is read by broadcast, in place where possible.

mod block;
mod conv;
mod factor;
mod operand;
mod pack;
mod scratch;
mod stage;
mod tile;
mod vectors;

use super::Isa;

pub use conv::ConvGeometry;
pub use operand::{Operand, Sign, Term};

/// The ring that a product is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modulus {
    /// Modulo 2^64.
    Full,
    /// Modulo 2^52. Operands are taken modulo 2^52 and need not be reduced.
    Low52,
}

impl Modulus {
    pub(crate) const fn mask(self) -> u64 {
        match self {
            Self::Full => u64::MAX,
            Self::Low52 => (1 << 52) - 1,
        }
    }
}

/// `out = sum of terms`, or `out += sum of terms`, over Z_2^64. `out` is row-major, rows × columns of the terms.
///
/// Panics if the terms or the output differ in shape.
pub fn gemm(out: &mut [u64], accumulate: bool, terms: &[Term<'_>]) {
    Gemm::new().accumulate(accumulate).run(out, terms);
}

/// As [`gemm`], modulo 2^52: faster where the CPU multiplies 52-bit numbers, for rings of up to 52 bits.
pub fn gemm52(out: &mut [u64], accumulate: bool, terms: &[Term<'_>]) {
    Gemm::new().modulus(Modulus::Low52).accumulate(accumulate).run(out, terms);
}

/// Options of a product. The default overwrites a row-major output over Z_2^64 with the best instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Gemm {
    isa: Isa,
    modulus: Modulus,
    accumulate: bool,
    groups: usize,
    parallel: bool,
}

impl Default for Gemm {
    fn default() -> Self {
        Self::new()
    }
}

impl Gemm {
    /// The default options.
    pub fn new() -> Self {
        Self { isa: Isa::best(), modulus: Modulus::Full, accumulate: false, groups: 1, parallel: true }
    }

    /// Chooses the instruction set.
    #[must_use]
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa.supported();
        self
    }

    /// Chooses the ring.
    #[must_use]
    pub fn modulus(mut self, modulus: Modulus) -> Self {
        self.modulus = modulus;
        self
    }

    /// Adds to the output instead of overwriting it.
    #[must_use]
    pub fn accumulate(mut self, accumulate: bool) -> Self {
        self.accumulate = accumulate;
        self
    }

    /// Splits the columns into `groups` equal blocks, stored one after the other, each row-major: a product with
    /// output channels as rows and `batch * pixels` columns is then written as NCHW with `groups = batch`.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Whether a large product may be shared among the threads of the current rayon pool. The default is yes.
    #[must_use]
    pub fn parallel(mut self, parallel: bool) -> Self {
        self.parallel = parallel;
        self
    }

    /// Computes the sum of `terms` into `out`. No terms are an empty sum.
    ///
    /// Panics if the terms differ in shape, if the output does not have rows × columns elements, or if the columns do
    /// not divide into the groups.
    pub fn run(&self, out: &mut [u64], terms: &[Term<'_>]) {
        if let Some(first) = terms.first() {
            let (rows, cols) = (first.a.rows(), first.b.cols());
            for term in terms {
                assert!(
                    term.a.rows() == rows && term.b.cols() == cols,
                    "matrix product: terms of one sum differ in shape"
                );
            }
            assert_eq!(out.len(), rows * cols, "matrix product: output is not {rows}x{cols}");
            assert!(
                self.groups >= 1 && cols.is_multiple_of(self.groups),
                "matrix product: {cols} columns do not divide into {} groups",
                self.groups
            );
            if terms.iter().any(|term| term.a.cols() > 0) {
                return block::product(self, out, rows, cols, terms);
            }
        }
        if !self.accumulate {
            out.fill(0);
        } else if self.modulus != Modulus::Full {
            super::elementwise::mask_on(self.isa, out, 52);
        }
    }
}
