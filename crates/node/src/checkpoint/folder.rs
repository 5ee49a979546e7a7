//! The checkpoints of one party in one job, on its disk.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use tercet_data::atomic::{Mode, atomic_write};

use super::sealed::{self, FileKey, owner_only};
use super::{Binding, Checkpoint, CheckpointError, Place};

/// Checkpoints that are kept. Of two evaluators one can be two ahead of what the other has on its disk: one that it has
/// reached and the other has not, and one that the other is writing.
pub const KEEP: usize = 3;

/// Name of the key file.
pub const KEY_FILE: &str = "checkpoint.key";

/// How a checkpoint's name begins and ends; between is the step with leading zeros.
const NAME: (&str, &str) = ("step-", ".tck");

/// The folder of one job's checkpoints at one party.
pub struct Folder {
    path: PathBuf,
    key: FileKey,
    binding: Binding,
    most_bytes: u64,
}

/// What a folder holds.
#[derive(Default)]
pub struct Found {
    /// Checkpoints that open, by step.
    pub held: Vec<Place>,
    /// The ledger's entry in the newest of them.
    pub reservation: Option<u64>,
    /// Files that do not open, by step, and why.
    pub damaged: Vec<(u64, CheckpointError)>,
}

impl Folder {
    /// Opens the folder `state` for a job and a party, and makes it and its key if there are none. `most_bytes` bounds the
    /// sealed part of a checkpoint.
    ///
    /// # Errors
    /// A folder that cannot be made or written, a key that others may read, or checkpoints without their key.
    pub fn open(state: &Path, binding: Binding, most_bytes: u64) -> Result<Folder, CheckpointError> {
        let mut name = String::with_capacity(16);
        for byte in &binding.job[..8] {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let path = state.join(name);
        make(state)?;
        make(&path)?;
        let key_path = state.join(KEY_FILE);
        let key = match FileKey::read(&key_path)? {
            Some(key) => key,
            None if !steps(&path)?.is_empty() => return Err(CheckpointError::KeyMissing { path: key_path }),
            None => FileKey::create(&key_path)?,
        };
        // Tried now: a training should not end at a folder that cannot be written.
        tempfile::tempfile_in(&path).map_err(CheckpointError::io(&path, "written"))?;
        let folder = Folder { path, key, binding, most_bytes: sealed::most_bytes(most_bytes) };
        folder.sweep()?;
        Ok(folder)
    }

    /// Everything that is there. Each file is opened: what is listed as held can be gone on from.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn find(&self) -> Result<Found, CheckpointError> {
        let mut found = Found::default();
        for step in steps(&self.path)? {
            match self.read(step) {
                Ok(checkpoint) => {
                    found.reservation = checkpoint.reservation;
                    found.held.push(checkpoint.place);
                }
                Err(error) => found.damaged.push((step, error)),
            }
        }
        // A run that was started over leaves nothing of the one before: what differs is not of this run.
        if let Some(run) = found.held.last().map(|place| place.run) {
            found.held.retain(|place| place.run == run);
        }
        Ok(found)
    }

    /// The checkpoint of a step.
    ///
    /// # Errors
    /// It is not there, does not open, or is of something else.
    pub fn read(&self, step: u64) -> Result<Checkpoint, CheckpointError> {
        let path = self.file(step);
        let file = File::open(&path).map_err(CheckpointError::io(&path, "read"))?;
        owner_only(&path, &file)?;
        let mut bytes = Vec::new();
        file.take(self.most_bytes + 1).read_to_end(&mut bytes).map_err(CheckpointError::io(&path, "read"))?;
        if bytes.len() as u64 > self.most_bytes {
            return Err(CheckpointError::Damaged { path });
        }
        sealed::open(&self.key, &self.binding, step, &bytes, &path)
    }

    /// Writes a checkpoint, whole and durable, and then removes those that are older than the newest [`KEEP`], and those after
    /// it: the run went on from before them and reaches their steps another way. Until then they stay, so that a peer that only
    /// says that it lost its own costs this party none.
    ///
    /// # Errors
    /// [`CheckpointError::Unwritten`]; what was there before is still there.
    pub fn write(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let step = checkpoint.place.step;
        let bytes = sealed::seal(&self.key, &self.binding, checkpoint)?;
        atomic_write(&self.file(step), &bytes, Mode::Private).map_err(|source| {
            let last = steps(&self.path).ok().and_then(|steps| steps.last().copied());
            CheckpointError::Unwritten { step, last, source }
        })?;
        let steps = steps(&self.path)?;
        let (lineage, left) = steps.split_at(steps.partition_point(|&other| other <= step));
        let old = lineage.len().saturating_sub(KEEP);
        lineage[..old].iter().chain(left).try_for_each(|&step| self.remove(step))
    }

    /// Removes all checkpoints: the run is over, or started over.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn forget(&self) -> Result<(), CheckpointError> {
        steps(&self.path)?.into_iter().try_for_each(|step| self.remove(step))
    }

    /// The file of a step.
    pub fn file(&self, step: u64) -> PathBuf {
        self.path.join(format!("{}{step:020}{}", NAME.0, NAME.1))
    }

    fn remove(&self, step: u64) -> Result<(), CheckpointError> {
        let path = self.file(step);
        fs::remove_file(&path).map_err(CheckpointError::io(&path, "removed"))
    }

    /// Removes what a crash left half-written.
    fn sweep(&self) -> Result<(), CheckpointError> {
        let read = CheckpointError::io(&self.path, "read");
        for entry in fs::read_dir(&self.path).map_err(read)?.flatten() {
            let name = entry.file_name();
            let half =
                name.to_str().is_some_and(|name| name.starts_with(".tercet-") && name.ends_with(".tmp"));
            if half {
                fs::remove_file(entry.path()).map_err(CheckpointError::io(&entry.path(), "removed"))?;
            }
        }
        Ok(())
    }
}

/// Steps of the files in a folder, in order.
fn steps(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let entries = fs::read_dir(folder).map_err(CheckpointError::io(folder, "read"))?;
    let step = |name: &str| {
        let digits = name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?;
        digits.parse::<u64>().ok().filter(|_| digits.len() == 20)
    };
    let mut steps: Vec<u64> =
        entries.flatten().filter_map(|entry| step(entry.file_name().to_str()?)).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Makes a folder that only its owner may enter.
fn make(path: &Path) -> Result<(), CheckpointError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(CheckpointError::io(path, "made"))
}
