use std::io;
use std::path::{Path, PathBuf};

/// Stored material cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("stored material at {} cannot be {action} ({source}): check the folder and its permissions", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `written`, …
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// Others may look into the folder or the files.
    #[error("{} is open to others (mode {mode:03o}), and stored material is secret: run `chmod -R go-rwx` on the folder", path.display())]
    Exposed {
        /// The folder or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is none.
    #[error("there is no stored material in {}: run `tercet preprocess` with this job at all three parties first, or remove `material` from the node file", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// Its making did not end.
    #[error("the making of the stored material in {} was cut short: run `tercet preprocess` again at all three parties", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds material that can be used.
    #[error("{} already holds stored material that no run has used: start `tercet node` at all three parties to use it, or delete the folder and run `tercet preprocess` again", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is none of ours has the name of the material.
    #[error("{} is not stored material and is not replaced: name another folder", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The material was used, perhaps by a run that did not end.
    #[error("the stored material in {} was used before, and serves one run only, even one that failed: run `tercet preprocess` again at all three parties", path.display())]
    Used {
        /// The folder.
        path: PathBuf,
    },
    /// It was made for something else.
    #[error("the stored material in {} was made for another {what}: run `tercet preprocess` with this job at this party", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// `job`, `party`, `format`.
        what: &'static str,
    },
    /// The peers hold material of another session.
    #[error("{party} holds material of another preprocessing: all three must use what they made together")]
    NotTogether {
        /// The peer.
        party: String,
    },
    /// The file is damaged, or the key is another one.
    #[error("the stored material in {} is damaged or was made with another private key: run `tercet preprocess` again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The program asks for more than was made.
    #[error("the stored material ends before {wanted} of operation {op}: it was made for a shorter run")]
    Exhausted {
        /// What is missing.
        wanted: &'static str,
        /// For which operation.
        op: u64,
    },
    /// The program asks for something else than was made.
    #[error(
        "the run needs {wanted} of operation {op} ({bytes} bytes), but the stored material continues with {found} of \
         operation {found_op} ({found_bytes} bytes): it was made for another run"
    )]
    Mismatch {
        /// What is needed.
        wanted: &'static str,
        /// For which operation.
        op: u64,
        /// Its size.
        bytes: u64,
        /// What comes next.
        found: &'static str,
        /// Of which operation.
        found_op: u64,
        /// Its size.
        found_bytes: u64,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness; nothing secret can be made on this machine now")]
    NoRandomness,
}

impl StoreError {
    pub(super) fn io<'a>(path: &'a Path, action: &'static str) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| StoreError::Io { path: path.to_owned(), action, source }
    }
}
