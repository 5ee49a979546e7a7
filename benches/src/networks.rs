//! The networks that are measured.

use tercet_train::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec, TrainingSpec,
};
use tercet_train::{Architecture, Release, SpecError, TrainingJob};

const RELU: LayerSpec = LayerSpec::Relu {};
const FLATTEN: LayerSpec = LayerSpec::Flatten {};
const POOL: LayerSpec = LayerSpec::MaxPool { size: 2 };
const PIXELS: InputSpec = InputSpec::Image { channels: 1, height: 28, width: 28 };

fn dense(units: usize) -> LayerSpec {
    LayerSpec::Dense { units }
}

fn conv(channels: usize, stride: usize, padding: usize) -> LayerSpec {
    LayerSpec::Conv2d { channels, kernel: 5, stride, padding }
}

/// A network to measure, with a learning rate at which its synthetic training is stable.
#[derive(Clone)]
pub struct Network {
    /// Its short name in tables.
    pub name: &'static str,
    /// Its layers in words.
    pub layers: &'static str,
    /// The model.
    pub model: ModelSpec,
    rate: f64,
}

impl Network {
    /// Network A of SecureML (Mohassel and Zhang, S&P 2017): 784-128-128-10.
    pub fn a() -> Network {
        let layers = vec![dense(128), RELU, dense(128), RELU, dense(10)];
        Network::new("A", "784-128-128-10", InputSpec::Features(784), layers, 0.25)
    }

    /// The network of the breast cancer job: 30-16-2.
    pub fn breast_cancer() -> Network {
        let layers = vec![dense(16), RELU, dense(2)];
        Network::new("30-16-2", "30-16-2", InputSpec::Features(30), layers, 0.5)
    }

    /// A small convolutional network: one convolution with stride 2, two dense layers.
    pub fn small_conv() -> Network {
        let layers = vec![conv(5, 2, 2), RELU, FLATTEN, dense(100), RELU, dense(10)];
        let words = "28x28, conv 5x5x5 stride 2 padding 2, dense 100, dense 10";
        Network::new("small conv", words, PIXELS, layers, 0.125)
    }

    /// Network C, of the size of LeNet (LeCun et al. 1998). Each ReLU comes after its pooling: it is the same function as
    /// before it, on a quarter of the values.
    pub fn c() -> Network {
        let layers = vec![
            conv(20, 1, 0),
            POOL,
            RELU,
            conv(50, 1, 0),
            POOL,
            RELU,
            FLATTEN,
            dense(500),
            RELU,
            dense(10),
        ];
        let words = "28x28, conv 5x5x20, max-pool 2, conv 5x5x50, max-pool 2, dense 500, dense 10";
        Network::new("C", words, PIXELS, layers, 0.125)
    }

    fn new(
        name: &'static str,
        layers: &'static str,
        input: InputSpec,
        specs: Vec<LayerSpec>,
        rate: f64,
    ) -> Network {
        let model = ModelSpec { input, layers: specs, loss: Loss::SoftmaxCrossEntropy };
        Network { name, layers, model, rate }
    }

    /// Weights and biases.
    ///
    /// # Errors
    /// Layers that do not fit together.
    pub fn parameters(&self) -> Result<usize, SpecError> {
        Ok(Architecture::new(&self.model)?.parameters())
    }

    /// A training with mini-batches of `batch` rows, 16 fractional bits and seed 1, that goes on for as long as it is
    /// asked to and releases nothing.
    pub fn job(&self, batch: usize) -> TrainingJob {
        let training = TrainingSpec {
            epochs: 1_000_000,
            batch,
            learning_rate: self.rate,
            momentum: 0.0,
            weight_decay: 0.0,
            seed: 1,
            schedule: Schedule::default(),
            optimiser: Optimiser::Sgd,
            max_steps: None,
            evaluate_every: 0,
        };
        TrainingJob {
            privacy: None,
            model: self.model.clone(),
            training,
            fixed_point: FixedPointSpec::default(),
            standardise: false,
            targets: TargetsSpec::default(),
            release: Release::default(),
        }
    }
}
