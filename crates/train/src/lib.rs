//! Layers, losses, optimisers and the training loop, generic over the engine.
//!
//! * [`spec`]: the model, training and fixed-point sections of a job file;
//! * [`Architecture`]: the shapes of all layers, checked;
//! * [`NumericPlan`]: every scale, ring and width of a training, checked;
//! * [`Trainer`]: the training loop on shares, the same program at every party;
//! * [`privacy`]: differential privacy inside the training;
//! * [`plaintext`]: the same training in floating point: baseline of every cost table and oracle of the tests.
//!
//! Both trainings start from the same seeded weights ([`init`]) and visit the same batches ([`shuffle`]).

mod architecture;
mod error;
#[cfg(test)]
mod fixtures;
mod fold;
mod guard;
pub mod init;
mod job;
mod layers;
mod losses;
mod optimiser;
mod outcome;
pub mod plaintext;
pub mod privacy;
mod rows;
mod scales;
mod sharing;
pub mod shuffle;
mod snapshot;
pub mod spec;
mod standardise;
mod targets;
#[cfg(test)]
mod tests;
mod trainer;

pub use architecture::{Architecture, LayerShape, Node, Shape, Windows};
pub use error::TrainError;
pub use guard::{Quantity, Watch};
pub use job::{Privacy, Release, TrainingJob};
pub use optimiser::{Parameter, State};
pub use outcome::{Metric, Outcome, Progress, TrainedLayer, TrainedModel};
pub use rows::{DataSets, RowValues, Rows, targets};
pub use scales::{AdamPlan, Average, Dyadic, LayerRange, NumericPlan, StepRate, ranges};
pub use snapshot::{Custodian, CustodianError, Snapshot};
pub use spec::SpecError;
pub use trainer::Trainer;
