//! The two floating-point types: `f32` is the baseline, `f64` checks gradients.

use ndarray::LinalgScalar;
use std::ops::{AddAssign, Neg, SubAssign};

/// A floating-point number.
pub trait Real: LinalgScalar + PartialOrd + AddAssign + SubAssign + Neg<Output = Self> + Send + Sync {
    /// The nearest number of this type.
    fn of(x: f64) -> Self;
    /// As a double.
    fn double(self) -> f64;
    /// e^x.
    fn exp(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// The larger.
    fn at_least(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }
    fn double(self) -> f64 {
        f64::from(self)
    }
    fn exp(self) -> f32 {
        self.exp()
    }
    fn sqrt(self) -> f32 {
        self.sqrt()
    }
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }
    fn double(self) -> f64 {
        self
    }
    fn exp(self) -> f64 {
        self.exp()
    }
    fn sqrt(self) -> f64 {
        self.sqrt()
    }
}
