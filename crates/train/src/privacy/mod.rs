//! Differential privacy inside the training: noisy gradient descent on public batches.
//!
//! # Mechanism
//! One step adds up, over the rows i of its batch, c_i · g_i, and adds discrete Gaussian noise. g_i is the gradient of row i over all
//! layers, c_i its factor: 1 / √(s_i + γ²) or 1 / √max(s_i, C²), with s_i = ‖g_i‖². The C of the job is in the learning rate,
//! so that a bounded gradient has norm at most 1 + κ here. `clipping` finds s_i without any g_i, `noise` adds the noise at
//! no message.
//!
//! # What is proved, and what is enforced
//! `bounds` follows, from public numbers alone, how large any value can get for any rows that owners may share: nothing
//! wraps around, except with the probability that [`PrivacyPlan`] sets aside of δ. Under these bounds the computed s_i is
//! never below the true one, and c_i²·s_i ≤ (1 + κ)² is compared on shares: a row that fails counts as zero. So neither the
//! inverse square root nor any rounding before it can break the guarantee; the one rounding after it, of c_i·δ_i, is a part
//! of the sensitivity. `plan` turns all this into the noise.
//!
//! # Units of several rows
//! A unit of at most k rows (all owners together) moves the sum of one epoch by at most k bounds in all, however its rows fall into
//! batches: Σ m_b ≤ k, so Σ m_b² ≤ k². So it counts as one participation an epoch of k times the sensitivity.
//!
//! # Correlated noise
//! With `noise = { kind = "banded", … }` each party correlates its own draws over the steps ([`tercet_privacy::banded`]), every epoch
//! has the batches of the first, and the whole training is one Gaussian mechanism.
//!
//! # What it costs
//! One step of 784-128-128-10 at batch 128 (118,282 coordinates) with a narrow ring of δ, beside an open step: 15 rounds (norms 2, s and
//! its root 6, the check 5, scaling 2), 1.131 times the bytes with `normalise` and 1.134 times with `clip`, most of them for scaling δ,
//! and at each party 0.19 ms of one core for noise (1.6 ns a draw, generator included, AVX-512), one step ahead in a thread of its own.
//!
//! Ghost norms: Goodfellow, "Efficient per-example gradient computations" (2015); ghost clipping: Li et al. (ICLR 2022).
//! Here on shares, with integer arithmetic on the whole path between a row and its noise.

pub(crate) mod bounds;
pub(crate) mod clipping;
pub(crate) mod noise;
mod plan;
pub(crate) mod rows;
#[cfg(test)]
mod tests;

pub use bounds::LayerBounds;
pub use plan::PrivacyPlan;
pub(crate) use plan::numeric;

/// Relative slack κ of the bound that is enforced. The factors are precise to about 2^−9 where the ranges leave them their bits.
pub const KAPPA: f64 = 1.0 / 128.0;

/// Units in the last place by which a truncation on shares can be off: below 1.5 with two evaluators, below 2 with three.
pub(crate) const TRUNCATION_UNITS: f64 = 2.0;
