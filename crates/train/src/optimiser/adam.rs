//! Adam on shares. All weights and biases of the network go through every step together, so that the rounds do not depend on
//! how many layers there are.
//!
//! Rounds on the `helper` engine: 2 for g, 2 for m, v and what is under the root, and those of
//! [`inverse_sqrt_parts`](functions::inverse_sqrt_parts): 16 in all. Scales are those of [`crate::scales::AdamPlan`].

use tercet_engine::{Engine, EngineError, Meta, Shared, Term, Truncate, Var, functions};
use tercet_share::{Bilinear, Linear, Ring, Tensor, fixed};

use super::Parameter;
use crate::layers::Gradient;
use crate::scales::AdamPlan;

/// One step.
pub(super) struct Step<'a> {
    /// Scales.
    pub(super) plan: &'a AdamPlan,
    /// h.
    pub(super) rate_bits: u32,
    /// Ring of the master weights.
    pub(super) ring: Ring,
    /// Fractional bits of the gradients.
    pub(super) summed: u32,
    /// c.
    pub(super) factor: i64,
    /// The step, from 1.
    pub(super) step: u64,
}

/// The averages of a step, one tensor for every weight and bias.
struct Averages<E: Engine> {
    /// m, f_m fractional bits.
    first: Vec<E::Masked>,
    /// v.
    second: Vec<E::Masked>,
    /// v with fewer fractional bits in a narrower ring.
    under_root: Vec<E::Masked>,
}

impl Step<'_> {
    /// Moves the parameters, and the averages of their gradients with them.
    pub(super) fn descend<E: Engine>(
        &self,
        engine: &mut E,
        parameters: &mut [Parameter<E>],
        gradients: &[Gradient<E>],
    ) -> Result<(), EngineError> {
        let gradients = self.means(engine, gradients)?;
        let averages = self.averages(engine, parameters, &gradients)?;
        let shapes: Vec<(usize, usize)> = gradients.iter().map(|g| g.meta().shape()).collect();
        let update = self.update(engine, &averages)?;
        self.subtract(engine, parameters, &update, &shapes)?;
        self.keep(engine, parameters, averages)
    }

    /// g of every weight and bias: the sums over the batch, truncated and read as means.
    fn means<E: Engine>(
        &self,
        engine: &mut E,
        gradients: &[Gradient<E>],
    ) -> Result<Vec<E::Masked>, EngineError> {
        let shift = self.summed + self.plan.mean_bits - self.plan.gradient;
        let sums = gradients.iter().flat_map(|g| [&g.weight, &g.bias]);
        let batch: Vec<_> = sums.map(|value| Truncate { value, shift, out: Ring::FULL }).collect();
        let means = engine.truncate(&batch)?;
        means.iter().map(|g| engine.reread(g, self.plan.gradient)).collect()
    }

    /// m and v after this step, in one call.
    fn averages<E: Engine>(
        &self,
        engine: &mut E,
        parameters: &[Parameter<E>],
        gradients: &[E::Masked],
    ) -> Result<Averages<E>, EngineError> {
        let AdamPlan { first, second, moment, gradient, square, under_root, .. } = *self.plan;
        let (new, old) = (first.factor(self.step), (1 << first.shift) - first.factor(self.step));
        let mut moments = Vec::with_capacity(gradients.len());
        for (average, g) in pairs_of(parameters, |p| p.velocity.as_ref())?.into_iter().zip(gradients) {
            let mut sum = engine.linear_offset(average, &Linear::Scale(old))?;
            // w · g: an integer times g, read with t more fractional bits.
            let share = engine.reread(g, gradient + first.shift)?;
            let share = engine.lift(&share)?;
            engine.accumulate(&mut sum, &share, new, moment - gradient)?;
            moments.push(sum);
        }
        let (new, old) = (second.factor(self.step), (1 << second.shift) - second.factor(self.step));
        let mut squares = Vec::with_capacity(gradients.len());
        for (average, g) in pairs_of(parameters, |p| p.square.as_ref())?.into_iter().zip(gradients) {
            let mut sum = engine.linear_offset(average, &Linear::Scale(old))?;
            let share = engine.reread(g, gradient + second.shift)?;
            let share = engine.product(&Bilinear::Hadamard, &share, g)?;
            engine.accumulate(&mut sum, &share, new, 0)?;
            squares.push(sum);
        }
        let narrow = Ring::new(self.plan.under_root_bits())?;
        let full = |shift| move |value| Truncate { value, shift, out: Ring::FULL };
        let rooted = |value| Truncate { value, shift: second.shift + square - under_root, out: narrow };
        let batch: Vec<_> = (moments.iter().map(full(first.shift)))
            .chain(squares.iter().map(full(second.shift)))
            .chain(squares.iter().map(rooted))
            .collect();
        let mut first = engine.truncate(&batch)?;
        let mut second = first.split_off(gradients.len().min(first.len()));
        let under_root = second.split_off(gradients.len().min(second.len()));
        Ok(Averages { first, second, under_root })
    }

    /// m / √(v + ε²) of all weights and biases, one below the other, half-finished at the scale of the master weights.
    fn update<E: Engine>(&self, engine: &mut E, averages: &Averages<E>) -> Result<E::Offset, EngineError> {
        let AdamPlan { low, high, floor, root, .. } = *self.plan;
        let v = column(engine, &averages.under_root)?;
        let meta = v.meta();
        let floor = fixed::encode(floor, meta.frac, meta.ring)?;
        let floor = engine.public(&Tensor::filled(meta.rows, 1, floor), meta)?;
        let v = engine.add(&v, &floor, false)?;
        let inverse = functions::inverse_sqrt_parts(engine, &v, (low, high), root, self.ring)?;
        let m = column(engine, &averages.first)?;
        // A division by 2^h for free.
        let m = engine.reread(&m, self.plan.moment + self.rate_bits)?;
        let vars = [&m, &inverse.power, &inverse.root];
        let frac = vars.iter().map(|v| v.meta().frac).sum();
        let term = Term { coefficient: 1.0, powers: vec![1; vars.len()] };
        engine.polynomial(&vars.map(Var::Masked), &[term], frac)
    }

    /// W ← W − c · update.
    fn subtract<E: Engine>(
        &self,
        engine: &mut E,
        parameters: &mut [Parameter<E>],
        update: &E::Offset,
        shapes: &[(usize, usize)],
    ) -> Result<(), EngineError> {
        let weights = parameters.iter_mut().flat_map(|p| [&mut p.weight, &mut p.bias]);
        let mut start = 0;
        for (weight, &(rows, cols)) in weights.zip(shapes) {
            let end = start + rows * cols;
            let part = engine.linear_offset(update, &Linear::GatherRows((start..end).collect()))?;
            let part = engine.linear_offset(&part, &Linear::Reshape(rows, cols))?;
            engine.accumulate(weight, &part, -self.factor, 0)?;
            start = end;
        }
        Ok(())
    }

    /// The averages for the next step. They are read with as many fractional bits more as its truncation drops.
    fn keep<E: Engine>(
        &self,
        engine: &mut E,
        parameters: &mut [Parameter<E>],
        averages: Averages<E>,
    ) -> Result<(), EngineError> {
        let AdamPlan { first, second, moment, square, .. } = *self.plan;
        let mut kept = |values: Vec<E::Masked>, frac| {
            let kept = values.iter().map(|value| {
                let read = engine.reread(value, frac)?;
                engine.lift(&read)
            });
            kept.collect::<Result<Vec<_>, EngineError>>()
        };
        let moments = kept(averages.first, moment + first.shift)?;
        let squares = kept(averages.second, square + second.shift)?;
        let pairs = super::pairs(moments).zip(super::pairs(squares));
        for (parameter, (velocity, square)) in parameters.iter_mut().zip(pairs) {
            (parameter.velocity, parameter.square) = (Some(velocity), Some(square));
        }
        Ok(())
    }
}

/// One part of the state of every weight and bias, in order.
fn pairs_of<E: Engine>(
    parameters: &[Parameter<E>],
    part: impl Fn(&Parameter<E>) -> Option<&(E::Offset, E::Offset)>,
) -> Result<Vec<&E::Offset>, EngineError> {
    let mut all = Vec::with_capacity(2 * parameters.len());
    for parameter in parameters {
        let (weight, bias) =
            part(parameter).ok_or_else(|| EngineError::parameter("Adam", "the state has no averages"))?;
        all.extend([weight, bias]);
    }
    Ok(all)
}

/// All numbers of `parts`, one below the other.
fn column<E: Engine>(engine: &mut E, parts: &[E::Masked]) -> Result<E::Masked, EngineError> {
    let mut columns = Vec::with_capacity(parts.len());
    for part in parts {
        let Meta { rows, cols, .. } = part.meta();
        columns.push(engine.linear(part, &Linear::Reshape(rows * cols, 1))?);
    }
    engine.concat_rows(&columns.iter().collect::<Vec<_>>())
}
