//! What can go wrong, in one sentence each.

/// A failure of the channel below the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The peer is gone.
    #[error("party {peer} closed the channel; restart it and run the session again with fresh seeds")]
    Closed {
        /// Who closed.
        peer: u8,
    },
    /// The peer said nothing before the deadline.
    #[error("party {peer} sent nothing for {millis} ms; check that it runs and that the link is up")]
    Silent {
        /// Who is silent.
        peer: u8,
        /// How long this party waited, in milliseconds.
        millis: u64,
    },
    /// Any other failure of the transport.
    #[error("the transport to party {peer} failed: {source}")]
    Transport {
        /// The peer at the other end.
        peer: u8,
        /// What the transport said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A failure of an oblivious-transfer protocol.
#[derive(Debug, thiserror::Error)]
pub enum OtError {
    /// The channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// A message has the wrong size.
    #[error(
        "the {what} message has {got} bytes where {expected} were agreed; both sides must run the same job"
    )]
    WrongLength {
        /// Which message.
        what: &'static str,
        /// Bytes that the public parameters give.
        expected: usize,
        /// Bytes that arrived.
        got: usize,
    },
    /// A message was made for another session, role or pair of parties.
    #[error("the {what} message belongs to another session or role; it was replayed or the peers disagree")]
    WrongSession {
        /// Which message.
        what: &'static str,
    },
    /// A group element is not a canonical ristretto255 encoding, or is the identity.
    #[error("group element {index} of the {what} message is {reason}; the peer is faulty or hostile")]
    BadPoint {
        /// Which message.
        what: &'static str,
        /// Position of the element, from 0.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Bits after the last value of a message are not zero.
    #[error("the {what} message carries bits after its last value; the peer is faulty or hostile")]
    TrailingBits {
        /// Which message.
        what: &'static str,
    },
    /// An argument is out of range, or two arguments do not fit together.
    #[error("{what} is {got} but must be {wanted}")]
    BadArgument {
        /// Which argument.
        what: &'static str,
        /// Its value.
        got: u64,
        /// The values allowed.
        wanted: &'static str,
    },
    /// Stored material cannot be made or used.
    #[error(transparent)]
    Store(#[from] crate::preprocessing::store::StoreError),
    /// A link was used after it failed.
    #[error("the links to the peers failed earlier in this session; start a new session with fresh seeds")]
    LinkFailed,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness; nothing secret can be made on this machine now")]
    NoRandomness,
}

/// Checks a peer's message against the length that public parameters give.
pub(crate) fn expect_length(what: &'static str, message: &[u8], expected: usize) -> Result<(), OtError> {
    if message.len() == expected {
        Ok(())
    } else {
        Err(OtError::WrongLength { what, expected, got: message.len() })
    }
}

/// Checks that two of the caller's lengths agree.
pub(crate) fn same_length(what: &'static str, got: usize, wanted: usize) -> Result<(), OtError> {
    if got == wanted {
        Ok(())
    } else {
        Err(OtError::BadArgument { what, got: got as u64, wanted: "the length of its partner operand" })
    }
}
