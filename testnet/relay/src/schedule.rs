//! Datagrams on their way, by time of delivery.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use quinn_udp::EcnCodepoint;

use crate::clients::ClientId;

/// A datagram on its way.
pub(crate) struct Parcel {
    pub(crate) due: Instant,
    pub(crate) client: ClientId,
    pub(crate) ecn: Option<EcnCodepoint>,
    pub(crate) payload: Vec<u8>,
}

/// Parcels of one time leave in the order in which they came.
struct Entry {
    order: u64,
    parcel: Parcel,
}

impl Entry {
    fn key(&self) -> (Instant, u64) {
        (self.parcel.due, self.order)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// Reversed: the heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// The datagrams on their way in one direction.
#[derive(Default)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Entry>,
    orders: u64,
    bytes: usize,
}

impl Schedule {
    pub(crate) fn add(&mut self, parcel: Parcel) {
        self.bytes += parcel.payload.len();
        self.heap.push(Entry { order: self.orders, parcel });
        self.orders += 1;
    }

    /// The next parcel that is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Parcel> {
        if self.next_due()? > now {
            return None;
        }
        let Entry { parcel, .. } = self.heap.pop()?;
        self.bytes -= parcel.payload.len();
        Some(parcel)
    }

    /// When the next parcel is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.parcel.due)
    }

    /// Bytes of payload on their way.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn parcels_leave_by_time_and_then_by_arrival() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        for (name, millisecond) in [(1, 5), (2, 3), (3, 5), (4, 3), (5, 9)] {
            schedule.add(Parcel {
                due: now + Duration::from_millis(millisecond),
                client: ClientId::default(),
                ecn: None,
                payload: vec![name],
            });
        }
        assert_eq!(schedule.bytes(), 5);
        let taken: Vec<u8> = std::iter::from_fn(|| schedule.take_due(now + Duration::from_millis(5)))
            .map(|p| p.payload[0])
            .collect();
        assert_eq!(taken, [2, 4, 1, 3]);
        assert_eq!((schedule.bytes(), schedule.next_due()), (1, Some(now + Duration::from_millis(9))));
    }
}
