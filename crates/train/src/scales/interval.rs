//! What the bounds of a job guarantee: interval arithmetic through the layers, and the largest magnitudes that are safe.

use serde::Serialize;

use crate::architecture::{Architecture, Node};
use crate::spec::{FixedPointSpec, ModelSpec, SpecError};

/// One layer with weights. Magnitudes are of real numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerRange {
    /// Position in `model.layers`, from 0.
    pub layer: usize,
    /// Its kind in the job file.
    pub kind: &'static str,
    /// Largest input of the layer in the worst case, or what its range allows if that is less.
    pub input: f64,
    /// Largest pre-activation in the worst case: every weight and every input at its bound, all signs alike.
    pub worst: f64,
    /// Pre-activations are safe below this: 2^range_bits.
    pub safe: f64,
    /// If every weight and bias is at most this, no row within the bounds can leave the range of this layer.
    pub safe_weight: f64,
}

impl LayerRange {
    /// Whether the bounds alone keep the layer in range. If not, the job promises it, and the range guard checks it.
    pub fn guaranteed(&self) -> bool {
        self.worst < self.safe
    }
}

/// The ranges of all layers with weights, for rows whose numbers are at most `input` in size, in batches of `batch` rows. A layer
/// whose worst case is beyond its range gives on at most that range, for the job promises it. Of n numbers less their mean, none
/// is above √(n − 1) deviations: that is the worst case of a batch normalisation.
///
/// # Errors
/// A model whose layers do not fit each other.
pub fn ranges(
    model: &ModelSpec,
    fixed: &FixedPointSpec,
    batch: usize,
    input: f64,
) -> Result<Vec<LayerRange>, SpecError> {
    let architecture = Architecture::new(model)?;
    let (safe, weight) = (f64::from(fixed.range_bits).exp2(), f64::from(fixed.weight_bits).exp2());
    let mut size = input;
    let mut ranges = Vec::new();
    for (index, layer) in architecture.layers().iter().enumerate() {
        if let Some((inputs, _)) = layer.weight() {
            let numbers = match layer.node {
                Node::BatchNorm { positions, .. } => ((batch * positions) as f64 - 1.0).max(0.0).sqrt(),
                _ => inputs as f64 * size,
            };
            // Σ |x·w| + |b|: each at its bound.
            let sum = numbers + 1.0;
            let (worst, kind) = (sum * weight, model.layers[index].kind());
            ranges.push(LayerRange { layer: index, kind, input: size, worst, safe, safe_weight: safe / sum });
            size = worst.min(safe);
        }
        if matches!(layer.node, Node::Sigmoid) {
            size = 1.0;
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{RELU, dense, features};
    use crate::spec::{LayerSpec, Loss};

    #[test]
    fn the_worst_case_of_each_layer_follows_from_the_one_before() {
        let model = features(
            10,
            vec![dense(4), RELU, dense(3), LayerSpec::Sigmoid {}, dense(2)],
            Loss::SoftmaxCrossEntropy,
        );
        let fixed = FixedPointSpec { range_bits: 8, weight_bits: 2, ..FixedPointSpec::default() };
        let found = ranges(&model, &fixed, 16, 1.0).unwrap();
        // (10 · 1 + 1) · 4, then (4 · 44 + 1) · 4, then (3 · 1 + 1) · 4.
        assert_eq!(found.iter().map(|r| r.worst).collect::<Vec<_>>(), [44.0, 708.0, 16.0]);
        assert_eq!(found.iter().map(LayerRange::guaranteed).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(found.iter().map(|r| r.layer).collect::<Vec<_>>(), [0, 2, 4]);
        // At the safe weight, the worst case is the range itself.
        for range in &found {
            let scale = range.safe_weight / 4.0;
            assert!((range.worst * scale - range.safe).abs() < 1e-9, "{range:?}");
        }
    }

    #[test]
    fn a_layer_beyond_its_range_gives_on_no_more_than_the_range() {
        let model = features(100, vec![dense(50), RELU, dense(2)], Loss::SoftmaxCrossEntropy);
        let found = ranges(&model, &FixedPointSpec::default(), 16, 10.0).unwrap();
        assert!(!found[0].guaranteed());
        assert_eq!(found[1].input, 1024.0);
    }

    #[test]
    fn a_normalised_number_is_below_the_root_of_the_batch() {
        let norm = LayerSpec::BatchNorm { momentum: 0.1, epsilon: 0.001 };
        let model = features(100, vec![dense(50), norm, RELU, dense(2)], Loss::SoftmaxCrossEntropy);
        let fixed = FixedPointSpec { weight_bits: 2, ..FixedPointSpec::default() };
        let found = ranges(&model, &fixed, 65, 10.0).unwrap();
        // (√64 + 1) · 4, whatever comes in.
        assert_eq!((found[1].layer, found[1].kind, found[1].worst), (1, "batch-norm", 36.0));
        assert_eq!((found[2].layer, found[2].input), (3, 36.0));
    }
}
