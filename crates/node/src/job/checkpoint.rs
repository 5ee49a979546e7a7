//! What the parties agree on for the day that one of them is interrupted.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Deserialize;

use super::JobError;

/// How long a lost party is waited for, if the job does not say: ten minutes.
const DEFAULT_REJOIN_SECONDS: u64 = 600;

/// The `[checkpoint]` section. Without it a party that is lost ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointSpec {
    /// Steps between two checkpoints. There is one before every opening, too, and one at the end.
    pub every: NonZeroU64,
    /// How long the others wait for a lost party.
    pub rejoin: Duration,
}

/// The section as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheckpoint {
    every: u64,
    #[serde(default = "default_rejoin")]
    rejoin_seconds: u64,
}

fn default_rejoin() -> u64 {
    DEFAULT_REJOIN_SECONDS
}

pub(super) fn check(raw: RawCheckpoint) -> Result<CheckpointSpec, JobError> {
    let every = NonZeroU64::new(raw.every).ok_or_else(|| {
        JobError::meaning("`checkpoint.every` is 0: give a number of steps, or leave [checkpoint] out")
    })?;
    if !(1..=604_800).contains(&raw.rejoin_seconds) {
        return Err(JobError::meaning(format!(
            "`checkpoint.rejoin_seconds` is {}: give a number from 1 to 604800, a week",
            raw.rejoin_seconds
        )));
    }
    Ok(CheckpointSpec { every, rejoin: Duration::from_secs(raw.rejoin_seconds) })
}
