//! The ℓ2 sensitivity of a clipped gradient as fixed-point arithmetic really computes it.
//!
//! Δ = 2^f·C·(1 + κ) + √(Σ_l A_l²·out_l) + √d, in units of 2^−f. The first part is the clipping bound C with the
//! relative error κ of the computed clipping factor. The second is the rounding of the back-propagated error: each of
//! the out_l outputs of layer l is off by up to one unit, and enters the weight gradient times the layer's input, whose
//! norm is at most A_l. The third is one unit of rounding in each of the d coordinates.

use crate::accountant::view::Units;
use crate::error::{PrivacyError, non_negative, positive};
use serde::{Deserialize, Serialize};

/// Most fractional bits of the fixed point.
const MAX_FRACTION_BITS: u32 = 62;

/// What one layer adds to the sensitivity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// A_l: bound on the ℓ2 norm of the layer's input for one record, the 1 of a bias included. The training must
    /// enforce it.
    pub input_norm: f64,
    /// out_l: outputs of the layer.
    pub outputs: u64,
}

/// The parts of the sensitivity, in units of 2^−f.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// 2^f·C·(1 + κ).
    pub clipped: f64,
    /// √(Σ A_l²·out_l).
    pub backward_rounding: f64,
    /// √d.
    pub coordinate_rounding: f64,
    /// Their sum Δ.
    pub total: f64,
    /// d, the number of coordinates.
    pub coordinates: u64,
}

/// The sensitivity of a sum of gradients clipped to norm `clip` (C, in real numbers) at `fraction_bits` (f), with a
/// relative error of at most `clip_error` (κ) in the clipping factor, the `layers`, and `coordinates` (d).
///
/// For adding or removing one record; double it for replacing one.
///
/// # Errors
/// A bound that is not a positive finite number, more than 62 fractional bits, no layer or no coordinate.
pub fn sensitivity(
    fraction_bits: u32,
    clip: f64,
    clip_error: f64,
    layers: &[Layer],
    coordinates: u64,
) -> Result<Sensitivity, PrivacyError> {
    if fraction_bits > MAX_FRACTION_BITS {
        return Err(PrivacyError::TooLarge {
            what: "the number of fractional bits",
            value: f64::from(fraction_bits),
            limit: f64::from(MAX_FRACTION_BITS),
        });
    }
    if coordinates == 0 {
        return Err(PrivacyError::Zero { what: "the number of coordinates" });
    }
    if layers.is_empty() {
        return Err(PrivacyError::Zero { what: "the number of layers" });
    }
    let clip = positive("the clipping bound", clip)?;
    let clip_error = non_negative("the relative error of the clipping factor", clip_error)?;
    let mut squares = 0.0;
    for layer in layers {
        if layer.outputs == 0 {
            return Err(PrivacyError::Zero { what: "the number of outputs of a layer" });
        }
        squares += positive("the input norm of a layer", layer.input_norm)?.powi(2) * layer.outputs as f64;
    }
    let clipped = 2f64.powi(fraction_bits as i32) * clip * (1.0 + clip_error);
    let (backward_rounding, coordinate_rounding) = (f64::sqrt(squares), (coordinates as f64).sqrt());
    let total = positive("the sensitivity", clipped + backward_rounding + coordinate_rounding)?;
    Ok(Sensitivity { clipped, backward_rounding, coordinate_rounding, total, coordinates })
}

impl Sensitivity {
    /// The same for adding or removing `rows` records at once: each part as often.
    #[must_use]
    pub fn of_rows(self, rows: u32) -> Sensitivity {
        let rows = f64::from(rows);
        Sensitivity {
            clipped: self.clipped * rows,
            backward_rounding: self.backward_rounding * rows,
            coordinate_rounding: self.coordinate_rounding * rows,
            total: self.total * rows,
            coordinates: self.coordinates,
        }
    }

    /// The units in which the accountant states the discrete noise.
    pub fn units(&self) -> Units {
        Units { sensitivity: self.total, coordinates: self.coordinates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [Layer; 2] = [Layer { input_norm: 3.0, outputs: 4 }, Layer { input_norm: 4.0, outputs: 4 }];

    #[test]
    fn the_parts_add_up() {
        let found = sensitivity(16, 1.5, 0.01, &LAYERS, 100).expect("valid");
        assert!((found.clipped - 65536.0 * 1.5 * 1.01).abs() < 1e-6);
        assert_eq!((found.backward_rounding, found.coordinate_rounding), (10.0, 10.0));
        assert_eq!(found.total, found.clipped + 20.0);
        assert_eq!(found.units(), Units { sensitivity: found.total, coordinates: 100 });
    }

    #[test]
    fn bad_bounds_are_refused() {
        for (bits, clip, error, layers, d) in [
            (63, 1.0, 0.0, &LAYERS[..], 1),
            (16, 0.0, 0.0, &LAYERS[..], 1),
            (16, f64::NAN, 0.0, &LAYERS[..], 1),
            (16, 1.0, -0.1, &LAYERS[..], 1),
            (16, 1.0, 0.0, &[], 1),
            (16, 1.0, 0.0, &LAYERS[..], 0),
            (16, 1.0, 0.0, &[Layer { input_norm: f64::INFINITY, outputs: 1 }], 1),
            (16, 1.0, 0.0, &[Layer { input_norm: 1.0, outputs: 0 }], 1),
            (62, 1e300, 0.0, &LAYERS[..], 1),
        ] {
            assert!(sensitivity(bits, clip, error, layers, d).is_err(), "{bits} {clip} {error} {d}");
        }
    }
}
