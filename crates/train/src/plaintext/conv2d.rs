//! Convolution by im2col, one image at a time, images over all cores.

use rayon::prelude::*;
use tercet_share::kernel::ConvGeometry;

use super::Real;
use super::gemm::{matrix, matrix_mut};
use super::stage::{Parameters, Pass, Stage};
use ndarray::linalg::general_mat_mul;

/// Convolution.
pub(super) struct Conv2d<F> {
    geometry: ConvGeometry,
    parameters: Parameters<F>,
    /// Patches of every image of the batch, `patch × positions` each.
    patches: Vec<F>,
    /// One weight gradient and one patch gradient per slice of the batch.
    scratch: Vec<(Vec<F>, Vec<F>)>,
}

impl<F: Real> Conv2d<F> {
    pub(super) fn new(geometry: ConvGeometry, parameters: Parameters<F>, batch: usize) -> Conv2d<F> {
        let image = geometry.patch_len() * geometry.output_positions();
        let slices = rayon::current_num_threads().max(1);
        let scratch =
            (0..slices).map(|_| (vec![F::zero(); parameters.weight.len()], vec![F::zero(); image])).collect();
        Conv2d { geometry, parameters, patches: vec![F::zero(); batch * image], scratch }
    }
}

/// Calls `f(patch row, output position, input pixel)` for every patch entry that is not padding.
fn each_entry(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize)) {
    let (out_h, out_w) = (g.out_height(), g.out_width());
    for c in 0..g.channels {
        for ky in 0..g.kernel_h {
            for kx in 0..g.kernel_w {
                let row = (c * g.kernel_h + ky) * g.kernel_w + kx;
                for oy in 0..out_h {
                    let Some(y) = (oy * g.stride + ky).checked_sub(g.padding).filter(|y| *y < g.height)
                    else {
                        continue;
                    };
                    for ox in 0..out_w {
                        if let Some(x) = (ox * g.stride + kx).checked_sub(g.padding).filter(|x| *x < g.width)
                        {
                            f(row, oy * out_w + ox, (c * g.height + y) * g.width + x);
                        }
                    }
                }
            }
        }
    }
}

impl<F: Real> Stage<F> for Conv2d<F> {
    fn forward(&mut self, x: &[F], rows: usize, _: Pass, y: &mut [F]) {
        let (g, p) = (&self.geometry, &self.parameters);
        let positions = g.output_positions();
        let (input, patch) = (g.input_len(), g.patch_len());
        let weight = matrix(&p.weight, patch, p.units).reversed_axes();
        let patches = &mut self.patches[..rows * patch * positions];
        patches
            .par_chunks_exact_mut(patch * positions)
            .zip(x[..rows * input].par_chunks_exact(input))
            .zip(y[..rows * p.units * positions].par_chunks_exact_mut(p.units * positions))
            .for_each(|((cols, image), out)| {
                each_entry(g, |row, position, pixel| cols[row * positions + position] = image[pixel]);
                for (channel, bias) in out.chunks_exact_mut(positions).zip(&p.bias) {
                    channel.fill(*bias);
                }
                let mut out = matrix_mut(out, p.units, positions);
                general_mat_mul(F::one(), &weight, &matrix(cols, patch, positions), F::one(), &mut out);
            });
    }

    fn backward(&mut self, _: &[F], _: &[F], dy: &[F], rows: usize, _: Pass, dx: Option<&mut [F]>) {
        let (g, p) = (&self.geometry, &mut self.parameters);
        let positions = g.output_positions();
        let (input, patch, output) = (g.input_len(), g.patch_len(), p.units * positions);
        let weight = &p.weight;
        let slice = rows.div_ceil(self.scratch.len()).max(1);
        // Without a gradient to give, every slice gets an empty one.
        let mut none: Vec<F> = Vec::new();
        let wanted = dx.is_some();
        let dx = dx.map_or(&mut none[..], |d| &mut d[..rows * input]);
        let mut images: Vec<&mut [F]> =
            if wanted { dx.chunks_mut(slice * input).collect() } else { Vec::new() };
        images.resize_with(self.scratch.len(), Default::default);
        self.scratch
            .par_iter_mut()
            .zip(images)
            .zip(dy[..rows * output].par_chunks(slice * output))
            .zip(self.patches[..rows * patch * positions].par_chunks(slice * patch * positions))
            .for_each(|((((weight_grad, patch_grad), dx), dy), cols)| {
                weight_grad.fill(F::zero());
                let mut images = dx.chunks_exact_mut(input);
                for (delta, cols) in dy.chunks_exact(output).zip(cols.chunks_exact(patch * positions)) {
                    let delta = matrix(delta, p.units, positions);
                    let mut grad = matrix_mut(weight_grad, patch, p.units);
                    let cols = matrix(cols, patch, positions);
                    general_mat_mul(F::one(), &cols, &delta.reversed_axes(), F::one(), &mut grad);
                    if let Some(image) = images.next() {
                        let mut grad = matrix_mut(patch_grad, patch, positions);
                        let weight = matrix(weight, patch, p.units);
                        general_mat_mul(F::one(), &weight, &delta, F::zero(), &mut grad);
                        image.fill(F::zero());
                        each_entry(g, |row, position, pixel| {
                            image[pixel] += patch_grad[row * positions + position];
                        });
                    }
                }
            });
        p.weight_grad.fill(F::zero());
        for (part, _) in self.scratch.iter().take(rows.div_ceil(slice)) {
            for (sum, v) in p.weight_grad.iter_mut().zip(part) {
                *sum += *v;
            }
        }
        p.bias_grad.fill(F::zero());
        for delta in dy[..rows * output].chunks_exact(output) {
            for (sum, channel) in p.bias_grad.iter_mut().zip(delta.chunks_exact(positions)) {
                *sum += channel.iter().fold(F::zero(), |a, v| a + *v);
            }
        }
    }

    fn parameters(&mut self) -> Option<&mut Parameters<F>> {
        Some(&mut self.parameters)
    }
}
