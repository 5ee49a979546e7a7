//! What flows between layers.

use tercet_engine::{Engine, EngineError, Shared, Truncate};
use tercet_share::{Linear, Ring};

use crate::scales::Dyadic;

use super::Context;

/// A value between two layers: finished, or a product that the next layer truncates together with its own work.
pub(crate) enum Value<E: Engine> {
    /// An operand of products.
    Masked(E::Masked),
    /// Half-finished, to be truncated to `frac` fractional bits.
    Pending {
        /// The value.
        offset: E::Offset,
        /// Fractional bits after the truncation; never more than the value has.
        frac: u32,
    },
}

impl<E: Engine> Value<E> {
    /// The value in `ring`. Two rounds if it was pending (one if `ring` is narrow enough), none otherwise.
    pub(crate) fn finish(self, cx: &mut Context<'_, E>, ring: Ring) -> Result<E::Masked, EngineError> {
        match self {
            Value::Masked(m) if m.meta().ring > ring => cx.engine.narrow(&m, ring),
            Value::Masked(m) => Ok(m),
            Value::Pending { offset, frac } => {
                let shift = offset.meta().frac - frac;
                let value = if shift == 0 {
                    cx.engine.remask(&[&offset])?
                } else {
                    cx.engine.truncate(&[Truncate { value: &offset, shift, out: ring }])?
                };
                only("a truncation", value)
            }
        }
    }

    /// A linear map of the value.
    pub(crate) fn linear(self, engine: &mut E, f: &Linear) -> Result<Value<E>, EngineError> {
        Ok(match self {
            Value::Masked(m) => Value::Masked(engine.linear(&m, f)?),
            Value::Pending { offset, frac } => {
                Value::Pending { offset: engine.linear_offset(&offset, f)?, frac }
            }
        })
    }
}

/// `x · by`, pending at `x`'s fractional bits: the division by 2^shift is a rereading, the truncation the next layer's.
pub(crate) fn scaled<E: Engine>(engine: &mut E, x: &E::Masked, by: Dyadic) -> Result<Value<E>, EngineError> {
    let frac = x.meta().frac;
    let wide = engine.reread(x, frac + by.shift)?;
    let wide = if by.factor == 1 { wide } else { engine.linear(&wide, &Linear::Scale(by.factor))? };
    if by.shift == 0 {
        return Ok(Value::Masked(wide));
    }
    Ok(Value::Pending { offset: engine.lift(&wide)?, frac })
}

/// The single result of a batch of one.
pub(crate) fn only<T>(what: &'static str, values: Vec<T>) -> Result<T, EngineError> {
    let n = values.len();
    match <[T; 1]>::try_from(values) {
        Ok([value]) => Ok(value),
        Err(_) => Err(EngineError::parameter(what, format!("a batch of one gave {n} results"))),
    }
}
