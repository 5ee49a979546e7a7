//! Errors of the budget ledger.

use crate::error::PrivacyError;
use std::path::PathBuf;
use thiserror::Error;

/// What can go wrong with a ledger. Every variant names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The operating system refused.
    #[error("{action} of the privacy ledger {path} failed ({source}); check the path and its permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// There is a ledger already.
    #[error("the privacy ledger {0} exists already; open it instead of creating it")]
    Exists(PathBuf),
    /// Not a plain file.
    #[error("the privacy ledger {0} is not a plain file; give the path of the file itself")]
    NotAFile(PathBuf),
    /// Others than the owner can reach the file.
    #[error("the privacy ledger {path} can be reached by others (mode {mode:o}); run chmod 600 on it")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another job holds the lock.
    #[error(
        "the privacy ledger {path} is held by another job for more than {seconds} s; wait for that job or end it"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long this job waited.
        seconds: u64,
    },
    /// The file is larger than a ledger can be.
    #[error(
        "the privacy ledger {path} has {bytes} bytes, above the limit of {limit}; it was not written by this program"
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A line is not an entry.
    #[error(
        "entry {entry} of the privacy ledger {path} cannot be read ({reason}); restore the file from a backup"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The entry, from 0.
        entry: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry does not match its hash.
    #[error(
        "entry {entry} of the privacy ledger {path} was changed after it was written; restore the file from a backup"
    )]
    Edited {
        /// The file.
        path: PathBuf,
        /// The entry, from 0.
        entry: u64,
    },
    /// An entry does not follow the one before it.
    #[error(
        "entry {entry} of the privacy ledger {path} does not follow the one before it, so entries were removed or moved there; restore the file from a backup"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// The first entry that does not fit, from 0.
        entry: u64,
    },
    /// The last entries are gone.
    #[error(
        "the privacy ledger {path} has {found} entries, but {expected} were written; restore the file from a backup"
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Entries found.
        found: u64,
        /// Entries that must be there.
        expected: u64,
    },
    /// The chain does not pass through the head that is kept apart.
    #[error(
        "the privacy ledger {path} differs from its head at entry {entry}, so it was replaced or rewritten; restore both files from a backup"
    )]
    OtherChain {
        /// The file.
        path: PathBuf,
        /// The entry the head names, from 0.
        entry: u64,
    },
    /// No entry has the hash that was kept apart.
    #[error(
        "the privacy ledger {path} has no entry with the hash {head} that was kept as its head, so it was replaced or cut back; restore the file from a backup, or correct the hash"
    )]
    HeadUnknown {
        /// The file.
        path: PathBuf,
        /// The hash.
        head: String,
    },
    /// The head file is missing.
    #[error(
        "the head file {0} is missing, so removed entries could not be noticed; restore it from a backup"
    )]
    HeadMissing(PathBuf),
    /// A request is about another data set or unit.
    #[error(
        "the privacy ledger {path} is about {field} {expected:?}, the job about {found:?}; use the ledger of that data set"
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The field that differs.
        field: &'static str,
        /// The ledger's value.
        expected: String,
        /// The job's value.
        found: String,
    },
    /// The budget does not cover the job.
    #[error(
        "the job would bring data set {data_set:?} to epsilon {total:.6} at delta {delta}, above its budget of {budget:.6}; ask for less or for a larger budget"
    )]
    Exceeded {
        /// The data set.
        data_set: String,
        /// ε of everything spent and the job together.
        total: f64,
        /// δ of the budget.
        delta: f64,
        /// ε of the budget.
        budget: f64,
    },
    /// The stated δ alone uses up the budget's.
    #[error(
        "the job would bring data set {data_set:?} to delta {total}, which its budget of {budget} does not cover; ask for less"
    )]
    DeltaExceeded {
        /// The data set.
        data_set: String,
        /// The sum of the stated δ.
        total: f64,
        /// δ of the budget.
        budget: f64,
    },
    /// A settlement that does not fit its reservation.
    #[error("entry {reservation} of the privacy ledger {path} cannot be settled: {reason}")]
    Settlement {
        /// The file.
        path: PathBuf,
        /// The reservation's entry.
        reservation: u64,
        /// Why.
        reason: &'static str,
    },
    /// The cost itself cannot be computed.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
}
