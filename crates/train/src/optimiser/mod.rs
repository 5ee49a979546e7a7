//! Optimisers: how gradients move the half-finished master weights. One file an optimiser; the arithmetic is in [`crate::scales`].

mod adam;
mod sgd;
#[cfg(test)]
mod tests;

use tercet_engine::{Engine, EngineError, Meta, Truncate};
use tercet_share::{Ring, Tensor, fixed};

use crate::TrainedModel;
use crate::layers::{Gradient, Weights};
use crate::scales::{NumericPlan, StepRate};

/// Master weights of one layer: half-finished values with S fractional bits.
pub struct Parameter<E: Engine> {
    /// `inputs × units`.
    pub weight: E::Offset,
    /// `1 × units`.
    pub bias: E::Offset,
    /// Velocities of both with momentum, averages of their gradients with Adam.
    pub velocity: Option<(E::Offset, E::Offset)>,
    /// Averages of the squares of the gradients of both, with Adam only.
    pub square: Option<(E::Offset, E::Offset)>,
    /// Running mean and variance, `1 × units`, of a batch normalisation, whose scale is the weight.
    pub running: Option<(E::Offset, E::Offset)>,
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
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        let (velocity, square) = (self.velocity.clone(), self.square.clone());
        Parameter { weight, bias, velocity, square, running: self.running.clone() }
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
        let mut lifted = |rows: usize, cols: usize, frac, ring, values: &mut dyn Iterator<Item = f32>| {
            let values = fixed::encode_all(values.map(f64::from), frac, Ring::FULL)?;
            let meta = Meta { rows, cols, frac, ring };
            let public = engine.public(&Tensor::from_vec(rows, cols, values), meta)?;
            engine.lift(&public)
        };
        let mut parameters = Vec::with_capacity(weights.layers.len());
        for layer in &weights.layers {
            let (rows, cols) = layer.weight.dim();
            let weight =
                lifted(rows, cols, plan.master, plan.master_ring, &mut layer.weight.iter().copied())?;
            let bias = lifted(1, cols, plan.master, plan.master_ring, &mut layer.bias.iter().copied())?;
            let mut zeros = |frac, ring| {
                let zeros = |n| std::iter::repeat_n(0.0, n);
                let weight = lifted(rows, cols, frac, ring, &mut zeros(rows * cols))?;
                Ok::<_, EngineError>(Some((weight, lifted(1, cols, frac, ring, &mut zeros(cols))?)))
            };
            let (velocity, square) = match (&plan.adam, plan.momentum) {
                (Some(adam), _) => (
                    zeros(adam.moment + adam.first.shift, Ring::FULL)?,
                    zeros(adam.square + adam.second.shift, Ring::FULL)?,
                ),
                (None, Some(_)) => (zeros(plan.master, plan.master_ring)?, None),
                (None, None) => (None, None),
            };
            let running = match plan.norm(layer.index) {
                Some(norm) => {
                    let [mean, variance] = norm.running(plan);
                    let mut zeros =
                        |frac| lifted(1, cols, frac, Ring::FULL, &mut std::iter::repeat_n(0.0, cols));
                    Some((zeros(mean)?, zeros(variance)?))
                }
                None => None,
            };
            parameters.push(Parameter { weight, bias, velocity, square, running });
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
        Ok(self.weights(values))
    }

    /// Begins a step: weights and biases for its products, and velocities times the momentum, in one truncation call.
    pub(crate) fn begin(
        &mut self,
        engine: &mut E,
        plan: &NumericPlan,
    ) -> Result<Vec<Weights<E>>, EngineError> {
        match plan.momentum {
            Some(momentum) => self.slow_down(engine, plan, momentum),
            None => self.truncated(engine, plan),
        }
    }

    /// Truncated weights and biases, two by two, as the layers take them.
    fn weights(&self, values: Vec<E::Masked>) -> Vec<Weights<E>> {
        let running = self.parameters.iter().map(|p| p.running.clone());
        pairs(values)
            .zip(running)
            .map(|((weight, bias), running)| Weights { weight, bias, running })
            .collect()
    }

    fn weight_truncations<'a>(&'a self, plan: &NumericPlan) -> Vec<Truncate<'a, E::Offset>> {
        let (shift, out) = (plan.weight_shift(), plan.weight_ring);
        let values = self.parameters.iter().flat_map(|p| [&p.weight, &p.bias]);
        values.map(|value| Truncate { value, shift, out }).collect()
    }

    /// The update of step `step`, from 1, in epoch `epoch`, from 0. `weights` are those that the gradients were computed with.
    /// No message, but with Adam.
    pub(crate) fn descend(
        &mut self,
        engine: &mut E,
        plan: &NumericPlan,
        (epoch, step): (u32, u64),
        gradients: Vec<Gradient<E>>,
        weights: &[Weights<E>],
    ) -> Result<(), EngineError> {
        if gradients.len() != self.parameters.len() || weights.len() != self.parameters.len() {
            return Err(EngineError::parameter(
                "a descent",
                "gradients, weights and parameters differ in number",
            ));
        }
        let StepRate { factor, decay } = plan.step_rate(epoch, step);
        if decay != 0 {
            let decaying = self.parameters.iter_mut().zip(weights).filter(|(p, _)| p.running.is_none());
            for (parameter, weights) in decaying {
                let read = engine.reread(&weights.weight, plan.master)?;
                let read = engine.lift(&read)?;
                engine.accumulate(&mut parameter.weight, &read, -decay, 0)?;
            }
        }
        match &plan.adam {
            Some(adam) => {
                let step = adam::Step {
                    plan: adam,
                    rate_bits: plan.rate_bits,
                    ring: plan.master_ring,
                    summed: plan.summed,
                    factor,
                    step,
                };
                step.descend(engine, &mut self.parameters, &gradients)
            }
            None => sgd::descend(engine, &mut self.parameters, gradients, factor),
        }
    }
}

/// Neighbouring values two by two.
fn pairs<T>(values: Vec<T>) -> impl Iterator<Item = (T, T)> {
    let mut values = values.into_iter();
    std::iter::from_fn(move || values.next().zip(values.next()))
}
