//! A party's key and self-signed certificate, and the files that hold them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

use crate::quic::check_dates;
use crate::{CertificateFault, Fingerprint};

/// Certificates of [`Identity::generate`] are valid from one day ago, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// Certificates of [`Identity::generate`] are valid for about five years.
const VALID_FOR: Duration = Duration::from_secs(5 * 365 * 24 * 3600);

/// Neither a certificate nor a key file is longer; a longer file is some other file.
const FILE_LIMIT: u64 = 64 * 1024;

/// What goes wrong with keys and certificates of this party.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Key generation failed.
    #[error("no key could be generated ({0}); check the operating system's randomness and the name")]
    Generate(String),
    /// The validity period ends before it begins, or is out of range.
    #[error(
        "the validity period of a certificate must begin before it ends, between the years 1950 and 9999"
    )]
    Period,
    /// A file is already there.
    #[error("{} exists already; keygen never overwrites a key, remove the file first or choose another folder", .0.display())]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("{} cannot be {what} ({error}); check the path and its permissions", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// What the operating system says.
        error: io::Error,
    },
    /// Others than the owner may read the key.
    #[error("the key file {} is readable by others (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others may replace files in the folder of the key.
    #[error(
        "the folder {} of the key file is writable by others (mode {mode:03o}); run `chmod go-w` on it or move the key",
        path.display()
    )]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what it should be.
    #[error("{} holds no usable {what}; create a new identity with keygen", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
}

/// A party's private key and certificate. `Debug` shows the fingerprint only; the key is wiped on drop.
pub struct Identity {
    certificate: CertificateDer<'static>,
    /// PKCS #8, DER.
    key: Zeroizing<Vec<u8>>,
    fingerprint: Fingerprint,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// A new Ed25519 key and its self-signed certificate, valid for five years from yesterday.
///
/// `name` becomes the certificate's common name. It is for people; the fingerprint is the identity.
///
/// # Errors
/// [`IdentityError::Generate`] when no key can be made.
pub fn generate(name: &str) -> Result<Identity, IdentityError> {
    let now = SystemTime::now();
    let from = now.checked_sub(BACKDATED).ok_or(IdentityError::Period)?;
    let until = now.checked_add(VALID_FOR).ok_or(IdentityError::Period)?;
    generate_valid(name, from, until)
}

/// The same as [`generate`] with a chosen validity period, in whole seconds.
///
/// # Errors
/// [`IdentityError::Period`] for an impossible period, [`IdentityError::Generate`] when no key can be made.
pub fn generate_valid(name: &str, from: SystemTime, until: SystemTime) -> Result<Identity, IdentityError> {
    let failed = |error: rcgen::Error| IdentityError::Generate(error.to_string());
    let mut params = CertificateParams::new([]).map_err(failed)?;
    (params.not_before, params.not_after) = (date(from)?, date(until)?);
    if params.not_before >= params.not_after {
        return Err(IdentityError::Period);
    }
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut pair = KeyPair::generate_for(&PKCS_ED25519).map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed);
    let key = Zeroizing::new(pair.serialize_der());
    pair.zeroize();
    let certificate = signed?.der().clone();
    Ok(Identity { fingerprint: Fingerprint::of(&certificate), certificate, key })
}

fn date(time: SystemTime) -> Result<OffsetDateTime, IdentityError> {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()),
        Err(before) => i64::try_from(before.duration().as_secs()).map(|seconds| -seconds),
    };
    let date = seconds.ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    date.filter(|date| (1950..=9999).contains(&date.year())).ok_or(IdentityError::Period)
}

impl Identity {
    /// The fingerprint that the roster pins.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Whether the certificate is valid at `now`; peers refuse it otherwise.
    ///
    /// # Errors
    /// [`CertificateFault::Expired`] or [`CertificateFault::NotYetValid`] with the day, [`CertificateFault::Unreadable`].
    pub fn check_dates(&self, now: SystemTime) -> Result<(), CertificateFault> {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        check_dates(&self.certificate, seconds)
    }

    /// Writes certificate and key as PEM. The key file is readable by its owner only. Each file appears
    /// whole or not at all, and an existing file is never replaced.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] or [`IdentityError::File`].
    pub fn save(&self, certificate_path: &Path, key_path: &Path) -> Result<(), IdentityError> {
        for path in [certificate_path, key_path] {
            if path.symlink_metadata().is_ok() {
                return Err(IdentityError::Exists(path.to_owned()));
            }
        }
        write_new(key_path, pem("PRIVATE KEY", &self.key).as_bytes(), 0o600)?;
        write_new(certificate_path, pem("CERTIFICATE", &self.certificate).as_bytes(), 0o644)
    }

    /// Reads what [`Identity::save`] wrote.
    ///
    /// # Errors
    /// [`IdentityError::Readable`] when group or others may access the key file, [`IdentityError::File`],
    /// [`IdentityError::Content`]. Whether key and certificate belong together is checked by
    /// [`QuicListener::bind`](crate::quic::QuicListener::bind).
    pub fn load(certificate_path: &Path, key_path: &Path) -> Result<Self, IdentityError> {
        let bad = |path: &Path, what| IdentityError::Content { path: path.to_owned(), what };
        let certificate = CertificateDer::from_pem_slice(&read(certificate_path, false)?)
            .map_err(|_| bad(certificate_path, "certificate"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(&read(key_path, true)?)
            .map_err(|_| bad(key_path, "private key"))?;
        let key = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        Ok(Self { fingerprint: Fingerprint::of(&certificate), certificate, key })
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// PKCS #8, DER.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// RFC 7468 text. Written here so that the key passes through no buffer that is not wiped.
fn pem(kind: &str, der: &[u8]) -> Zeroizing<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Capacity for the whole text, so that it never grows and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(128 + 2 * der.len()));
    text.push_str(&format!("-----BEGIN {kind}-----\n"));
    for (index, chunk) in der.chunks(3).enumerate() {
        let word = chunk.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { digit as char } else { '=' });
        }
        if index % 16 == 15 {
            text.push('\n');
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("-----END {kind}-----\n"));
    text
}

/// Writes to a temporary name in the same folder, forces it to disk and links it into place: a hard link
/// fails where a rename would silently replace.
fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), IdentityError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = write_linked(path, &temporary, content, mode);
    // The temporary name goes in any case; the error that counts is the first one.
    let _ = fs::remove_file(&temporary);
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists(path.to_owned()),
        _ => IdentityError::File { path: path.to_owned(), what: "written", error },
    })
}

fn write_linked(path: &Path, temporary: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::hard_link(temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn read(path: &Path, private: bool) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |error| IdentityError::File { path: path.to_owned(), what: "read", error };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    #[cfg(unix)]
    if private {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Readable { path: path.to_owned(), mode });
        }
        check_folder(path)?;
    }
    let what = if private { "private key" } else { "certificate" };
    if !metadata.is_file() || metadata.len() > FILE_LIMIT {
        return Err(IdentityError::Content { path: path.to_owned(), what });
    }
    // Reserved ahead and capped, so that the buffer never grows and leaves a copy of the key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(FILE_LIMIT as usize + 1));
    file.take(FILE_LIMIT).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// A folder in which others may replace the key is refused, unless its sticky bit keeps them from it.
#[cfg(unix)]
fn check_folder(key: &Path) -> Result<(), IdentityError> {
    let folder = key.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error| IdentityError::File { path: folder.to_owned(), what: "read", error };
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder).map_err(failed)?.permissions());
    match mode & 0o022 != 0 && mode & 0o1000 == 0 {
        true => Err(IdentityError::Folder { path: folder.to_owned(), mode: mode & 0o7777 }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(folder: &tempfile::TempDir) -> (PathBuf, PathBuf) {
        (folder.path().join("node.pem"), folder.path().join("node.key"))
    }

    #[test]
    fn an_identity_comes_back_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = paths(&folder);
        let identity = generate("hospital-a").unwrap();
        identity.save(&certificate, &key).unwrap();
        let loaded = Identity::load(&certificate, &key).unwrap();
        assert_eq!(loaded.fingerprint(), identity.fingerprint());
        assert!(*loaded.key == *identity.key);
        assert_eq!(folder.path().read_dir().unwrap().count(), 2, "temporary files stay behind");
    }

    #[test]
    fn the_pem_text_is_the_one_that_others_write() {
        let identity = generate("hospital-a").unwrap();
        let ours = pem("CERTIFICATE", &identity.certificate);
        assert_eq!(CertificateDer::from_pem_slice(ours.as_bytes()).unwrap(), identity.certificate);
        assert_eq!(
            *pem("X", b"any carnal pleas"),
            "-----BEGIN X-----\nYW55IGNhcm5hbCBwbGVhcw==\n-----END X-----\n"
        );
        assert_eq!(
            *pem("X", b"any carnal pleasu"),
            "-----BEGIN X-----\nYW55IGNhcm5hbCBwbGVhc3U=\n-----END X-----\n"
        );
        let longest = ours.lines().map(str::len).max();
        assert_eq!(longest, Some(64));
    }

    #[test]
    fn an_existing_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = paths(&folder);
        fs::write(&key, "precious").unwrap();
        let error = generate("a").unwrap().save(&certificate, &key).unwrap_err();
        assert!(matches!(&error, IdentityError::Exists(path) if *path == key), "{error}");
        assert_eq!(fs::read(&key).unwrap(), b"precious");
        assert!(!certificate.exists());
        assert!(write_new(&key, b"other", 0o600).is_err(), "a race must not replace it either");
        assert_eq!(fs::read(&key).unwrap(), b"precious");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = paths(&folder);
        generate("a").unwrap().save(&certificate, &key).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            let error = Identity::load(&certificate, &key).unwrap_err();
            assert!(matches!(error, IdentityError::Readable { mode: seen, .. } if seen == mode));
            assert!(error.to_string().contains(&format!("(mode {mode:o}); run `chmod 600`")), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_replace_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = paths(&folder);
        generate("a").unwrap().save(&certificate, &key).unwrap();
        let load = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            Identity::load(&certificate, &key)
        };
        for mode in [0o777, 0o770, 0o702] {
            let error = load(mode).unwrap_err();
            assert!(error.to_string().contains("writable by others"), "{error}");
        }
        for mode in [0o700, 0o755, 0o1777] {
            load(mode).unwrap();
        }
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = paths(&folder);
        generate("a").unwrap().save(&certificate, &key).unwrap();
        let swapped = Identity::load(&key, &key).unwrap_err();
        assert!(matches!(swapped, IdentityError::Content { what: "certificate", .. }));
        let missing = Identity::load(&folder.path().join("none"), &key).unwrap_err();
        assert!(matches!(missing, IdentityError::File { what: "read", .. }));
    }

    #[test]
    fn a_period_that_ends_before_it_begins_is_refused() {
        let now = SystemTime::now();
        assert!(matches!(generate_valid("a", now, now), Err(IdentityError::Period)));
    }

    #[test]
    fn a_certificate_is_valid_within_its_dates_only() {
        let now = SystemTime::now();
        let day = Duration::from_secs(24 * 3600);
        let identity = generate_valid("a", now, now + day).unwrap();
        identity.check_dates(now + Duration::from_secs(60)).unwrap();
        assert!(matches!(identity.check_dates(now - day), Err(CertificateFault::NotYetValid(_))));
        assert!(matches!(identity.check_dates(now + 2 * day), Err(CertificateFault::Expired(_))));
        generate("a").unwrap().check_dates(now).unwrap();
    }

    #[test]
    fn debug_of_an_identity_shows_no_key() {
        let identity = generate("a").unwrap();
        let text = format!("{identity:?}");
        assert_eq!(text, format!("Identity {{ fingerprint: {}, .. }}", identity.fingerprint()));
    }
}
