//! Models out: a revealed network as two files that any tool can read.
//!
//! * `model.safetensors`: for each dense layer, by its place `i` in the list of layers, `layers.i.weight`
//!   `[inputs, outputs]` and `layers.i.bias` `[outputs]`, as `f32`. (PyTorch keeps the transposed weight.)
//! * `model.json`: the [`Description`]: layers, input schema, classes, fixed point, job hash, training summary, and the
//!   SHA-256 of the weights file, so that two files of different runs are never taken for one model.
//!
//! A model is confidential to its recipients: files are 0600, memory is wiped on drop, `Debug` prints shapes only.

mod description;
mod files;

use std::fmt;

use ndarray::{Array1, Array2};

pub use self::description::{
    Description, DescriptionError, FixedPoint, JobHash, Layer, Moments, PrivacySpent, TrainingSummary,
};
pub use self::files::{DESCRIPTION_FILE, ModelError, WEIGHTS_FILE, read, write};

use crate::dataset::wipe;

/// A network in the clear: its description and one [`Dense`] for each dense layer, in order.
///
/// Holds by construction: the description is consistent, and the tensors have the shapes it states and finite values.
pub struct Model {
    description: Description,
    dense: Vec<Dense>,
}

/// Parameters of one dense layer: output = input · weight + bias. Wiped on drop.
pub struct Dense {
    /// `[inputs, outputs]`.
    pub weight: Array2<f32>,
    /// `[outputs]`.
    pub bias: Array1<f32>,
}

impl Model {
    /// Join a description and the parameters of its dense layers.
    ///
    /// # Errors
    /// [`DescriptionError`]: the description contradicts itself, or a tensor its description.
    pub fn new(description: Description, dense: Vec<Dense>) -> Result<Self, DescriptionError> {
        description.check()?;
        let declared = description.dense_layers();
        if declared.len() != dense.len() {
            return Err(DescriptionError::DenseCount { declared: declared.len(), found: dense.len() });
        }
        for (&(layer, inputs, outputs), tensors) in declared.iter().zip(&dense) {
            if tensors.weight.dim() != (inputs, outputs) || tensors.bias.len() != outputs {
                return Err(DescriptionError::TensorShape { layer, inputs, outputs });
            }
            if tensors.weight.iter().chain(&tensors.bias).any(|value| !value.is_finite()) {
                return Err(DescriptionError::NotFinite { layer });
            }
        }
        Ok(Self { description, dense })
    }

    /// What the model is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The parameters of each dense layer, in order.
    pub fn dense(&self) -> &[Dense] {
        &self.dense
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("layers", &self.description.layers).finish_non_exhaustive()
    }
}

impl fmt::Debug for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (inputs, outputs) = self.weight.dim();
        f.debug_struct("Dense").field("inputs", &inputs).field("outputs", &outputs).finish_non_exhaustive()
    }
}

impl Drop for Dense {
    fn drop(&mut self) {
        wipe(&mut self.weight);
        wipe(&mut self.bias);
    }
}
