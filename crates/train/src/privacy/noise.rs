//! Noise on summed gradients: each party adds its own, from its own operating system's randomness, at no message.

use rand_chacha::ChaCha20Rng;
use tercet_engine::{Engine, EngineError};
use tercet_privacy::PrivacyError;
use tercet_privacy::sampler::{DiscreteGaussian, local_rng};

use crate::layers::Gradient;

use super::PrivacyPlan;

/// One party's noise.
pub(crate) struct Noise {
    sampler: DiscreteGaussian,
    rng: ChaCha20Rng,
}

impl Noise {
    /// Noise of the plan's variance, from a fresh local seed.
    pub(crate) fn new(plan: &PrivacyPlan) -> Result<Noise, PrivacyError> {
        Noise::with(plan.sampler())
    }

    /// Noise of any law.
    pub(crate) fn with(sampler: DiscreteGaussian) -> Result<Noise, PrivacyError> {
        Ok(Noise { sampler, rng: local_rng()? })
    }

    /// Adds noise to every coordinate. Gradients are exact sums of products of integers, and a unit in their last place is
    /// a unit of the noise.
    pub(crate) fn add<E: Engine>(
        &mut self,
        engine: &mut E,
        gradients: &mut [Gradient<E>],
    ) -> Result<(), EngineError> {
        let Noise { sampler, rng } = self;
        for gradient in gradients {
            for part in [&mut gradient.weight, &mut gradient.bias] {
                engine.noise(part, &mut |elements| sampler.add_to(rng, elements))?;
            }
        }
        Ok(())
    }
}
