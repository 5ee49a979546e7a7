//! Noise on summed gradients: each party adds its own, from its own operating system's randomness, at no message.

use tercet_engine::{Engine, EngineError, Shared};
use tercet_privacy::PrivacyError;
use tercet_privacy::banded::CorrelatedNoise;
use tercet_privacy::sampler::{DiscreteGaussian, LocalRng};

use zeroize::Zeroizing;

use crate::layers::Gradient;

use super::PrivacyPlan;

/// One party's noise.
pub(crate) struct Noise {
    source: Source,
    rng: LocalRng,
}

/// Where a step's noise comes from.
enum Source {
    /// Independent of other steps.
    Independent(DiscreteGaussian),
    /// Correlated with the last steps; the buffer holds one step.
    Correlated(CorrelatedNoise, Zeroizing<Vec<i64>>),
}

impl Noise {
    /// Noise of the plan's variance, from a fresh local seed.
    pub(crate) fn new(plan: &PrivacyPlan) -> Result<Noise, PrivacyError> {
        let Some(strategy) = &plan.strategy else { return Noise::with(plan.sampler()) };
        let coordinates = plan.coordinates();
        let stream = CorrelatedNoise::new(strategy.clone(), plan.share().clone(), coordinates)?;
        let source = Source::Correlated(stream, Zeroizing::new(vec![0; coordinates]));
        Ok(Noise { source, rng: LocalRng::new()? })
    }

    /// Independent noise of any law.
    pub(crate) fn with(sampler: DiscreteGaussian) -> Result<Noise, PrivacyError> {
        Ok(Noise { source: Source::Independent(sampler), rng: LocalRng::new()? })
    }

    /// Adds noise to every coordinate. Gradients are exact sums of products of integers, and a unit in their last place is
    /// a unit of the noise.
    pub(crate) fn add<E: Engine>(
        &mut self,
        engine: &mut E,
        gradients: &mut [Gradient<E>],
    ) -> Result<(), EngineError> {
        let Noise { source, rng } = self;
        let parts = gradients.iter_mut().flat_map(|gradient| [&mut gradient.weight, &mut gradient.bias]);
        match source {
            Source::Independent(sampler) => {
                for part in parts {
                    engine.noise(part, &mut |elements| sampler.add_to(rng, elements))?;
                }
            }
            Source::Correlated(stream, noise) => {
                stream
                    .step(rng, noise)
                    .map_err(|error| EngineError::parameter("correlated noise", error.to_string()))?;
                let mut left = noise.as_slice();
                for part in parts {
                    let (now, later) = left.split_at_checked(part.meta().len()).ok_or_else(short)?;
                    engine.noise(part, &mut |elements| {
                        for (element, sample) in elements.iter_mut().zip(now) {
                            *element = element.wrapping_add_signed(*sample);
                        }
                    })?;
                    left = later;
                }
                if !left.is_empty() {
                    return Err(short());
                }
            }
        }
        Ok(())
    }
}

fn short() -> EngineError {
    EngineError::parameter("correlated noise", "the plan counts other coordinates than the gradients have")
}
