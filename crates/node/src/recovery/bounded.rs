//! What a node finds of an earlier session is read up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The bytes of a file, at most `limit` of them.
///
/// # Errors
/// The system's; `InvalidData` for a longer file.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let why = format!("it has more than the {limit} bytes that such a file can have");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}
