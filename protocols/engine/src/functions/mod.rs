//! Functions that training needs of secret values, built on the [`Engine`] trait alone.
//!
//! # Method
//! A curve is cut into pieces at public thresholds. One batch of comparisons tells the piece of each element, and a
//! polynomial of the value and the bits, exact modulo 2^ring, joins one cubic per piece:
//! `f(x) = P_0(x) + Σ_j [x ≥ t_j] · (P_j(x) − P_{j−1}(x))`. This takes the rounds of one comparison, whatever the number of
//! pieces, and no intermediate truncation, so that the number of pieces trades bytes against accuracy and never costs
//! rounds. Protocols that approximate an exponential or a logarithm by repeated squaring or Newton steps pay two rounds
//! for every step. Piecewise polynomials on shares: Mohassel and Zhang, SecureML (S&P 2017), section IV-B, for the
//! logistic function; here in one polynomial, with least-squares cubics fitted to the integer grid (see `fit`).
//!
//! # Result
//! Every function returns a half-finished value. Its facts state its fractional bits, usually about 60. The caller
//! subtracts what it wants (labels, say) and calls [`finish`], which costs two rounds, or one in a narrower ring.
//!
//! | function | rounds before `finish` | domain | error |
//! |---|---|---|---|
//! | [`select`] | 0 | any | exact |
//! | [`abs`] | 3 | \|x\| < 2^w | exact |
//! | [`max`] | 5 | differences < 2^w | exact |
//! | [`exp_nonpositive`] | 3 | −2^w < x ≤ 0 | 2^−10 · e^x + 2^−14 |
//! | [`exp`] | 3 + d | −2^w < x ≤ 10 | 2^−9 · e^x + 2^−14 |
//! | [`sigmoid`] | 3 + d | \|x\| < 2^w | 2^−11 |
//! | [`softplus`] | 3 + d | \|x\| < 2^w | 2^−10 |
//! | [`reciprocal_in`] | 3 + d | lo ≤ x ≤ hi | 2^−10 / x + 2^−15 |
//! | [`inverse_sqrt_in`] | 3 + d | lo ≤ x ≤ hi | 2^−10 / √x + 2^−15 |
//! | [`log_in`] | 3 + d | lo ≤ x ≤ hi | 2^−11 |
//! | [`reciprocal`] | 5 | 2^low ≤ x ≤ 2^high | 2^−10 / x |
//! | [`inverse_sqrt`] | 5 | 2^low ≤ x ≤ 2^high | 2^−10 / √x |
//! | [`inverse_sqrt_parts`], in parts | 13 at most, all | 2^low ≤ x < 2^high | 2^−7 / √x |
//! | [`CoarseRoot`], with its truncation | 4 | least ≤ x < 2^high | −2^−5.4 / √x to 2^−10 / √x |
//! | [`log`] | 5 | 2^low ≤ x ≤ 2^high | 2^−10 |
//! | [`softmax`], 2 classes | 3 + d | differences < 2^w | 2^−11 |
//! | [`softmax`], 3 to 10 classes | 13 | differences < 2^w | 2^−10 |
//! | [`softmax`], 11 to 128 classes | 16 | differences < 2^w | 2^−10 |
//! | [`softmax`], more classes | 18 | differences < 2^w | 2^−10 |
//! | [`softmax_cross_entropy`] | 5 + d to 26, all | differences < 2^w | loss 2^−9 |
//! | [`binary_cross_entropy`] | 5 + d, all | \|z\| < 2^w | loss 2^−9 |
//!
//! Errors are for truncations that round to nearest, as in the clear engine, and for x as it is given. A truncation on shares is off
//! by up to 1.5 units in the last place; tests disturb every truncation by as much and find the same bounds for softmax.
//!
//! Rounds are those of the `helper` engine: comparison 3, argmax 5, truncation 2, or 1 if the result's ring may be narrower.
//! `w` is the parameter `whole_bits`. `d` is 1 if the operand has more fractional bits than its cubics can use in its
//! ring, and 0 otherwise: then the operand is truncated first. In 64 bits the exponential of a non-positive number
//! takes up to 16 fractional bits as they are, functions with larger results fewer.
//!
//! # Agreement
//! All parties compute the coefficients themselves and must get the same bits. Only IEEE additions, products, quotients,
//! square roots and the `libm` crate are used, never the platform's mathematics library.

mod bounded;
mod coarse;
mod curve;
mod exponential;
mod fit;
mod logistic;
mod newton;
mod normalised;
mod normaliser;
mod pieces;
mod select;
mod softmax;

pub use bounded::{inverse_sqrt_in, log_in, reciprocal_in};
pub use coarse::{CoarseRoot, Radicand, Rooted};
pub use exponential::{exp, exp_nonpositive};
pub use logistic::{binary_cross_entropy, sigmoid, softplus};
pub use normalised::{inverse_sqrt, log, reciprocal};
pub use normaliser::{InverseSqrt, inverse_sqrt_parts};
pub use select::{abs, max, select};
pub use softmax::{softmax, softmax_cross_entropy};

use tercet_share::{Ring, Tensor, fixed};

use crate::{Engine, EngineError, Meta, Shared, Truncate};

/// Finishes a half-finished value with `frac` fractional bits in `ring`: a truncation, or a re-masking if no bit is to go.
///
/// Rounds: 2, or 1 if `ring` has at most L − s bits for a truncation by s bits in a ring of L, or if nothing is
/// truncated.
pub fn finish<E: Engine>(
    engine: &mut E,
    value: &E::Offset,
    frac: u32,
    ring: Ring,
) -> Result<E::Masked, EngineError> {
    let meta = value.meta();
    match meta.frac.checked_sub(frac) {
        None => {
            let why = format!("the value has {} fractional bits, but {frac} were asked for", meta.frac);
            Err(EngineError::parameter("finishing a value", why))
        }
        Some(0) => {
            let masked = single(engine.remask(&[value])?)?;
            if ring < meta.ring { engine.narrow(&masked, ring) } else { Ok(masked) }
        }
        Some(shift) => single(engine.truncate(&[Truncate { value, shift, out: ring }])?),
    }
}

/// `a − b` with `frac` fractional bits in the full ring; both are finished in the same rounds if both are truncated.
fn finish_difference<E: Engine>(
    engine: &mut E,
    a: &E::Offset,
    b: &E::Offset,
    frac: u32,
) -> Result<E::Masked, EngineError> {
    let shift = |value: &E::Offset| value.meta().frac.saturating_sub(frac);
    let out = Ring::FULL;
    if shift(a) == 0 || shift(b) == 0 {
        let a = finish(engine, a, frac, out)?;
        let b = finish(engine, b, frac, out)?;
        return engine.add(&a, &b, true);
    }
    let batch = [a, b].map(|value| Truncate { value, shift: shift(value), out });
    match engine.truncate(&batch)?.as_slice() {
        [a, b] => engine.add(a, b, true),
        _ => Err(missing()),
    }
}

/// Width of a comparison of values below 2^whole_bits with `frac` fractional bits: a sign bit more.
fn comparison_width(frac: u32, whole_bits: u32) -> u32 {
    frac.saturating_add(whole_bits).saturating_add(1)
}

/// The one result of a batch of one.
fn single<T>(results: Vec<T>) -> Result<T, EngineError> {
    results.into_iter().next().ok_or_else(missing)
}

/// An engine broke its contract.
fn missing() -> EngineError {
    EngineError::parameter("a batch", "the engine returned fewer results than operands")
}

/// A tensor of the public number `value`, with the facts of `like`.
fn constant<E: Engine>(engine: &mut E, value: f64, like: Meta) -> Result<E::Masked, EngineError> {
    let encoded = fixed::encode(value, like.frac, like.ring)?;
    engine.public(&Tensor::filled(like.rows, like.cols, encoded), like)
}

/// A value with at most `frac` fractional bits: the operand itself, or one round that drops the others and as many bits
/// of the ring.
fn drop_to<E: Engine>(engine: &mut E, x: &E::Masked, frac: u32) -> Result<E::Masked, EngineError> {
    let meta = x.meta();
    let shift = meta.frac.saturating_sub(frac);
    if shift == 0 {
        return Ok(x.clone());
    }
    let lifted = engine.lift(x)?;
    narrow_finish(engine, &lifted, frac)
}

/// [`finish`] in one round: the ring loses as many bits as the value.
fn narrow_finish<E: Engine>(engine: &mut E, value: &E::Offset, frac: u32) -> Result<E::Masked, EngineError> {
    let meta = value.meta();
    let shift = meta.frac.saturating_sub(frac);
    let ring = Ring::new(meta.ring.bits().saturating_sub(shift))?;
    finish(engine, value, frac.min(meta.frac), ring)
}
