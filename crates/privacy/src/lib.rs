//! Differential privacy for training: what a run costs, the noise that pays for it, and the record of what was spent.
//!
//! - [`accountant`]: (ε, δ) of compositions, by Rényi differential privacy, by privacy loss distributions and, for
//!   Gaussians, exactly; calibration of the noise; what an outsider and what a corrupt party can learn.
//! - [`sensitivity`](mod@sensitivity): how much one record moves a clipped gradient in fixed point.
//! - [`banded`]: correlated noise for batches that the parties know.
//! - [`ledger`]: the budget of a data set, kept in a hash-chained file.
//! - [`sampler`]: exact samples from the discrete Gaussian, and each party's share of the noise.
//! - [`discrete`]: how close sums of discrete Gaussians are to the continuous Gaussian.

pub mod accountant;
pub mod banded;
pub mod discrete;
mod error;
pub mod ledger;
pub mod sampler;
pub mod sensitivity;
mod special;

pub use error::PrivacyError;
