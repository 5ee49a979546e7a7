//! The helper protocol: two evaluators compute on masked shares, a third party deals correlated randomness ahead of them.
//!
//! Secure against any one semi-honest party. PROTOCOL.md states messages, rounds, bits and the security argument.

mod cost;
mod dealer;
pub mod local;
mod material;
mod roles;
mod setup;

use tercet_online::{argmax, compare, input, join, labels, linear, meter, output, plan, polynomial, wire};

pub use cost::{CostEngine, Dealing};
pub use dealer::Dealer;
pub use material::FromDealer;
pub use roles::Roles;
pub use setup::{Role, join_session};
pub use tercet_online::Evaluator;
