//! Numbers of channels: means, running averages and the inverse root. What is done here costs rounds, and few bytes.

use tercet_engine::{Engine, EngineError, Meta, Shared, Truncate, functions};
use tercet_share::{Bilinear, Linear, Ring, Tensor, fixed};

use super::WHAT;
use crate::layers::value::only;
use crate::scales::{Average, Dyadic, MEAN, NormPlan, RECIPROCAL};

/// 1 / n, and n as a power of two.
#[derive(Clone, Copy)]
pub(super) struct Count {
    /// 1 / n, for means of squares and of products.
    share: Dyadic,
    /// The same for means, more precise.
    mean: Dyadic,
    /// k = ⌈log2 n⌉.
    pub(super) bits: u32,
}

impl Count {
    pub(super) fn new(n: usize, norm: &NormPlan) -> Count {
        let [share, mean] = [RECIPROCAL, norm.mean].map(|precision| Dyadic::reciprocal(n, precision));
        Count { share, mean, bits: n.next_power_of_two().trailing_zeros() }
    }

    /// Fractional bits of 2^k / n.
    fn rest(self) -> u32 {
        self.share.shift - self.bits
    }
}

/// `sum` / n, half-finished, with more fractional bits than `sum` has, and [`MEAN`].
pub(super) fn mean<E: Engine>(
    engine: &mut E,
    sum: &E::Masked,
    count: Count,
) -> Result<E::Offset, EngineError> {
    let Dyadic { factor, shift } = count.mean;
    let raise = (MEAN + 1).saturating_sub(shift);
    let read = engine.reread(sum, sum.meta().frac + shift + raise)?;
    let read = engine.linear(&read, &Linear::Scale(factor << raise))?;
    engine.lift(&read)
}

/// `x` · 2^k / n: no round.
pub(super) fn times_rest<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    count: Count,
) -> Result<E::Masked, EngineError> {
    let x = engine.reread(x, x.meta().frac + count.rest())?;
    if count.rest() == 0 { Ok(x) } else { engine.linear(&x, &Linear::Scale(count.share.factor)) }
}

/// The running average after `step`, to be truncated by the shift of the average: as it was, times what is left of its weight, and
/// the new value, which may have fewer fractional bits, times its own.
pub(super) fn average<E: Engine>(
    engine: &mut E,
    old: &E::Offset,
    new: &E::Masked,
    average: Average,
    step: u64,
) -> Result<E::Offset, EngineError> {
    let factor = average.factor(step);
    let mut sum = engine.linear_offset(old, &Linear::Scale((1 << average.shift) - factor))?;
    let new = engine.reread(new, new.meta().frac + average.shift)?;
    let new = engine.lift(&new)?;
    let up = sum.meta().frac - new.meta().frac;
    engine.accumulate(&mut sum, &new, factor, up)?;
    Ok(sum)
}

/// A running average for the next step, read with as many fractional bits more as its truncation drops.
pub(super) fn keep<E: Engine>(
    engine: &mut E,
    x: &E::Masked,
    average: Average,
) -> Result<E::Offset, EngineError> {
    let x = engine.reread(x, x.meta().frac + average.shift)?;
    engine.lift(&x)
}

/// 1 / √(variance + ε), half-finished.
pub(super) fn root<E: Engine>(
    engine: &mut E,
    norm: &NormPlan,
    variance: &E::Masked,
) -> Result<E::Offset, EngineError> {
    let meta = variance.meta();
    let epsilon = fixed::encode(norm.epsilon, meta.frac, meta.ring)?;
    let epsilon = engine.public(&Tensor::filled(meta.rows, meta.cols, epsilon), meta)?;
    let variance = engine.add(variance, &epsilon, false)?;
    functions::inverse_sqrt(engine, &variance, norm.low, norm.high)
}

/// s = γ·r in `out`.
pub(super) fn scale<E: Engine>(
    engine: &mut E,
    norm: &NormPlan,
    gamma: &E::Masked,
    root: &E::Masked,
    out: Ring,
) -> Result<E::Masked, EngineError> {
    let product = engine.product(&Bilinear::Hadamard, gamma, root)?;
    let Meta { frac, .. } = product.meta();
    only(WHAT, engine.truncate(&[Truncate { value: &product, shift: frac - norm.scale, out }])?)
}

/// One truncation call.
pub(super) fn batch<E: Engine, const N: usize>(
    engine: &mut E,
    batch: &[Truncate<'_, E::Offset>; N],
) -> Result<[E::Masked; N], EngineError> {
    let lost = |_| EngineError::parameter(WHAT, "a batch gave another number of results");
    engine.truncate(batch)?.try_into().map_err(lost)
}
