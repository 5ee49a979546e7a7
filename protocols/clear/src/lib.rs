//! The clear engine: the same fixed-point operations in the open.
//!
//! [`ClearEngine`] runs a program of the [`Engine`](tercet_engine::Engine) trait on plain ring elements, with the scales,
//! rings and checks of the protocols and no communication. It is the oracle of every test and the baseline of every cost
//! table. It protects nothing.
//!
//! Differences from the protocols: a truncation rounds to nearest instead of at random, and every value is seen to be in
//! range or not (see [`Violation`]).

mod arithmetic;
mod engine;
mod range;
mod value;

pub use engine::ClearEngine;
pub use range::Violation;
pub use value::{ClearBit, ClearMasked, ClearOffset};
