//! The schema of an IDX pair of images and labels.

use serde::{Deserialize, Serialize};

use super::{MAX_FEATURES, SchemaError};
use crate::features::Features;

/// Size, classes and pixel scale of an image set. Only valid ones exist; see [`IdxSpec::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawIdxSpec", into = "RawIdxSpec")]
pub struct IdxSpec {
    height: u32,
    width: u32,
    classes: u32,
    mean: f32,
    deviation: f32,
    features: Features,
}

impl IdxSpec {
    /// Images of `height` × `width` pixels of one byte, in `classes` classes. A pixel byte b becomes
    /// (b/255 − `mean`) / `deviation`; mean 0 and deviation 1 leave b/255. Other features are computed from b/255, and then
    /// scaled alike.
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
        RawIdxSpec { height, width, classes, mean, deviation, features: Features::Pixels }.try_into()
    }

    /// The same images with other features.
    ///
    /// # Errors
    /// [`SchemaError`]: images too small for them.
    pub fn with_features(self, features: Features) -> Result<Self, SchemaError> {
        RawIdxSpec { features, ..self.into() }.try_into()
    }

    /// Height, pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width, pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Numbers in a row.
    pub fn features(&self) -> usize {
        self.features.count(self.height as usize, self.width as usize)
    }

    /// Appends the row of one image of [`IdxSpec::pixels`] bytes. `shares` is scratch space.
    pub(crate) fn row(&self, image: &[u8], shares: &mut Vec<f32>, out: &mut Vec<f32>) {
        shares.clear();
        shares.extend(image.iter().map(|&pixel| f32::from(pixel) / 255.0));
        let begun = out.len();
        self.features.of(shares, self.width as usize, out);
        out[begun..].iter_mut().for_each(|value| *value = self.scaled(*value));
    }

    /// Pixels of an image, row-major.
    pub fn pixels(&self) -> usize {
        self.height as usize * self.width as usize
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes as usize
    }

    /// The number for one pixel byte.
    pub fn scale(&self, pixel: u8) -> f32 {
        self.scaled(f32::from(pixel) / 255.0)
    }

    fn scaled(&self, value: f32) -> f32 {
        (value - self.mean) / self.deviation
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
    #[serde(default, skip_serializing_if = "is_pixels")]
    features: Features,
}

fn is_pixels(features: &Features) -> bool {
    *features == Features::Pixels
}

fn unit() -> f32 {
    1.0
}

impl TryFrom<RawIdxSpec> for IdxSpec {
    type Error = SchemaError;

    fn try_from(raw: RawIdxSpec) -> Result<Self, SchemaError> {
        let RawIdxSpec { height, width, classes, mean, deviation, features } = raw;
        let pixels = u64::from(height) * u64::from(width);
        if pixels == 0 || pixels > MAX_FEATURES as u64 {
            return Err(SchemaError::Shape { height, width, most: MAX_FEATURES });
        }
        if features.count(height as usize, width as usize) == 0 {
            return Err(SchemaError::TooSmall { height, width });
        }
        // A label is one byte.
        if !(2..=256).contains(&classes) {
            return Err(SchemaError::ClassCount { found: classes as usize, most: 256 });
        }
        // Far enough from zero and infinity that every pixel stays finite.
        if !(mean.abs() <= 1e6 && (1e-6..=1e6).contains(&deviation)) {
            return Err(SchemaError::PixelScale { mean, deviation });
        }
        Ok(Self { height, width, classes, mean, deviation, features })
    }
}

impl From<IdxSpec> for RawIdxSpec {
    fn from(spec: IdxSpec) -> Self {
        let IdxSpec { height, width, classes, mean, deviation, features } = spec;
        Self { height, width, classes, mean, deviation, features }
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
    fn features_of_images_have_their_own_number() {
        for (features, count) in [("pixels", 784), ("pool", 196), ("hog", 486)] {
            let text = format!("height = 28\nwidth = 28\nclasses = 10\nfeatures = \"{features}\"");
            let spec: IdxSpec = toml::from_str(&text).unwrap();
            assert_eq!((spec.features(), spec.pixels()), (count, 784), "{features}");
        }
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
            ("height = 2\nwidth = 28\nclasses = 2\nfeatures = \"hog\"", "2 x 28 pixels"),
            ("height = 1\nwidth = 1\nclasses = 2\nfeatures = \"sift\"", "unknown variant"),
        ] {
            let error = toml::from_str::<IdxSpec>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
