//! Pooling over the windows of the architecture.

use super::Real;
use super::stage::{Pass, Stage};
use crate::architecture::Windows;

/// Maximum over windows; the first of equal entries counts, as on shares.
pub(super) struct MaxPool {
    index: Vec<usize>,
    windows: Windows,
    /// Input column of each output of the last pass.
    chosen: Vec<usize>,
}

impl MaxPool {
    pub(super) fn new(windows: Windows) -> MaxPool {
        MaxPool { index: windows.index(), windows, chosen: Vec::new() }
    }
}

impl<F: Real> Stage<F> for MaxPool {
    fn forward(&mut self, x: &[F], _: usize, _: Pass, y: &mut [F]) {
        let (inputs, group) = (self.windows.inputs(), self.windows.group());
        self.chosen.clear();
        let outputs = self.index.len() / group;
        for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
            for (window, y) in self.index.chunks_exact(group).zip(y) {
                let mut best = window[0];
                for &i in &window[1..] {
                    if x[i] > x[best] {
                        best = i;
                    }
                }
                *y = x[best];
                self.chosen.push(best);
            }
        }
    }

    fn backward(&mut self, _: &[F], _: &[F], dy: &[F], _: usize, _: Pass, dx: Option<&mut [F]>) {
        let Some(dx) = dx else { return };
        dx.fill(F::zero());
        let outputs = self.index.len() / self.windows.group();
        let rows = dx.chunks_exact_mut(self.windows.inputs()).zip(dy.chunks_exact(outputs));
        for ((dx, dy), chosen) in rows.zip(self.chosen.chunks_exact(outputs)) {
            for (&i, dy) in chosen.iter().zip(dy) {
                dx[i] += *dy;
            }
        }
    }
}

/// Mean over windows.
pub(super) struct AvgPool {
    index: Vec<usize>,
    windows: Windows,
}

impl AvgPool {
    pub(super) fn new(windows: Windows) -> AvgPool {
        AvgPool { index: windows.index(), windows }
    }
}

impl<F: Real> Stage<F> for AvgPool {
    fn forward(&mut self, x: &[F], _: usize, _: Pass, y: &mut [F]) {
        let group = self.windows.group();
        let share = F::of(1.0 / group as f64);
        let rows = x.chunks_exact(self.windows.inputs()).zip(y.chunks_exact_mut(self.index.len() / group));
        for (x, y) in rows {
            for (window, y) in self.index.chunks_exact(group).zip(y) {
                *y = window.iter().fold(F::zero(), |sum, &i| sum + x[i]) * share;
            }
        }
    }

    fn backward(&mut self, _: &[F], _: &[F], dy: &[F], _: usize, _: Pass, dx: Option<&mut [F]>) {
        let Some(dx) = dx else { return };
        dx.fill(F::zero());
        let group = self.windows.group();
        let share = F::of(1.0 / group as f64);
        let rows = dx.chunks_exact_mut(self.windows.inputs()).zip(dy.chunks_exact(self.index.len() / group));
        for (dx, dy) in rows {
            for (window, dy) in self.index.chunks_exact(group).zip(dy) {
                window.iter().for_each(|&i| dx[i] += *dy * share);
            }
        }
    }
}
