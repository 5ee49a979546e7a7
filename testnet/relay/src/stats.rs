//! What a relay counts.

use std::time::Duration;

use crate::socket::Train;

/// Counts of both directions since the start.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Stats {
    /// From the clients to the target.
    pub to_target: WayStats,
    /// From the target to the clients.
    pub to_client: WayStats,
    /// Client addresses seen; one that comes back after its mapping expired counts again.
    pub clients: u64,
    /// Mappings that ended because they were idle or because a newer client needed the place.
    pub expired: u64,
    /// Clients whose datagrams were dropped because the system gave no socket for them.
    pub refused: u64,
}

/// Counts of one direction: datagrams, unless a name says otherwise.
///
/// Once nothing is on its way, `received + duplicated` equals
/// `delivered + undelivered + lost + overflowed + partitioned`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct WayStats {
    /// Came in.
    pub received: u64,
    /// Bytes of payload that came in.
    pub received_bytes: u64,
    /// Went out.
    pub delivered: u64,
    /// Bytes of payload that went out.
    pub delivered_bytes: u64,
    /// Were due, but could not be sent: nobody listens there, or the mapping has expired.
    pub undelivered: u64,
    /// Were lost by chance.
    pub lost: u64,
    /// Were dropped because the queue before the rate, or the relay's memory for datagrams, was full.
    pub overflowed: u64,
    /// Were dropped in a partition.
    pub partitioned: u64,
    /// Were copied.
    pub duplicated: u64,
    /// Had a bit flipped.
    pub corrupted: u64,
    /// The longest that one went out after its time.
    pub latest: Duration,
    /// By how much all together went out after their time: divide by `delivered` for the mean.
    pub lateness: Duration,
}

impl WayStats {
    /// Notes that one was taken for delivery `by` after its time.
    pub(crate) fn late(&mut self, by: Duration) {
        self.latest = self.latest.max(by);
        self.lateness = self.lateness.saturating_add(by);
    }

    /// Notes that `count` datagrams of the train went out.
    pub(crate) fn sent(&mut self, train: &Train, count: usize) {
        self.delivered += count as u64;
        self.undelivered += (train.count() - count) as u64;
        if count == train.count() {
            self.delivered_bytes += train.bytes() as u64;
        }
    }
}
