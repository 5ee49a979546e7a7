//! One direction of the link: when a datagram arrives at the other end, if it does.

use std::time::{Duration, Instant};

use crate::fate::Fates;
use crate::{Direction, Shape};

/// IPv4 and UDP headers, which use the rate as well.
const HEADERS: u64 = 28;

/// What the link does with one datagram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Verdict {
    /// The queue before the rate is full.
    Overflow,
    /// Chance took it.
    Lost,
    /// It arrives.
    Deliver {
        due: Instant,
        /// When a second copy arrives.
        copy: Option<Instant>,
        /// Which bit of the payload flips, modulo its length.
        flip: Option<u64>,
    },
}

/// One direction of the link.
pub(crate) struct Link {
    shape: Shape,
    buffer: u64,
    fates: Fates,
    /// When the last bit that waits for the rate is through.
    busy_until: Instant,
    /// Without reordering, nothing arrives before this.
    last_due: Instant,
}

impl Link {
    pub(crate) fn new(shape: Shape, direction: Direction, now: Instant) -> Self {
        let fates = Fates::new(&shape, direction);
        Self { shape, buffer: shape.buffer_bytes(), fates, busy_until: now, last_due: now }
    }

    /// Decides about a datagram of `bytes` that came at `now`. Times of arrival never run backwards.
    pub(crate) fn admit(&mut self, now: Instant, bytes: usize) -> Verdict {
        let fate = self.fates.next();
        let Some(through) = self.queue(now, bytes) else { return Verdict::Overflow };
        if fate.lost {
            return Verdict::Lost;
        }
        let due = self.travel(through, fate.jitter[0]);
        let copy = fate.duplicated.then(|| self.travel(through, fate.jitter[1]));
        Verdict::Deliver { due, copy, flip: fate.flip }
    }

    /// When the datagram is through the rate; `None` when the queue has no room for it.
    fn queue(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let Some(rate) = self.shape.rate else { return Some(now) };
        let size = bytes as u64 + HEADERS;
        let backlog = self.busy_until.saturating_duration_since(now);
        let waiting = backlog.as_nanos() * u128::from(rate) / 8_000_000_000;
        // Whatever its size, a datagram may start when nothing is before it.
        if waiting > 0 && waiting + u128::from(size) > u128::from(self.buffer) {
            return None;
        }
        let nanoseconds = u128::from(size) * 8_000_000_000 / u128::from(rate);
        let serial = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.busy_until = later(self.busy_until.max(now), serial);
        Some(self.busy_until)
    }

    fn travel(&mut self, through: Instant, jitter: f64) -> Instant {
        let Shape { delay, jitter: most, reorder, .. } = self.shape;
        let varied = if jitter < 0.0 {
            delay.saturating_sub(most.mul_f64(-jitter))
        } else {
            delay.saturating_add(most.mul_f64(jitter))
        };
        let due = later(through, varied);
        if reorder {
            return due;
        }
        self.last_due = self.last_due.max(due);
        self.last_due
    }
}

/// `start + by`, or a hundred years later where the clock does not reach that far.
pub(crate) fn later(start: Instant, by: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    start.checked_add(by).unwrap_or_else(|| start + CENTURY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(profile: &str) -> (Link, Instant) {
        let now = Instant::now();
        (Link::new(profile.parse().unwrap(), Direction::ToTarget, now), now)
    }

    fn due(verdict: Verdict) -> Instant {
        let Verdict::Deliver { due, .. } = verdict else { panic!("{verdict:?}") };
        due
    }

    #[test]
    fn a_datagram_arrives_after_its_serial_time_and_the_delay() {
        // 972 bytes and 28 of headers are 8000 bits: 1 ms at 8 Mbit/s.
        let (mut link, now) = link("delay=10ms,rate=8mbit");
        assert_eq!(due(link.admit(now, 972)), now + Duration::from_millis(11));
        assert_eq!(due(link.admit(now, 972)), now + Duration::from_millis(12));
        let later = now + Duration::from_millis(100);
        assert_eq!(
            due(link.admit(later, 972)),
            later + Duration::from_millis(11),
            "an idle link saves nothing"
        );
    }

    #[test]
    fn what_the_queue_cannot_hold_is_dropped_and_leaves_no_trace() {
        let (mut link, now) = link("rate=8mbit,buffer=4kb");
        for _ in 0..4 {
            due(link.admit(now, 972));
        }
        assert_eq!(link.admit(now, 972), Verdict::Overflow);
        // A millisecond later one of the four is through.
        let later = now + Duration::from_millis(1);
        assert_eq!(due(link.admit(later, 972)), now + Duration::from_millis(5));
        assert_eq!(link.admit(later, 972), Verdict::Overflow);
    }

    #[test]
    fn a_datagram_larger_than_the_queue_passes_an_idle_link() {
        let (mut link, now) = link("rate=8mbit,buffer=0b");
        due(link.admit(now, 6400));
        assert_eq!(link.admit(now, 1), Verdict::Overflow);
    }

    #[test]
    fn jitter_keeps_the_order_unless_reordering_is_asked_for() {
        let dues = |profile| {
            let (mut link, now) = link(profile);
            let dues: Vec<Instant> = (0..200).map(|_| due(link.admit(now, 100))).collect();
            assert!(dues.iter().all(|due| (now..now + Duration::from_millis(20)).contains(due)));
            dues
        };
        assert!(dues("delay=10ms,jitter=10ms").is_sorted());
        let mixed = dues("delay=10ms,jitter=10ms,reorder");
        assert!(mixed.windows(2).filter(|pair| pair[0] > pair[1]).count() > 50);
    }

    #[test]
    fn a_duplicate_has_its_own_time_of_arrival() {
        let (mut link, now) = link("delay=10ms,jitter=5ms,reorder,duplicate=100%");
        let Verdict::Deliver { due, copy: Some(copy), .. } = link.admit(now, 10) else { panic!("no copy") };
        assert_ne!(due, copy);
    }

    #[test]
    fn an_endless_delay_is_no_overflow() {
        let shape = Shape { delay: Duration::MAX, rate: Some(1), ..Shape::NONE };
        let now = Instant::now();
        let mut link = Link::new(shape, Direction::ToTarget, now);
        assert!(due(link.admit(now, usize::MAX / 2)) > now);
    }
}
