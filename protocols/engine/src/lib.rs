//! The engine trait: what a protocol offers to training, with declared costs, and the functions built on it.

pub mod checks;
mod cost;
mod engine;
mod error;
pub mod functions;
mod meta;
mod opening;

pub use cost::Cost;
pub use engine::{Activated, Compared, Engine, Gate, Input, Relu, Shared, Sign, Term, Truncate, Var};
pub use error::EngineError;
pub use meta::Meta;
pub use opening::{Opening, OpeningRecord, Party, Policy, Reason, Rule};
