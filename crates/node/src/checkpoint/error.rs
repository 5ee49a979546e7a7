//! What can be wrong with checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use tercet_data::atomic::WriteError;

/// A checkpoint cannot be written or used. One sentence: what is wrong, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused.
    #[error("{} cannot be {action} ({source}): check the folder and its permissions", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `made`, …
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A checkpoint could not be written.
    #[error(
        "the checkpoint of step {step} was not kept, for {source}; then start this node again: it goes on from {}",
        last.map_or("the beginning".to_owned(), |step| format!("step {step}"))
    )]
    Unwritten {
        /// Its step.
        step: u64,
        /// The newest step that is kept.
        last: Option<u64>,
        /// The file and the system's reason.
        source: WriteError,
    },
    /// Others than the owner may read a secret file.
    #[error(
        "{} may be read by others (mode {mode:o}): find out who did, then run `chmod 600` on it",
        path.display()
    )]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There are checkpoints, but not the key that opens them.
    #[error(
        "{} is missing, and the checkpoints beside it do not open without it: put it back, or remove them and start all \
         parties with --restart",
        path.display()
    )]
    KeyMissing {
        /// The key file.
        path: PathBuf,
    },
    /// The key file is not 32 bytes.
    #[error("{} is not a key of 32 bytes: put the right file back", path.display())]
    KeyDamaged {
        /// The key file.
        path: PathBuf,
    },
    /// A file that is no checkpoint of this version.
    #[error("{} is no checkpoint that this version reads", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint of something else.
    #[error("{} is a checkpoint of another {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `job`, `party` or `step`.
        what: &'static str,
    },
    /// Half-written, changed, or sealed under another key.
    #[error("{} is damaged, cut short, or was sealed with another key", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness; no checkpoint can be sealed on this machine now")]
    NoRandomness,
    /// The thread that writes has ended.
    #[error("the thread that writes checkpoints has ended; start this node again")]
    Thread,
}

impl CheckpointError {
    pub(super) fn io<'a>(
        path: &'a Path,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> CheckpointError + 'a {
        move |source| CheckpointError::Io { path: path.to_owned(), action, source }
    }
}
