//! A model goes to disk and comes back, or is refused.

use std::path::Path;

use ndarray::{Array1, ArrayD, Axis, IxDyn};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tercet_data::model::{
    self, Description, DescriptionError, FixedPoint, Image, JobHash, Layer, Model, ModelError, Parameters,
    PrivacySpent, TrainingSummary,
};
use tercet_data::{DataError, Limits};

const SCHEMA: &str = r#"
    format = "csv"
    standardise = "shares"
    features = [{ name = "age", min = 0, max = 100 }, { name = "dose", min = -1.5, max = 0.1 }]
    label = { column = "outcome", classes = ["worse", "middling", "better"] }
"#;

fn description() -> Description {
    Description {
        layers: vec![
            Layer::Dense { inputs: 2, outputs: 4 },
            Layer::Relu,
            Layer::Dense { inputs: 4, outputs: 3 },
            Layer::Softmax,
        ],
        input: toml::from_str(SCHEMA).unwrap(),
        image: None,
        classes: ["worse", "middling", "better"].map(String::from).to_vec(),
        fixed_point: FixedPoint { ring_bits: 64, fraction_bits: 20 },
        job_hash: JobHash(std::array::from_fn(|byte| byte as u8 * 7)),
        training: TrainingSummary {
            protocol: "helper".into(),
            rows: 455,
            epochs: 20,
            steps: 140,
            batch: 64,
            seconds: 0.1 + 0.2,
            accuracy: Some(112.0 / 114.0),
            privacy: Some(PrivacySpent { epsilon: 2.3, delta: 1e-5 }),
        },
    }
}

/// Parameters for every layer that has some, different at every place.
fn parameters_of(description: &Description) -> Vec<Parameters> {
    let of = |(layer, shape): (usize, Vec<usize>)| {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|i| (i * 10 + layer) as f32 / 7.0 - 1.0).collect();
        Parameters {
            bias: Array1::from_shape_fn(shape[0], |o| -(o as f32) * f32::EPSILON),
            weight: ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap(),
        }
    };
    description.weights().into_iter().map(of).collect()
}

fn parameters() -> Vec<Parameters> {
    parameters_of(&description())
}

/// A convolutional network on images of 2 x 7 x 6.
fn convolutional() -> Description {
    let features: Vec<_> = (0..84).map(|i| format!("{{ name = \"p{i}\", min = 0, max = 1 }}")).collect();
    let schema = SCHEMA.replace(
        "{ name = \"age\", min = 0, max = 100 }, { name = \"dose\", min = -1.5, max = 0.1 }",
        &features.join(", "),
    );
    Description {
        layers: vec![
            Layer::Conv2d { inputs: 2, outputs: 5, kernel: 3, stride: 2, padding: 1 }, // 5 x 4 x 3
            Layer::Relu,
            Layer::MaxPool { size: 2 }, // 5 x 2 x 1
            Layer::Conv2d { inputs: 5, outputs: 4, kernel: 2, stride: 1, padding: 1 }, // 4 x 3 x 2
            Layer::AvgPool { size: 2 }, // 4 x 1 x 1
            Layer::Flatten,
            Layer::Dropout { rate: 0.25 },
            Layer::Dense { inputs: 4, outputs: 3 },
            Layer::FoldedBatchNorm,
        ],
        input: toml::from_str(&schema).unwrap(),
        image: Some(Image { channels: 2, height: 7, width: 6 }),
        ..description()
    }
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model::write(folder.path(), &Model::new(description(), parameters()).unwrap()).unwrap();
    folder
}

fn read(folder: &Path) -> Result<Model, ModelError> {
    model::read(folder, &Limits::default())
}

/// Replace `from` by `to` in model.json.
fn edit(folder: &Path, from: &str, to: &str) {
    let path = folder.join(model::DESCRIPTION_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "model.json has no {from:?}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Replace the weights by `tensors`, with the checksum set right.
fn replace_weights(folder: &Path, tensors: &[(&str, Dtype, &[usize])]) {
    use sha2::{Digest, Sha256};
    let hex = |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect() };
    let path = folder.join(model::WEIGHTS_FILE);
    let old = hex(&std::fs::read(&path).unwrap());
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, shape)| vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8])
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, dtype, shape), bytes)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    let new = safetensors::serialize(views, None).unwrap();
    std::fs::write(&path, &new).unwrap();
    edit(folder, &old, &hex(&new));
}

#[test]
fn a_model_comes_back_bit_for_bit() {
    for description in [description(), convolutional()] {
        let folder = tempfile::tempdir().unwrap();
        let written = Model::new(description.clone(), parameters_of(&description)).unwrap();
        model::write(folder.path(), &written).unwrap();
        let model = read(folder.path()).unwrap();
        assert_eq!(model.description(), &description);
        assert_eq!(model.parameters().len(), description.weights().len());
        for (found, expected) in model.parameters().iter().zip(written.parameters()) {
            assert_eq!(found.weight.mapv(f32::to_bits), expected.weight.mapv(f32::to_bits));
            assert_eq!(found.bias.mapv(f32::to_bits), expected.bias.mapv(f32::to_bits));
        }
    }
}

#[test]
fn a_weight_in_another_memory_order_is_written_by_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = parameters();
    parameters[0].weight = parameters[0].weight.t().as_standard_layout().into_owned().reversed_axes();
    assert!(!parameters[0].weight.is_standard_layout());
    let expected = parameters[0].weight.clone();
    model::write(folder.path(), &Model::new(description(), parameters).unwrap()).unwrap();
    assert_eq!(read(folder.path()).unwrap().parameters()[0].weight, expected);
}

#[test]
fn tensors_have_the_documented_names_and_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let written = Model::new(convolutional(), parameters_of(&convolutional())).unwrap();
    model::write(folder.path(), &written).unwrap();
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> =
        tensors.iter().map(|(name, view)| (name, view.dtype(), view.shape().to_vec())).collect();
    found.sort_by_key(|(name, ..)| name.to_string());
    let f32s = |name, shape: &[usize]| (name, Dtype::F32, shape.to_vec());
    assert_eq!(
        found,
        [
            f32s("layers.0.bias", &[5]),
            f32s("layers.0.weight", &[5, 2, 3, 3]),
            f32s("layers.3.bias", &[4]),
            f32s("layers.3.weight", &[4, 5, 2, 2]),
            f32s("layers.7.bias", &[3]),
            f32s("layers.7.weight", &[3, 4]),
        ]
    );
}

#[test]
fn writing_again_replaces_the_model_and_leaves_two_files() {
    let folder = written();
    let mut changed = parameters();
    changed[1].bias[0] = 5.0;
    model::write(folder.path(), &Model::new(description(), changed).unwrap()).unwrap();
    assert_eq!(read(folder.path()).unwrap().parameters()[1].bias[0], 5.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_a_model() {
    use std::os::unix::fs::PermissionsExt;
    let folder = written();
    for name in [model::WEIGHTS_FILE, model::DESCRIPTION_FILE] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn debug_prints_no_parameter() {
    let model = Model::new(description(), parameters()).unwrap();
    assert!(!format!("{model:?}").contains("weight"));
    assert_eq!(format!("{:?}", model.parameters()[0]), "Parameters { shape: [4, 2], .. }");
}

#[test]
fn weights_of_another_run_are_refused() {
    let (folder, other) = (written(), tempfile::tempdir().unwrap());
    let mut changed = parameters();
    changed[0].bias[0] += 1.0;
    model::write(other.path(), &Model::new(description(), changed).unwrap()).unwrap();
    std::fs::copy(other.path().join(model::WEIGHTS_FILE), folder.path().join(model::WEIGHTS_FILE)).unwrap();
    assert!(matches!(read(folder.path()).unwrap_err(), ModelError::Checksum { .. }));
}

#[test]
fn tensors_that_do_not_fit_the_description_are_refused() {
    let good: [(&str, Dtype, &[usize]); 4] = [
        ("layers.0.weight", Dtype::F32, &[4, 2]),
        ("layers.0.bias", Dtype::F32, &[4]),
        ("layers.2.weight", Dtype::F32, &[3, 4]),
        ("layers.2.bias", Dtype::F32, &[3]),
    ];
    let folder = written();
    replace_weights(folder.path(), &good);
    assert!(read(folder.path()).is_ok(), "the edited files themselves must be readable");

    for (place, tensor) in [
        (0, ("layers.0.weight", Dtype::F32, &[2, 4][..])),
        (0, ("layers.0.weight", Dtype::F32, &[8])),
        (1, ("layers.0.bias", Dtype::F64, &[4])),
        (2, ("layers.1.weight", Dtype::F32, &[3, 4])),
    ] {
        let mut tensors = good;
        tensors[place] = tensor;
        let folder = written();
        replace_weights(folder.path(), &tensors);
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(&error, ModelError::Tensor { tensor, .. } if tensor == good[place].0), "{error}");
    }

    let folder = written();
    replace_weights(folder.path(), &good[..3]);
    assert!(matches!(
        read(folder.path()).unwrap_err(),
        ModelError::TensorCount { found: 3, expected: 4, .. }
    ));
}

#[test]
fn an_edited_description_is_refused_by_what_is_wrong_with_it() {
    for (from, to, part) in [
        ("tercet-model-1", "tercet-model-2", "has format \"tercet-model-2\""),
        ("\"inputs\": 4", "\"inputs\": 5", "layer 2 of the model takes 5 inputs but 4 reach it"),
        ("\"outputs\": 3", "\"outputs\": 2", "2 outputs for 3 classes"),
        ("\"fraction_bits\": 20", "\"fraction_bits\": 64", "64 fraction bits"),
        ("\"job_hash\": \"00", "\"job_hash\": \"0", "job hash"),
        ("\"job_hash\": \"00", "\"job_hash\": \"0G", "job hash"),
        ("\"classes\"", "\"class\"", "unknown field"),
        ("\"accuracy\": 0.98", "\"accuracy\": 1.98", "accuracy"),
        ("\"weights_file\": \"", "\"weights_file\": \"../", "SHA-256"),
        ("{", "", "not a model description"),
    ] {
        let folder = written();
        edit(folder.path(), from, to);
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(part), "{from} -> {to}: {error}");
    }
}

#[test]
fn damaged_and_missing_files_are_errors() {
    let folder = written();
    std::fs::remove_file(folder.path().join(model::WEIGHTS_FILE)).unwrap();
    assert!(matches!(read(folder.path()).unwrap_err(), ModelError::Read(DataError::Unreadable { .. })));
    let folder = written();
    let path = folder.path().join(model::DESCRIPTION_FILE);
    let text = std::fs::read(&path).unwrap();
    for cut in (0..text.len() - 2).step_by(11) {
        std::fs::write(&path, &text[..cut]).unwrap();
        assert!(matches!(read(folder.path()).unwrap_err(), ModelError::Json { .. }), "cut at {cut}");
    }
}

#[test]
fn a_model_that_contradicts_its_description_is_refused() {
    let mut transposed = parameters();
    transposed[0].weight.swap_axes(0, 1);
    let refused = Model::new(description(), transposed).unwrap_err();
    assert_eq!(refused, DescriptionError::TensorShape { layer: 0, expected: vec![4, 2] });

    let mut flat = parameters_of(&convolutional());
    flat[0].weight = flat[0].weight.clone().insert_axis(Axis(4));
    let refused = Model::new(convolutional(), flat).unwrap_err();
    assert_eq!(refused, DescriptionError::TensorShape { layer: 0, expected: vec![5, 2, 3, 3] });

    let mut diverged = parameters();
    diverged[1].bias[2] = f32::INFINITY;
    assert_eq!(Model::new(description(), diverged).unwrap_err(), DescriptionError::NotFinite { layer: 2 });

    let missing = parameters().into_iter().take(1).collect();
    let refused = Model::new(description(), missing).unwrap_err();
    assert_eq!(refused, DescriptionError::ParameterCount { declared: 2, found: 1 });

    let mut swapped = description();
    swapped.classes.swap(0, 1);
    assert_eq!(Model::new(swapped, parameters()).unwrap_err(), DescriptionError::Classes);

    let mut no_layers = description();
    no_layers.layers = vec![Layer::Relu];
    assert_eq!(Model::new(no_layers, vec![]).unwrap_err(), DescriptionError::NoLayers);
}

#[test]
fn layers_that_do_not_fit_their_images_are_refused_by_name() {
    convolutional().check().unwrap();
    let with = |place: usize, layer: Layer| {
        let mut description = convolutional();
        description.layers[place] = layer;
        description.check().unwrap_err()
    };
    let conv =
        |inputs, kernel, stride, padding| Layer::Conv2d { inputs, outputs: 5, kernel, stride, padding };
    assert_eq!(with(0, conv(3, 3, 2, 1)), DescriptionError::Chain { layer: 0, inputs: 3, width: 2 });
    for wrong in [conv(2, 0, 1, 0), conv(2, 3, 0, 0), conv(2, 3, 1, 3), conv(2, 9, 1, 0)] {
        assert_eq!(with(0, wrong), DescriptionError::Window { layer: 0 });
    }
    let huge = Layer::Conv2d { inputs: 2, outputs: usize::MAX, kernel: 3, stride: 1, padding: 1 };
    assert_eq!(with(0, huge), DescriptionError::Window { layer: 0 });
    assert_eq!(with(0, conv(2, usize::MAX, 1, usize::MAX - 1)), DescriptionError::Window { layer: 0 });
    assert_eq!(with(2, Layer::MaxPool { size: 4 }), DescriptionError::Window { layer: 2 });
    assert_eq!(with(4, Layer::AvgPool { size: 0 }), DescriptionError::Window { layer: 4 });
    assert_eq!(with(4, Layer::Flatten), DescriptionError::Chain { layer: 7, inputs: 4, width: 24 });
    assert_eq!(with(5, Layer::Relu), DescriptionError::Row { layer: 7 });
    assert_eq!(with(1, Layer::Flatten), DescriptionError::NeedsImage { layer: 2 });
    assert_eq!(with(6, Layer::Dropout { rate: 1.0 }), DescriptionError::Rate { layer: 6 });
    assert_eq!(with(6, Layer::Dropout { rate: f64::NAN }), DescriptionError::Rate { layer: 6 });

    let mut other = convolutional();
    other.image = Some(Image { channels: 1, height: 7, width: 6 });
    assert_eq!(other.check().unwrap_err(), DescriptionError::Image { features: 84 });
    other.image = None;
    assert_eq!(other.check().unwrap_err(), DescriptionError::NeedsImage { layer: 0 });
    let mut open = convolutional();
    open.layers.truncate(5);
    assert_eq!(open.check().unwrap_err(), DescriptionError::Row { layer: 5 });
}
