//! The schema of an IDX pair of images and labels.

use serde::{Deserialize, Serialize};

use super::{MAX_FEATURES, SchemaError};

/// Size, classes and pixel scale of an image set. Only valid ones exist; see [`IdxSpec::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawIdxSpec", into = "RawIdxSpec")]
pub struct IdxSpec {
    height: u32,
    width: u32,
    classes: u32,
    mean: f32,
    deviation: f32,
}

impl IdxSpec {
    /// Images of `height` × `width` pixels of one byte, in `classes` classes. A pixel byte b becomes
    /// (b/255 − `mean`) / `deviation`; mean 0 and deviation 1 leave b/255.
    ///
    /// # Errors
    /// [`SchemaError`]: no pixels or too many, fewer than 2 or more than 256 classes, constants that cannot scale.
    pub fn new(
        height: u32,
        width: u32,
        classes: u32,
        mean: f32,
        deviation: f32,
    ) -> Result<Self, SchemaError> {
        RawIdxSpec { height, width, classes, mean, deviation }.try_into()
    }

    /// Height, pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width, pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels of an image: the features of a row, row-major.
    pub fn pixels(&self) -> usize {
        self.height as usize * self.width as usize
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes as usize
    }

    /// The feature of one pixel byte.
    pub fn scale(&self, pixel: u8) -> f32 {
        (f32::from(pixel) / 255.0 - self.mean) / self.deviation
    }
}

/// The form in a job file, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdxSpec {
    height: u32,
    width: u32,
    classes: u32,
    #[serde(default)]
    mean: f32,
    #[serde(default = "unit")]
    deviation: f32,
}

fn unit() -> f32 {
    1.0
}

impl TryFrom<RawIdxSpec> for IdxSpec {
    type Error = SchemaError;

    fn try_from(raw: RawIdxSpec) -> Result<Self, SchemaError> {
        let RawIdxSpec { height, width, classes, mean, deviation } = raw;
        let pixels = u64::from(height) * u64::from(width);
        if pixels == 0 || pixels > MAX_FEATURES as u64 {
            return Err(SchemaError::Shape { height, width, most: MAX_FEATURES });
        }
        // A label is one byte.
        if !(2..=256).contains(&classes) {
            return Err(SchemaError::ClassCount { found: classes as usize, most: 256 });
        }
        // Far enough from zero and infinity that every pixel stays finite.
        if !(mean.abs() <= 1e6 && (1e-6..=1e6).contains(&deviation)) {
            return Err(SchemaError::PixelScale { mean, deviation });
        }
        Ok(Self { height, width, classes, mean, deviation })
    }
}

impl From<IdxSpec> for RawIdxSpec {
    fn from(spec: IdxSpec) -> Self {
        let IdxSpec { height, width, classes, mean, deviation } = spec;
        Self { height, width, classes, mean, deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DataSpec;

    #[test]
    fn a_schema_is_read_and_written_back() {
        let text = "format = \"idx\"\nheight = 28\nwidth = 28\nclasses = 10\nmean = 0.5\ndeviation = 0.25\n";
        let spec: DataSpec = toml::from_str(text).unwrap();
        assert_eq!((spec.features(), spec.classes()), (784, 10));
        assert_eq!(spec.class_names()[9], "9");
        assert_eq!(toml::to_string(&spec).unwrap(), text);
        let DataSpec::Idx(spec) = spec else { panic!("idx expected") };
        assert_eq!((spec.scale(0), spec.scale(255)), (-2.0, 2.0));
    }

    #[test]
    fn pixels_are_a_share_of_255_by_default() {
        let spec: IdxSpec = toml::from_str("height = 1\nwidth = 1\nclasses = 2").unwrap();
        assert_eq!((spec.scale(0), spec.scale(51), spec.scale(255)), (0.0, 0.2, 1.0));
    }

    #[test]
    fn every_unusable_schema_is_refused_by_name() {
        for (text, part) in [
            ("height = 0\nwidth = 28\nclasses = 10", "0 x 28 pixels"),
            ("height = 4294967295\nwidth = 4294967295\nclasses = 10", "pixels: give between"),
            ("height = 1\nwidth = 1\nclasses = 1", "1 classes"),
            ("height = 1\nwidth = 1\nclasses = 257", "257 classes"),
            ("height = 1\nwidth = 1\nclasses = 2\ndeviation = 0.0", "deviation 0"),
            ("height = 1\nwidth = 1\nclasses = 2\nmean = nan", "mean NaN"),
            ("height = 1\nwidth = 1\nclasses = 2\nscale = 2", "unknown field"),
        ] {
            let error = toml::from_str::<IdxSpec>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
