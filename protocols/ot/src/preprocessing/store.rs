//! Material made ahead of time: an encrypted store on each party's disk, consumed once.
//!
//! Preprocessing depends on nothing but public shapes, so that the program itself, run with its online phase left out
//! ([`Unspoken`]), asks for everything that the real run will ask for, in the same order. [`Recorder`] writes what the
//! source answers to a store; [`Stored`] gives it out again.
//!
//! A store is a folder. `material` holds a public header and sealed frames (ChaCha20-Poly1305); `unused` holds 32 random
//! bytes, without which the frames cannot be opened. Taking a store renames `unused`, makes that durable, reads it and
//! deletes it, all before the first frame is opened: whatever happens afterwards, nobody opens them again. `material` is then
//! deleted too, and an empty file `used` stays. A crash can waste a store, never reuse one. A backup of the folder would break
//! this and must not be restored.

mod claim;
mod error;
mod frames;
mod recorder;
mod stored;
mod unspoken;

pub use error::StoreError;
pub use recorder::Recorder;
pub use stored::{Stored, join_stored_session};
pub use unspoken::Unspoken;

use std::path::Path;

use frames::{FrameReader, FrameWriter};
use zeroize::Zeroizing;

/// What a store is for: compared before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// SHA-256 of the job's text.
    pub job: [u8; 32],
    /// The party whose material it is.
    pub party: u8,
}

/// The sealed file of a store.
const MATERIAL: &str = "material";

/// Its name until it is complete. What a crash leaves of it can be opened by nobody, since the key was never written.
const UNFINISHED: &str = "unfinished";

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Key = 1,
    Truncation = 2,
    Parts = 3,
    Product = 4,
    Zeros = 5,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Key => "the key of the pads",
            Kind::Truncation => "a truncation mask",
            Kind::Parts => "the parts of an operation",
            Kind::Product => "a product of masks",
            Kind::Zeros => "shares of zero",
        }
    }

    fn named(code: u8) -> &'static str {
        let all = [Kind::Key, Kind::Truncation, Kind::Parts, Kind::Product, Kind::Zeros];
        all.into_iter().find(|kind| *kind as u8 == code).map_or("something unknown", Kind::name)
    }
}

/// Where a record belongs: kind, operation, purpose and size are compared before it is given out.
const RECORD_HEADER: usize = 25;

fn record_header(kind: Kind, op: u64, purpose: u64, len: usize) -> [u8; RECORD_HEADER] {
    let mut out = [0; RECORD_HEADER];
    out[0] = kind as u8;
    out[1..9].copy_from_slice(&op.to_le_bytes());
    out[9..17].copy_from_slice(&purpose.to_le_bytes());
    out[17..].copy_from_slice(&(len as u64).to_le_bytes());
    out
}

/// A store being written.
struct Writer {
    frames: FrameWriter,
}

impl Writer {
    fn put(&mut self, kind: Kind, op: u64, purpose: u64, data: &[u8]) -> Result<(), StoreError> {
        self.frames.write(&record_header(kind, op, purpose, data.len()))?;
        self.frames.write(data)
    }
}

/// A store that was taken.
struct Reader {
    frames: FrameReader,
}

impl Reader {
    /// The next record, which must be the one named.
    fn take(
        &mut self,
        kind: Kind,
        op: u64,
        purpose: u64,
        len: usize,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let header = self.frames.read(RECORD_HEADER)?;
        let Some(header) = header else {
            return Err(StoreError::Exhausted { wanted: kind.name(), op });
        };
        if header[..] != record_header(kind, op, purpose, len) {
            let word = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&header[at..at + 8]);
                u64::from_le_bytes(bytes)
            };
            return Err(StoreError::Mismatch {
                wanted: kind.name(),
                op,
                bytes: len as u64,
                found: Kind::named(header[0]),
                found_op: word(1),
                found_bytes: word(17),
            });
        }
        self.frames.read(len)?.ok_or(StoreError::Exhausted { wanted: kind.name(), op })
    }
}

/// Whether `folder` holds a store that nobody has taken, for this job and party; and the session it was made in.
///
/// # Errors
/// [`StoreError`] if there is none, it is used, or it was made for something else.
pub fn inspect(folder: &Path, binding: &Binding) -> Result<[u8; 16], StoreError> {
    let header = frames::header(folder, binding)?;
    claim::unused(folder)?;
    Ok(header.session)
}
