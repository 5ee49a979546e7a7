//! The two directions of a relay.

/// Where a datagram is going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From a client, who dialled the relay, to the relay's target.
    ToTarget,
    /// From the target back to a client.
    ToClient,
}

impl Direction {
    /// Both directions.
    pub const BOTH: [Direction; 2] = [Direction::ToTarget, Direction::ToClient];
}
