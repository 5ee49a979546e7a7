//! Steps of descent in floating point, with the rounded rates of the training on shares.

use super::Real;
use super::stage::Parameters;
use crate::NumericPlan;

/// How a step of descent moves the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// Factor of the summed gradient: learning rate over batch size; with Adam, the learning rate.
    pub rate: f64,
    /// Momentum; 0 for none.
    pub momentum: f64,
    /// Learning rate · weight decay.
    pub decay: f64,
    /// Set with Adam.
    pub adam: Option<AdamStep>,
}

/// What Adam needs to know of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Weight of the gradient in its average.
    pub first: f64,
    /// Weight of the squared gradient in its average.
    pub second: f64,
    /// ε.
    pub epsilon: f64,
    /// One over the batch size.
    pub mean: f64,
}

impl Descent {
    /// As in the training on shares in step `step`, from 1, of epoch `epoch`, from 0.
    pub fn of(plan: &NumericPlan, batch: usize, epoch: u32, step: u64) -> Descent {
        let by = plan.step_rate(epoch, step);
        let rate = plan.learning_rate_of(by.factor);
        let mean = 1.0 / batch as f64;
        Descent {
            rate: if plan.adam.is_some() { rate } else { rate * mean },
            momentum: plan.momentum.map_or(0.0, |m| m.value()),
            decay: plan.decay_of(by.decay),
            adam: plan.adam.map(|a| AdamStep {
                first: a.first.share(step),
                second: a.second.share(step),
                epsilon: a.epsilon,
                mean,
            }),
        }
    }

    /// Moves the weights of one layer.
    pub(super) fn apply<F: Real>(&self, p: &mut Parameters<F>) {
        if self.decay > 0.0 && p.decays {
            let keep = F::of(1.0 - self.decay);
            p.weight.iter_mut().for_each(|w| *w = *w * keep);
        }
        let sized = |v: &mut Vec<F>, n: usize| v.resize(n, F::zero());
        if self.momentum > 0.0 || self.adam.is_some() {
            sized(&mut p.weight_velocity, p.weight.len());
            sized(&mut p.bias_velocity, p.bias.len());
        }
        if self.adam.is_some() {
            sized(&mut p.weight_square, p.weight.len());
            sized(&mut p.bias_square, p.bias.len());
        }
        let parts = [
            (&mut p.weight, &p.weight_grad, &mut p.weight_velocity, &mut p.weight_square),
            (&mut p.bias, &p.bias_grad, &mut p.bias_velocity, &mut p.bias_square),
        ];
        for (weights, gradients, velocities, squares) in parts {
            match &self.adam {
                Some(adam) => adam.apply(F::of(self.rate), weights, gradients, velocities, squares),
                None => self.momentum(weights, gradients, velocities),
            }
        }
    }

    fn momentum<F: Real>(&self, weights: &mut [F], gradients: &[F], velocities: &mut [F]) {
        let (rate, momentum) = (F::of(self.rate), F::of(self.momentum));
        if velocities.is_empty() {
            weights.iter_mut().zip(gradients).for_each(|(w, g)| *w -= rate * *g);
            return;
        }
        for ((w, g), v) in weights.iter_mut().zip(gradients).zip(velocities) {
            *v = momentum * *v + *g;
            *w -= rate * *v;
        }
    }
}

impl AdamStep {
    fn apply<F: Real>(&self, rate: F, weights: &mut [F], gradients: &[F], first: &mut [F], second: &mut [F]) {
        let [a, b, mean] = [self.first, self.second, self.mean].map(F::of);
        let floor = F::of(self.epsilon * self.epsilon);
        for (((w, g), m), v) in weights.iter_mut().zip(gradients).zip(first).zip(second) {
            let g = *g * mean;
            *m += a * (g - *m);
            *v += b * (g * g - *v);
            *w -= rate * *m / (*v + floor).sqrt();
        }
    }
}
