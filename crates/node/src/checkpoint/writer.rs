//! Writing checkpoints beside the training: encoding, sealing and the disk take none of its time.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use super::{Checkpoint, CheckpointError, Folder, Place};

/// Writes one checkpoint at a time on a thread of its own.
pub struct Writer {
    orders: Option<SyncSender<Checkpoint>>,
    done: Receiver<Result<Place, CheckpointError>>,
    waiting: bool,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// A writer to `folder`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(folder: Arc<Folder>) -> Result<Writer, CheckpointError> {
        let (orders, ordered) = mpsc::sync_channel::<Checkpoint>(1);
        let (tell, done) = mpsc::channel();
        let write = move || {
            for checkpoint in ordered {
                let written = folder.write(&checkpoint).map(|()| checkpoint.place);
                if tell.send(written).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("tercet-checkpoint".to_owned()).spawn(write);
        let thread = thread.map_err(|_| CheckpointError::Thread)?;
        Ok(Writer { orders: Some(orders), done, waiting: false, thread: Some(thread) })
    }

    /// Takes a checkpoint to be written, after the one before is durable: at most one is ever on its way. Returns the one
    /// before.
    ///
    /// # Errors
    /// The one before could not be written.
    pub fn submit(&mut self, checkpoint: Checkpoint) -> Result<Option<Place>, CheckpointError> {
        let before = self.settle()?;
        let orders = self.orders.as_ref().ok_or(CheckpointError::Thread)?;
        orders.send(checkpoint).map_err(|_| CheckpointError::Thread)?;
        self.waiting = true;
        Ok(before)
    }

    /// Waits until everything is durable. Returns what was still on its way.
    ///
    /// # Errors
    /// It could not be written.
    pub fn settle(&mut self) -> Result<Option<Place>, CheckpointError> {
        if !std::mem::take(&mut self.waiting) {
            return Ok(None);
        }
        self.done.recv().map_err(|_| CheckpointError::Thread)?.map(Some)
    }

    /// What has become durable since the last look, without waiting.
    ///
    /// # Errors
    /// It could not be written.
    pub fn look(&mut self) -> Result<Option<Place>, CheckpointError> {
        match self.done.try_recv() {
            Ok(written) => {
                self.waiting = false;
                written.map(Some)
            }
            Err(_) => Ok(None),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It ends when what is on its way is written; a panic there lost a checkpoint and nothing else.
            let _ = thread.join();
        }
    }
}
