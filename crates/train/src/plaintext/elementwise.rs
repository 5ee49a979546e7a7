//! Layers without weights that keep the shape.

use super::Real;
use super::stage::{Pass, Stage};
use crate::layers::dropout;

/// max(0, x).
pub(super) struct Relu;

impl<F: Real> Stage<F> for Relu {
    fn forward(&mut self, x: &[F], _: usize, _: Pass, y: &mut [F]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = x.at_least(F::zero());
        }
    }

    fn backward(&mut self, x: &[F], _: &[F], dy: &[F], _: usize, _: Pass, dx: Option<&mut [F]>) {
        let Some(dx) = dx else { return };
        for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = if *x >= F::zero() { *dy } else { F::zero() };
        }
    }
}

/// 1 / (1 + e^−x).
pub(super) struct Sigmoid;

impl<F: Real> Stage<F> for Sigmoid {
    fn forward(&mut self, x: &[F], _: usize, _: Pass, y: &mut [F]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = F::one() / (F::one() + (-*x).exp());
        }
    }

    fn backward(&mut self, _: &[F], y: &[F], dy: &[F], _: usize, _: Pass, dx: Option<&mut [F]>) {
        let Some(dx) = dx else { return };
        for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx = *dy * *y * (F::one() - *y);
        }
    }
}

/// A change of shape that moves nothing.
pub(super) struct Flatten;

impl<F: Real> Stage<F> for Flatten {
    fn forward(&mut self, x: &[F], _: usize, _: Pass, y: &mut [F]) {
        y.copy_from_slice(x);
    }

    fn backward(&mut self, _: &[F], _: &[F], dy: &[F], _: usize, _: Pass, dx: Option<&mut [F]>) {
        if let Some(dx) = dx {
            dx.copy_from_slice(dy);
        }
    }
}

/// Dropout with the mask of the training on shares.
pub(super) struct Dropout {
    pub(super) rate: f64,
    pub(super) layer: usize,
}

impl Dropout {
    fn mask<F: Real>(&self, from: &[F], (seed, step): (u64, u64), to: &mut [F]) {
        let kept = dropout::kept(self.rate, self.layer, seed, step, from.len());
        for ((to, from), kept) in to.iter_mut().zip(from).zip(kept) {
            *to = if kept { *from } else { F::zero() };
        }
    }
}

impl<F: Real> Stage<F> for Dropout {
    fn forward(&mut self, x: &[F], _: usize, pass: Pass, y: &mut [F]) {
        match pass {
            Some(pass) => self.mask(x, pass, y),
            None => {
                let keep = F::of(dropout::keep(self.rate).value());
                for (y, x) in y.iter_mut().zip(x) {
                    *y = *x * keep;
                }
            }
        }
    }

    fn backward(&mut self, _: &[F], _: &[F], dy: &[F], _: usize, pass: Pass, dx: Option<&mut [F]>) {
        if let (Some(dx), Some(pass)) = (dx, pass) {
            self.mask(dy, pass, dx);
        }
    }
}
