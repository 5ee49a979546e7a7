//! The helper protocol: two evaluators compute on masked shares, a third party deals correlated randomness ahead of them.
//!
//! Secure against any one semi-honest party. PROTOCOL.md states messages, rounds, bits and the security argument.

mod argmax;
mod compare;
mod cost;
mod dealer;
mod evaluator;
mod join;
mod labels;
mod linear;
pub mod local;
mod material;
mod meter;
mod output;
mod plan;
mod polynomial;
mod roles;
mod setup;
mod wire;

pub use cost::CostEngine;
pub use dealer::Dealer;
pub use evaluator::Evaluator;
pub use material::FromDealer;
pub use roles::Roles;
pub use setup::{Role, join_session};
