//! The schema of a CSV file.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{MAX_CLASSES, MAX_FEATURES, SchemaError, check_name};

/// Columns, bounds and classes of a CSV file. Only valid ones exist; see [`CsvSpec::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawCsvSpec", into = "RawCsvSpec")]
pub struct CsvSpec {
    features: Vec<Feature>,
    label: Label,
    ignore: Vec<String>,
    delimiter: u8,
    standardise: Standardise,
}

/// One numeric column and the public bounds of its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Name in the header.
    pub name: String,
    /// Least value allowed, in the column's unit. A smaller one is an error, not clipped.
    pub min: f64,
    /// Greatest value allowed.
    pub max: f64,
}

impl Feature {
    /// A value in the column's unit, mapped by the bounds from `[min, max]` to `[-1, 1]`.
    pub fn scale(&self, value: f64) -> f64 {
        // Halved first: max - min of two large bounds could overflow.
        let (half_min, half_max) = (self.min / 2.0, self.max / 2.0);
        ((value / 2.0 - half_min) - (half_max - value / 2.0)) / (half_max - half_min)
    }
}

/// The column of the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Name in the header.
    pub column: String,
    /// The classes as they are written in the cells; the place in the list is the class number.
    pub classes: Vec<String>,
}

/// How features are brought to a common scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standardise {
    /// The public map of each feature's `[min, max]` to `[-1, 1]`.
    #[default]
    Bounds,
    /// The same map, and then means and deviations that the parties compute on shares.
    Shares,
    /// Values as they are in the file.
    None,
}

impl CsvSpec {
    /// A schema with comma as delimiter, nothing ignored, standardised by bounds.
    ///
    /// # Errors
    /// [`SchemaError`]: no feature or class, a name twice or unusable, bounds out of order.
    pub fn new(features: Vec<Feature>, label: Label) -> Result<Self, SchemaError> {
        RawCsvSpec {
            features,
            label,
            ignore: Vec::new(),
            delimiter: default_delimiter(),
            standardise: Standardise::default(),
        }
        .try_into()
    }

    /// The features in the order of the network's input, whatever their order in the file.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The column of the class.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Columns that may stand in the file and are not read.
    pub fn ignore(&self) -> &[String] {
        &self.ignore
    }

    /// The byte between cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// How features are scaled.
    pub fn standardise(&self) -> Standardise {
        self.standardise
    }
}

/// The form in a job file, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCsvSpec {
    #[serde(default)]
    standardise: Standardise,
    #[serde(default = "default_delimiter")]
    delimiter: char,
    #[serde(default)]
    ignore: Vec<String>,
    label: Label,
    features: Vec<Feature>,
}

fn default_delimiter() -> char {
    ','
}

impl TryFrom<RawCsvSpec> for CsvSpec {
    type Error = SchemaError;

    fn try_from(raw: RawCsvSpec) -> Result<Self, SchemaError> {
        let RawCsvSpec { standardise, delimiter, ignore, label, features } = raw;
        if features.is_empty() || features.len() > MAX_FEATURES {
            return Err(SchemaError::FeatureCount { found: features.len(), most: MAX_FEATURES });
        }
        if label.classes.len() < 2 || label.classes.len() > MAX_CLASSES {
            return Err(SchemaError::ClassCount { found: label.classes.len(), most: MAX_CLASSES });
        }
        let columns = features.iter().map(|feature| &feature.name).chain([&label.column]).chain(&ignore);
        if let Some(column) = first_repeated(columns)? {
            return Err(SchemaError::DuplicateColumn { column });
        }
        if let Some(class) = first_repeated(label.classes.iter())? {
            return Err(SchemaError::DuplicateClass { class });
        }
        let disordered = |f: &&Feature| {
            !(f.min.is_finite() && f.max.is_finite() && f.scale(f.max) - f.scale(f.min) == 2.0)
        };
        if let Some(feature) = features.iter().find(|f| f.min >= f.max || disordered(f)) {
            let Feature { name, min, max } = feature.clone();
            return Err(SchemaError::Bounds { feature: name, min, max });
        }
        if !matches!(delimiter, ',' | ';' | '|' | '\t') {
            return Err(SchemaError::Delimiter { found: delimiter });
        }
        Ok(Self { features, label, ignore, delimiter: delimiter as u8, standardise })
    }
}

impl From<CsvSpec> for RawCsvSpec {
    fn from(spec: CsvSpec) -> Self {
        let CsvSpec { features, label, ignore, delimiter, standardise } = spec;
        Self { features, label, ignore, delimiter: char::from(delimiter), standardise }
    }
}

/// The first name that was there before, after a check of each name.
fn first_repeated<'a>(names: impl Iterator<Item = &'a String>) -> Result<Option<String>, SchemaError> {
    let mut seen = HashSet::new();
    for name in names {
        check_name(name)?;
        if !seen.insert(name) {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DataSpec;

    const GOOD: &str = r#"
        format = "csv"
        standardise = "shares"
        features = [{ name = "age", min = 0, max = 120 }, { name = "dose", min = 0.5, max = 2.5 }]
        label = { column = "outcome", classes = ["worse", "better"] }
        ignore = ["patient"]
        delimiter = ";"
    "#;

    #[test]
    fn a_schema_is_read_and_written_back() {
        let spec: DataSpec = toml::from_str(GOOD).unwrap();
        assert_eq!((spec.features(), spec.classes()), (2, 2));
        assert_eq!(spec.class_names(), ["worse", "better"]);
        assert!(spec.standardises_on_shares());
        let again: DataSpec = toml::from_str(&toml::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
        let json: DataSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(json, spec);
    }

    #[test]
    fn standardisation_by_bounds_and_a_comma_are_the_defaults() {
        let text = GOOD.replace("standardise = \"shares\"", "").replace("delimiter = \";\"", "");
        let DataSpec::Csv(spec) = toml::from_str(&text).unwrap() else { panic!("csv expected") };
        assert_eq!((spec.standardise(), spec.delimiter()), (Standardise::Bounds, b','));
    }

    #[test]
    fn every_unusable_schema_is_refused_by_name() {
        for (from, to, part) in [
            ("ignore", "ignored", "unknown field"),
            ("max = 120", "max = 120, unit = \"y\"", "unknown field"),
            ("\"csv\"", "\"tsv\"", "unknown variant"),
            ("name = \"dose\"", "name = \"age\"", "column `age` twice"),
            ("\"patient\"", "\"outcome\"", "column `outcome` twice"),
            ("\"better\"", "\"worse\"", "class `worse` twice"),
            (", \"better\"", "", "has 1 classes"),
            ("max = 120", "max = 0", "bounds 0 to 0"),
            ("max = 120", "max = nan", "bounds 0 to NaN"),
            ("max = 120", "max = inf", "bounds 0 to inf"),
            ("max = 120", "max = -1", "bounds 0 to -1"),
            ("\"age\"", "\" age\"", "padded with blanks"),
            ("\"age\"", "\"\"", "empty"),
            ("\"age\"", "\"a\\nb\"", "control characters"),
            ("\";\"", "\".\"", "delimiter '.'"),
            ("\";\"", "\"ab\"", "character"),
            ("\"shares\"", "\"share\"", "unknown variant"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "the edit {from} -> {to} did not apply");
            let error = toml::from_str::<DataSpec>(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{from} -> {to}: {error}");
        }
        let none = GOOD.replace(
            "[{ name = \"age\", min = 0, max = 120 }, { name = \"dose\", min = 0.5, max = 2.5 }]",
            "[]",
        );
        assert!(toml::from_str::<DataSpec>(&none).unwrap_err().to_string().contains("has 0 features"));
    }

    #[test]
    fn bounds_map_to_minus_one_and_one_even_at_the_edge_of_doubles() {
        for (min, max) in [(0.0, 30.0), (-7.5, 0.1), (0.05, 0.17), (-f64::MAX, f64::MAX), (1e-300, 2e-300)] {
            let feature = Feature { name: "x".into(), min, max };
            assert_eq!((feature.scale(min), feature.scale(max)), (-1.0, 1.0), "{min}..{max}");
        }
        let feature = Feature { name: "x".into(), min: 10.0, max: 30.0 };
        assert_eq!((feature.scale(20.0), feature.scale(25.0)), (0.0, 0.5));
    }
}
