//! SIGTERM and SIGINT: the first asks the node to stop in good order, the second ends it at once.
//!
//! A node that is asked to stop finishes its step, waits for the checkpoint that is being written, tells its peers, and ends. It
//! makes no checkpoint of the step at which it stops. Under `helper` it cannot: half-finished weights are off by a correction that
//! the dealer holds, so that the summands to be kept come from a re-masking by all three. Without a dealer it could, to no use: a
//! run goes on from a step that all who keep the state hold, and the others, who learn of the stop at steps of their own, hold
//! the multiples of `checkpoint.every` only. What is lost is at most `checkpoint.every` steps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether this process was asked to stop.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Listens to the signals from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> io::Result<StopFlag> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())?;
            flag::register(signal, asked.clone())?;
        }
        Ok(StopFlag(asked))
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For those who only look.
    pub fn shared(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

/// The node was asked to stop, and did: neither done nor failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "this node was asked to stop and did so at step {step}; {}",
    match checkpoint {
        Some(checkpoint) => format!("start it again and the run goes on from step {checkpoint} or the newest that all hold"),
        None => "the job has no [checkpoint], so the run starts again from the beginning".to_owned(),
    }
)]
pub struct Stopped {
    /// Steps done.
    pub step: u64,
    /// The newest checkpoint on the disk.
    pub checkpoint: Option<u64>,
}

/// Exit status of a node that was asked to stop.
pub const EXIT: u8 = 3;
