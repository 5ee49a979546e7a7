//! What a broken connection means.

use std::time::Duration;

use quinn::{ConnectionError, ReadError, VarInt, WriteError};

use crate::NetError;
use crate::error::printable;
use crate::queue::End;

/// Application close code of a party that finished in good order.
pub(super) const GOODBYE: VarInt = VarInt::from_u32(0);
/// Application close code of a party that failed; the reason is for people.
pub(super) const ABORT: VarInt = VarInt::from_u32(1);
/// Close code for a connection that this party does not want.
pub(super) const UNWANTED: VarInt = VarInt::from_u32(2);

/// QUIC's transport error for a refused connection (RFC 9000, section 20.1).
const CONNECTION_REFUSED: u64 = 2;
/// QUIC's transport errors that carry a TLS alert (RFC 9001, section 4.8).
const CRYPTO: std::ops::Range<u64> = 0x100..0x200;

/// Why joining one peer failed.
pub(super) enum Fault {
    /// Trying again cannot help.
    Fatal(NetError),
    /// The connection broke; the peer may come back.
    Connection(ConnectionError),
    /// Anything else that may pass.
    Passing(String),
}

impl From<NetError> for Fault {
    fn from(error: NetError) -> Self {
        Fault::Fatal(error)
    }
}

impl From<ConnectionError> for Fault {
    fn from(error: ConnectionError) -> Self {
        Fault::Connection(error)
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::ConnectionLost(error) => Fault::Connection(error),
            other => Fault::Passing(other.to_string()),
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::ConnectionLost(error) => Fault::Connection(error),
            other => Fault::Passing(other.to_string()),
        }
    }
}

/// The peer's reason when it ended the TLS handshake itself, as a party does that refuses a certificate.
pub(super) fn refusal(error: &ConnectionError) -> Option<String> {
    match error {
        ConnectionError::ConnectionClosed(close) if CRYPTO.contains(&u64::from(close.error_code)) => {
            let reason = printable(&String::from_utf8_lossy(&close.reason));
            Some(if reason.is_empty() { close.error_code.to_string() } else { reason })
        }
        _ => None,
    }
}

/// The peer's reason when it closed the connection because it failed.
pub(super) fn abort(error: &ConnectionError) -> Option<String> {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == ABORT => {
            Some(printable(&String::from_utf8_lossy(&close.reason)))
        }
        _ => None,
    }
}

/// What a broken connection means to a queue.
pub(super) fn end(error: &ConnectionError, idle: Duration) -> End {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == GOODBYE => End::Finished,
        // The own transport was closed: nobody is left to read this.
        ConnectionError::LocallyClosed => End::Finished,
        other => End::Lost(describe(other, idle)),
    }
}

/// A broken connection in words.
pub(super) fn describe(error: &ConnectionError, idle: Duration) -> String {
    match error {
        ConnectionError::TimedOut => format!("nothing was heard from it for {:.1} s", idle.as_secs_f64()),
        ConnectionError::ConnectionClosed(close) if u64::from(close.error_code) == CONNECTION_REFUSED => {
            "it takes no connection, because it runs a job already".to_owned()
        }
        ConnectionError::ApplicationClosed(close) if close.error_code == UNWANTED => {
            "it takes no connection from this party".to_owned()
        }
        other => match abort(other) {
            Some(reason) if reason.is_empty() => "it stopped".to_owned(),
            Some(reason) => reason,
            None => printable(&other.to_string()),
        },
    }
}
