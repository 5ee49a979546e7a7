//! The READY exchange: what two authenticated parties compare before the first message.
//!
//! On one bidirectional stream, opened by the dialling side, both send at once: eight bytes `tercet\0\0`
//! and the version; a `Hello`; after a differing job digest the job's text; and, when all three parties
//! are there, a `Confirm` with the session each has computed. A message is its length (4 bytes,
//! little-endian) and its bincode form.

use std::time::Duration;

use bincode::{Decode, Encode};
use quinn::{ReadError, ReadExactError, RecvStream, SendStream};
use sha2::{Digest, Sha256};

use super::fault::Fault;
use super::options::{MAX_JOB_TEXT, MAX_KEY, MAX_PURPOSE};
use crate::codec;
use crate::error::printable;
use crate::{NetError, Party, PartyId, SessionId};

/// The version of everything on the wire. Parties with different versions do not run together.
pub const PROTOCOL_VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"tercet\0\0";

/// Fixed parts, a key of up to [`MAX_KEY`] bytes, a purpose of up to [`MAX_PURPOSE`] bytes, and their lengths.
const HELLO_LIMIT: usize = 256;
const CONFIRM_LIMIT: usize = 64;
const TEXT_LIMIT: usize = MAX_JOB_TEXT + 64;

/// How long a failing party waits until the peer has what it needs to report the same failure.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a party says about itself and the job.
#[derive(Clone, Encode, Decode)]
pub(super) struct Hello {
    pub(super) job_hash: [u8; 32],
    pub(super) step: u64,
    /// What it is about to do.
    pub(super) purpose: String,
    /// Random, so that no two runs have the same session.
    pub(super) contribution: [u8; 32],
    pub(super) key: Vec<u8>,
}

#[derive(Encode, Decode)]
struct JobText(Option<String>);

#[derive(Encode, Decode)]
struct Confirm {
    session: [u8; 16],
}

/// This party's side of every READY exchange.
pub(super) struct Ready {
    pub(super) version: u32,
    pub(super) hello: Hello,
    pub(super) text: Option<String>,
}

/// The control stream to one peer.
pub(super) struct Control {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
}

impl Control {
    /// Exchanges and compares; returns the peer's hello.
    pub(super) async fn ready(&mut self, peer: &Party, ours: &Ready) -> Result<Hello, Fault> {
        let compared = self.compare(peer, ours).await;
        if let Err(Fault::Fatal(_)) = compared {
            self.last_words().await;
        }
        compared
    }

    /// Exchanges the computed session.
    pub(super) async fn confirm(&mut self, peer: &Party, session: SessionId) -> Result<(), Fault> {
        self.write::<CONFIRM_LIMIT, _>(peer, &Confirm { session: *session.as_bytes() }).await?;
        let theirs = Heard::new(&mut self.recv, peer).session().await?;
        if theirs != session {
            self.last_words().await;
            return Err(NetError::SessionDiffers { party: peer.clone(), ours: session, theirs }.into());
        }
        // Whatever this party does next, even leave, the peer has its confirmation.
        self.last_words().await;
        Ok(())
    }

    async fn compare(&mut self, peer: &Party, ours: &Ready) -> Result<Hello, Fault> {
        self.send.write_all(MAGIC).await?;
        self.send.write_all(&ours.version.to_le_bytes()).await?;
        self.write::<HELLO_LIMIT, _>(peer, &ours.hello).await?;

        let theirs = Heard::new(&mut self.recv, peer).hello(ours.version).await?;
        if theirs.job_hash != ours.hello.job_hash {
            self.write::<TEXT_LIMIT, _>(peer, &JobText(ours.text.clone())).await?;
            let text = Heard::new(&mut self.recv, peer).job_text().await?;
            return Err(job_differs(peer, ours, &theirs, text.as_deref()).into());
        }
        if theirs.step != ours.hello.step {
            let (ours, theirs) = (ours.hello.step, theirs.step);
            return Err(NetError::StepDiffers { party: peer.clone(), ours, theirs }.into());
        }
        if theirs.purpose != ours.hello.purpose {
            let (ours, theirs) = (ours.hello.purpose.clone(), printable(&theirs.purpose));
            return Err(NetError::PurposeDiffers { party: peer.clone(), ours, theirs }.into());
        }
        Ok(theirs)
    }

    /// Lets everything written arrive, so that the peer reports the same cause and not a lost connection.
    async fn last_words(&mut self) {
        // Both fail only when the connection has gone; there is nothing left to do then.
        let _ = self.send.finish();
        let _ = tokio::time::timeout(LAST_WORDS, self.send.stopped()).await;
    }

    async fn write<const LIMIT: usize, T: Encode>(&mut self, peer: &Party, message: &T) -> Result<(), Fault> {
        let bytes = codec::encode::<LIMIT, T>(message).map_err(|error| NetError::codec(peer, error))?;
        // The codec's limit is far below 4 GiB.
        self.send.write_all(&(bytes.len() as u32).to_le_bytes()).await?;
        self.send.write_all(&bytes).await?;
        Ok(())
    }
}

/// Where the peer's bytes come from: its control stream, or a recording of one.
pub(super) trait Incoming {
    /// Fills `bytes`.
    async fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Unread>;
}

/// Why bytes did not come.
pub(super) enum Unread {
    /// The stream ended.
    Ended,
    /// The connection broke.
    Broken(ReadError),
}

impl Incoming for RecvStream {
    async fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Unread> {
        self.read_exact(bytes).await.map_err(|error| match error {
            ReadExactError::FinishedEarly(_) => Unread::Ended,
            ReadExactError::ReadError(error) => Unread::Broken(error),
        })
    }
}

/// A recording.
impl Incoming for &[u8] {
    async fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Unread> {
        let (head, rest) = self.split_at_checked(bytes.len()).ok_or(Unread::Ended)?;
        bytes.copy_from_slice(head);
        *self = rest;
        Ok(())
    }
}

/// The peer's half of the exchange, message by message.
pub(super) struct Heard<'a, I> {
    bytes: &'a mut I,
    peer: &'a Party,
}

impl<'a, I: Incoming> Heard<'a, I> {
    pub(super) fn new(bytes: &'a mut I, peer: &'a Party) -> Self {
        Self { bytes, peer }
    }

    /// The first bytes, the version, which must be `version`, and what the peer says of itself and the job.
    pub(super) async fn hello(&mut self, version: u32) -> Result<Hello, Fault> {
        let magic: [u8; 8] = self.array().await?;
        if magic != *MAGIC {
            return Err(malformed(self.peer, "the first bytes are not `tercet`"));
        }
        let theirs = u32::from_le_bytes(self.array().await?);
        if theirs != version {
            let party = self.peer.clone();
            return Err(NetError::VersionDiffers { party, ours: version, theirs }.into());
        }
        let hello: Hello = self.message::<HELLO_LIMIT, _>().await?;
        if hello.key.len() > MAX_KEY {
            return Err(malformed(self.peer, "its public key is too long"));
        }
        if hello.purpose.len() > MAX_PURPOSE {
            return Err(malformed(self.peer, "its purpose is too long"));
        }
        Ok(hello)
    }

    /// The text of the peer's job, if it has one.
    pub(super) async fn job_text(&mut self) -> Result<Option<String>, Fault> {
        let JobText(text) = self.message::<TEXT_LIMIT, _>().await?;
        Ok(text)
    }

    /// The session that the peer computed.
    pub(super) async fn session(&mut self) -> Result<SessionId, Fault> {
        let Confirm { session } = self.message::<CONFIRM_LIMIT, _>().await?;
        Ok(SessionId::from_bytes(session))
    }

    async fn message<const LIMIT: usize, T: Decode<()>>(&mut self) -> Result<T, Fault> {
        let length = u32::from_le_bytes(self.array().await?) as usize;
        if length > LIMIT {
            return Err(malformed(self.peer, "a control message is too long"));
        }
        let mut bytes = vec![0; length];
        self.exact(&mut bytes).await?;
        codec::decode::<LIMIT, T>(&bytes).map_err(|error| NetError::codec(self.peer, error).into())
    }

    async fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        self.bytes.exact(bytes).await.map_err(|unread| match unread {
            Unread::Ended => malformed(self.peer, "its control stream ended early"),
            Unread::Broken(error) => error.into(),
        })
    }
}

/// The session that three hellos make: SHA-256 over everything the parties contributed, in party order.
///
/// The keys are bound in, so that all parties see the same key of each.
pub(super) fn session(hellos: [&Hello; PartyId::COUNT]) -> SessionId {
    let mut hash = Sha256::new_with_prefix(b"tercet.session.v1");
    for hello in hellos {
        hash.update(hello.job_hash);
        hash.update(hello.step.to_le_bytes());
        hash.update(hello.contribution);
        hash.update((hello.key.len() as u64).to_le_bytes());
        hash.update(&hello.key);
    }
    let digest = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    SessionId::from_bytes(id)
}

fn malformed(peer: &Party, what: &str) -> Fault {
    NetError::Malformed { party: peer.clone(), what: what.to_owned() }.into()
}

pub(super) fn job_differs(peer: &Party, ours: &Ready, theirs: &Hello, their_text: Option<&str>) -> NetError {
    let party = peer.clone();
    let texts = ours.text.as_deref().zip(their_text);
    match texts.and_then(|(our_text, their_text)| first_difference(our_text, their_text)) {
        Some((line, ours, theirs)) => NetError::JobDiffers { party, line, ours, theirs },
        None => NetError::JobDigestDiffers {
            party,
            ours: hex(&ours.hello.job_hash),
            theirs: hex(&theirs.job_hash),
        },
    }
}

/// The first differing line, counted from 1, as both sides have it.
fn first_difference(ours: &str, theirs: &str) -> Option<(usize, String, String)> {
    let (mut left, mut right) = (ours.lines(), theirs.lines());
    for line in 1.. {
        match (left.next(), right.next()) {
            (None, None) => break,
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                let show = |line: Option<&str>| line.map_or_else(|| "(end of file)".to_owned(), printable);
                return Some((line, show(ours), show(theirs)));
            }
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_found() {
        let found = first_difference("a = 1\nb = 2\n", "a = 1\nb = 3\nc = 4\n");
        assert_eq!(found, Some((2, "b = 2".to_owned(), "b = 3".to_owned())));
        let found = first_difference("a = 1\n", "a = 1\nb\x1b[31m = 3\n");
        assert_eq!(found, Some((2, "(end of file)".to_owned(), "b [31m = 3".to_owned())));
        assert_eq!(first_difference("a\n", "a\n"), None);
    }

    #[test]
    fn the_session_depends_on_every_contribution() {
        let hello = |byte, key: &[u8]| Hello {
            job_hash: [9; 32],
            step: 3,
            purpose: "training".to_owned(),
            contribution: [byte; 32],
            key: key.to_vec(),
        };
        let (a, b, c) = (hello(1, b"k"), hello(2, b"l"), hello(3, b"m"));
        let agreed = session([&a, &b, &c]);
        assert_eq!(agreed, session([&a.clone(), &b, &c]));
        assert_ne!(agreed, session([&b, &a, &c]));
        assert_ne!(agreed, session([&a, &b, &hello(4, b"m")]));
        assert_ne!(agreed, session([&a, &b, &hello(3, b"n")]));
    }
}
