//! What surrounds a training at a node: the progress, the journal, the checkpoints, and the wish to stop.

use std::num::NonZeroU64;
use std::sync::Arc;

use tercet_engine::Engine;
use tercet_net::SessionId;
use tercet_train::{Custodian, CustodianError, Progress as Stand, Snapshot};

use crate::checkpoint::{Checkpoint, CheckpointError, Folder, Place, Writer};
use crate::logging::Console;
use crate::progress::{Progress, Tick};
use crate::recovery::journal::{Event, Journal, JournalError};
use crate::status::{Doing, Status};
use crate::stop::{StopFlag, Stopped};

/// What one session of a job with checkpoints needs.
pub(super) struct Keeping {
    pub(super) folder: Arc<Folder>,
    pub(super) journal: Journal,
    pub(super) every: NonZeroU64,
    pub(super) run: SessionId,
    pub(super) session: SessionId,
    pub(super) reservation: Option<u64>,
    /// What this session goes on from; `None` at step 0.
    pub(super) from: Option<Snapshot>,
}

/// Watches a training.
pub(super) struct Keeper<'a> {
    progress: Progress,
    status: &'a Status,
    stop: &'a StopFlag,
    /// With checkpoints only.
    keeping: Option<(&'a mut Keeping, Writer)>,
    /// Openings that are in the journal.
    opened: usize,
    /// A step that could not be written down, to be reported where it can be.
    fault: Option<JournalError>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(
        console: &Console,
        status: &'a Status,
        stop: &'a StopFlag,
        keeping: Option<&'a mut Keeping>,
    ) -> Result<Keeper<'a>, CheckpointError> {
        let with_writer = |keeping: &'a mut Keeping| {
            let writer = Writer::start(keeping.folder.clone())?;
            Ok::<_, CheckpointError>((keeping, writer))
        };
        let keeping = keeping.map(with_writer).transpose()?;
        Ok(Keeper { progress: Progress::new(console), status, stop, keeping, opened: 0, fault: None })
    }

    /// After the training, whether it ended well or not: what is on its way is written, and every opening is in the journal.
    pub(super) fn end<E: Engine>(mut self, engine: &E) -> Result<(), CustodianError> {
        self.settle()?;
        self.record_openings(engine)?;
        self.progress.finish();
        Ok(())
    }

    fn record_openings<E: Engine>(&mut self, engine: &E) -> Result<(), JournalError> {
        let Some((keeping, _)) = &mut self.keeping else { return Ok(()) };
        let new = &engine.openings()[self.opened..];
        for opening in new {
            keeping.journal.add(&Event::Opened { opening: opening.clone() })?;
        }
        if !new.is_empty() {
            keeping.journal.sync()?;
        }
        self.opened += new.len();
        Ok(())
    }

    fn settle(&mut self) -> Result<(), CustodianError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault.into());
        }
        let Some((_, writer)) = &mut self.keeping else { return Ok(()) };
        let written = writer.settle()?;
        self.written(written)
    }

    fn written(&mut self, place: Option<Place>) -> Result<(), CustodianError> {
        let (Some(place), Some((keeping, _))) = (place, &mut self.keeping) else { return Ok(()) };
        keeping.journal.add(&Event::Checkpoint { step: place.step })?;
        kept(self.status, place.step);
        Ok(())
    }
}

/// A checkpoint is on the disk.
pub(super) fn kept(status: &Status, step: u64) {
    status.tick(|state| {
        state.checkpoint = Some(step);
        state.checkpoint_at = Some(crate::recovery::journal::now());
    });
}

impl<E: Engine> Custodian<E> for Keeper<'_> {
    fn progress(&mut self, now: &Stand, engine: &E) {
        let tick = Tick {
            step: now.step,
            steps: now.steps,
            epoch: now.epoch,
            epochs: now.epochs,
            loss: now.metric.and_then(|metric| metric.loss),
            accuracy: now.metric.and_then(|metric| metric.accuracy),
        };
        // On record at once: a private run that is interrupted must not go on from before what was opened.
        if now.metric.is_some()
            && let Err(error) = self.record_openings(engine)
        {
            self.fault.get_or_insert(error);
        }
        self.progress.live().traffic(|| engine.measured());
        self.progress.show(tick, || Some(engine.measured().sent_by(engine.party())));
        if now.metric.is_none()
            && let Some((keeping, _)) = &mut self.keeping
            && let Err(error) = keeping.journal.add(&Event::Step { step: now.step })
        {
            self.fault.get_or_insert(error);
        }
        self.status.tick(|state| {
            (state.step, state.steps) = (now.step, now.steps);
            state.doing = Doing::Training;
        });
    }

    fn before_step(&mut self, step: u64) -> Result<(), CustodianError> {
        if self.stop.asked() {
            self.settle()?;
            let checkpoint = self.keeping.as_ref().and_then(|_| self.status.now().checkpoint);
            return Err(Box::new(Stopped { step: step - 1, checkpoint }));
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault.into());
        }
        let Some((_, writer)) = &mut self.keeping else { return Ok(()) };
        let written = writer.look()?;
        self.written(written)
    }

    fn keep(&mut self, snapshot: Snapshot) -> Result<(), CustodianError> {
        let Some((keeping, writer)) = &mut self.keeping else { return Ok(()) };
        let place = Place { run: keeping.run, session: keeping.session, step: snapshot.step };
        let before = writer.submit(Checkpoint { place, reservation: keeping.reservation, snapshot })?;
        self.written(before)
    }

    fn before_opening(&mut self, step: u64) -> Result<(), CustodianError> {
        self.settle()?;
        let Some((keeping, _)) = &mut self.keeping else { return Ok(()) };
        keeping.journal.add(&Event::Opens { step })?;
        Ok(keeping.journal.sync()?)
    }
}
