//! Where one party's rows lie. Unlike the schema this differs from party to party, and between training and test rows.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One party's files: `{ file = "rows.csv" }` or `{ images = "…", labels = "…" }`, each with an optional
/// `rows = { first = 0, count = 100 }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSource", into = "RawSource")]
pub enum Source {
    /// A CSV file with a header.
    Csv {
        /// The file.
        file: PathBuf,
        /// The rows to take, counted below the header; all where absent.
        rows: Option<Rows>,
    },
    /// An IDX pair, plain or gzip.
    Idx {
        /// The images file.
        images: PathBuf,
        /// The labels file.
        labels: PathBuf,
        /// The rows to take; all where absent.
        rows: Option<Rows>,
    },
}

/// A range of rows in a file, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The first row.
    pub first: u32,
    /// How many rows.
    pub count: u32,
}

impl Rows {
    /// The row after the last.
    pub fn end(self) -> u64 {
        u64::from(self.first) + u64::from(self.count)
    }
}

/// The flat form in a file. A flat table gives a better message than an untagged enum.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    images: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    labels: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<Rows>,
}

/// A source that names neither a CSV file nor an IDX pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not exactly one of the two forms.
    #[error(
        "a data source names either `file` (csv) or both `images` and `labels` (idx): give exactly one of the two forms"
    )]
    Form,
    /// A range of no rows.
    #[error(
        "`rows` of a data source has count 0: give a count of at least 1, or leave `rows` out to take all"
    )]
    EmptyRange,
}

impl TryFrom<RawSource> for Source {
    type Error = SourceError;

    fn try_from(raw: RawSource) -> Result<Self, SourceError> {
        if raw.rows.is_some_and(|rows| rows.count == 0) {
            return Err(SourceError::EmptyRange);
        }
        match (raw.file, raw.images, raw.labels) {
            (Some(file), None, None) => Ok(Source::Csv { file, rows: raw.rows }),
            (None, Some(images), Some(labels)) => Ok(Source::Idx { images, labels, rows: raw.rows }),
            _ => Err(SourceError::Form),
        }
    }
}

impl From<Source> for RawSource {
    fn from(source: Source) -> Self {
        match source {
            Source::Csv { file, rows } => Self { file: Some(file), images: None, labels: None, rows },
            Source::Idx { images, labels, rows } => {
                Self { file: None, images: Some(images), labels: Some(labels), rows }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written_back() {
        for text in ["file = \"a.csv\"\n", "images = \"i\"\nlabels = \"l\"\n\n[rows]\nfirst = 5\ncount = 7\n"]
        {
            let source: Source = toml::from_str(text).unwrap();
            assert_eq!(toml::to_string(&source).unwrap(), text);
        }
    }

    #[test]
    fn a_mixed_form_an_unknown_key_and_an_empty_range_are_refused() {
        for (text, part) in [
            ("", "exactly one of the two forms"),
            ("images = \"i\"", "exactly one of the two forms"),
            ("file = \"f\"\nlabels = \"l\"", "exactly one of the two forms"),
            ("file = \"f\"\nrow = 1", "unknown field"),
            ("file = \"f\"\nrows = { first = 0, count = 0 }", "count of at least 1"),
        ] {
            let error = toml::from_str::<Source>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
