//! DP-FTRL with banded correlated noise: noise of one step is partly taken back in the next ones, so that the running
//! sum of all updates, which is the model, carries less of it.
//!
//! With C lower triangular, Toeplitz and banded, the mechanism releases G + C⁻¹z: post-processing of C·G + z, a
//! Gaussian mechanism whose sensitivity is that of C·G under the participation pattern (Choquette-Choo et al. 2023).
//! The coefficients are those of the banded square root (Kalinin–Lampert 2024). No sampling is needed, nor claimed:
//! this fits batches that the parties know.

mod noise;
mod strategy;

pub use noise::CorrelatedNoise;
pub use strategy::{Banded, Participation};
