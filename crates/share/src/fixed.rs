//! Fixed point: a real x is the ring element round(x · 2^f), two's complement.

use crate::{Ring, ShareError};

/// Largest number of fractional bits of any tensor, products included.
pub const MAX_FRAC: u32 = 62;

/// Encodes `x` with `frac` fractional bits, rounding half away from zero.
/// An error if `x` is not finite or needs more than the ring's width minus two bits (the truncation's range).
pub fn encode(x: f64, frac: u32, ring: Ring) -> Result<u64, ShareError> {
    let scaled = (x * (frac as f64).exp2()).round();
    let limit = ((ring.bits() as f64) - 2.0).exp2();
    if !scaled.is_finite() || scaled.abs() > limit {
        return Err(ShareError::Encode { frac, ring: ring.bits() });
    }
    Ok(scaled as i64 as u64 & ring.mask())
}

/// Encodes a slice; see [`encode`].
pub fn encode_all(xs: impl IntoIterator<Item = f64>, frac: u32, ring: Ring) -> Result<Vec<u64>, ShareError> {
    xs.into_iter().map(|x| encode(x, frac, ring)).collect()
}

/// The real number that the ring element `v` stands for.
pub fn decode(v: u64, frac: u32, ring: Ring) -> f64 {
    ring.signed(v) as f64 * (-(frac as f64)).exp2()
}
