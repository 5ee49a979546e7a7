//! What can be wrong with a job file. The job is public to its parties, so its own words may be shown.

use std::io;
use std::path::PathBuf;

/// A job file cannot be used. One sentence: what is wrong, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The file is not there or may not be read.
    #[error("the job file {} cannot be read ({source}): check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is over [`crate::job::MAX_BYTES`].
    #[error("the job file {} holds more than {limit} bytes: a job is a short text", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit, bytes.
        limit: u64,
    },
    /// The file is not UTF-8 text.
    #[error("the job file {} is not UTF-8 text: save it as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// TOML does not parse, a key or a layer is unknown, a value has the wrong form.
    #[error("line {line} of the job: {message}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// The parser's words, on one line.
        message: String,
    },
    /// The parts do not fit each other.
    #[error("the job cannot be used: {0}")]
    Meaning(String),
    /// A party without address or fingerprint.
    #[error(
        "the job leaves the {what} of party `{party}` empty: fill it in before the run \
         (`tercet keygen` prints the fingerprint of a certificate)"
    )]
    Unfilled {
        /// `address` or `fingerprint`.
        what: &'static str,
        /// The party's name.
        party: String,
    },
}

impl JobError {
    /// A fault in what the job says.
    pub(crate) fn meaning(text: impl Into<String>) -> Self {
        Self::Meaning(text.into())
    }
}
