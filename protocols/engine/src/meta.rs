//! What everyone knows of a tensor: its shape, its scale and its ring.

use tercet_share::{Bilinear, Linear, Ring};

use crate::EngineError;

/// Public facts of a shared tensor. Scales are part of it, so that a forgotten truncation is an error when the graph is
/// built and cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Fractional bits: the ring element v stands for v · 2^−frac.
    pub frac: u32,
    /// The ring in which the value is known: it is defined modulo 2^ring.
    pub ring: Ring,
}

impl Meta {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `(rows, cols)`.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Facts of `f(x)`.
    pub fn linear(&self, f: &Linear) -> Result<Meta, EngineError> {
        let (rows, cols) = f.shape(self.shape())?;
        Ok(Meta { rows, cols, ..*self })
    }

    /// Facts of the product `kind(self, right)`: fractional bits add up, the narrower ring holds.
    pub fn product(&self, kind: &Bilinear, right: &Meta) -> Result<Meta, EngineError> {
        let (rows, cols) = kind.shape(self.shape(), right.shape())?;
        Ok(Meta { rows, cols, frac: self.frac + right.frac, ring: self.ring.min(right.ring) })
    }

    /// Facts of a sum or difference: shape and scale must agree; the narrower ring holds.
    pub fn sum(&self, other: &Meta) -> Result<Meta, EngineError> {
        if self.shape() != other.shape() {
            return Err(EngineError::Shapes { what: "a sum", left: self.shape(), right: other.shape() });
        }
        if self.frac != other.frac {
            return Err(EngineError::Scales { left: self.frac, right: other.frac });
        }
        Ok(Meta { ring: self.ring.min(other.ring), ..*self })
    }
}
