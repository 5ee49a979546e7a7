//! Stochastic gradient descent, with momentum if asked for.

use tercet_engine::{Engine, EngineError, Truncate};
use tercet_share::Linear;

use super::{Parameter, State, pairs};
use crate::layers::{Gradient, Weights};
use crate::scales::{Dyadic, NumericPlan};

impl<E: Engine> State<E> {
    /// Weights and biases for the products of a step, and velocities times the momentum, in one truncation call.
    pub(super) fn slow_down(
        &mut self,
        engine: &mut E,
        plan: &NumericPlan,
        momentum: Dyadic,
    ) -> Result<Vec<Weights<E>>, EngineError> {
        let mut wide = Vec::with_capacity(2 * self.parameters.len());
        for velocity in self.parameters.iter().filter_map(|p| p.velocity.as_ref()) {
            for part in [&velocity.0, &velocity.1] {
                wide.push(engine.linear_offset(part, &Linear::Scale(momentum.factor))?);
            }
        }
        let mut batch = self.weight_truncations(plan);
        let weights = batch.len();
        batch.extend(wide.iter().map(|value| Truncate {
            value,
            shift: momentum.shift,
            out: plan.master_ring,
        }));
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
        Ok(self.weights(values))
    }
}

/// W ← W − c · G, or v ← v + G and W ← W − c · v. No message.
pub(super) fn descend<E: Engine>(
    engine: &mut E,
    parameters: &mut [Parameter<E>],
    gradients: Vec<Gradient<E>>,
    factor: i64,
) -> Result<(), EngineError> {
    for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
        match &mut parameter.velocity {
            Some((weight, bias)) => {
                engine.accumulate(weight, &gradient.weight, 1, 0)?;
                engine.accumulate(bias, &gradient.bias, 1, 0)?;
                engine.accumulate(&mut parameter.weight, weight, -factor, 0)?;
                engine.accumulate(&mut parameter.bias, bias, -factor, 0)?;
            }
            None => {
                engine.accumulate(&mut parameter.weight, &gradient.weight, -factor, 0)?;
                engine.accumulate(&mut parameter.bias, &gradient.bias, -factor, 0)?;
            }
        }
    }
    Ok(())
}
