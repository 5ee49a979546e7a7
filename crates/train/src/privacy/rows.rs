//! What an owner does to its own rows before they are shared: the bounds that everything else starts from.

use crate::rows::DataSets;
use crate::{Privacy, TrainError};

/// Shortens every row of features to the norm that the job states, and checks that targets are between 0 and 1.
///
/// # Errors
/// A target out of range, by its row; the message does not contain it.
pub(crate) fn bound(data: &mut DataSets, privacy: &Privacy) -> Result<(), TrainError> {
    for (name, sets) in [("training", &mut data.train), ("test", &mut data.test)] {
        for set in sets {
            let Some(values) = &mut set.values else { continue };
            if let Some(row) =
                values.targets.rows().into_iter().position(|t| t.iter().any(|v| !(0.0..=1.0).contains(v)))
            {
                return Err(TrainError::Rows {
                    what: format!("the {name} rows of party {}", set.owner),
                    found: format!("the target of row {row} is not between 0 and 1"),
                    expected: "a private training needs classes as targets".to_owned(),
                });
            }
            let most = privacy.spec.row_norm(values.features.ncols());
            for mut row in values.features.rows_mut() {
                let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                if norm > most {
                    // A row with a number that is no number is refused where it is encoded.
                    row.mapv_inplace(|v| (f64::from(v) * (most / norm)) as f32);
                }
            }
        }
    }
    Ok(())
}
