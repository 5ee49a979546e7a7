//! What a model is, in words and numbers: the contents of `model.json`.

use serde::{Deserialize, Serialize};

use super::layer::{Image, Layer, Shape};
use crate::schema::DataSpec;

/// Everything needed to apply a model and to know where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The layers from input to output.
    pub layers: Vec<Layer>,
    /// The schema of the input: order of features and their public scale. Nothing else is done to an input: means and
    /// deviations that were computed on shares are part of the first layer.
    pub input: DataSpec,
    /// How a row is an image, for layers that take images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The class of each output, by its number. A network of one output has two classes and gives the second's score.
    pub classes: Vec<String>,
    /// The arithmetic it was trained in.
    pub fixed_point: FixedPoint,
    /// Hash of the job that all parties agreed on.
    pub job_hash: JobHash,
    /// How it was trained.
    pub training: TrainingSummary,
}

/// Fixed-point numbers: a value times 2^`fraction_bits` in the ring of 2^`ring_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedPoint {
    /// Bits of the ring.
    pub ring_bits: u32,
    /// Bits behind the point.
    pub fraction_bits: u32,
}

/// The 32 bytes of a job's hash, written as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobHash(pub [u8; 32]);

/// How a model was trained. Every number here was either public or revealed by the job's policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSummary {
    /// Name of the protocol: `helper`, `ot`, `clear`.
    pub protocol: String,
    /// Rows trained on, of all parties together.
    pub rows: u64,
    /// Times each row was used.
    pub epochs: u64,
    /// Updates of the weights.
    pub steps: u64,
    /// Rows in a batch.
    pub batch: u64,
    /// Wall-clock time of training.
    pub seconds: f64,
    /// Share of held-out rows classified rightly, 0 to 1, if the job reveals it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Differential privacy spent, if the job trained with noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacySpent>,
}

/// An (ε, δ) guarantee.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacySpent {
    /// ε.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
}

/// A description that contradicts itself or its tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// No layer with weights.
    #[error("the model has no layer with weights: describe at least one dense layer")]
    NoLayers,
    /// A layer does not take what the one before gives.
    #[error(
        "layer {layer} of the model takes {inputs} inputs but {width} reach it: correct the list of layers"
    )]
    Chain {
        /// Place of the layer, from 0.
        layer: usize,
        /// Inputs that it declares, or channels of a convolution.
        inputs: usize,
        /// Features, outputs or channels before it.
        width: usize,
    },
    /// An image whose pixels are not the features.
    #[error(
        "the image of the model does not have {features} pixels over all channels: give it as many as there are features"
    )]
    Image {
        /// Features of a row.
        features: usize,
    },
    /// A layer of images gets rows.
    #[error(
        "layer {layer} of the model takes images but gets rows of numbers: describe the image of a row, and no flatten before the layer"
    )]
    NeedsImage {
        /// Place of the layer, from 0.
        layer: usize,
    },
    /// A layer of rows gets images.
    #[error(
        "images reach place {layer} of the model's layers, where rows of numbers are needed: describe a flatten layer before it"
    )]
    Row {
        /// Place of the layer, from 0; one past the last for the end of the model.
        layer: usize,
    },
    /// A kernel or window that does not fit the image.
    #[error(
        "layer {layer} of the model has a kernel or window that does not fit its image: correct its sizes"
    )]
    Window {
        /// Place of the layer, from 0.
        layer: usize,
    },
    /// A probability of dropout outside of [0, 1).
    #[error(
        "layer {layer} of the model has a dropout rate outside of 0 to 1: write the rate of the training"
    )]
    Rate {
        /// Place of the layer, from 0.
        layer: usize,
    },
    /// The last layer does not fit the classes.
    #[error(
        "the model has {outputs} outputs for {classes} classes: give one output a class, or one for two classes"
    )]
    Outputs {
        /// Outputs of the last layer.
        outputs: usize,
        /// Classes.
        classes: usize,
    },
    /// Classes that differ from those of the input schema.
    #[error(
        "the classes of the model are not those of its input schema: write the schema's class names in order"
    )]
    Classes,
    /// A fixed point that the ring cannot hold.
    #[error(
        "the model has {fraction_bits} fraction bits in a ring of {ring_bits}: give a ring of at most 64 bits and fewer fraction bits"
    )]
    FixedPoint {
        /// Bits of the ring.
        ring_bits: u32,
        /// Bits behind the point.
        fraction_bits: u32,
    },
    /// A job hash that is not 64 hexadecimal digits.
    #[error("the job hash of the model is not 64 lowercase hexadecimal digits: copy it from the job")]
    JobHash,
    /// Numbers of the summary that cannot be.
    #[error("the training summary of the model has {field} out of range: write what was measured")]
    Summary {
        /// The field.
        field: &'static str,
    },
    /// Another number of layers with weights than of parameters.
    #[error(
        "the model declares {declared} layers with weights but has parameters for {found}: give one pair of tensors a layer"
    )]
    ParameterCount {
        /// Layers with weights in the description.
        declared: usize,
        /// Pairs of tensors.
        found: usize,
    },
    /// Tensors of another shape than the layer.
    #[error(
        "the weight of layer {layer} does not have the shape {expected:?}, or its bias not the first number of it: give them the shape of the layer"
    )]
    TensorShape {
        /// Place of the layer, from 0.
        layer: usize,
        /// Shape of the weight by the description.
        expected: Vec<usize>,
    },
    /// NaN or infinity in the parameters.
    #[error(
        "layer {layer} of the model has a parameter that is not finite: train again with a smaller learning rate"
    )]
    NotFinite {
        /// Place of the layer, from 0.
        layer: usize,
    },
}

impl Description {
    /// Place and shape of the weight of each layer that has one, in order. A bias has as many numbers as the weight has
    /// outputs, which are its first dimension.
    pub fn weights(&self) -> Vec<(usize, Vec<usize>)> {
        let layers = self.layers.iter().enumerate();
        layers.filter_map(|(place, layer)| Some((place, layer.weight_shape()?))).collect()
    }

    /// Check that the parts agree with each other.
    ///
    /// # Errors
    /// [`DescriptionError`] for the first contradiction.
    pub fn check(&self) -> Result<(), DescriptionError> {
        if self.layers.iter().all(|layer| layer.weight_shape().is_none()) {
            return Err(DescriptionError::NoLayers);
        }
        let features = self.input.features();
        let mut shape = match self.image {
            Some(image) if image.numbers() != Some(features) => {
                return Err(DescriptionError::Image { features });
            }
            Some(image) => Shape::Image(image),
            None => Shape::Row(features),
        };
        for (place, layer) in self.layers.iter().enumerate() {
            shape = layer.output(place, shape)?;
        }
        let Shape::Row(width) = shape else {
            return Err(DescriptionError::Row { layer: self.layers.len() });
        };
        let classes = self.input.classes();
        if width != classes && !(width == 1 && classes == 2) {
            return Err(DescriptionError::Outputs { outputs: width, classes });
        }
        if self.classes != self.input.class_names() {
            return Err(DescriptionError::Classes);
        }
        let FixedPoint { ring_bits, fraction_bits } = self.fixed_point;
        if ring_bits > 64 || fraction_bits >= ring_bits {
            return Err(DescriptionError::FixedPoint { ring_bits, fraction_bits });
        }
        self.training.check()
    }
}

impl TrainingSummary {
    fn check(&self) -> Result<(), DescriptionError> {
        let in_range = |value: f64, most: f64| (0.0..=most).contains(&value);
        // JSON has no infinity: a number that is not finite would not come back.
        let field = if !in_range(self.seconds, f64::MAX) {
            "seconds"
        } else if self.accuracy.is_some_and(|accuracy| !in_range(accuracy, 1.0)) {
            "accuracy"
        } else if self.privacy.is_some_and(|spent| !in_range(spent.epsilon, f64::MAX)) {
            "epsilon"
        } else if self.privacy.is_some_and(|spent| !in_range(spent.delta, 1.0)) {
            "delta"
        } else {
            return Ok(());
        };
        Err(DescriptionError::Summary { field })
    }
}

impl TryFrom<String> for JobHash {
    type Error = DescriptionError;

    fn try_from(text: String) -> Result<Self, DescriptionError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(DescriptionError::JobHash),
        };
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| DescriptionError::JobHash)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(hash))
    }
}

impl From<JobHash> for String {
    fn from(hash: JobHash) -> Self {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
