//! Models out: a revealed network as two files that any tool can read.
//!
//! * `model.safetensors`: for each layer with weights, by its place `i` in the list of layers, `layers.i.weight` and
//!   `layers.i.bias`, as `f32`. The weight is `[outputs, inputs]` of a dense layer and `[outputs, inputs, kernel height,
//!   kernel width]` of a convolution, where both count channels; the bias is `[outputs]`. Shapes and names are those that
//!   PyTorch gives to the same layers in a module called `layers`, flatten, dropout and batch normalisation counted;
//!   the latter two do nothing any more (`Identity`), for the weights hold them.
//! * `model.json`: the [`Description`]: layers, input schema, classes, fixed point, job hash, training summary, and the
//!   SHA-256 of the weights file, so that two files of different runs are never taken for one model.
//!
//! A model is confidential to its recipients: files are 0600, memory is wiped on drop, `Debug` prints shapes only.

mod description;
mod files;
mod layer;

use std::fmt;

use ndarray::{Array1, ArrayD};

pub use self::description::{
    Description, DescriptionError, FixedPoint, JobHash, PrivacySpent, TrainingSummary,
};
pub use self::files::{DESCRIPTION_FILE, ModelError, WEIGHTS_FILE, read, write};
pub use self::layer::{Image, Layer};

use crate::dataset::wipe;

/// A network in the clear: its description and the [`Parameters`] of each layer that has some, in order.
///
/// Holds by construction: the description is consistent, and the tensors have the shapes it states and finite values.
pub struct Model {
    description: Description,
    parameters: Vec<Parameters>,
}

/// Parameters of one layer. Wiped on drop.
pub struct Parameters {
    /// `[outputs, inputs]`, or `[outputs, inputs, kernel, kernel]` of a convolution; see [`Layer::weight_shape`].
    pub weight: ArrayD<f32>,
    /// `[outputs]`.
    pub bias: Array1<f32>,
}

impl Model {
    /// Join a description and the parameters of its layers.
    ///
    /// # Errors
    /// [`DescriptionError`]: the description contradicts itself, or a tensor its description.
    pub fn new(description: Description, parameters: Vec<Parameters>) -> Result<Self, DescriptionError> {
        description.check()?;
        let declared = description.weights();
        if declared.len() != parameters.len() {
            let (declared, found) = (declared.len(), parameters.len());
            return Err(DescriptionError::ParameterCount { declared, found });
        }
        for ((layer, expected), tensors) in declared.into_iter().zip(&parameters) {
            if tensors.weight.shape() != expected || tensors.bias.len() != expected[0] {
                return Err(DescriptionError::TensorShape { layer, expected });
            }
            if tensors.weight.iter().chain(&tensors.bias).any(|value| !value.is_finite()) {
                return Err(DescriptionError::NotFinite { layer });
            }
        }
        Ok(Self { description, parameters })
    }

    /// What the model is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The parameters of each layer that has some, in order.
    pub fn parameters(&self) -> &[Parameters] {
        &self.parameters
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("layers", &self.description.layers).finish_non_exhaustive()
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").field("shape", &self.weight.shape()).finish_non_exhaustive()
    }
}

impl Drop for Parameters {
    fn drop(&mut self) {
        wipe(&mut self.weight);
        wipe(&mut self.bias);
    }
}
