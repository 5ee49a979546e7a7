use super::Real;
use super::gemm::{gemm, matrix, matrix_mut};
use super::stage::{Parameters, Pass, Stage};

/// Fully connected.
pub(super) struct Dense<F> {
    pub(super) parameters: Parameters<F>,
}

impl<F: Real> Stage<F> for Dense<F> {
    fn forward(&mut self, x: &[F], rows: usize, _: Pass, y: &mut [F]) {
        let p = &self.parameters;
        for row in y.chunks_exact_mut(p.units) {
            row.copy_from_slice(&p.bias);
        }
        gemm(
            matrix(x, rows, p.inputs),
            matrix(&p.weight, p.inputs, p.units),
            F::one(),
            matrix_mut(y, rows, p.units),
        );
    }

    fn backward(&mut self, x: &[F], _: &[F], dy: &[F], rows: usize, _: Pass, dx: Option<&mut [F]>) {
        let p = &mut self.parameters;
        let delta = matrix(dy, rows, p.units);
        gemm(
            matrix(x, rows, p.inputs).reversed_axes(),
            delta,
            F::zero(),
            matrix_mut(&mut p.weight_grad, p.inputs, p.units),
        );
        p.bias_grad.fill(F::zero());
        for row in dy.chunks_exact(p.units) {
            for (sum, d) in p.bias_grad.iter_mut().zip(row) {
                *sum += *d;
            }
        }
        if let Some(dx) = dx {
            let weight = matrix(&p.weight, p.inputs, p.units);
            gemm(delta, weight.reversed_axes(), F::zero(), matrix_mut(dx, rows, p.inputs));
        }
    }

    fn parameters(&mut self) -> Option<&mut Parameters<F>> {
        Some(&mut self.parameters)
    }
}
