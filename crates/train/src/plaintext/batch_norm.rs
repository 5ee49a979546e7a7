//! Batch normalisation with the running averages of the training on shares.

use super::Real;
use super::stage::{Parameters, Pass, Stage};
use crate::layers::batch_norm::fold::Scaled;
use crate::scales::Average;

/// Batch normalisation.
pub(super) struct BatchNorm<F> {
    parameters: Parameters<F>,
    positions: usize,
    average: Average,
    epsilon: F,
    /// Of the last batch: mean and 1 / √(variance + ε) of each channel.
    mean: Vec<F>,
    root: Vec<F>,
    running_mean: Vec<F>,
    running_variance: Vec<F>,
}

impl<F: Real> BatchNorm<F> {
    pub(super) fn new(
        mut parameters: Parameters<F>,
        positions: usize,
        momentum: f64,
        epsilon: f64,
    ) -> BatchNorm<F> {
        parameters.decays = false;
        let zeros = || vec![F::zero(); parameters.units];
        let [mean, root, running_mean, running_variance] = std::array::from_fn(|_| zeros());
        let (average, epsilon) = (Average::new(1.0 - momentum), F::of(epsilon));
        BatchNorm { parameters, positions, average, epsilon, mean, root, running_mean, running_variance }
    }

    /// The channel of each number of a row.
    fn channels(&self) -> impl Iterator<Item = usize> + use<F> {
        let positions = self.positions;
        (0..self.parameters.units * positions).map(move |i| i / positions)
    }

    /// Adds `f` of each number of all rows to the sum of its channel.
    fn sums(&self, x: &[F], f: impl Fn(usize, usize, F) -> F) -> Vec<F> {
        let mut sums = vec![F::zero(); self.parameters.units];
        let width = self.parameters.units * self.positions;
        for (r, row) in x.chunks_exact(width).enumerate() {
            for ((i, x), c) in row.iter().enumerate().zip(self.channels()) {
                sums[c] += f(r * width + i, c, *x);
            }
        }
        sums
    }

    fn statistics(&mut self, x: &[F], rows: usize, step: u64) {
        let share = F::of(1.0 / (rows * self.positions) as f64);
        let mut mean = self.sums(x, |_, _, x| x);
        mean.iter_mut().for_each(|m| *m = *m * share);
        let mut variance = self.sums(x, |_, c, x| (x - mean[c]) * (x - mean[c]));
        variance.iter_mut().for_each(|v| *v = *v * share);
        let new = F::of(self.average.share(step));
        for (old, v) in
            self.running_mean.iter_mut().zip(&mean).chain(self.running_variance.iter_mut().zip(&variance))
        {
            *old += new * (*v - *old);
        }
        self.root = variance.iter().map(|v| F::one() / (*v + self.epsilon).sqrt()).collect();
        self.mean = mean;
    }
}

impl<F: Real> Stage<F> for BatchNorm<F> {
    fn forward(&mut self, x: &[F], rows: usize, pass: Pass, y: &mut [F]) {
        match pass {
            Some((_, step)) => self.statistics(x, rows, step),
            None => {
                self.mean.copy_from_slice(&self.running_mean);
                let epsilon = self.epsilon;
                self.root = self.running_variance.iter().map(|v| F::one() / (*v + epsilon).sqrt()).collect();
            }
        }
        let (p, width) = (&self.parameters, self.parameters.units * self.positions);
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            for ((x, y), c) in x.iter().zip(y).zip(self.channels()) {
                *y = p.weight[c] * self.root[c] * (*x - self.mean[c]) + p.bias[c];
            }
        }
    }

    fn backward(&mut self, x: &[F], _: &[F], dy: &[F], rows: usize, _: Pass, dx: Option<&mut [F]>) {
        let normal = |i: usize, c: usize| self.root[c] * (x[i] - self.mean[c]);
        let bias = self.sums(dy, |_, _, dy| dy);
        let weight = self.sums(dy, |i, c, dy| dy * normal(i, c));
        if let Some(dx) = dx {
            let share = F::of(1.0 / (rows * self.positions) as f64);
            let width = self.parameters.units * self.positions;
            for (r, (dx, dy)) in dx.chunks_exact_mut(width).zip(dy.chunks_exact(width)).enumerate() {
                for (((i, dx), dy), c) in dx.iter_mut().enumerate().zip(dy).zip(self.channels()) {
                    let along = share * (bias[c] + normal(r * width + i, c) * weight[c]);
                    *dx = self.parameters.weight[c] * self.root[c] * (*dy - along);
                }
            }
        }
        (self.parameters.bias_grad, self.parameters.weight_grad) = (bias, weight);
    }

    fn parameters(&mut self) -> Option<&mut Parameters<F>> {
        Some(&mut self.parameters)
    }

    fn folded(&self) -> Option<Scaled> {
        let p = &self.parameters;
        let root = self.running_variance.iter().map(|v| 1.0 / (v.double() + self.epsilon.double()).sqrt());
        let scale: Vec<f64> =
            p.weight.iter().zip(root).map(|(weight, root)| weight.double() * root).collect();
        let means = self.running_mean.iter().zip(&scale);
        let shift = p.bias.iter().zip(means).map(|(bias, (mean, s))| bias.double() - mean.double() * s);
        Some(Scaled { shift: shift.collect(), scale })
    }
}
