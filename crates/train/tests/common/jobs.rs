//! Models, and jobs that train them.

use tercet_train::spec::{
    Adam, BoundMode, FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, NoiseKind, Optimiser,
    PrivacySpec, Schedule, TargetsSpec, TrainingSpec,
};
use tercet_train::{Privacy, Release, TrainingJob};

/// A job of batches of 16.
pub fn job(model: ModelSpec) -> TrainingJob {
    let training = TrainingSpec {
        epochs: 3,
        batch: 16,
        learning_rate: 0.25,
        momentum: 0.0,
        weight_decay: 0.0,
        seed: 3,
        schedule: Schedule::default(),
        optimiser: Optimiser::Sgd,
        max_steps: None,
        evaluate_every: 0,
    };
    let fixed_point = FixedPointSpec {
        activations: Some(12),
        gradients: Some(14),
        range_bits: 5,
        ..FixedPointSpec::default()
    };
    let release = Release { model: vec![0, 2], accuracy: vec![0, 1, 2], loss: vec![1] };
    TrainingJob {
        model,
        training,
        fixed_point,
        standardise: false,
        privacy: None,
        targets: TargetsSpec::default(),
        release,
    }
}

/// Six features, three classes.
pub fn classifier() -> ModelSpec {
    let layers = vec![LayerSpec::Dense { units: 10 }, LayerSpec::Relu {}, LayerSpec::Dense { units: 3 }];
    ModelSpec { input: InputSpec::Features(6), layers, loss: Loss::SoftmaxCrossEntropy }
}

/// The classifier with one layer more.
pub fn deeper() -> ModelSpec {
    let mut model = classifier();
    model.layers.splice(0..0, [LayerSpec::Dense { units: 8 }, LayerSpec::Relu {}]);
    model
}

/// The classifier with a batch normalisation.
pub fn normalised() -> ModelSpec {
    let mut model = classifier();
    model.layers.insert(1, LayerSpec::BatchNorm { momentum: 0.1, epsilon: 0.001 });
    model
}

/// One channel of 8 x 8 pixels, three classes, every kind of layer.
pub fn images() -> ModelSpec {
    let layers = vec![
        LayerSpec::Conv2d { channels: 3, kernel: 3, stride: 1, padding: 1 },
        LayerSpec::BatchNorm { momentum: 0.1, epsilon: 0.001 },
        LayerSpec::Relu {},
        LayerSpec::MaxPool { size: 2 },
        LayerSpec::AvgPool { size: 2 },
        LayerSpec::Flatten {},
        LayerSpec::Dropout { rate: 0.25 },
        LayerSpec::Dense { units: 3 },
    ];
    ModelSpec {
        input: InputSpec::Image { channels: 1, height: 8, width: 8 },
        layers,
        loss: Loss::SoftmaxCrossEntropy,
    }
}

/// The classifier with Adam.
pub fn with_adam() -> TrainingJob {
    let mut job = job(classifier());
    job.training.optimiser = Optimiser::Adam(Adam { epsilon: 1e-3, ..Adam::default() });
    job.training.learning_rate = 1.0 / 64.0;
    job.training.epochs = 10;
    job
}

/// The classifier, two private steps on all rows.
pub fn private(mode: BoundMode) -> TrainingJob {
    let mut job = job(classifier());
    (job.training.batch, job.training.epochs, job.training.learning_rate) = (50, 2, 0.5);
    job.fixed_point = FixedPointSpec { range_bits: 16, weight_bits: 9, ..FixedPointSpec::default() };
    let spec = PrivacySpec {
        unit: "record".to_owned(),
        unit_rows: None,
        unit_owners: None,
        noise: NoiseKind::default(),
        epsilon: 50.0,
        delta: 1e-3,
        mode,
        clip: 1.0,
        gamma: None,
        row_norm: None,
    };
    job.privacy = Some(Privacy { spec, corrupt: crate::CORRUPT });
    job
}
