//! The session: one run of one job, named by 16 bytes that all parties agree on.

use std::fmt;

use crate::NetError;

/// Names one run of one job. It is public: every message carries it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Wraps the 16 bytes that the parties agreed on.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A session that no one has used: 16 bytes of the operating system's randomness.
    ///
    /// # Errors
    /// [`NetError::NoRandomness`] when the operating system gives none.
    pub fn fresh() -> Result<Self, NetError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| NetError::NoRandomness { reason: error.to_string() })?;
        Ok(Self(bytes))
    }

    /// The 16 bytes, for headers and for binding pseudorandom streams to this session.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
