//! Rows of the data owners, before they are shared.

use ndarray::{Array2, ArrayView2};
use tercet_engine::Party;
use zeroize::Zeroize;

use crate::TrainError;
use crate::spec::{Loss, ModelSpec};

/// The rows of one owner in one data set. All parties list the same owners with the same numbers of rows; only the owner
/// holds values.
#[derive(Clone)]
pub struct Rows {
    /// Who holds the values.
    pub owner: Party,
    /// Number of rows.
    pub rows: usize,
    /// The values, at the owner only.
    pub values: Option<RowValues>,
}

/// Private rows; wiped on drop.
#[derive(Clone)]
pub struct RowValues {
    /// `rows × inputs`, scaled to a few units; images are channel-major.
    pub features: Array2<f32>,
    /// `rows × outputs`, see [`targets`].
    pub targets: Array2<f32>,
}

impl Drop for RowValues {
    fn drop(&mut self) {
        for array in [&mut self.features, &mut self.targets] {
            match array.as_slice_memory_order_mut() {
                Some(values) => values.zeroize(),
                None => array.iter_mut().for_each(Zeroize::zeroize),
            }
        }
    }
}

/// The data of a training. The rows of all owners count as one data set, in the order listed.
#[derive(Clone, Default)]
pub struct DataSets {
    /// Rows to train on.
    pub train: Vec<Rows>,
    /// Rows to evaluate on; may be empty if the job releases neither accuracy nor loss.
    pub test: Vec<Rows>,
}

impl DataSets {
    /// Number of training rows of all owners.
    pub fn train_rows(&self) -> usize {
        self.train.iter().map(|r| r.rows).sum()
    }

    /// Number of test rows of all owners.
    pub fn test_rows(&self) -> usize {
        self.test.iter().map(|r| r.rows).sum()
    }
}

/// Class labels as targets for `model`: one-hot if its last layer has one output per class; a column of 0 and 1 if there
/// are two classes and one output.
///
/// # Errors
/// If the number of outputs fits neither, or a label is not a class (the message does not contain it).
pub fn targets(labels: &[u32], classes: usize, model: &ModelSpec) -> Result<Array2<f32>, TrainError> {
    let outputs = crate::Architecture::new(model)?.outputs();
    let single = outputs == 1 && classes == 2 && model.loss != Loss::SoftmaxCrossEntropy;
    if !single && outputs != classes {
        return Err(TrainError::Rows {
            what: "the labels".into(),
            found: format!("there are {classes} classes but the model has {outputs} outputs"),
            expected: "give the last layer one unit per class".into(),
        });
    }
    let mut out = Array2::zeros((labels.len(), outputs));
    for (row, &label) in labels.iter().enumerate() {
        if label as usize >= classes {
            return Err(TrainError::Rows {
                what: "the labels".into(),
                found: format!("row {row} has a label that is not a class"),
                expected: format!("labels go from 0 to {}", classes - 1),
            });
        }
        if single {
            out[(row, 0)] = label as f32;
        } else {
            out[(row, label as usize)] = 1.0;
        }
    }
    Ok(out)
}

/// The owners' values one below the other, for plaintext training; `None` if a value is missing.
pub(crate) fn join(sets: &[Rows], pick: impl Fn(&RowValues) -> &Array2<f32>) -> Option<Array2<f32>> {
    let parts: Vec<ArrayView2<'_, f32>> =
        sets.iter().map(|r| r.values.as_ref().map(|v| pick(v).view())).collect::<Option<_>>()?;
    ndarray::concatenate(ndarray::Axis(0), &parts).ok()
}
