//! Programs that every party runs over its own engine.

use tercet_engine::{Engine, EngineError};

/// A program that every party runs over its own engine.
pub trait Program: Sync {
    /// What a party ends with.
    type Output: Send;

    /// Runs the program.
    fn run<E: Engine>(&self, engine: &mut E) -> Result<Self::Output, EngineError>;
}
