//! Comparison, ReLU, gates, argmax, polynomials and products against the clear values: ten million signs.

mod support;

use tercet_helper::local;

/// Divides the number of values of a test.
const FEWER: usize = 1;

#[path = "../../online/tests/shared/nonlinear.rs"]
mod nonlinear;
