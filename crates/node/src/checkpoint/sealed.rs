//! A checkpoint as a file: a public header, and the state sealed with ChaCha20-Poly1305.
//!
//! The header holds format version, job hash, party, run, session, step and 32 random bytes. The seal covers it, and its
//! key is derived (HKDF-SHA-256) from the party's file key and those random bytes: every file has its own key, so that no
//! nonce is ever used twice.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use hkdf::Hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use tercet_net::SessionId;
use zeroize::Zeroizing;

use super::{Binding, Checkpoint, CheckpointError, Place, format};

/// Format and version: another version is another format.
const MAGIC: &[u8; 16] = b"tercet-check-01\0";
const SALT: usize = 32;
const HEADER: usize = 16 + 32 + 1 + 16 + 16 + 8 + SALT;
const TAG: usize = 16;

/// Bytes of the file key.
pub(super) const KEY: usize = 32;

/// The key of a party's checkpoints. Wiped on drop, never printed.
pub struct FileKey(Zeroizing<[u8; KEY]>);

impl FileKey {
    /// The key in `path`; `None` if there is no such file.
    ///
    /// # Errors
    /// A file that others may read, or that is no key.
    pub(super) fn read(path: &Path) -> Result<Option<FileKey>, CheckpointError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CheckpointError::io(path, "read")(error)),
        };
        owner_only(path, &file)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY + 1));
        file.take(KEY as u64 + 1).read_to_end(&mut bytes).map_err(CheckpointError::io(path, "read"))?;
        let mut key = Zeroizing::new([0; KEY]);
        if bytes.len() != KEY {
            return Err(CheckpointError::KeyDamaged { path: path.to_owned() });
        }
        key.copy_from_slice(&bytes);
        Ok(Some(FileKey(key)))
    }

    /// A fresh key, durable in the new file `path`.
    ///
    /// # Errors
    /// No randomness, or the file cannot be written.
    pub(super) fn create(path: &Path) -> Result<FileKey, CheckpointError> {
        let mut key = Zeroizing::new([0; KEY]);
        getrandom::fill(&mut *key).map_err(|_| CheckpointError::NoRandomness)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = CheckpointError::io(path, "written");
        let write = |mut file: File| file.write_all(&*key).and_then(|()| file.sync_all());
        options.open(path).and_then(write).map_err(failed)?;
        Ok(FileKey(key))
    }

    fn of_file(&self, salt: &[u8]) -> LessSafeKey {
        let mut bytes = Zeroizing::new([0u8; KEY]);
        Hkdf::<Sha256>::new(Some(salt), &*self.0)
            .expand(b"tercet checkpoint key v1", &mut *bytes)
            .expect("32 bytes is a valid HKDF-SHA-256 length");
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*bytes).expect("the key has 32 bytes"))
    }
}

/// Refuses a file that others than its owner may open.
pub(super) fn owner_only(path: &Path, file: &File) -> Result<(), CheckpointError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(CheckpointError::io(path, "read"))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CheckpointError::Loose { path: path.to_owned(), mode });
        }
    }
    #[cfg(not(unix))]
    let _ = (path, file);
    Ok(())
}

/// The bytes of a checkpoint's file.
///
/// # Errors
/// [`CheckpointError::NoRandomness`].
pub fn seal(key: &FileKey, binding: &Binding, checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).map_err(|_| CheckpointError::NoRandomness)?;
    let Place { run, session, step } = checkpoint.place;
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&binding.job);
    header.push(binding.party);
    header.extend_from_slice(run.as_bytes());
    header.extend_from_slice(session.as_bytes());
    header.extend_from_slice(&step.to_le_bytes());
    header.extend_from_slice(&salt);
    let mut body = format::encode(&checkpoint.snapshot, checkpoint.reservation);
    let tag = key
        .of_file(&salt)
        .seal_in_place_separate_tag(nonce(), Aad::from(&header), &mut body)
        .map_err(|_| CheckpointError::NoRandomness)?;
    let mut file = header;
    file.reserve_exact(body.len() + TAG);
    file.extend_from_slice(&body);
    file.extend_from_slice(tag.as_ref());
    Ok(file)
}

/// The most bytes of a file whose sealed part has at most `body`.
pub(super) fn most_bytes(body: u64) -> u64 {
    body.saturating_add((HEADER + TAG) as u64)
}

/// The checkpoint in a file's bytes, which must be of this job, party and step. `path` is for errors.
///
/// # Errors
/// [`CheckpointError::Format`], [`CheckpointError::Foreign`] or [`CheckpointError::Damaged`].
pub fn open(
    key: &FileKey,
    binding: &Binding,
    step: u64,
    bytes: &[u8],
    path: &Path,
) -> Result<Checkpoint, CheckpointError> {
    let unknown = || CheckpointError::Format { path: path.to_owned() };
    let foreign = |what| CheckpointError::Foreign { path: path.to_owned(), what };
    let damaged = || CheckpointError::Damaged { path: path.to_owned() };
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(unknown());
    }
    let (header, sealed) = bytes.split_at_checked(HEADER).ok_or_else(damaged)?;
    let mut rest = &header[MAGIC.len()..];
    if take(&mut rest, 32) != binding.job {
        return Err(foreign("job"));
    }
    if take(&mut rest, 1) != [binding.party] {
        return Err(foreign("party"));
    }
    let mut id = || -> [u8; 16] { take(&mut rest, 16).try_into().unwrap_or_default() };
    let (run, session) = (SessionId::from_bytes(id()), SessionId::from_bytes(id()));
    if take(&mut rest, 8) != step.to_le_bytes() {
        return Err(foreign("step"));
    }
    let mut body = Zeroizing::new(sealed.to_vec());
    let opened = key.of_file(rest).open_in_place(nonce(), Aad::from(header), &mut body);
    let plain = opened.map_err(|_| damaged())?;
    let (snapshot, reservation) = format::decode(step, plain).ok_or_else(damaged)?;
    Ok(Checkpoint { place: Place { run, session, step }, reservation, snapshot })
}

/// Of a key that seals one file.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// The next bytes of a header, whose length was checked.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(count.min(rest.len()));
    *rest = tail;
    head
}
