//! What a job file says about training: the model, the schedule and the fixed point. Parsed strictly: an unknown key or
//! layer is an error that names it.

mod error;
mod fixed_point;
mod model;
mod optimiser;
mod privacy;
mod schedule;
mod targets;
mod training;

pub use error::SpecError;
pub use fixed_point::FixedPointSpec;
pub(crate) use model::MAX_SIZE;
pub use model::{InputSpec, LayerSpec, Loss, ModelSpec};
pub use optimiser::{Adam, Optimiser};
pub use privacy::{BoundMode, NoiseKind, PrivacySpec};
pub use schedule::Schedule;
pub(crate) use schedule::power;
pub use targets::TargetsSpec;
pub use training::TrainingSpec;

#[cfg(test)]
mod tests;
