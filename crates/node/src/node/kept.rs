//! What a party keeps of a job with checkpoints: its folder, and what lies in it.

use std::sync::Arc;

use anyhow::Result;
use tercet_net::SessionId;
use tercet_train::{Architecture, Snapshot};

use crate::checkpoint::{Binding, Checkpoint, CheckpointError, Folder, Found, Place, format};
use crate::config::NodeConfig;
use crate::job::{CheckpointSpec, Job, JobParty};

/// The checkpoints of this party.
pub(super) struct Kept {
    pub(super) spec: CheckpointSpec,
    pub(super) folder: Arc<Folder>,
}

impl Kept {
    /// Opens this party's folder; `None` if the job has no checkpoints.
    ///
    /// # Errors
    /// A folder or key that cannot be used.
    pub(super) fn open(config: &NodeConfig, job: &Job, party: &JobParty) -> Result<Option<Kept>> {
        let Some(spec) = job.checkpoint else { return Ok(None) };
        let architecture = Architecture::new(&job.training.model)?;
        // Weights, their velocities, with Adam the averages of squares, and of batch normalisation running averages.
        let copies = 4;
        let layers = architecture.layers().len() as u64;
        let evaluations = u64::from(job.training.training.epochs) + 1;
        let numbers = architecture.parameters() as u64 * copies;
        let most = format::most_bytes(numbers, 2 * layers * copies, evaluations);
        let binding = Binding { job: *job.hash().as_bytes(), party: party.role.index() as u8 };
        let folder = Arc::new(Folder::open(&config.state, binding, most)?);
        Ok(Some(Kept { spec, folder }))
    }

    /// What is there. Files that do not open are named in the log.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn find(&self) -> Result<Found> {
        let found = self.folder.find()?;
        for (_, error) in &found.damaged {
            tracing::warn!("{error}: it is left out");
        }
        Ok(found)
    }

    /// Marks the beginning of a run: what was there before is forgotten.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn begin(&self, run: SessionId, reservation: Option<u64>) -> Result<(), CheckpointError> {
        self.folder.forget()?;
        self.mark(Place { run, session: run, step: 0 }, reservation)
    }

    /// The state of `place`, which the parties agreed to go on from; `None` at step 0. `holds` says whether this party has a
    /// file of it: a dealer needs none, for it keeps no number.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(super) fn resume(
        &self,
        place: Place,
        holds: bool,
        reservation: Option<u64>,
    ) -> Result<Option<Snapshot>, CheckpointError> {
        if !holds {
            self.mark(place, reservation)?;
        }
        if place.step == 0 {
            return Ok(None);
        }
        Ok(Some(self.folder.read(place.step)?.snapshot))
    }

    /// Writes that this party was here, with no number of the model.
    fn mark(&self, place: Place, reservation: Option<u64>) -> Result<(), CheckpointError> {
        let (metas, summands, metrics) = (Vec::new(), Vec::new(), Vec::new());
        let snapshot = Snapshot { step: place.step, metas, summands, metrics, seconds: 0.0 };
        self.folder.write(&Checkpoint { place, reservation, snapshot })
    }
}
