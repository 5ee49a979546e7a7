//! Seeded initial weights, the same at every party and in the plaintext baseline.
//!
//! Weights that feed a ReLU are uniform in ±√(6 / fan_in) (He et al., "Delving deep into rectifiers", ICCV 2015); others
//! are uniform in ±√(6 / (fan_in + fan_out)) (Glorot and Bengio, AISTATS 2010). Biases are zero.
//! Scales of a batch normalisation are one. The seed is public: these
//! weights hide nothing, training does.

use ndarray::{Array1, Array2};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::architecture::{Architecture, Node};
use crate::{TrainedLayer, TrainedModel};

/// What public randomness is for; purposes never share a stream.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Initial weights; the index is the layer.
    Weights,
    /// Order of rows; the index is the epoch.
    Order,
    /// Dropout masks; the index is the layer and the step.
    Dropout,
}

/// Public randomness of the job for one purpose and index (below 2^60).
pub(crate) fn public_rng(seed: u64, purpose: Purpose, index: u64) -> ChaCha12Rng {
    let mut key = *b"tercet public randomness v1     ";
    key[24..].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha12Rng::from_seed(key);
    rng.set_stream((purpose as u64) << 60 | index);
    rng
}

/// A number in [0, 1) with 24 random bits.
pub(crate) fn uniform(rng: &mut ChaCha12Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
}

/// Initial weights and biases of `architecture`, rounded to `weight_frac` fractional bits so that shares and plaintext
/// start from equal numbers.
pub fn weights(architecture: &Architecture, seed: u64, weight_frac: u32) -> TrainedModel {
    let unit = (weight_frac as f32).exp2();
    let layers = architecture.layers().iter().enumerate().filter_map(|(index, layer)| {
        let (rows, cols) = layer.weight()?;
        if let Node::BatchNorm { .. } = layer.node {
            return Some(TrainedLayer { index, weight: Array2::ones((1, cols)), bias: Array1::zeros(cols) });
        }
        let outputs_seen = match layer.node {
            Node::Conv2d { geometry, filters } => filters * geometry.kernel_h * geometry.kernel_w,
            _ => cols,
        };
        let fan = if architecture.relu_follows(index) { rows } else { rows + outputs_seen };
        let bound = (6.0 / fan as f32).sqrt();
        let mut rng = public_rng(seed, Purpose::Weights, index as u64);
        let mut draw = || ((2.0 * uniform(&mut rng) - 1.0) * bound * unit).round() / unit;
        let weight = Array2::from_shape_simple_fn((rows, cols), &mut draw);
        Some(TrainedLayer { index, weight, bias: Array1::zeros(cols) })
    });
    TrainedModel { layers: layers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{InputSpec, LayerSpec, Loss, ModelSpec};

    fn architecture() -> Architecture {
        let layers = vec![LayerSpec::Dense { units: 40 }, LayerSpec::Relu {}, LayerSpec::Dense { units: 20 }];
        let model = ModelSpec { input: InputSpec::Features(24), layers, loss: Loss::SoftmaxCrossEntropy };
        Architecture::new(&model).unwrap()
    }

    #[test]
    fn weights_fill_their_bounds_and_lie_on_the_fixed_point_grid() {
        let model = weights(&architecture(), 7, 12);
        for (layer, bound) in model.layers.iter().zip([(6f32 / 24.0).sqrt(), (6f32 / 60.0).sqrt()]) {
            let largest = layer.weight.iter().fold(0f32, |m, w| m.max(w.abs()));
            assert!(largest <= bound + 1e-3 && largest > 0.95 * bound, "{largest} of {bound}");
            let mean = layer.weight.sum() / layer.weight.len() as f32;
            assert!(mean.abs() < bound * 0.1, "{mean}");
            assert!(layer.weight.iter().all(|w| (w * 4096.0).fract() == 0.0));
            assert!(layer.bias.iter().all(|b| *b == 0.0));
        }
    }

    #[test]
    fn another_seed_gives_other_weights() {
        let a = architecture();
        assert_eq!(weights(&a, 1, 16), weights(&a, 1, 16));
        assert_ne!(weights(&a, 1, 16), weights(&a, 2, 16));
    }
}
