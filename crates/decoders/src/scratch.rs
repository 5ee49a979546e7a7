//! A folder of its own for each thread, in memory where the system has such a file system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::Builder::new().prefix("tercet-decoders-").tempdir_in(root).expect("a folder for hostile files")
    };
}

/// The path of `name` in this thread's folder.
pub(crate) fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// Writes a file for its owner only, and returns its path.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    fs::write(&path, bytes).expect("a hostile file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
    path
}

/// A folder that stays, with what is in it, for its owner only.
pub(crate) fn kept(name: &str) -> PathBuf {
    let path = path(name);
    if !path.exists() {
        fs::create_dir(&path).expect("a folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("its permissions");
    }
    path
}

/// An empty folder, for its owner only.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = path(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("the folder of the last input goes");
    }
    fs::create_dir(&path).expect("a folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("its permissions");
    path
}

/// Cuts bytes in two: the first two bytes (little-endian) say how long the first part is, as far as there are bytes.
pub(crate) fn parts(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return (&[], &[]) };
    rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()))
}

/// The input that [`parts`] cuts into these two.
pub(crate) fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&(first.len() as u16).to_le_bytes()[..], first, second].concat()
}
