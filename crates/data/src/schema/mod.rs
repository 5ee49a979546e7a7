//! The public description of the data. It is part of the job file, so all parties agree on it and its hash; it holds no
//! file name and nothing computed from rows.
//!
//! Parsing validates: a value of these types is a usable schema. As TOML:
//!
//! ```toml
//! format = "csv"
//! standardise = "bounds"
//! features = [{ name = "age", min = 0, max = 120 }, { name = "dose", min = 0.0, max = 2.5 }]
//! label = { column = "outcome", classes = ["worse", "better"] }
//! ignore = ["patient"]
//! delimiter = ","
//! ```
//!
//! ```toml
//! format = "idx"
//! height = 28
//! width = 28
//! classes = 10
//! mean = 0.1307
//! deviation = 0.3081
//! ```
//!
//! Images may enter as fixed features instead of pixels: `features = "pool"` or `features = "hog"`, see [`Features`].

mod csv;
mod idx;

use serde::{Deserialize, Serialize};

pub use self::csv::{CsvSpec, Feature, Label, Standardise};
pub use self::idx::IdxSpec;
pub use crate::features::Features;

/// What the rows of a job are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "lowercase")]
pub enum DataSpec {
    /// Named columns of numbers and a class, as text.
    Csv(CsvSpec),
    /// Grey images of bytes and a class, as in MNIST.
    Idx(IdxSpec),
}

impl DataSpec {
    /// Features in a row: the width of the network's input.
    pub fn features(&self) -> usize {
        match self {
            Self::Csv(spec) => spec.features().len(),
            Self::Idx(spec) => spec.features(),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Csv(spec) => spec.label().classes.len(),
            Self::Idx(spec) => spec.classes(),
        }
    }

    /// The name of each class, by its number. IDX classes are named by their number.
    pub fn class_names(&self) -> Vec<String> {
        match self {
            Self::Csv(spec) => spec.label().classes.clone(),
            Self::Idx(spec) => (0..spec.classes()).map(|class| class.to_string()).collect(),
        }
    }

    /// Whether means and deviations are still to be computed on shares after loading.
    pub fn standardises_on_shares(&self) -> bool {
        matches!(self, Self::Csv(spec) if spec.standardise() == Standardise::Shares)
    }
}

/// A schema that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// No features, or more than a network input can have.
    #[error("the data schema has {found} features: give between 1 and {most}")]
    FeatureCount {
        /// Features in the schema.
        found: usize,
        /// The most allowed.
        most: usize,
    },
    /// Too few or too many classes.
    #[error("the data schema has {found} classes: give between 2 and {most}")]
    ClassCount {
        /// Classes in the schema.
        found: usize,
        /// The most allowed.
        most: usize,
    },
    /// A name that a header or a log cannot carry.
    #[error(
        "the data schema has a name that is empty, padded with blanks, over {most} bytes or with control characters ({name:?}): shorten or clean it"
    )]
    Name {
        /// The name, cut to its first 40 characters.
        name: String,
        /// The most bytes allowed.
        most: usize,
    },
    /// A column named twice, as feature, label or ignored.
    #[error("the data schema names column `{column}` twice: name each column once")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// A class named twice.
    #[error("the data schema names class `{class}` twice: name each class once")]
    DuplicateClass {
        /// The class.
        class: String,
    },
    /// Bounds that are not finite or not in order.
    #[error(
        "feature `{feature}` of the data schema has bounds {min} to {max}: give finite bounds with min below max"
    )]
    Bounds {
        /// The feature.
        feature: String,
        /// Its lower bound.
        min: f64,
        /// Its upper bound.
        max: f64,
    },
    /// A delimiter that can be part of a number or a quote.
    #[error("the data schema has delimiter {found:?}: use one of , ; | or a tab")]
    Delimiter {
        /// The character given.
        found: char,
    },
    /// An image without a single window or cell.
    #[error(
        "the data schema has images of {height} x {width} pixels, too small for its features: use pixels"
    )]
    TooSmall {
        /// Height, pixels.
        height: u32,
        /// Width, pixels.
        width: u32,
    },
    /// An image of no or too many pixels.
    #[error("the data schema has images of {height} x {width} pixels: give between 1 and {most} pixels")]
    Shape {
        /// Height, pixels.
        height: u32,
        /// Width, pixels.
        width: u32,
        /// The most pixels allowed.
        most: usize,
    },
    /// Pixel constants that cannot scale.
    #[error(
        "the data schema has pixel mean {mean} and deviation {deviation}: give finite numbers, the deviation at least 1e-6"
    )]
    PixelScale {
        /// The mean.
        mean: f32,
        /// The deviation.
        deviation: f32,
    },
}

/// Most features of a row. A dense layer on more does not fit a secure training run.
pub const MAX_FEATURES: usize = 1 << 16;
/// Most classes.
pub const MAX_CLASSES: usize = 1 << 10;
/// Most bytes in a column or class name.
pub const MAX_NAME_BYTES: usize = 200;

fn check_name(name: &str) -> Result<(), SchemaError> {
    let clean = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if clean {
        Ok(())
    } else {
        Err(SchemaError::Name { name: name.chars().take(40).collect(), most: MAX_NAME_BYTES })
    }
}
