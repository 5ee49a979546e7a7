//! Rows in memory.

use std::fmt;

use ndarray::{Array2, ArrayView2, Axis};
use zeroize::{Zeroize, Zeroizing};

use crate::error::DataError;

/// Private rows: features and one label each. Wiped on drop; `Debug` prints only the shape.
///
/// Holds by construction: as many labels as rows, each label below the number of classes, each feature finite.
pub struct Dataset {
    features: Array2<f32>,
    labels: Vec<u32>,
    classes: usize,
}

impl Dataset {
    /// A data set of `features` `[rows, features]`, `labels` `[rows]`, each below `classes`.
    ///
    /// # Errors
    /// [`DataError::LabelCount`], [`DataError::LabelRange`], [`DataError::NotFinite`]. The rows are wiped then too.
    pub fn new(features: Array2<f32>, labels: Vec<u32>, classes: usize) -> Result<Self, DataError> {
        // Built before the checks, so that a refused set is wiped as well.
        let set = Self { features, labels, classes };
        if set.features.nrows() != set.labels.len() {
            return Err(DataError::LabelCount { rows: set.features.nrows(), labels: set.labels.len() });
        }
        if let Some(row) = set.labels.iter().position(|&label| label as usize >= classes) {
            return Err(DataError::LabelRange { row, classes });
        }
        if let Some(row) =
            set.features.axis_iter(Axis(0)).position(|row| row.iter().any(|value| !value.is_finite()))
        {
            return Err(DataError::NotFinite { row });
        }
        Ok(set)
    }

    /// One data set with the rows of all `parts` in order: plaintext training, the baseline, wants them in one place.
    ///
    /// # Errors
    /// [`DataError::Joined`] where widths or classes differ. No parts give a set of no rows, features and classes.
    pub fn join(parts: &[&Dataset]) -> Result<Self, DataError> {
        let (width, classes) = parts.first().map_or((0, 0), |first| (first.width(), first.classes));
        if let Some(part) = parts.iter().position(|part| part.width() != width || part.classes != classes) {
            return Err(DataError::Joined { part });
        }
        let rows = parts.iter().map(|part| part.rows()).sum::<usize>();
        let mut values = Zeroizing::new(Vec::with_capacity(rows * width));
        let mut labels = Zeroizing::new(Vec::with_capacity(rows));
        for part in parts {
            values.extend(part.features.iter().copied());
            labels.extend_from_slice(&part.labels);
        }
        Self::from_rows(values, width, labels, classes)
    }

    /// The features, `[rows, features]`, scaled as the schema says.
    pub fn features(&self) -> ArrayView2<'_, f32> {
        self.features.view()
    }

    /// The class of each row, `[rows]`.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.features.nrows()
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.features.ncols()
    }

    /// The labels as one-hot rows, `[rows, classes]`. As private as the labels: the caller wipes it.
    pub fn one_hot(&self) -> Array2<f32> {
        let mut hot = Array2::zeros((self.labels.len(), self.classes));
        for (mut row, &label) in hot.axis_iter_mut(Axis(0)).zip(&self.labels) {
            row[label as usize] = 1.0;
        }
        hot
    }

    /// From values row by row, as the readers collect them. `values` is a whole number of rows of `width`.
    pub(crate) fn from_rows(
        mut values: Zeroizing<Vec<f32>>,
        width: usize,
        mut labels: Zeroizing<Vec<u32>>,
        classes: usize,
    ) -> Result<Self, DataError> {
        let rows = values.len().checked_div(width).unwrap_or(0);
        let values = std::mem::take(&mut *values);
        let labels = std::mem::take(&mut *labels);
        match Array2::from_shape_vec((rows, width), values) {
            Ok(features) => Self::new(features, labels, classes),
            Err(_) => Err(DataError::LabelCount { rows, labels: labels.len() }),
        }
    }
}

/// `labels` as one-hot rows, `[labels, classes]`.
///
/// # Errors
/// [`DataError::LabelRange`] where a label is not below `classes`.
pub fn one_hot(labels: &[u32], classes: usize) -> Result<Array2<f32>, DataError> {
    let mut hot = Array2::zeros((labels.len(), classes));
    for (row, &label) in labels.iter().enumerate() {
        match hot.get_mut((row, label as usize)) {
            Some(cell) => *cell = 1.0,
            None => return Err(DataError::LabelRange { row, classes }),
        }
    }
    Ok(hot)
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("rows", &self.rows())
            .field("features", &self.width())
            .field("classes", &self.classes)
            .finish_non_exhaustive()
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        wipe(&mut self.features);
        self.labels.zeroize();
    }
}

/// Overwrite every element in a way that the compiler keeps.
pub(crate) fn wipe<D: ndarray::Dimension>(array: &mut ndarray::Array<f32, D>) {
    match array.as_slice_memory_order_mut() {
        Some(values) => values.zeroize(),
        None => array.iter_mut().for_each(Zeroize::zeroize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Dataset {
        Dataset::new(ndarray::array![[0.5, -0.25], [1.0, 0.125]], vec![1, 0], 2).unwrap()
    }

    #[test]
    fn debug_prints_the_shape_and_no_value() {
        let text = format!("{:?}", small());
        assert_eq!(text, "Dataset { rows: 2, features: 2, classes: 2, .. }");
    }

    #[test]
    fn a_label_out_of_range_is_refused() {
        let features = Array2::zeros((2, 1));
        assert!(matches!(
            Dataset::new(features, vec![0, 2], 2),
            Err(DataError::LabelRange { row: 1, classes: 2 })
        ));
        assert!(matches!(one_hot(&[0, 3], 3), Err(DataError::LabelRange { row: 1, classes: 3 })));
    }

    #[test]
    fn a_missing_label_is_refused() {
        let refused = Dataset::new(Array2::zeros((2, 1)), vec![0], 2);
        assert!(matches!(refused, Err(DataError::LabelCount { rows: 2, labels: 1 })));
    }

    #[test]
    fn a_feature_that_is_not_finite_is_refused() {
        let refused = Dataset::new(ndarray::array![[0.0], [f32::NAN]], vec![0, 0], 1);
        assert!(matches!(refused, Err(DataError::NotFinite { row: 1 })));
    }

    #[test]
    fn one_hot_rows_have_a_single_one_at_the_label() {
        let set = small();
        assert_eq!(set.one_hot(), ndarray::array![[0.0, 1.0], [1.0, 0.0]]);
        assert_eq!(one_hot(&[1, 0], 2).unwrap(), set.one_hot());
    }

    #[test]
    fn joined_sets_keep_the_order_of_rows() {
        let (a, b) = (small(), small());
        let joined = Dataset::join(&[&a, &b]).unwrap();
        assert_eq!(joined.rows(), 4);
        assert_eq!(joined.labels(), [1, 0, 1, 0]);
        assert_eq!(joined.features().row(2), a.features().row(0));
        let wider = Dataset::new(Array2::zeros((1, 3)), vec![0], 2).unwrap();
        assert!(matches!(Dataset::join(&[&a, &wider]), Err(DataError::Joined { part: 1 })));
    }
}
