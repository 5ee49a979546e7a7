use thiserror::Error;

/// What can go wrong in share arithmetic.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ShareError {
    /// A ring width outside 1 to 64.
    #[error("a ring of {bits} bits was asked for; widths go from 1 to 64")]
    RingWidth {
        /// The width asked for.
        bits: u32,
    },
    /// A value that fixed point cannot hold.
    #[error(
        "a value does not fit fixed point with {frac} fractional bits in a ring of {ring} bits; scale the data or lower the fractional bits"
    )]
    Encode {
        /// Fractional bits.
        frac: u32,
        /// Ring width.
        ring: u32,
    },
    /// A stream address that was opened before.
    #[error(
        "mask stream (operation {op}, purpose {purpose}) was already used; a session must be restarted with fresh keys"
    )]
    MaskReuse {
        /// Operation number.
        op: u64,
        /// Purpose within the operation.
        purpose: u64,
    },
    /// More operations than one session's streams can address.
    #[error("the session has used all of its mask streams; restart it with fresh keys")]
    StreamsExhausted,
    /// A peer's key agreement message is not a valid group element.
    #[error("the peer's key agreement message is not a valid ristretto255 point")]
    BadPublicKey,
    /// The operating system gave no randomness.
    #[error("the operating system's random generator failed")]
    NoRandomness,
    /// Two shapes do not fit together.
    #[error("{what} of shapes {left:?} and {right:?} is not defined")]
    Shape {
        /// The operation.
        what: &'static str,
        /// Shape of the first operand.
        left: (usize, usize),
        /// Shape of the second operand.
        right: (usize, usize),
    },
}
