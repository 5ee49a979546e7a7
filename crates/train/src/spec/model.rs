use serde::{Deserialize, Serialize};

use super::SpecError;

/// The `[model]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Shape of one row.
    pub input: InputSpec,
    /// The layers, first to last. The last one gives the logits or the estimate; the loss adds softmax or sigmoid.
    pub layers: Vec<LayerSpec>,
    /// What training minimises.
    pub loss: Loss,
}

/// Shape of one row: `{ features = 30 }`, or `{ channels = 1, height = 28, width = 28 }` (channel-major).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawInput", into = "RawInput")]
pub enum InputSpec {
    /// A row of numbers.
    Features(usize),
    /// An image.
    Image {
        /// Channels.
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
}

impl InputSpec {
    /// Numbers in one row.
    pub fn len(&self) -> usize {
        match *self {
            InputSpec::Features(n) => n,
            InputSpec::Image { channels, height, width } => channels * height * width,
        }
    }

    /// True if a row is empty; no valid job has such a row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The flat form in a file; it gives better messages than an untagged enum.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    features: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
}

/// Largest input row, layer width, or kernel.
pub(crate) const MAX_SIZE: usize = 1 << 20;

impl TryFrom<RawInput> for InputSpec {
    type Error = SpecError;

    fn try_from(raw: RawInput) -> Result<InputSpec, SpecError> {
        let bad = || {
            let expected = "give either `features` or all of `channels`, `height` and `width`, with 1 to 1048576 numbers a row";
            let shown = [
                ("features", raw.features),
                ("channels", raw.channels),
                ("height", raw.height),
                ("width", raw.width),
            ];
            let shown: Vec<String> =
                shown.iter().filter_map(|(k, v)| v.map(|v| format!("{k} = {v}"))).collect();
            SpecError::value("model.input", format!("{{ {} }}", shown.join(", ")), expected)
        };
        let fits = |n: usize| (1..=MAX_SIZE).contains(&n);
        match (raw.features, raw.channels, raw.height, raw.width) {
            (Some(n), None, None, None) if fits(n) => Ok(InputSpec::Features(n)),
            (None, Some(channels), Some(height), Some(width))
                if channels.checked_mul(height).and_then(|n| n.checked_mul(width)).is_some_and(fits) =>
            {
                Ok(InputSpec::Image { channels, height, width })
            }
            _ => Err(bad()),
        }
    }
}

impl From<InputSpec> for RawInput {
    fn from(input: InputSpec) -> RawInput {
        match input {
            InputSpec::Features(n) => {
                RawInput { features: Some(n), channels: None, height: None, width: None }
            }
            InputSpec::Image { channels, height, width } => RawInput {
                features: None,
                channels: Some(channels),
                height: Some(height),
                width: Some(width),
            },
        }
    }
}

/// One layer. Variants without keys are written as empty structs because serde would accept any key otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerSpec {
    /// Fully connected, with bias.
    Dense {
        /// Outputs.
        units: usize,
    },
    /// max(0, x).
    Relu {},
    /// 1 / (1 + e^−x).
    Sigmoid {},
    /// Convolution with bias and zero padding.
    #[serde(rename = "conv2d")]
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Kernel height and width.
        kernel: usize,
        /// Step between two patches (default 1).
        #[serde(default = "one")]
        stride: usize,
        /// Zero pixels on each side (default 0).
        #[serde(default)]
        padding: usize,
    },
    /// Largest of each size × size window; windows do not overlap.
    MaxPool {
        /// Height and width of a window.
        size: usize,
    },
    /// Mean of each size × size window; windows do not overlap.
    AvgPool {
        /// Height and width of a window.
        size: usize,
    },
    /// An image as a row of numbers, channel-major.
    Flatten {},
    /// Each value is dropped with probability `rate` in training, by a public seeded mask.
    Dropout {
        /// Probability, from 0 up to but not including 1.
        rate: f64,
    },
    /// Each unit or channel of the dense or convolution layer before it less its mean over the batch, over its deviation √(variance
    /// + epsilon), times a trained scale, plus a trained shift. Evaluations and the released model use running means and variances.
    BatchNorm {
        /// Weight of a batch in the running averages, from 0.001 to 1 (default 0.1). Their start has no weight.
        #[serde(default = "tenth")]
        momentum: f64,
        /// Added to a variance, above 0 and at most 1 (default 0.001).
        #[serde(default = "thousandth")]
        epsilon: f64,
    },
}

impl LayerSpec {
    /// The name that the job file uses.
    pub fn kind(&self) -> &'static str {
        match self {
            LayerSpec::Dense { .. } => "dense",
            LayerSpec::Relu {} => "relu",
            LayerSpec::Sigmoid {} => "sigmoid",
            LayerSpec::Conv2d { .. } => "conv2d",
            LayerSpec::MaxPool { .. } => "max-pool",
            LayerSpec::AvgPool { .. } => "avg-pool",
            LayerSpec::Flatten {} => "flatten",
            LayerSpec::Dropout { .. } => "dropout",
            LayerSpec::BatchNorm { .. } => "batch-norm",
        }
    }
}

fn one() -> usize {
    1
}

fn tenth() -> f64 {
    0.1
}

fn thousandth() -> f64 {
    0.001
}

/// What training minimises: the mean over rows of one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// −Σ_k t_k log softmax(z)_k of the logits z and one-hot targets t.
    SoftmaxCrossEntropy,
    /// Σ_k log(1 + e^z_k) − t_k z_k of the logits z and targets t in [0, 1].
    BinaryCrossEntropy,
    /// ½ Σ_k (z_k − t_k)².
    MeanSquaredError,
}

impl ModelSpec {
    /// Checks the layers against each other; see [`Architecture`](crate::Architecture).
    pub fn validate(&self) -> Result<(), SpecError> {
        crate::Architecture::new(self).map(|_| ())
    }
}
