//! Flatten: images are rows of numbers already, channel-major.

use tercet_engine::{Engine, EngineError};

use super::{Backward, Context, Layer, Value, Weights};

/// A change of shape that moves nothing.
pub(crate) struct Flatten;

impl<E: Engine> Layer<E> for Flatten {
    fn forward(
        &mut self,
        _: &mut Context<'_, E>,
        x: Value<E>,
        _: Option<&Weights<E>>,
    ) -> Result<Value<E>, EngineError> {
        Ok(x)
    }

    fn backward(
        &mut self,
        _: &mut Context<'_, E>,
        delta: Value<E>,
        _: Option<&Weights<E>>,
        _: bool,
    ) -> Result<Backward<E>, EngineError> {
        Ok(Backward::input(delta))
    }
}
