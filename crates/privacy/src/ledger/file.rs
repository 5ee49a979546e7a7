//! The files of a ledger: owner-only, locked while in use, the head replaced in one step.

use super::chain::{Chain, Head};
use super::error::LedgerError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Largest ledger file; hundreds of thousands of entries.
const MAX_BYTES: u64 = 64 << 20;

/// How long to wait for another job's lock. A job holds it for the seconds that a composition takes.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// A ledger file under its lock. Dropping it releases the lock.
pub(super) struct Locked {
    path: PathBuf,
    file: File,
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError::Io { path, action, source }
}

/// Where the head of the ledger at `path` is kept.
pub(super) fn head_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

#[cfg(unix)]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Refuses links, directories and files that others can reach.
fn check_kind(path: &Path) -> Result<(), LedgerError> {
    let metadata = std::fs::symlink_metadata(path).map_err(io(path, "opening"))?;
    if !metadata.is_file() {
        return Err(LedgerError::NotAFile(path.to_owned()));
    }
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o777;
        if mode & 0o077 != 0 {
            return Err(LedgerError::Permissions { path: path.to_owned(), mode });
        }
    }
    Ok(())
}

impl Locked {
    /// Opens and locks the file at `path`; `create` makes an empty one where there is none.
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, LedgerError> {
        if !create {
            check_kind(path)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        let file = owner_only(&mut options).open(path).map_err(io(path, "opening"))?;
        check_kind(path)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LedgerError::Locked { path: path.to_owned(), seconds: LOCK_WAIT.as_secs() });
                }
                Err(TryLockError::Error(source)) => return Err(io(path, "locking")(source)),
            }
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Reads and verifies the chain against its head file.
    pub(super) fn chain(&mut self) -> Result<Chain, LedgerError> {
        let text = self.read()?;
        let chain = Chain::parse(&self.path, &text)?;
        let head = self.head()?.ok_or_else(|| LedgerError::HeadMissing(head_path(&self.path)))?;
        chain.passes_through(&self.path, &head)?;
        // A crash between the entry and its head leaves one entry more. It was never acknowledged, yet it counts.
        if chain.head().entries > head.entries + 1 {
            return Err(LedgerError::OtherChain { path: self.path.clone(), entry: head.entries });
        }
        Ok(chain)
    }

    /// The bytes of the file.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, LedgerError> {
        let bytes = self.file.metadata().map_err(io(&self.path, "reading"))?.len();
        if bytes > MAX_BYTES {
            return Err(LedgerError::Size { path: self.path.clone(), bytes, limit: MAX_BYTES });
        }
        let mut text = Vec::with_capacity(bytes as usize);
        self.file.seek(SeekFrom::Start(0)).map_err(io(&self.path, "reading"))?;
        (&self.file).take(MAX_BYTES).read_to_end(&mut text).map_err(io(&self.path, "reading"))?;
        Ok(text)
    }

    /// The head file's content, if there is a head file.
    pub(super) fn head(&self) -> Result<Option<Head>, LedgerError> {
        let path = head_path(&self.path);
        if !path.try_exists().map_err(io(&path, "reading"))? {
            return Ok(None);
        }
        check_kind(&path)?;
        let mut text = String::new();
        let file = File::open(&path).map_err(io(&path, "reading"))?;
        file.take(4096).read_to_string(&mut text).map_err(io(&path, "reading"))?;
        serde_json::from_str(&text).map(Some).map_err(|error| LedgerError::Unreadable {
            path,
            entry: 0,
            reason: error.to_string(),
        })
    }

    /// Writes `line`, the last entry of `chain`, then the head, each to stable storage before the next.
    pub(super) fn append(&mut self, chain: &Chain, line: &str) -> Result<(), LedgerError> {
        let start = chain.bytes - line.len() as u64;
        let failed = |source| LedgerError::Io { path: self.path.clone(), action: "writing", source };
        // What a crash left of an unfinished line goes first.
        self.file.set_len(start).map_err(failed)?;
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        self.file.write_all(line.as_bytes()).map_err(failed)?;
        self.file.sync_all().map_err(failed)?;
        self.write_head(&chain.head())
    }

    /// Replaces the head file: a temporary file, flushed, then renamed.
    pub(super) fn write_head(&self, head: &Head) -> Result<(), LedgerError> {
        let path = head_path(&self.path);
        let mut temporary = path.clone().into_os_string();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let text = serde_json::to_string(head).map_err(|error| LedgerError::Io {
            path: path.clone(),
            action: "encoding",
            source: error.into(),
        })?;
        // A leftover of a crash may be in the way; the lock on the ledger keeps other jobs out.
        if temporary.symlink_metadata().is_ok() {
            std::fs::remove_file(&temporary).map_err(io(&temporary, "replacing"))?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = owner_only(&mut options).open(&temporary).map_err(io(&temporary, "writing"))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io(&temporary, "writing"))?;
        std::fs::rename(&temporary, &path).map_err(io(&path, "replacing"))?;
        #[cfg(unix)]
        {
            let folder =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(io(folder, "flushing the folder"))?;
        }
        Ok(())
    }
}
