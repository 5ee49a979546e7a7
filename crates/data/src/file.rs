//! Opening a data file: regular files only, and never more than the limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::DataError;

/// Open `path` and say how long it is. A pipe or a device is refused, for it could block or never end.
pub(crate) fn open(path: &Path, limit: u64) -> Result<(File, u64), DataError> {
    let unreadable = |source| DataError::Unreadable { path: path.to_owned(), source };
    // Asked before opening: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(DataError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > limit {
        return Err(DataError::TooLarge { path: path.to_owned(), limit });
    }
    Ok((file, length))
}

/// The whole file, in memory that is wiped on drop.
pub(crate) fn read_all(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, DataError> {
    let (file, length) = open(path, limit)?;
    // One byte more than the file: a buffer that never grows leaves no copy of private bytes behind.
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1)));
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit {
        return Err(DataError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
