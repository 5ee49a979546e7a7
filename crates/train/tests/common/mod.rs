//! Models, rows and runs that the trainings of every protocol share.

use ndarray::Array2;
use tercet_engine::{Cost, Engine};
use tercet_train::spec::{
    FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TargetsSpec, TrainingSpec,
};
use tercet_train::{DataSets, Outcome, Release, RowValues, Rows, TrainError, Trainer, TrainingJob};

/// A job of `epochs` epochs of batches of 16.
pub fn job(model: ModelSpec, momentum: f64, epochs: u32) -> TrainingJob {
    let training = TrainingSpec {
        epochs,
        batch: 16,
        learning_rate: 0.25,
        momentum,
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

/// Points near one corner per class, by a fixed rule.
pub fn rows(owner: usize, count: usize, inputs: usize, salt: usize) -> Rows {
    let features = Array2::from_shape_fn((count, inputs), |(r, c)| {
        let noise = ((r * 31 + c * 17 + owner * 7 + salt) * 2654435761 % 1000) as f32 / 1000.0 - 0.5;
        noise + if c % 3 == r % 3 { 0.8 } else { -0.2 }
    });
    let targets = Array2::from_shape_fn((count, 3), |(r, k)| f32::from(u8::from(r % 3 == k)));
    Rows { owner, rows: count, values: Some(RowValues { features, targets }) }
}

/// Fifty training rows of three owners, thirty test rows of one.
pub fn data(inputs: usize) -> DataSets {
    DataSets {
        train: vec![rows(0, 20, inputs, 1), rows(1, 13, inputs, 2), rows(2, 17, inputs, 3)],
        test: vec![rows(1, 30, inputs, 4)],
    }
}

/// The data as `party` has it: the others' values are missing.
pub fn seen_by(data: &DataSets, party: usize) -> DataSets {
    let mut own = data.clone();
    for set in own.train.iter_mut().chain(&mut own.test).filter(|s| s.owner != party) {
        set.values = None;
    }
    own
}

/// Trains to the end: what came out, what it cost, and the engine.
pub fn train<E: Engine + 'static>(
    engine: E,
    job: &TrainingJob,
    data: DataSets,
) -> Result<(Outcome, Cost, E), TrainError> {
    let mut trainer = Trainer::new(engine, job, data)?;
    let outcome = trainer.run(&mut |_, _| {})?;
    let cost = trainer.engine().measured();
    Ok((outcome, cost, trainer.into_engine()))
}
