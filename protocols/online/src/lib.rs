//! The online phase that all protocols share: evaluators compute on masked shares.
//!
//! An evaluator holds m = x + λ and its own summand of λ for every value. It draws its correlated randomness from a
//! [`Source`], and that is all that differs between protocols: a dealer sends it, or the evaluators make it by oblivious
//! transfer. The modules below state what every operation opens and consumes, in shapes and widths, so that a source, an
//! evaluator and a declared cost cannot drift apart.

pub mod argmax;
pub mod compare;
mod cost;
mod evaluator;
pub mod input;
pub mod join;
pub mod labels;
pub mod linear;
pub mod material;
pub mod meter;
pub mod output;
pub mod owners;
pub mod plan;
pub mod polynomial;
mod program;
pub mod recipe;
pub mod recipes;
pub mod wire;

pub use cost::{Charge, CostEngine, Shape};
pub use evaluator::{Bit, Evaluator, Masked, Offset};
pub use material::{Dealt, Source};
pub use program::Program;
pub use recipe::Recipe;
