//! The one file that makes a store usable, and its removal before the first use.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::StoreError;

/// Present in a store that nobody has taken.
pub(super) const UNUSED: &str = "unused";

/// Its name from the moment it is taken until it is deleted.
pub(super) const TAKEN: &str = "taken";

/// What a store that was taken leaves behind.
pub(super) const USED: &str = "used";

/// Bytes of `unused`.
pub(super) const BYTES: usize = 32;

/// Opens a new file that only its owner may read.
pub(super) fn create(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(StoreError::io(path, "created"))
}

/// Makes a folder that only its owner may enter; one that is there must be such a folder.
pub(super) fn private_folder(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).map_err(StoreError::io(folder, "created"))?;
    closed(folder)
}

/// An error if others than the owner may read or enter `path`.
pub(super) fn closed(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        let metadata = fs::metadata(path).map_err(StoreError::io(path, "read"))?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(StoreError::Exposed { path: path.to_owned(), mode });
        }
    }
    Ok(())
}

/// Makes creations, renames and deletions in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io(folder, "made durable"))
}

/// Marks a finished store as unused.
pub(super) fn publish(folder: &Path, secret: &[u8; BYTES]) -> Result<(), StoreError> {
    let path = folder.join(UNUSED);
    let mut file = create(&path)?;
    file.write_all(secret).and_then(|()| file.sync_all()).map_err(StoreError::io(&path, "written"))?;
    sync_folder(folder)
}

/// Whether a store was in the folder and somebody took it.
pub(super) fn was_used(folder: &Path) -> bool {
    [TAKEN, USED].iter().any(|name| folder.join(name).exists())
}

/// Deletes a file of the folder, if it is there.
pub(super) fn remove(folder: &Path, name: &str) -> Result<(), StoreError> {
    let path = folder.join(name);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { path, action: "deleted", source })
        }
        _ => Ok(()),
    }
}

/// Leaves a mark in place of the sealed file, which nobody can open any more and the taker has open. Not made durable: if the
/// file comes back, it is as useless.
pub(super) fn discard(folder: &Path, sealed: &str) -> Result<(), StoreError> {
    remove(folder, USED)?;
    create(&folder.join(USED))?;
    remove(folder, sealed)
}

/// An error unless nobody has taken the store.
pub(super) fn unused(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(UNUSED);
    if path.is_file() { closed(&path) } else { Err(StoreError::Used { path: folder.to_owned() }) }
}

/// Takes the store: durable before this returns.
pub(super) fn take(folder: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    rename(folder)?;
    let secret = read(folder)?;
    forget(folder)?;
    Ok(secret)
}

/// Of several that try, one succeeds.
pub(super) fn rename(folder: &Path) -> Result<(), StoreError> {
    let (from, to) = (folder.join(UNUSED), folder.join(TAKEN));
    if to.exists() {
        // An earlier taker stopped half-way; what it held is lost.
        return Err(StoreError::Used { path: folder.to_owned() });
    }
    fs::rename(&from, &to).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Used { path: folder.to_owned() },
        _ => StoreError::Io { path: from.clone(), action: "taken", source },
    })?;
    sync_folder(folder)
}

fn read(folder: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let path = folder.join(TAKEN);
    let mut secret = Zeroizing::new(Vec::with_capacity(BYTES + 1));
    let file = File::open(&path).map_err(StoreError::io(&path, "read"))?;
    file.take(BYTES as u64 + 1).read_to_end(&mut secret).map_err(StoreError::io(&path, "read"))?;
    if secret.len() == BYTES { Ok(secret) } else { Err(StoreError::Damaged { path }) }
}

/// Deletes what opens the frames: not even this party can open them again.
fn forget(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(TAKEN);
    fs::remove_file(&path).map_err(StoreError::io(&path, "deleted"))?;
    sync_folder(folder)
}
