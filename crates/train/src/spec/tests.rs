use super::*;

const MODEL: &str = r#"
loss = "softmax-cross-entropy"
input = { channels = 1, height = 28, width = 28 }
layers = [
    { kind = "conv2d", channels = 5, kernel = 5, stride = 2, padding = 1 },
    { kind = "relu" },
    { kind = "max-pool", size = 2 },
    { kind = "avg-pool", size = 2 },
    { kind = "flatten" },
    { kind = "dense", units = 100 },
    { kind = "batch-norm", momentum = 0.05 },
    { kind = "sigmoid" },
    { kind = "dropout", rate = 0.5 },
    { kind = "dense", units = 10 },
]
"#;

const TRAINING: &str = r#"
epochs = 5
batch = 128
learning_rate = 0.125
momentum = 0.9
weight_decay = 1e-4
seed = 7
schedule = { kind = "step", every = 2, factor = 0.5 }
optimiser = "sgd"
max_steps = 100
evaluate_every = 1
"#;

fn model_error(text: &str) -> String {
    match toml::from_str::<ModelSpec>(text) {
        Ok(model) => model.validate().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_key_is_read_and_written_back() {
    let model: ModelSpec = toml::from_str(MODEL).unwrap();
    model.validate().unwrap();
    assert_eq!(toml::from_str::<ModelSpec>(&toml::to_string(&model).unwrap()).unwrap(), model);
    let training: TrainingSpec = toml::from_str(TRAINING).unwrap();
    training.validate().unwrap();
    assert_eq!(toml::from_str::<TrainingSpec>(&toml::to_string(&training).unwrap()).unwrap(), training);
    assert_eq!(training.nominal_rate(4), 0.125 / 4.0);
    let fixed: FixedPointSpec = toml::from_str("frac = 14\nweights = 12\nrange_bits = 8").unwrap();
    assert_eq!((fixed.weight_frac(), fixed.gradient_frac(), fixed.weight_bits), (12, 14, 4));
    assert_eq!(toml::from_str::<FixedPointSpec>("").unwrap(), FixedPointSpec::default());
}

#[test]
fn an_optimiser_is_a_name_or_a_table() {
    let read = |text: &str| {
        let training: TrainingSpec =
            toml::from_str(&TRAINING.replacen("optimiser = \"sgd\"", text, 1)).unwrap();
        let again = toml::from_str::<TrainingSpec>(&toml::to_string(&training).unwrap()).unwrap();
        assert_eq!(again, training);
        training.optimiser
    };
    assert_eq!(read("optimiser = { kind = \"sgd\" }"), Optimiser::Sgd);
    assert_eq!(read(""), Optimiser::Sgd);
    assert_eq!(read("optimiser = \"adam\""), Optimiser::Adam(Adam::default()));
    let some = Adam { beta1: 0.8, epsilon: 0.01, ..Adam::default() };
    assert_eq!(read("optimiser = { kind = \"adam\", beta1 = 0.8, epsilon = 0.01 }"), Optimiser::Adam(some));
}

#[test]
fn an_unknown_layer_or_key_is_named() {
    for (from, to, part) in [
        ("kind = \"relu\"", "kind = \"gelu\"", "gelu"),
        ("kind = \"relu\"", "kind = \"relu\", slope = 0.1", "slope"),
        ("kind = \"dense\", units = 100", "kind = \"dense\", unit = 100", "unit"),
        ("loss = ", "lose = ", "lose"),
        ("\"softmax-cross-entropy\"", "\"hinge\"", "hinge"),
        ("channels = 1, height = 28", "channels = 1, depth = 28", "depth"),
        (
            "channels = 1, height = 28, width = 28",
            "channels = 1, height = 28",
            "model.input is { channels = 1",
        ),
        ("channels = 1, height = 28, width = 28", "features = 0", "model.input is { features = 0 }"),
        ("{ kind = \"flatten\" },", "", "layer 4 (dense) gets images"),
    ] {
        let error = model_error(&MODEL.replacen(from, to, 1));
        assert!(error.contains(part), "{to}: {error}");
    }
}

#[test]
fn a_training_number_out_of_range_is_named() {
    for (from, to, part) in [
        ("epochs = 5", "epochs = 0", "training.epochs is 0"),
        ("batch = 128", "batch = 0", "training.batch is 0"),
        ("learning_rate = 0.125", "learning_rate = 0.0", "training.learning_rate is 0"),
        ("learning_rate = 0.125", "learning_rate = nan", "training.learning_rate is NaN"),
        ("momentum = 0.9", "momentum = 1.0", "training.momentum is 1"),
        ("weight_decay = 1e-4", "weight_decay = -1.0", "training.weight_decay is -1"),
        ("every = 2", "every = 0", "training.schedule.every is 0"),
        ("factor = 0.5", "factor = 2.0", "training.schedule.factor is 2"),
        ("max_steps = 100", "max_steps = 0", "training.max_steps is 0"),
        ("seed = 7", "sead = 7", "sead"),
        ("optimiser = \"sgd\"", "optimiser = \"lbfgs\"", "lbfgs"),
        ("kind = \"step\", every = 2, factor = 0.5", "kind = \"constant\", every = 2", "every"),
        ("kind = \"step\", every = 2", "kind = \"exponential\", every = 2", "every"),
        ("kind = \"step\", every = 2, factor = 0.5", "kind = \"cosine\", least = 1.5", "least is 1.5"),
        ("factor = 0.5", "factor = 0.5, warm_up = 2000000", "warm_up is 2000000"),
        ("optimiser = \"sgd\"", "optimiser = \"adam\"", "training.momentum is 0.9; leave it out"),
        ("optimiser = \"sgd\"", "optimiser = { kind = \"adam\", beta = 0.9 }", "beta"),
        ("optimiser = \"sgd\"", "optimiser = { kind = \"sgd\", beta1 = 0.9 }", "beta1"),
        ("optimiser = \"sgd\"", "optimiser = { kind = \"adam\", beta2 = 1.0 }", "optimiser.beta2 is 1"),
        ("optimiser = \"sgd\"", "optimiser = { kind = \"adam\", epsilon = 0.0 }", "optimiser.epsilon is 0"),
        ("optimiser = \"sgd\"", "optimiser = { kind = \"adam\", gradient_bits = 30 }", "gradient_bits is 30"),
    ] {
        let text = TRAINING.replacen(from, to, 1);
        let error = match toml::from_str::<TrainingSpec>(&text) {
            Ok(training) => training.validate().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(part), "{to}: {error}");
    }
    let fixed = FixedPointSpec { weights: Some(30), ..FixedPointSpec::default() };
    assert!(fixed.validate().unwrap_err().to_string().contains("fixed_point.weights is 30"));
    let fixed = FixedPointSpec { range_bits: 0, ..FixedPointSpec::default() };
    assert!(fixed.validate().unwrap_err().to_string().contains("fixed_point.range_bits is 0"));
}
