//! Everything that can go wrong between three parties, one sentence each.

use std::fmt;
use std::time::Duration;

use crate::codec::CodecError;
use crate::{Fingerprint, Party, SessionId, Tag};

/// Where one side stands in the protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The training step.
    pub step: u64,
    /// The operation.
    pub op: u64,
    /// The label's name (its first 16 bytes, for the other side).
    pub label: String,
    /// Digest of the label's name and parameters.
    pub digest: u64,
    /// Payload length.
    pub bytes: usize,
}

impl Position {
    /// The position that a receiver expects.
    pub fn expected(tag: &Tag, bytes: usize) -> Self {
        Self {
            step: tag.step,
            op: tag.op,
            label: tag.label.name().to_owned(),
            digest: tag.label.digest(),
            bytes,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, op, label, digest, bytes } = self;
        write!(f, "step {step}, operation {op}, `{label}` ({digest:016x}), {bytes} bytes")
    }
}

/// A failure of the network or of a peer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetError {
    /// The connection is up, or was never heard to break, but nothing arrived.
    #[error(
        "{party} sent nothing for {} s at step {step} while `{label}` was awaited; \
         look at that party's log or raise the deadline",
        seconds(waited)
    )]
    PeerSilent {
        /// Who was silent.
        party: Party,
        /// The receiver's step.
        step: u64,
        /// What the receiver waited for.
        label: &'static str,
        /// How long.
        waited: Duration,
    },

    /// The connection broke without a goodbye.
    #[error(
        "{party} was lost at step {step} after {} s of waiting ({reason}); look at that party's log",
        seconds(after)
    )]
    PeerLost {
        /// Who was lost.
        party: Party,
        /// The step at which this party noticed.
        step: u64,
        /// How long this party had waited in the call that noticed.
        after: Duration,
        /// What the connection reported.
        reason: String,
    },

    /// The peer closed in good order, but this party still needed it.
    #[error(
        "{party} finished and said goodbye, but at step {step} `{label}` was still to be exchanged with it; check that all parties run the same version"
    )]
    PeerFinished {
        /// Who finished.
        party: Party,
        /// This party's step.
        step: u64,
        /// What this party still wanted.
        label: &'static str,
    },

    /// The peer is alive but takes nothing from the full queue.
    #[error(
        "{party} took nothing for {} s at step {step} while `{label}` was to be sent and {queued} bytes were queued; \
         look at that party's log or raise the deadline",
        seconds(waited)
    )]
    SendStalled {
        /// Who does not read.
        party: Party,
        /// The sender's step.
        step: u64,
        /// What was to be sent.
        label: &'static str,
        /// How long the sender waited without progress.
        waited: Duration,
        /// Bytes queued for the peer.
        queued: usize,
    },

    /// The two sides are at different places of the protocol.
    #[error(
        "{party} is out of step: expected {ours}; it sent {theirs}; check that all parties run the same version and job"
    )]
    Mismatch {
        /// Who sent the message.
        party: Party,
        /// What the receiver expected.
        ours: Box<Position>,
        /// What the header says.
        theirs: Box<Position>,
    },

    /// A message of another run.
    #[error("{party} sent a message of session {theirs}, but this is session {ours}; restart all parties")]
    SessionMismatch {
        /// Who sent the message.
        party: Party,
        /// This session.
        ours: SessionId,
        /// The session in the header.
        theirs: SessionId,
    },

    /// A payload over the frame limit, own or announced by the peer.
    #[error(
        "a message of {bytes} bytes with {party} is over the limit of {limit} bytes; split the batch or raise the frame limit"
    )]
    FrameTooLarge {
        /// The peer.
        party: Party,
        /// Length of the payload.
        bytes: u64,
        /// The limit in bytes.
        limit: usize,
    },

    /// A message to or from oneself.
    #[error("{party} tried to exchange a message with itself; this is a fault in the protocol code")]
    OwnParty {
        /// This party.
        party: Party,
    },

    /// A peer's bytes are not what this version speaks.
    #[error(
        "{party} sent bytes that are not of this protocol ({what}); check that all parties run the same version"
    )]
    Malformed {
        /// Who sent them.
        party: Party,
        /// What is wrong with them.
        what: String,
    },

    /// The own address cannot be listened on.
    #[error(
        "cannot listen on {address} ({reason}); stop the program that holds the port, or change the address"
    )]
    Bind {
        /// The address.
        address: String,
        /// What the operating system reported.
        reason: String,
    },

    /// This party's certificate is in no line of the roster.
    #[error("the own certificate {fingerprint} is not in the roster; put it there or load the right key")]
    NotInRoster {
        /// The own fingerprint.
        fingerprint: Fingerprint,
    },

    /// Key and certificate of this party cannot be used for TLS.
    #[error("the own key and certificate cannot be used ({reason}); make a new identity with keygen")]
    OwnIdentity {
        /// What TLS reported.
        reason: String,
    },

    /// What this party brings to the handshake is too long.
    #[error("the {what} of {bytes} bytes is over the limit of {limit} bytes; shorten it")]
    TooLong {
        /// `job text` or `public key`.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },

    /// A peer never came, or came and went, until the deadline to join.
    #[error(
        "{party} at {address} did not join within {} s{}; start it, and check address, port and firewall",
        seconds(waited),
        hint(last)
    )]
    PeerAbsent {
        /// Who is missing.
        party: Party,
        /// Where it was expected.
        address: String,
        /// The deadline to join.
        waited: Duration,
        /// What was seen last, if anything.
        last: Option<String>,
    },

    /// The dialled peer has not the certificate that the roster pins.
    #[error("{party} at {address} presented {fault}; compare the roster with that party's keygen output")]
    Certificate {
        /// Who was dialled.
        party: Party,
        /// Where.
        address: String,
        /// What is wrong.
        fault: Box<CertificateFault>,
    },

    /// The peer ended the TLS handshake, most likely because it does not accept this party's certificate.
    #[error(
        "{party} at {address} refused this party ({reason}); compare the roster there with the own certificate"
    )]
    RefusedByPeer {
        /// Who refused.
        party: Party,
        /// Where.
        address: String,
        /// What it said.
        reason: String,
    },

    /// The two programs speak different protocol versions.
    #[error(
        "{party} speaks protocol version {theirs}, this party speaks {ours}; install the same release everywhere"
    )]
    VersionDiffers {
        /// The peer.
        party: Party,
        /// Own version.
        ours: u32,
        /// The peer's version.
        theirs: u32,
    },

    /// The jobs differ, and this is the first line that does.
    #[error(
        "{party} has another job: line {line} is `{ours}` here and `{theirs}` there; agree on one job file"
    )]
    JobDiffers {
        /// The peer.
        party: Party,
        /// The first differing line, counted from 1.
        line: usize,
        /// The line here.
        ours: String,
        /// The line there.
        theirs: String,
    },

    /// The jobs differ, but no text tells where.
    #[error("{party} has another job (digest {theirs} there, {ours} here); agree on one job file")]
    JobDigestDiffers {
        /// The peer.
        party: Party,
        /// Own digest, hexadecimal.
        ours: String,
        /// The peer's digest, hexadecimal.
        theirs: String,
    },

    /// The parties would start at different steps.
    #[error(
        "{party} starts at step {theirs}, this party at step {ours}; resume all parties from the same checkpoint"
    )]
    StepDiffers {
        /// The peer.
        party: Party,
        /// Own first step.
        ours: u64,
        /// The peer's first step.
        theirs: u64,
    },

    /// The parties would do different things.
    #[error(
        "{party} came for {theirs}, this party for {ours}; start the same command at all three parties, and name stored \
         material in all node files or in none"
    )]
    PurposeDiffers {
        /// The peer.
        party: Party,
        /// What this party is about to do.
        ours: String,
        /// What the peer is about to do.
        theirs: String,
    },

    /// The parties computed different sessions from what they exchanged.
    #[error("{party} agreed on session {theirs}, this party on {ours}; restart all parties at the same time")]
    SessionDiffers {
        /// The peer.
        party: Party,
        /// Session computed here.
        ours: SessionId,
        /// Session computed there.
        theirs: SessionId,
    },

    /// This party was asked to stop while it waited for its peers.
    #[error("this party was asked to stop while it waited for the others; start it again to go on")]
    Stopped,

    /// The own network thread cannot start or has ended.
    #[error("the network thread of this party failed ({reason}); restart the party")]
    Thread {
        /// What happened.
        reason: String,
    },

    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness ({reason}); the run cannot start without it")]
    NoRandomness {
        /// What the operating system reported.
        reason: String,
    },
}

impl NetError {
    /// The party that the error is about, where there is one.
    pub fn party(&self) -> Option<&Party> {
        match self {
            Self::PeerSilent { party, .. }
            | Self::PeerLost { party, .. }
            | Self::PeerFinished { party, .. }
            | Self::SendStalled { party, .. }
            | Self::Mismatch { party, .. }
            | Self::SessionMismatch { party, .. }
            | Self::FrameTooLarge { party, .. }
            | Self::OwnParty { party }
            | Self::Malformed { party, .. }
            | Self::PeerAbsent { party, .. }
            | Self::Certificate { party, .. }
            | Self::RefusedByPeer { party, .. }
            | Self::VersionDiffers { party, .. }
            | Self::JobDiffers { party, .. }
            | Self::JobDigestDiffers { party, .. }
            | Self::StepDiffers { party, .. }
            | Self::PurposeDiffers { party, .. }
            | Self::SessionDiffers { party, .. } => Some(party),
            Self::Bind { .. }
            | Self::NotInRoster { .. }
            | Self::OwnIdentity { .. }
            | Self::TooLong { .. }
            | Self::Stopped
            | Self::Thread { .. }
            | Self::NoRandomness { .. } => None,
        }
    }
}

/// What is wrong with a certificate.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateFault {
    /// Not the pinned certificate; `owner` is the party that has it, if it is one of the roster.
    #[error("the certificate {presented}{}, but {pinned} is pinned", owned(owner))]
    Wrong {
        /// What the peer presented.
        presented: Fingerprint,
        /// What the roster pins for this party.
        pinned: Fingerprint,
        /// Whose certificate it is.
        owner: Option<Party>,
    },
    /// A certificate of nobody in the roster.
    #[error("the certificate {0} of nobody in the roster")]
    Unknown(Fingerprint),
    /// Past its last day.
    #[error("a certificate that expired on {0}")]
    Expired(String),
    /// Before its first day.
    #[error("a certificate that is not valid before {0}")]
    NotYetValid(String),
    /// Not an X.509 certificate.
    #[error("bytes that are not a certificate")]
    Unreadable,
}

fn owned(owner: &Option<Party>) -> String {
    owner.as_ref().map(|party| format!(" of {party}")).unwrap_or_default()
}

fn hint(last: &Option<String>) -> String {
    last.as_ref().map(|last| format!(" (last seen: {last})")).unwrap_or_default()
}

impl NetError {
    /// Bytes of `party` that the codec refused.
    pub(crate) fn codec(party: &Party, error: CodecError) -> Self {
        Self::Malformed { party: party.clone(), what: error.to_string() }
    }
}

/// A peer's text as it may appear in a message: one line, printable, at most 400 characters.
pub(crate) fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    text.trim_end().chars().take(400).map(safe).collect()
}

/// Seconds with one decimal.
fn seconds(duration: &Duration) -> String {
    format!("{:.1}", duration.as_secs_f64())
}
