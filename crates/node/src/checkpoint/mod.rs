//! Checkpoints: what a party keeps on its disk so that an interrupted training goes on.
//!
//! An evaluator's checkpoint holds its additive summands of master weights and velocities, which say nothing without those
//! of the other evaluators; the dealer's holds no number of the model at all. Nothing of the session is in it: no key, no
//! seed, no mask. A run that goes on shares its rows again and masks everything afresh under the keys of a new session.
//!
//! The folder, by default that of the results with `-state` added:
//!
//! ```text
//! STATE/checkpoint.key                                 32 random bytes, 0600: opens the files below, at this party only
//! STATE/<hash of the job>/step-00000000000000000050.tck  one checkpoint, 0600
//! ```
//!
//! * [`mod@format`]: the bytes of a checkpoint, read within bounds and to the last byte;
//! * [`sealed`]: the file's header and seal: another job, party, run or step, or a changed bit, does not open;
//! * [`folder`]: the files, written whole or not at all, pruned, and forgotten at the end;
//! * [`writer`]: writing beside the training.

pub mod error;
pub mod folder;
pub mod format;
pub mod sealed;
pub mod writer;

use std::fmt;

use tercet_net::SessionId;
use tercet_train::Snapshot;

pub use error::CheckpointError;
pub use folder::{Folder, Found};
pub use writer::Writer;

/// Where a checkpoint stands. Two parties hold the same state only if their places are equal: the same step of two
/// sessions has other rounding and other summands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The run: the session in which it began at step 0.
    pub run: SessionId,
    /// The session that reached the step.
    pub session: SessionId,
    /// Steps done.
    pub step: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} of session {}", self.step, self.session)
    }
}

/// What a checkpoint is for: compared before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// SHA-256 of the job's text.
    pub job: [u8; 32],
    /// The party's index.
    pub party: u8,
}

/// One party's checkpoint.
pub struct Checkpoint {
    /// Where it stands.
    pub place: Place,
    /// The entry of this party's privacy ledger that pays for the run.
    pub reservation: Option<u64>,
    /// The state.
    pub snapshot: Snapshot,
}

#[cfg(test)]
mod tests;
