//! What a link does to datagrams.

use std::time::Duration;

/// A probability in parts per million, so that profiles compare and print exactly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct PartsPerMillion(u32);

impl PartsPerMillion {
    /// Certainty.
    pub const ONE: PartsPerMillion = PartsPerMillion(1_000_000);

    /// `parts` of a million; `None` above a million.
    pub const fn new(parts: u32) -> Option<Self> {
        if parts <= Self::ONE.0 { Some(Self(parts)) } else { None }
    }

    /// The parts of a million.
    pub const fn parts(self) -> u32 {
        self.0
    }
}

/// A time in which nothing passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partition {
    /// When it begins: after the start of the relay in a [`Shape`], from now in
    /// [`Relay::set_partition`](crate::Relay::set_partition).
    pub after: Duration,
    /// How long it lasts.
    pub lasting: Duration,
}

/// One direction of a link. The default passes everything on at once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Shape {
    /// One-way delay, on top of the time in the queue.
    pub delay: Duration,
    /// The delay varies evenly by this much in both directions. At most the delay.
    pub jitter: Duration,
    /// With jitter: a datagram may overtake an earlier one. Otherwise the order of arrival is kept.
    pub reorder: bool,
    /// Bits per second, counting 28 bytes of IPv4 and UDP headers for each datagram. `None`: unlimited.
    pub rate: Option<u64>,
    /// Bytes that may wait for the rate; what does not fit is dropped. `None`: 50 ms at the rate, at least 64 KiB.
    pub buffer: Option<u64>,
    /// Probability that a datagram is lost. It has used its share of the rate by then.
    pub loss: PartsPerMillion,
    /// Probability that a second copy is delivered.
    pub duplicate: PartsPerMillion,
    /// Probability that one bit of the payload is flipped.
    pub corrupt: PartsPerMillion,
    /// What arrives in this time is dropped.
    pub partition: Option<Partition>,
    /// Seed of the random choices.
    pub seed: u64,
}

impl Shape {
    /// Half of [`Profile::LAN`]: 0.1 ms, 10 Gbit/s, and 4 MB of queue as in a switch.
    pub const LAN: Shape = Shape {
        delay: Duration::from_micros(100),
        rate: Some(10_000_000_000),
        buffer: Some(4_000_000),
        ..Shape::NONE
    };

    /// Half of [`Profile::WAN`]: 20 ms, 100 Mbit/s.
    pub const WAN: Shape = Shape { delay: Duration::from_millis(20), rate: Some(100_000_000), ..Shape::NONE };

    /// Passes everything on at once.
    pub const NONE: Shape = Shape {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        reorder: false,
        rate: None,
        buffer: None,
        loss: PartsPerMillion(0),
        duplicate: PartsPerMillion(0),
        corrupt: PartsPerMillion(0),
        partition: None,
        seed: 0,
    };

    /// Bytes that may wait for the rate.
    pub fn buffer_bytes(&self) -> u64 {
        const LEAST: u64 = 64 << 10;
        match (self.buffer, self.rate) {
            (Some(bytes), _) => bytes,
            (None, Some(rate)) => (rate / 8 / 20).max(LEAST),
            (None, None) => u64::MAX,
        }
    }
}

/// Both directions of a link. Reads and prints as text, see [`Profile::from_str`](std::str::FromStr).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Profile {
    /// From the clients to the target.
    pub to_target: Shape,
    /// From the target to the clients.
    pub to_client: Shape,
}

impl Profile {
    /// Two machines in one room: a round trip of 0.2 ms, 10 Gbit/s each way.
    pub const LAN: Profile = Profile::symmetric(Shape::LAN);

    /// Two sites of one country: a round trip of 40 ms, 100 Mbit/s each way.
    pub const WAN: Profile = Profile::symmetric(Shape::WAN);

    /// Passes everything on at once.
    pub const NONE: Profile = Profile::symmetric(Shape::NONE);

    /// The same shape in both directions. Their random choices still differ.
    pub const fn symmetric(shape: Shape) -> Self {
        Self { to_target: shape, to_client: shape }
    }
}
