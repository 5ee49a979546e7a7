//! What a job file says about training: the model, the schedule and the fixed point. Parsed strictly: an unknown key or
//! layer is an error that names it.

mod error;
mod fixed_point;
mod model;
mod privacy;
mod training;

pub use error::SpecError;
pub use fixed_point::FixedPointSpec;
pub(crate) use model::MAX_SIZE;
pub use model::{InputSpec, LayerSpec, Loss, ModelSpec};
pub use privacy::{BoundMode, PrivacySpec};
pub use training::{Optimiser, Schedule, TrainingSpec};

#[cfg(test)]
mod tests;
