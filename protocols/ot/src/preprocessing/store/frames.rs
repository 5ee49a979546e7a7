//! The sealed file: a public header, then frames of ChaCha20-Poly1305.
//!
//! The key is HKDF-SHA-256 of the store's random bytes and a secret of the party that lies elsewhere (its private key file),
//! salted with the session. Nonces count frames; header and position, the last frame's mark included, are authenticated.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::claim::{self, BYTES};
use super::error::StoreError;
use super::{Binding, MATERIAL, UNFINISHED};

const MAGIC: &[u8; 16] = b"tercet-material1";
const HEADER: usize = 16 + 32 + 1 + 16;

/// Plaintext bytes of a frame; the last may have fewer.
const FRAME: usize = 1 << 18;
const TAG: usize = 16;

/// Frames after which what was written is made durable, 256 MiB: a slow disk then keeps the peers waiting a little all the time,
/// and not beyond their deadline at the end.
const DURABLE_FRAMES: u64 = 1 << 10;

/// What everybody may know of a store.
pub(super) struct Header {
    bytes: [u8; HEADER],
    /// The session in which it was made, the same at all parties.
    pub(super) session: [u8; 16],
}

impl Header {
    fn new(binding: &Binding, session: [u8; 16]) -> Header {
        let mut bytes = [0; HEADER];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..48].copy_from_slice(&binding.job);
        bytes[48] = binding.party;
        bytes[49..].copy_from_slice(&session);
        Header { bytes, session }
    }
}

/// Reads and compares the header.
pub(super) fn header(folder: &Path, binding: &Binding) -> Result<Header, StoreError> {
    read_header(&mut open(folder)?, folder, binding)
}

/// Opens the sealed file, which must be closed to others, or says why there is none.
fn open(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(MATERIAL);
    let file = File::open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if folder.join(UNFINISHED).exists() => {
            StoreError::Unfinished { path: folder.to_owned() }
        }
        io::ErrorKind::NotFound if claim::was_used(folder) => StoreError::Used { path: folder.to_owned() },
        io::ErrorKind::NotFound => StoreError::Missing { path: folder.to_owned() },
        _ => StoreError::Io { path: path.clone(), action: "read", source },
    })?;
    claim::closed(folder)?;
    claim::closed(&path)?;
    Ok(file)
}

/// An error if there is a file that no store has written.
fn is_a_store(path: &Path) -> Result<(), StoreError> {
    let mut magic = [0; 16];
    match File::open(path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if magic == *MAGIC => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(()) => Err(StoreError::NotAStore { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(StoreError::NotAStore { path: path.to_owned() })
        }
        Err(source) => Err(StoreError::Io { path: path.to_owned(), action: "read", source }),
    }
}

fn read_header(file: &mut impl Read, folder: &Path, binding: &Binding) -> Result<Header, StoreError> {
    let foreign = |what| StoreError::Foreign { path: folder.to_owned(), what };
    let mut bytes = [0; HEADER];
    file.read_exact(&mut bytes).map_err(|_| foreign("format"))?;
    if bytes[..16] != MAGIC[..] {
        return Err(foreign("format"));
    }
    if bytes[16..48] != binding.job {
        return Err(foreign("job"));
    }
    if bytes[48] != binding.party {
        return Err(foreign("party"));
    }
    let mut session = [0; 16];
    session.copy_from_slice(&bytes[49..]);
    Ok(Header { bytes, session })
}

fn key(secret: &[u8], own: &[u8], header: &Header) -> LessSafeKey {
    let mut input = Zeroizing::new(Vec::with_capacity(secret.len() + own.len()));
    input.extend_from_slice(secret);
    input.extend_from_slice(own);
    let mut bytes = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(Some(&header.session), &input)
        .expand(b"tercet material key v1", &mut *bytes)
        .expect("32 bytes is a valid HKDF-SHA-256 length");
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*bytes).expect("the key has 32 bytes"))
}

fn nonce(frame: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&frame.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn associated(header: &Header, last: bool) -> Aad<Vec<u8>> {
    let mut bytes = header.bytes.to_vec();
    bytes.push(last.into());
    Aad::from(bytes)
}

/// Writes frames.
pub(super) struct FrameWriter {
    folder: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    header: Header,
    key: LessSafeKey,
    secret: Zeroizing<[u8; BYTES]>,
    buffer: Vec<u8>,
    frame: u64,
}

impl FrameWriter {
    /// Begins a store in a folder that holds none that is unused; the folder is made if it is absent. What a used store left
    /// is deleted.
    pub(super) fn create(
        folder: &Path,
        own: &[u8],
        binding: &Binding,
        session: [u8; 16],
    ) -> Result<FrameWriter, StoreError> {
        claim::private_folder(folder)?;
        if folder.join(claim::UNUSED).exists() {
            return Err(StoreError::Occupied { path: folder.to_owned() });
        }
        is_a_store(&folder.join(MATERIAL))?;
        for left in [claim::TAKEN, claim::USED, MATERIAL, UNFINISHED] {
            claim::remove(folder, left)?;
        }
        let path = folder.join(UNFINISHED);
        let mut secret = Zeroizing::new([0; BYTES]);
        getrandom::fill(&mut *secret).map_err(|_| StoreError::NoRandomness)?;
        let header = Header::new(binding, session);
        let mut file = BufWriter::new(claim::create(&path)?);
        file.write_all(&header.bytes).map_err(StoreError::io(&path, "written"))?;
        let key = key(&*secret, own, &header);
        let folder = folder.to_owned();
        Ok(FrameWriter { folder, path, file, header, key, secret, buffer: Vec::new(), frame: 0 })
    }

    pub(super) fn write(&mut self, mut data: &[u8]) -> Result<(), StoreError> {
        while !data.is_empty() {
            if self.buffer.len() == FRAME {
                self.seal(false)?;
            }
            let (head, tail) = data.split_at(data.len().min(FRAME - self.buffer.len()));
            if self.buffer.capacity() == 0 {
                // Never grown, so that no copy of secret bytes stays behind.
                self.buffer.reserve_exact(FRAME + TAG);
            }
            self.buffer.extend_from_slice(head);
            data = tail;
        }
        Ok(())
    }

    fn seal(&mut self, last: bool) -> Result<(), StoreError> {
        let damaged = || StoreError::Damaged { path: self.path.clone() };
        self.key
            .seal_in_place_append_tag(nonce(self.frame), associated(&self.header, last), &mut self.buffer)
            .map_err(|_| damaged())?;
        let written = self
            .file
            .write_all(&(self.buffer.len() as u32).to_le_bytes())
            .and_then(|()| self.file.write_all(&self.buffer));
        written.map_err(StoreError::io(&self.path, "written"))?;
        self.frame += 1;
        self.buffer.clear();
        if self.frame.is_multiple_of(DURABLE_FRAMES) {
            self.make_durable()?;
        }
        Ok(())
    }

    fn make_durable(&mut self) -> Result<(), StoreError> {
        let durable = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        durable.map_err(StoreError::io(&self.path, "written"))
    }

    /// Seals the last frame and makes everything durable, under the name of an unfinished store. Returns its bytes.
    pub(super) fn complete(&mut self) -> Result<u64, StoreError> {
        self.seal(true)?;
        self.make_durable()?;
        Ok(self.file.get_ref().metadata().map_err(StoreError::io(&self.path, "written"))?.len())
    }

    /// Marks a complete store as unused.
    pub(super) fn publish(self) -> Result<(), StoreError> {
        let whole = self.folder.join(MATERIAL);
        fs::rename(&self.path, &whole).map_err(StoreError::io(&whole, "written"))?;
        claim::sync_folder(&self.folder)?;
        claim::publish(&self.folder, &self.secret)
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// Opens frames in order.
pub(super) struct FrameReader {
    path: PathBuf,
    file: BufReader<File>,
    header: Header,
    key: LessSafeKey,
    frame: u64,
    last: bool,
    buffer: Zeroizing<Vec<u8>>,
    at: usize,
}

impl FrameReader {
    /// Takes the store in `folder`: nobody can after this.
    pub(super) fn take(folder: &Path, own: &[u8], binding: &Binding) -> Result<FrameReader, StoreError> {
        let path = folder.join(MATERIAL);
        let mut file = BufReader::new(open(folder)?);
        let header = read_header(&mut file, folder, binding)?;
        let secret = claim::take(folder)?;
        claim::discard(folder, MATERIAL)?;
        let key = key(&secret, own, &header);
        Ok(FrameReader {
            path,
            file,
            header,
            key,
            frame: 0,
            last: false,
            buffer: Zeroizing::default(),
            at: 0,
        })
    }

    /// The next `len` bytes; `None` if the store ends before them.
    pub(super) fn read(&mut self, len: usize) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let mut out = Zeroizing::new(Vec::with_capacity(len));
        while out.len() < len {
            if self.at == self.buffer.len() {
                if self.last {
                    return Ok(None);
                }
                self.open()?;
                continue;
            }
            let end = self.buffer.len().min(self.at + len - out.len());
            out.extend_from_slice(&self.buffer[self.at..end]);
            self.at = end;
        }
        Ok(Some(out))
    }

    fn open(&mut self) -> Result<(), StoreError> {
        let damaged = || StoreError::Damaged { path: self.path.clone() };
        let mut len = [0; 4];
        self.file.read_exact(&mut len).map_err(|_| damaged())?;
        let len = u32::from_le_bytes(len) as usize;
        if !(TAG..=FRAME + TAG).contains(&len) {
            return Err(damaged());
        }
        let mut sealed = vec![0; len];
        self.file.read_exact(&mut sealed).map_err(|_| damaged())?;
        // A frame does not say whether it is the last: its seal does.
        let mut opened = None;
        for last in [false, true] {
            let mut bytes = Zeroizing::new(sealed.clone());
            let plain = self.key.open_in_place(nonce(self.frame), associated(&self.header, last), &mut bytes);
            if let Ok(plain) = plain {
                let plain = plain.len();
                bytes.truncate(plain);
                opened = Some((bytes, last));
                break;
            }
        }
        let (bytes, last) = opened.ok_or_else(damaged)?;
        if last && !self.file.fill_buf().map_err(|_| damaged())?.is_empty() {
            return Err(damaged());
        }
        self.buffer = bytes;
        self.at = 0;
        self.last = last;
        self.frame += 1;
        Ok(())
    }
}
