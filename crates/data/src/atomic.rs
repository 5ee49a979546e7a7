//! A file is either the old one or the new one, whole: never half of each, whatever the moment of a crash.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Who may read a file that this process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its owner only (0600): shares, keys, models.
    Private,
    /// Everybody on the machine (0644): reports without secrets.
    Public,
}

/// A file could not be written. The file that stood at the path before is untouched.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written ({source}): check that its folder exists, is writable and has room", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

/// Write `bytes` to `path`, replacing what was there: a temporary file in the same folder, fsync, rename, fsync of the
/// folder. The folder must exist. On systems without Unix permissions `mode` has no effect.
///
/// # Errors
/// [`WriteError`]; the temporary file is removed then.
pub fn atomic_write(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    write(path, bytes, mode).map_err(|source| WriteError { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")),
    };
    // Created 0600, so that nobody else can open it before its mode is set.
    let mut file = tempfile::Builder::new().prefix(".tercet-").suffix(".tmp").tempfile_in(folder)?;
    set_mode(file.as_file(), mode)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

#[cfg(unix)]
fn set_mode(file: &File, mode: Mode) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let bits = match mode {
        Mode::Private => 0o600,
        Mode::Public => 0o644,
    };
    file.set_permissions(std::fs::Permissions::from_mode(bits))
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _mode: Mode) -> io::Result<()> {
    Ok(())
}

/// The rename itself is only durable once the folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_new_bytes_replace_the_old_and_no_temporary_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        atomic_write(&path, b"old and longer", Mode::Public).unwrap();
        atomic_write(&path, b"new", Mode::Public).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_refused_rename_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::create_dir(&path).unwrap();
        let error = atomic_write(&path, b"x", Mode::Private).unwrap_err().to_string();
        assert!(error.contains("cannot be written"), "{error}");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_missing_folder_and_a_path_of_no_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("a");
        assert_eq!(atomic_write(&path, b"x", Mode::Private).unwrap_err().path, path);
        assert!(atomic_write(Path::new("/"), b"x", Mode::Private).is_err());
        assert!(atomic_write(Path::new(""), b"x", Mode::Private).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_mode_decides_who_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (mode, bits) in [(Mode::Private, 0o600), (Mode::Public, 0o644)] {
            let path = folder.path().join("a");
            atomic_write(&path, b"x", mode).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, bits);
        }
    }
}
