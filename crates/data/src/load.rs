//! Schema and source to rows.

use std::path::Path;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::limits::Limits;
use crate::schema::DataSpec;
use crate::source::Source;
use crate::{csv, idx};

/// Read one party's rows. Relative paths in `source` start at `base`, the folder of the file that names them.
///
/// # Errors
/// [`DataError`], with file, line and column where there is one.
pub fn load(spec: &DataSpec, source: &Source, base: &Path, limits: &Limits) -> Result<Dataset, DataError> {
    match (spec, source) {
        (DataSpec::Csv(spec), Source::Csv { file, rows }) => csv::read(&base.join(file), spec, *rows, limits),
        (DataSpec::Idx(spec), Source::Idx { images, labels, rows }) => {
            idx::read(&base.join(images), &base.join(labels), spec, *rows, limits)
        }
        (DataSpec::Csv(_), Source::Idx { .. }) => {
            Err(DataError::SourceFormat { schema: "csv", source_is: "idx" })
        }
        (DataSpec::Idx(_), Source::Csv { .. }) => {
            Err(DataError::SourceFormat { schema: "idx", source_is: "csv" })
        }
    }
}
