//! The layers of a model, and the shape of a row between them.

use serde::{Deserialize, Serialize};

use super::DescriptionError;

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// output = weight · input + bias.
    Dense {
        /// Width of the input.
        inputs: usize,
        /// Width of the output.
        outputs: usize,
    },
    /// Two-dimensional cross-correlation with bias, as in all frameworks, on a square kernel with zero padding.
    #[serde(rename = "conv2d")]
    Conv2d {
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Height and width of the kernel, pixels.
        kernel: usize,
        /// Step between two patches, pixels.
        stride: usize,
        /// Zero pixels on each side.
        padding: usize,
    },
    /// Largest value of each `size` × `size` window, windows side by side; what fills no window is left out.
    MaxPool {
        /// Height and width of a window, pixels.
        size: usize,
    },
    /// Mean of each `size` × `size` window, windows side by side; what fills no window is left out.
    AvgPool {
        /// Height and width of a window, pixels.
        size: usize,
    },
    /// An image as a row of numbers, channel-major.
    Flatten,
    /// Nothing: dropout was there in training, and the weights after it already hold its factor.
    Dropout {
        /// Probability with which training dropped a value.
        rate: f64,
    },
    /// Nothing: batch normalisation was there in training, and the weights of the layer before it already hold it.
    FoldedBatchNorm,
    /// max(0, x).
    Relu,
    /// 1 / (1 + e^−x), or the approximation that the protocol states.
    Sigmoid,
    /// e^x over the sum of e^x of the row.
    Softmax,
}

/// An input row read as an image: channel-major, each channel row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Channels.
    pub channels: usize,
    /// Height, pixels.
    pub height: usize,
    /// Width, pixels.
    pub width: usize,
}

impl Image {
    /// Numbers in it; `None` beyond what memory can address.
    pub fn numbers(&self) -> Option<usize> {
        self.channels.checked_mul(self.height)?.checked_mul(self.width)
    }
}

/// What one row is between two layers.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Row(usize),
    Image(Image),
}

impl Layer {
    /// Shape of the weight tensor: `[outputs, inputs]` of a dense layer, `[outputs, inputs, kernel, kernel]` of a
    /// convolution; `None` for a layer without weights.
    pub fn weight_shape(&self) -> Option<Vec<usize>> {
        match *self {
            Layer::Dense { inputs, outputs } => Some(vec![outputs, inputs]),
            Layer::Conv2d { inputs, outputs, kernel, .. } => Some(vec![outputs, inputs, kernel, kernel]),
            _ => None,
        }
    }

    /// The row after this layer, the one at `place`, from the row before it.
    pub(super) fn output(&self, place: usize, before: Shape) -> Result<Shape, DescriptionError> {
        let window = || DescriptionError::Window { layer: place };
        match (*self, before) {
            (Layer::Dense { inputs, outputs }, Shape::Row(width)) if inputs == width => {
                Ok(Shape::Row(outputs))
            }
            (Layer::Dense { inputs, .. }, Shape::Row(width)) => {
                Err(DescriptionError::Chain { layer: place, inputs, width })
            }
            (Layer::Dense { .. } | Layer::Softmax, Shape::Image(_)) => {
                Err(DescriptionError::Row { layer: place })
            }
            (Layer::Conv2d { inputs, .. }, Shape::Image(image)) if inputs != image.channels => {
                Err(DescriptionError::Chain { layer: place, inputs, width: image.channels })
            }
            (Layer::Conv2d { outputs, kernel, stride, padding, .. }, Shape::Image(image)) => {
                let length = |length: usize| {
                    let room = padding.checked_mul(2)?.checked_add(length)?.checked_sub(kernel)?;
                    Some(room.checked_div(stride)? + 1)
                };
                if kernel == 0 || outputs == 0 || padding >= kernel {
                    return Err(window());
                }
                let (height, width) = length(image.height).zip(length(image.width)).ok_or_else(window)?;
                let after = Image { channels: outputs, height, width };
                after.numbers().map(|_| Shape::Image(after)).ok_or_else(window)
            }
            (Layer::MaxPool { size } | Layer::AvgPool { size }, Shape::Image(image)) => {
                if !(1..=image.height.min(image.width)).contains(&size) {
                    return Err(window());
                }
                let (height, width) = (image.height / size, image.width / size);
                Ok(Shape::Image(Image { height, width, ..image }))
            }
            (Layer::Conv2d { .. } | Layer::MaxPool { .. } | Layer::AvgPool { .. }, Shape::Row(_)) => {
                Err(DescriptionError::NeedsImage { layer: place })
            }
            (Layer::Flatten, Shape::Image(image)) => image.numbers().map(Shape::Row).ok_or_else(window),
            (Layer::Dropout { rate }, _) if !(0.0..1.0).contains(&rate) => {
                Err(DescriptionError::Rate { layer: place })
            }
            (
                Layer::Flatten
                | Layer::Dropout { .. }
                | Layer::FoldedBatchNorm
                | Layer::Relu
                | Layer::Sigmoid
                | Layer::Softmax,
                same,
            ) => Ok(same),
        }
    }
}
