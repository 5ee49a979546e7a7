//! Fixed features of images, computed by each owner from its own images before anything is shared.
//!
//! They depend on one image and on nothing else, so that they cost no privacy and no message. A linear model on them
//! needs far fewer weights, and so far less noise, than a network on pixels.

mod hog;
mod pool;

use serde::{Deserialize, Serialize};

/// What a row holds of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Features {
    /// Every pixel, row-major.
    #[default]
    Pixels,
    /// Means over windows of 2 × 2 pixels, row-major.
    Pool,
    /// Histograms of gradients: for every cell, 3 pixels from the next, row-major, 6 orientations.
    Hog,
}

impl Features {
    /// Numbers in a row of an image of `height` × `width` pixels; rows and columns that fill no window or cell are left out.
    pub(crate) fn count(self, height: usize, width: usize) -> usize {
        match self {
            Features::Pixels => height * width,
            Features::Pool => pool::count(height, width),
            Features::Hog => hog::count(height, width),
        }
    }

    /// The numbers of one image, appended.
    pub(crate) fn of(self, pixels: &[f32], width: usize, out: &mut Vec<f32>) {
        match self {
            Features::Pixels => out.extend_from_slice(pixels),
            Features::Pool => pool::features(pixels, width, out),
            Features::Hog => hog::features(pixels, width, out),
        }
    }
}
