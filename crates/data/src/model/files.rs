//! The two files of a model on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array1, ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Description, DescriptionError, Model, Parameters};
use crate::atomic::{Mode, WriteError, atomic_write};
use crate::error::DataError;
use crate::file;
use crate::limits::Limits;

/// Name of the weights file in a model's folder.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Name of the description in a model's folder.
pub const DESCRIPTION_FILE: &str = "model.json";
/// First field of `model.json`; the number changes when the format does.
const FORMAT: &str = "tercet-model-1";
/// Most bytes of `model.json`: the largest schema with its moments stays far below.
const MAX_DESCRIPTION_BYTES: u64 = 64 << 20;

/// A model could not be written or read back.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder could not be made.
    #[error("the model folder {} cannot be created ({source}): check the path and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] DataError),
    /// `model.json` is not a description.
    #[error("{} is not a model description ({source}): restore the file", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and kind of fault.
        source: serde_json::Error,
    },
    /// `model.json` is of another version.
    #[error("{} has format {found:?} but this version reads {FORMAT:?}: use the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format, cut to 40 characters.
        found: String,
    },
    /// The weights are not those that the description was written for.
    #[error("{} does not have the SHA-256 in {DESCRIPTION_FILE}: the two files are of different models, restore both", path.display())]
    Checksum {
        /// The weights file.
        path: PathBuf,
    },
    /// The weights file is not a safetensors file, or could not be made.
    #[error("{} is not a valid safetensors file ({source}): restore the file", path.display())]
    Safetensors {
        /// The weights file.
        path: PathBuf,
        /// The library's reason.
        source: SafeTensorError,
    },
    /// A tensor is missing or has another type or shape.
    #[error("{} has no f32 tensor `{tensor}` of shape {shape:?}: restore the file", path.display())]
    Tensor {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape by the description.
        shape: Vec<usize>,
    },
    /// Tensors that the description does not know.
    #[error("{} has {found} tensors but {DESCRIPTION_FILE} describes {expected}: restore both files", path.display())]
    TensorCount {
        /// The weights file.
        path: PathBuf,
        /// Tensors in the file.
        found: usize,
        /// Tensors by the description.
        expected: usize,
    },
    /// The description contradicts itself or the tensors.
    #[error("{} is inconsistent: {source}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        source: DescriptionError,
    },
}

/// `model.json`.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    weights_file: String,
    weights_sha256: String,
    description: Description,
}

/// Only the version, read first: another version may have other fields.
#[derive(Deserialize)]
struct Version {
    format: String,
}

/// Write `model` to the folder `dir`, which is created where it is missing. Weights first, description second, each
/// atomically; a crash between the two leaves a pair that [`read`] refuses by its checksum.
///
/// # Errors
/// [`ModelError::Folder`], [`ModelError::Write`].
pub fn write(dir: &Path, model: &Model) -> Result<(), ModelError> {
    std::fs::create_dir_all(dir).map_err(|source| ModelError::Folder { path: dir.to_owned(), source })?;
    let weights_path = dir.join(WEIGHTS_FILE);
    let weights = tensors_to_bytes(model)
        .map_err(|source| ModelError::Safetensors { path: weights_path.clone(), source })?;
    let document = Document {
        format: FORMAT.to_owned(),
        weights_file: WEIGHTS_FILE.to_owned(),
        weights_sha256: sha256(&weights),
        description: model.description().clone(),
    };
    let path = dir.join(DESCRIPTION_FILE);
    let mut text = serde_json::to_vec_pretty(&document)
        .map_err(|source| ModelError::Json { path: path.clone(), source })?;
    text.push(b'\n');
    atomic_write(&weights_path, &weights, Mode::Private)?;
    atomic_write(&path, &text, Mode::Private)?;
    Ok(())
}

/// Read the model in the folder `dir` back, with every check that [`Model::new`] makes and those of the files.
///
/// # Errors
/// [`ModelError`]; nothing in the files can make this panic or allocate more than their size.
pub fn read(dir: &Path, limits: &Limits) -> Result<Model, ModelError> {
    let path = dir.join(DESCRIPTION_FILE);
    let text = file::read_all(&path, limits.max_file_bytes.min(MAX_DESCRIPTION_BYTES))?;
    let json = |source| ModelError::Json { path: path.clone(), source };
    let Version { format } = serde_json::from_slice(&text).map_err(json)?;
    if format != FORMAT {
        let found = format.chars().take(40).collect();
        return Err(ModelError::Format { path, found });
    }
    let document: Document = serde_json::from_slice(&text).map_err(json)?;
    let inconsistent = |source| ModelError::Description { path: path.clone(), source };
    document.description.check().map_err(inconsistent)?;

    // The name in the file is for people: a path from a file is not followed.
    let weights_path = dir.join(WEIGHTS_FILE);
    let weights = file::read_all(&weights_path, limits.max_file_bytes)?;
    if document.weights_file != WEIGHTS_FILE || document.weights_sha256 != sha256(&weights) {
        return Err(ModelError::Checksum { path: weights_path });
    }
    let parameters = tensors_from_bytes(&weights_path, &weights, &document.description)?;
    Model::new(document.description, parameters).map_err(inconsistent)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tensors_to_bytes(model: &Model) -> Result<Zeroizing<Vec<u8>>, SafeTensorError> {
    let bytes_of = |values: &mut dyn Iterator<Item = &f32>, count: usize| {
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 * count));
        values.for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        bytes
    };
    let mut tensors = Vec::new();
    for ((layer, shape), parameters) in model.description().weights().into_iter().zip(model.parameters()) {
        let weight = bytes_of(&mut parameters.weight.iter(), parameters.weight.len());
        let bias = bytes_of(&mut parameters.bias.iter(), parameters.bias.len());
        tensors.push((format!("layers.{layer}.bias"), vec![shape[0]], bias));
        tensors.push((format!("layers.{layer}.weight"), shape, weight));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views: BTreeMap<_, _> = views.collect::<Result<_, SafeTensorError>>()?;
    safetensors::serialize(views, None).map(Zeroizing::new)
}

fn tensors_from_bytes(
    path: &Path,
    bytes: &[u8],
    description: &Description,
) -> Result<Vec<Parameters>, ModelError> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|source| ModelError::Safetensors { path: path.to_owned(), source })?;
    let declared = description.weights();
    if tensors.len() != 2 * declared.len() {
        let (found, expected) = (tensors.len(), 2 * declared.len());
        return Err(ModelError::TensorCount { path: path.to_owned(), found, expected });
    }
    let values_of = |tensor: String, shape: &[usize]| match tensors.tensor(&tensor) {
        Ok(view) if view.dtype() == Dtype::F32 && view.shape() == shape => {
            // The library has checked that the bytes are as many as the shape says.
            let words = view.data().chunks_exact(4);
            Ok(words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect::<Vec<_>>())
        }
        _ => Err(ModelError::Tensor { path: path.to_owned(), tensor, shape: shape.to_vec() }),
    };
    let parameters = declared.into_iter().map(|(layer, shape)| {
        let name = format!("layers.{layer}.weight");
        let weight = values_of(name.clone(), &shape)?;
        let weight = ArrayD::from_shape_vec(IxDyn(&shape), weight).map_err(|_| ModelError::Tensor {
            path: path.to_owned(),
            tensor: name,
            shape: shape.clone(),
        })?;
        // Into the wiped type before the next step can fail.
        let mut parameters = Parameters { weight, bias: Array1::default(0) };
        parameters.bias = values_of(format!("layers.{layer}.bias"), &shape[..1])?.into();
        Ok(parameters)
    });
    parameters.collect()
}
