//! Stochastic gradient descent on half-finished master weights; the arithmetic is in [`crate::scales`].

use tercet_engine::{Engine, EngineError, Meta, Shared, Truncate};
use tercet_share::{Linear, Ring, Tensor, fixed};

use crate::TrainedModel;
use crate::layers::{Gradient, Weights};
use crate::scales::NumericPlan;

/// Master weights of one layer: half-finished values with S fractional bits.
pub struct Parameter<E: Engine> {
    /// `inputs × units`.
    pub weight: E::Offset,
    /// `1 × units`.
    pub bias: E::Offset,
    /// Velocities of both, with momentum only.
    pub velocity: Option<(E::Offset, E::Offset)>,
}

/// All that training changes: what a checkpoint must hold.
pub struct State<E: Engine> {
    /// Steps done.
    pub step: u64,
    /// Parameters of the layers that have some, in order.
    pub parameters: Vec<Parameter<E>>,
}

// By hand: a derived `Clone` would ask for a cloneable engine.
impl<E: Engine> Clone for Parameter<E> {
    fn clone(&self) -> Parameter<E> {
        let (weight, bias, velocity) = (self.weight.clone(), self.bias.clone(), self.velocity.clone());
        Parameter { weight, bias, velocity }
    }
}

impl<E: Engine> Clone for State<E> {
    fn clone(&self) -> State<E> {
        State { step: self.step, parameters: self.parameters.clone() }
    }
}

impl<E: Engine> State<E> {
    /// The state before the first step, from public initial weights.
    pub(crate) fn initial(
        engine: &mut E,
        plan: &NumericPlan,
        weights: &TrainedModel,
    ) -> Result<State<E>, EngineError> {
        let mut lifted = |rows: usize, cols: usize, values: &mut dyn Iterator<Item = f32>| {
            let values = fixed::encode_all(values.map(f64::from), plan.master, Ring::FULL)?;
            let meta = Meta { rows, cols, frac: plan.master, ring: plan.ring };
            let public = engine.public(&Tensor::from_vec(rows, cols, values), meta)?;
            engine.lift(&public)
        };
        let mut parameters = Vec::with_capacity(weights.layers.len());
        for layer in &weights.layers {
            let (rows, cols) = layer.weight.dim();
            let weight = lifted(rows, cols, &mut layer.weight.iter().copied())?;
            let bias = lifted(1, cols, &mut layer.bias.iter().copied())?;
            let velocity = match plan.momentum {
                Some(_) => {
                    let zeros = |n| std::iter::repeat_n(0.0, n);
                    Some((lifted(rows, cols, &mut zeros(rows * cols))?, lifted(1, cols, &mut zeros(cols))?))
                }
                None => None,
            };
            parameters.push(Parameter { weight, bias, velocity });
        }
        Ok(State { step: 0, parameters })
    }

    /// Weights and biases for products: one truncation call, one or two rounds.
    pub(crate) fn truncated(
        &self,
        engine: &mut E,
        plan: &NumericPlan,
    ) -> Result<Vec<Weights<E>>, EngineError> {
        let values = engine.truncate(&self.weight_truncations(plan))?;
        Ok(pairs(values).map(|(weight, bias)| Weights { weight, bias }).collect())
    }

    /// Begins a step: weights and biases for its products, and velocities times the momentum, in one truncation call.
    pub(crate) fn begin(
        &mut self,
        engine: &mut E,
        plan: &NumericPlan,
    ) -> Result<Vec<Weights<E>>, EngineError> {
        let Some(momentum) = plan.momentum else { return self.truncated(engine, plan) };
        let mut wide = Vec::with_capacity(2 * self.parameters.len());
        for velocity in self.parameters.iter().filter_map(|p| p.velocity.as_ref()) {
            for part in [&velocity.0, &velocity.1] {
                wide.push(engine.linear_offset(part, &Linear::Scale(momentum.factor))?);
            }
        }
        let mut batch = self.weight_truncations(plan);
        let weights = batch.len();
        batch.extend(wide.iter().map(|value| Truncate { value, shift: momentum.shift, out: plan.ring }));
        let mut values = engine.truncate(&batch)?;
        let slow = values.split_off(weights.min(values.len()));
        let mut slow = pairs(slow);
        for parameter in &mut self.parameters {
            if let Some((weight, bias)) = slow.next() {
                // Truncation of c_m · v gives v · c_m with fewer bits; read with the old number it is v · c_m · 2^−t.
                let [weight, bias] = [weight, bias].map(|v| engine.reread(&v, plan.master));
                parameter.velocity = Some((engine.lift(&weight?)?, engine.lift(&bias?)?));
            }
        }
        Ok(pairs(values).map(|(weight, bias)| Weights { weight, bias }).collect())
    }

    fn weight_truncations<'a>(&'a self, plan: &NumericPlan) -> Vec<Truncate<'a, E::Offset>> {
        let (shift, out) = (plan.weight_shift(), plan.weight_ring);
        let values = self.parameters.iter().flat_map(|p| [&p.weight, &p.bias]);
        values.map(|value| Truncate { value, shift, out }).collect()
    }

    /// One step of descent. `weights` are those that the gradients were computed with. No message.
    pub(crate) fn descend(
        &mut self,
        engine: &mut E,
        plan: &NumericPlan,
        epoch: u32,
        gradients: Vec<Gradient<E>>,
        weights: &[Weights<E>],
    ) -> Result<(), EngineError> {
        if gradients.len() != self.parameters.len() || weights.len() != self.parameters.len() {
            return Err(EngineError::parameter(
                "a descent",
                "gradients, weights and parameters differ in number",
            ));
        }
        let factor = -plan.rate_factor(epoch);
        let decay = -plan.decay_factor(epoch);
        for ((parameter, gradient), weights) in self.parameters.iter_mut().zip(gradients).zip(weights) {
            if decay != 0 {
                let read = engine.reread(&weights.weight, plan.master)?;
                let read = engine.lift(&read)?;
                engine.accumulate(&mut parameter.weight, &read, decay, 0)?;
            }
            match &mut parameter.velocity {
                Some((weight, bias)) => {
                    engine.accumulate(weight, &gradient.weight, 1, 0)?;
                    engine.accumulate(bias, &gradient.bias, 1, 0)?;
                    engine.accumulate(&mut parameter.weight, weight, factor, 0)?;
                    engine.accumulate(&mut parameter.bias, bias, factor, 0)?;
                }
                None => {
                    engine.accumulate(&mut parameter.weight, &gradient.weight, factor, 0)?;
                    engine.accumulate(&mut parameter.bias, &gradient.bias, factor, 0)?;
                }
            }
        }
        Ok(())
    }

    /// Public facts of all parameters, in order: weight, bias, and with momentum the velocities of both.
    pub fn metas(&self) -> Vec<Meta> {
        let parts = self.parameters.iter().flat_map(|p| {
            let velocity = p.velocity.iter().flat_map(|(w, b)| [w.meta(), b.meta()]);
            [p.weight.meta(), p.bias.meta()].into_iter().chain(velocity)
        });
        parts.collect()
    }
}

/// Neighbouring values two by two.
fn pairs<T>(values: Vec<T>) -> impl Iterator<Item = (T, T)> {
    let mut values = values.into_iter();
    std::iter::from_fn(move || values.next().zip(values.next()))
}
