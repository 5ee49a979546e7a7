//! What can go wrong, one sentence each.

use std::net::SocketAddr;

/// The relay cannot start or has ended.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The listening address cannot be used.
    #[error("the relay cannot listen on {address} ({source}); choose another address or stop what holds it")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// The relay's thread or the pipe that ends it cannot be made.
    #[error("the relay cannot start its thread ({0}); free some memory or file descriptors")]
    Start(#[source] std::io::Error),
    /// The relay's thread ended by itself.
    #[error("the relay on {address} stopped by itself ({reason}); start it again")]
    Stopped {
        /// Where it listened.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
}

/// A text is not a profile.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProfileError {
    /// A word that is no setting.
    #[error(
        "`{0}` is no link setting; use delay, jitter, reorder, rate, buffer, loss, duplicate, corrupt, partition, seed, \
         or one of the names lan, wan and none alone"
    )]
    UnknownKey(String),
    /// A setting without its value, or a flag with one.
    #[error("the link setting `{key}` was given as `{given}`; write `{example}`")]
    Form {
        /// The setting.
        key: &'static str,
        /// What was written.
        given: String,
        /// A right one.
        example: &'static str,
    },
    /// A value that cannot be read.
    #[error("`{given}` is no value for the link setting `{key}`; write for instance `{example}`")]
    Value {
        /// The setting.
        key: &'static str,
        /// What was written.
        given: String,
        /// A right one.
        example: &'static str,
    },
    /// One setting twice.
    #[error("the link setting `{0}` was given twice; give it once")]
    Twice(&'static str),
    /// More jitter than delay.
    #[error("a jitter above the delay would deliver before the arrival; raise the delay or lower the jitter")]
    JitterAboveDelay,
    /// Reordering without jitter.
    #[error("`reorder` changes nothing without jitter; add for instance `jitter=2ms`")]
    ReorderWithoutJitter,
    /// A buffer without a rate.
    #[error("`buffer` changes nothing without a rate; add for instance `rate=50mbit`")]
    BufferWithoutRate,
    /// More than two directions.
    #[error("a link has two directions, but {0} were given; write `TO_TARGET / TO_CLIENT`, or one for both")]
    Directions(usize),
}
