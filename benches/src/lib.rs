//! Criterion benches and the cost-against-plaintext table.
//!
//! A training here goes step by step on command ([`Training`]), so that several trainings of one network can be measured
//! in turns and their ratios come from one run:
//!
//! * [`Plaintext`]: 32-bit floating point, the baseline;
//! * [`Clear`]: the fixed-point program of the protocols in the open;
//! * [`Session`]: three parties in this process, over memory or over QUIC on loopback, by either [`Protocol`].
//!
//! Rows are shared when a session starts, before anything is measured.

mod declared;
mod machine;
mod networks;
mod rows;
mod session;
mod single;

use std::time::Duration;

pub use declared::{check_traffic, declared, declared_step};
pub use machine::{Machine, load, process_seconds};
pub use networks::Network;
pub use rows::synthetic;
pub use session::{Link, Protocol, Session, Threads};
pub use single::{Clear, Plaintext};

/// A training that makes steps on command.
pub trait Training {
    /// Makes `steps` steps and returns the wall time they took, at all parties.
    ///
    /// # Errors
    /// Whatever stops the training.
    fn steps(&mut self, steps: u64) -> anyhow::Result<Duration>;
}
