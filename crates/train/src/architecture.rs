//! The shapes of all layers, resolved and checked once, for training on shares and in plaintext alike.

use std::sync::Arc;

use tercet_share::kernel::ConvGeometry;

use crate::SpecError;
use crate::layers::dropout;
use crate::spec::{InputSpec, LayerSpec, Loss, ModelSpec};

/// Shape of one row between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A row of numbers.
    Vector(usize),
    /// An image, channel-major.
    Image {
        /// Channels.
        channels: usize,
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
}

impl Shape {
    /// Numbers in one row.
    pub fn len(self) -> usize {
        match self {
            Shape::Vector(n) => n,
            Shape::Image { channels, height, width } => channels * height * width,
        }
    }

    /// True if a row is empty; no checked architecture has such a shape.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A layer with its sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// Fully connected.
    Dense {
        /// Inputs.
        inputs: usize,
        /// Outputs.
        units: usize,
    },
    /// Convolution; weights are `(channels · kernel · kernel) × filters`.
    Conv2d {
        /// The input and the kernel.
        geometry: ConvGeometry,
        /// Output channels.
        filters: usize,
    },
    /// ReLU.
    Relu,
    /// Sigmoid.
    Sigmoid,
    /// Maximum over windows.
    MaxPool(Windows),
    /// Mean over windows.
    AvgPool(Windows),
    /// Change of shape only.
    Flatten,
    /// Dropout.
    Dropout {
        /// Probability of dropping a value.
        rate: f64,
    },
    /// Batch normalisation of the dense or convolution layer directly before it; weights are `1 × channels`, twice.
    BatchNorm {
        /// Units or channels.
        channels: usize,
        /// Numbers of a channel in one row.
        positions: usize,
        /// Weight of a batch in the running averages.
        momentum: f64,
        /// Added to a variance.
        epsilon: f64,
    },
}

/// Windows of a pooling layer: size × size, side by side; rows and columns that fill no window are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Channels.
    pub channels: usize,
    /// Height of the input in pixels.
    pub height: usize,
    /// Width of the input in pixels.
    pub width: usize,
    /// Height and width of a window.
    pub size: usize,
}

impl Windows {
    /// Input column of each position of each window: windows channel-major, the positions of one window side by side.
    pub fn index(&self) -> Vec<usize> {
        let (rows, cols) = (self.height / self.size, self.width / self.size);
        let mut index = Vec::with_capacity(self.channels * rows * cols * self.group());
        for c in 0..self.channels {
            for window in 0..rows * cols {
                let (top, left) = (window / cols * self.size, window % cols * self.size);
                for position in 0..self.group() {
                    let (y, x) = (top + position / self.size, left + position % self.size);
                    index.push((c * self.height + y) * self.width + x);
                }
            }
        }
        index
    }

    /// Positions in one window.
    pub fn group(&self) -> usize {
        self.size * self.size
    }

    /// For each position of each window, the column of its window.
    pub fn repeat(&self) -> Arc<[usize]> {
        (0..self.output().len() * self.group()).map(|i| i / self.group()).collect()
    }

    /// Numbers in one input row.
    pub fn inputs(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn output(&self) -> Shape {
        Shape::Image {
            channels: self.channels,
            height: self.height / self.size,
            width: self.width / self.size,
        }
    }
}

/// A layer with the shapes before and after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerShape {
    /// The layer.
    pub node: Node,
    /// Shape of a row before it.
    pub input: Shape,
    /// Shape of a row after it.
    pub output: Shape,
}

impl LayerShape {
    /// Shape of the weights, inputs of one unit × units; `None` for a layer without weights. A batch normalisation has one
    /// scale for each unit.
    pub fn weight(&self) -> Option<(usize, usize)> {
        match self.node {
            Node::Dense { inputs, units } => Some((inputs, units)),
            Node::Conv2d { geometry, filters } => Some((geometry.patch_len(), filters)),
            Node::BatchNorm { channels, .. } => Some((1, channels)),
            _ => None,
        }
    }
}

/// A model whose layers fit each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    layers: Vec<LayerShape>,
    input: usize,
    loss: Loss,
}

/// Most weights of one layer: 2^28, two gibibytes of ring elements.
const MAX_WEIGHTS: usize = 1 << 28;

impl Architecture {
    /// Resolves the shapes of `model`.
    ///
    /// # Errors
    /// The layer that does not fit, with the shape that it gets.
    pub fn new(model: &ModelSpec) -> Result<Architecture, SpecError> {
        let mut shape = match model.input {
            InputSpec::Features(n) => Shape::Vector(n),
            InputSpec::Image { channels, height, width } => Shape::Image { channels, height, width },
        };
        if model.input.is_empty() {
            return Err(SpecError::value("model.input", "empty", "use at least one number a row"));
        }
        let mut layers = Vec::with_capacity(model.layers.len());
        for (index, spec) in model.layers.iter().enumerate() {
            let before = layers.last().map(|layer: &LayerShape| layer.node);
            let (node, output) = resolve(spec, shape, before).map_err(|why| SpecError::Layer {
                index,
                kind: spec.kind(),
                why,
            })?;
            layers.push(LayerShape { node, input: shape, output });
            shape = output;
        }
        let mut architecture = Architecture { layers, input: model.input.len(), loss: model.loss };
        architecture.check_end(model)?;
        architecture.pool_before_relu();
        Ok(architecture)
    }

    /// The layers in order.
    pub fn layers(&self) -> &[LayerShape] {
        &self.layers
    }

    /// Numbers in one input row.
    pub fn inputs(&self) -> usize {
        self.input
    }

    /// Outputs of the last layer.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(self.input, |l| l.output.len())
    }

    /// Numbers in the widest row between two layers.
    pub fn widest(&self) -> usize {
        self.layers.iter().map(|l| l.output.len()).fold(self.input, usize::max)
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.layers.iter().filter_map(LayerShape::weight).map(|(i, o)| i * o + o).sum()
    }

    /// True if the first layer after `index` that is not a mere rearrangement or pooling is a ReLU.
    pub fn relu_follows(&self, index: usize) -> bool {
        self.layers[index + 1..]
            .iter()
            .find(|l| matches!(l.node, Node::Dense { .. } | Node::Conv2d { .. } | Node::Relu | Node::Sigmoid))
            .is_some_and(|l| l.node == Node::Relu)
    }

    /// Product of the keep probabilities of the dropout layers between layer `index` and the layer with weights, or the
    /// sigmoid, before it.
    pub fn keep_before(&self, index: usize) -> f64 {
        self.layers[..index]
            .iter()
            .rev()
            .take_while(|l| l.weight().is_none() && l.node != Node::Sigmoid)
            .map(|l| if let Node::Dropout { rate } = l.node { dropout::keep(rate).value() } else { 1.0 })
            .product()
    }

    /// Place of the first layer with weights.
    pub fn first_weights(&self) -> usize {
        self.layers.iter().position(|l| l.weight().is_some()).unwrap_or(0)
    }

    /// The same layers with dropout and batch normalisation switched off, for released weights.
    pub(crate) fn released(mut self) -> Architecture {
        for layer in &mut self.layers {
            if let Node::Dropout { .. } | Node::BatchNorm { .. } = layer.node {
                layer.node = Node::Flatten;
            }
        }
        self
    }

    /// True if a last batch of `rows` rows leaves some batch normalisation a single number of a channel.
    pub(crate) fn too_few(&self, rows: usize) -> bool {
        let positions = self.layers.iter().filter_map(|layer| match layer.node {
            Node::BatchNorm { positions, .. } => Some(positions),
            _ => None,
        });
        positions.min().is_some_and(|positions| rows * positions == 1)
    }

    /// Moves every ReLU that comes directly before a max-pooling behind it: the same function and gradient, on one value a
    /// window instead of all.
    fn pool_before_relu(&mut self) {
        for index in 1..self.layers.len() {
            if let [relu, pool] = &mut self.layers[index - 1..=index]
                && relu.node == Node::Relu
                && matches!(pool.node, Node::MaxPool(_))
            {
                std::mem::swap(relu, pool);
                self.layers[index].input = self.layers[index - 1].output;
                self.layers[index].output = self.layers[index - 1].output;
            }
        }
    }

    fn check_end(&self, model: &ModelSpec) -> Result<(), SpecError> {
        // Between weights, everything but a sigmoid passes a factor through to the next weights.
        let mut dropped = None;
        for (index, layer) in self.layers.iter().enumerate() {
            match layer.node {
                Node::Dropout { .. } => dropped = Some(index),
                Node::Dense { .. } | Node::Conv2d { .. } => dropped = None,
                Node::Sigmoid if dropped.is_some() => {
                    let why = "comes before a sigmoid; put it after the sigmoid".to_owned();
                    return Err(SpecError::Layer { index: dropped.unwrap_or(0), kind: "dropout", why });
                }
                _ => {}
            }
        }
        let Some(last) = self.layers.last() else {
            return Err(SpecError::value("model.layers", "empty", "use at least one dense layer"));
        };
        let index = self.layers.len() - 1;
        let bad = |why: &str| {
            Err(SpecError::Layer { index, kind: model.layers[index].kind(), why: why.to_owned() })
        };
        if !self.layers.iter().any(|l| l.weight().is_some()) {
            return Err(SpecError::value("model.layers", "without weights", "use at least one dense layer"));
        }
        let Shape::Vector(outputs) = last.output else {
            return bad("is the last one but gives images; add flatten and dense layers");
        };
        match (self.loss, &last.node) {
            (Loss::MeanSquaredError, Node::Dense { .. } | Node::Sigmoid) => Ok(()),
            (Loss::MeanSquaredError, _) => {
                bad("is the last one; the mean-squared-error loss needs a dense or sigmoid layer there")
            }
            (Loss::BinaryCrossEntropy, Node::Sigmoid) => {
                bad("is the last one, but the binary-cross-entropy loss applies a sigmoid itself; remove it")
            }
            (_, Node::Dense { .. }) if outputs == 1 && self.loss == Loss::SoftmaxCrossEntropy => {
                bad("has 1 unit; the softmax-cross-entropy loss needs one unit per class, at least 2")
            }
            (_, Node::Dense { .. }) => Ok(()),
            _ => bad("is the last one; the cross-entropy losses need a dense layer there"),
        }
    }
}

fn resolve(spec: &LayerSpec, input: Shape, before: Option<Node>) -> Result<(Node, Shape), String> {
    match (spec, input) {
        (LayerSpec::BatchNorm { momentum, epsilon }, _) => {
            let positions = match before {
                Some(Node::Dense { .. }) => 1,
                Some(Node::Conv2d { geometry, .. }) => geometry.output_positions(),
                _ => return Err("must come directly after a dense or conv2d layer".to_owned()),
            };
            if !(0.001..=1.0).contains(momentum) {
                return Err(format!("has momentum {momentum}; use a number from 0.001 to 1"));
            }
            if !(*epsilon > 0.0 && *epsilon <= 1.0) {
                return Err(format!("has epsilon {epsilon}; use a number above 0 and at most 1"));
            }
            let (channels, momentum, epsilon) = (input.len() / positions, *momentum, *epsilon);
            Ok((Node::BatchNorm { channels, positions, momentum, epsilon }, input))
        }
        (LayerSpec::Dense { units }, Shape::Vector(inputs)) => {
            if !(1..=crate::spec::MAX_SIZE).contains(units) || inputs * units > MAX_WEIGHTS {
                return Err(format!(
                    "has {units} units for {inputs} inputs; use 1 to 1048576 units and at most 2^28 weights"
                ));
            }
            Ok((Node::Dense { inputs, units: *units }, Shape::Vector(*units)))
        }
        (LayerSpec::Dense { .. }, Shape::Image { .. }) => {
            Err("gets images; put a flatten layer before it".to_owned())
        }
        (LayerSpec::Relu {}, _) => Ok((Node::Relu, input)),
        (LayerSpec::Sigmoid {}, _) => Ok((Node::Sigmoid, input)),
        (LayerSpec::Flatten {}, _) => Ok((Node::Flatten, Shape::Vector(input.len()))),
        (LayerSpec::Dropout { rate }, _) if (0.0..1.0).contains(rate) => {
            Ok((Node::Dropout { rate: *rate }, input))
        }
        (LayerSpec::Dropout { rate }, _) => {
            Err(format!("has rate {rate}; use a number from 0 up to but not including 1"))
        }
        (
            LayerSpec::Conv2d { channels: filters, kernel, stride, padding },
            Shape::Image { channels, height, width },
        ) => {
            let fits = |length: usize| (1..=length + 2 * padding).contains(kernel);
            if *stride == 0 || *padding >= *kernel || !fits(height) || !fits(width) {
                return Err(format!(
                    "has kernel {kernel}, stride {stride} and padding {padding} for images of {height}x{width}; \
                     use a kernel that fits, a stride of at least 1 and a padding below the kernel"
                ));
            }
            let geometry = ConvGeometry {
                channels,
                height,
                width,
                kernel_h: *kernel,
                kernel_w: *kernel,
                stride: *stride,
                padding: *padding,
            };
            let output = |length: usize| (length + 2 * padding - kernel) / stride + 1;
            let (out_h, out_w) = (output(height), output(width));
            let outputs = filters.checked_mul(out_h * out_w).unwrap_or(usize::MAX);
            if *filters == 0
                || outputs > crate::spec::MAX_SIZE
                || channels * kernel * kernel * filters > MAX_WEIGHTS
            {
                return Err(format!(
                    "has {filters} channels; use at least 1 and at most 1048576 outputs a row"
                ));
            }
            let output = Shape::Image { channels: *filters, height: out_h, width: out_w };
            Ok((Node::Conv2d { geometry, filters: *filters }, output))
        }
        (
            LayerSpec::MaxPool { size } | LayerSpec::AvgPool { size },
            Shape::Image { channels, height, width },
        ) => {
            if !(1..=height.min(width)).contains(size) || *size > 64 {
                return Err(format!(
                    "has windows of {size}x{size} for images of {height}x{width}; use 1 to {}",
                    height.min(width).min(64)
                ));
            }
            let windows = Windows { channels, height, width, size: *size };
            let node = match spec {
                LayerSpec::MaxPool { .. } => Node::MaxPool(windows),
                _ => Node::AvgPool(windows),
            };
            Ok((node, windows.output()))
        }
        (
            LayerSpec::Conv2d { .. } | LayerSpec::MaxPool { .. } | LayerSpec::AvgPool { .. },
            Shape::Vector(n),
        ) => Err(format!(
            "gets rows of {n} numbers; it needs images, so give `model.input` channels, height and width"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(input: InputSpec, layers: Vec<LayerSpec>) -> ModelSpec {
        ModelSpec { input, layers, loss: Loss::SoftmaxCrossEntropy }
    }

    const IMAGE: InputSpec = InputSpec::Image { channels: 1, height: 28, width: 28 };

    #[test]
    fn shapes_follow_the_layers() {
        let layers = vec![
            LayerSpec::Conv2d { channels: 5, kernel: 5, stride: 2, padding: 1 },
            LayerSpec::Relu {},
            LayerSpec::MaxPool { size: 2 },
            LayerSpec::Flatten {},
            LayerSpec::Dropout { rate: 0.5 },
            LayerSpec::Dense { units: 10 },
        ];
        let a = Architecture::new(&model(IMAGE, layers)).unwrap();
        let sizes: Vec<usize> = a.layers().iter().map(|l| l.output.len()).collect();
        assert_eq!(sizes, [5 * 13 * 13, 5 * 6 * 6, 5 * 6 * 6, 180, 180, 10]);
        assert!(matches!(a.layers()[1].node, Node::MaxPool(_)), "pooling comes before ReLU");
        assert_eq!(a.layers()[2].node, Node::Relu);
        assert_eq!((a.inputs(), a.outputs(), a.parameters()), (784, 10, 25 * 5 + 5 + 1800 + 10));
        assert!(a.relu_follows(0) && a.relu_follows(1) && !a.relu_follows(2));
    }

    #[test]
    fn windows_visit_every_pixel_that_fills_a_window_once() {
        let w = Windows { channels: 2, height: 5, width: 4, size: 2 };
        let index = w.index();
        assert_eq!(&index[..8], [0, 1, 4, 5, 2, 3, 6, 7]);
        let mut sorted = index.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), index.len());
        assert_eq!(sorted.last(), Some(&(20 + 15)));
    }

    #[test]
    fn a_layer_that_does_not_fit_is_named_with_what_it_gets() {
        let dense = LayerSpec::Dense { units: 3 };
        let norm = |momentum, epsilon| LayerSpec::BatchNorm { momentum, epsilon };
        let cases: Vec<(InputSpec, Vec<LayerSpec>, &str)> = vec![
            (IMAGE, vec![dense.clone()], "layer 0 (dense) gets images; put a flatten layer before it"),
            (
                InputSpec::Features(4),
                vec![LayerSpec::MaxPool { size: 2 }],
                "layer 0 (max-pool) gets rows of 4",
            ),
            (
                IMAGE,
                vec![LayerSpec::Conv2d { channels: 1, kernel: 40, stride: 1, padding: 0 }],
                "layer 0 (conv2d) has kernel 40",
            ),
            (IMAGE, vec![LayerSpec::AvgPool { size: 29 }], "use 1 to 28"),
            (
                InputSpec::Features(4),
                vec![LayerSpec::Dropout { rate: 1.0 }, dense.clone()],
                "layer 0 (dropout) has rate 1",
            ),
            (InputSpec::Features(4), vec![LayerSpec::Dense { units: 0 }], "layer 0 (dense) has 0 units"),
            (InputSpec::Features(4), vec![LayerSpec::Dense { units: 1 }], "needs one unit per class"),
            (InputSpec::Features(4), vec![], "model.layers is empty"),
            (
                InputSpec::Features(4),
                vec![dense.clone(), LayerSpec::Relu {}],
                "cross-entropy losses need a dense layer",
            ),
            (
                InputSpec::Features(4),
                vec![dense.clone(), LayerSpec::Relu {}, norm(0.1, 0.001), dense.clone()],
                "layer 2 (batch-norm) must come directly after a dense or conv2d layer",
            ),
            (
                InputSpec::Features(4),
                vec![norm(0.1, 0.001), dense.clone()],
                "layer 0 (batch-norm) must come directly after",
            ),
            (InputSpec::Features(4), vec![dense.clone(), norm(0.0, 0.001)], "has momentum 0; use"),
            (InputSpec::Features(4), vec![dense.clone(), norm(f64::NAN, 0.001)], "has momentum NaN; use"),
            (InputSpec::Features(4), vec![dense.clone(), norm(0.1, 0.0)], "has epsilon 0; use"),
            (InputSpec::Features(4), vec![dense.clone(), norm(0.1, 2.0)], "has epsilon 2; use"),
            (
                InputSpec::Features(4),
                vec![dense.clone(), norm(0.1, 0.001)],
                "cross-entropy losses need a dense layer",
            ),
        ];
        for (input, layers, part) in cases {
            let error = Architecture::new(&model(input, layers)).unwrap_err().to_string();
            assert!(error.contains(part), "{error} does not contain {part}");
        }
    }
}
