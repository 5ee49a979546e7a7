//! The relay's thread: receive, decide, wait, deliver.

use std::io::{self, ErrorKind, PipeReader};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clients::{ClientId, Clients};
use crate::link::{Link, Verdict, later};
use crate::schedule::{Parcel, Schedule};
use crate::socket::{Inbox, Port, Received, Train};
use crate::stats::{Stats, WayStats};
use crate::{Direction, Profile};

/// A delivery waits up to this long for the ones behind it, so that a train of datagrams costs few wake-ups.
const GATHER: Duration = Duration::from_micros(20);

/// The most payload on its way in one direction; beyond it the relay drops. It bounds the memory of a long delay.
const MOST_HELD: usize = 256 << 20;

/// Calls for one socket before the others have their turn and what is due is delivered.
const CALLS: usize = 4;

/// A time in which one direction passes nothing.
#[derive(Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) direction: Direction,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
}

/// What the thread and the handle share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) outages: Vec<Outage>,
    pub(crate) stats: Stats,
}

/// A panic while the lock is held leaves no half-made state: every change is one assignment.
pub(crate) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One direction of the relay.
struct Way {
    link: Link,
    schedule: Schedule,
    stats: WayStats,
    /// What has to be dropped; only those of this direction.
    outages: Vec<Outage>,
}

impl Way {
    fn admit(&mut self, client: ClientId, received: &Received<'_>, now: Instant) {
        let payload = received.payload;
        self.stats.received += 1;
        self.stats.received_bytes += payload.len() as u64;
        if self.outages.iter().any(|outage| (outage.from..outage.until).contains(&now)) {
            self.stats.partitioned += 1;
            return;
        }
        let (due, copy, flip) = match self.link.admit(now, payload.len()) {
            Verdict::Overflow => {
                self.stats.overflowed += 1;
                return;
            }
            Verdict::Lost => {
                self.stats.lost += 1;
                return;
            }
            Verdict::Deliver { due, copy, flip } => (due, copy, flip),
        };
        let mut payload = payload.to_vec();
        if let (Some(flip), Some(bits)) = (flip, (payload.len() as u64 * 8).checked_sub(1)) {
            let bit = flip % (bits + 1);
            payload[(bit / 8) as usize] ^= 1 << (bit % 8);
            self.stats.corrupted += 1;
        }
        if let Some(due) = copy {
            self.stats.duplicated += 1;
            self.hold(Parcel { due, client, ecn: received.ecn, payload: payload.clone() });
        }
        self.hold(Parcel { due, client, ecn: received.ecn, payload });
    }

    fn hold(&mut self, parcel: Parcel) {
        if self.schedule.bytes() + parcel.payload.len() > MOST_HELD {
            self.stats.overflowed += 1;
        } else {
            self.schedule.add(parcel);
        }
    }
}

/// The thread's state.
pub(crate) struct Engine {
    listen: Port,
    clients: Clients,
    to_target: Way,
    to_client: Way,
    /// Ends when the handle lets go of the other end.
    ended: PipeReader,
    shared: Arc<Mutex<Shared>>,
    inbox: Inbox,
    train: Train,
    refused: u64,
}

impl Engine {
    pub(crate) fn new(
        listen: Port,
        clients: Clients,
        profile: &Profile,
        ended: PipeReader,
        shared: Arc<Mutex<Shared>>,
    ) -> Self {
        let now = Instant::now();
        let way = |direction, shape| Way {
            link: Link::new(shape, direction, now),
            schedule: Schedule::default(),
            stats: WayStats::default(),
            outages: Vec::new(),
        };
        Self {
            listen,
            clients,
            to_target: way(Direction::ToTarget, profile.to_target),
            to_client: way(Direction::ToClient, profile.to_client),
            ended,
            shared,
            inbox: Inbox::new(),
            train: Train::default(),
            refused: 0,
        }
    }

    /// Runs until the handle ends it.
    ///
    /// # Errors
    /// The system refuses to wait for the sockets.
    pub(crate) fn run(mut self) -> io::Result<()> {
        precise_timers();
        loop {
            let now = Instant::now();
            self.deliver(now);
            self.clients.expire(now);
            self.publish();
            let Some(ready) = self.wait()? else {
                return Ok(());
            };
            self.heed(Instant::now());
            self.receive(&ready);
        }
    }

    /// Sends what is due.
    fn deliver(&mut self, now: Instant) {
        let Self { listen, clients, to_target, to_client, train, .. } = self;
        for (direction, way) in [(Direction::ToTarget, to_target), (Direction::ToClient, to_client)] {
            let mut next = way.schedule.take_due(now);
            while let Some(first) = next.take() {
                let id = first.client;
                let client = clients.find(id);
                let port = match (direction, client) {
                    (Direction::ToTarget, Some(client)) => &client.upstream,
                    _ => &*listen,
                };
                train.clear();
                let mut parcel = Some(first);
                // Fills the train; the first parcel that does not fit begins the next one.
                while let Some(candidate) = parcel.take() {
                    let fits = candidate.client == id
                        && train.add(&candidate.payload, candidate.ecn, port.most_segments());
                    if !fits {
                        next = Some(candidate);
                        break;
                    }
                    way.stats.late(now.saturating_duration_since(candidate.due));
                    parcel = way.schedule.take_due(now);
                }
                let sent = match (direction, client) {
                    (Direction::ToTarget, Some(_)) => send(port, train, clients.target(), None),
                    (Direction::ToClient, Some(client)) => send(port, train, client.address, client.dialled),
                    (_, None) => 0,
                };
                way.stats.sent(train, sent);
            }
        }
    }

    /// Waits for datagrams or for the next delivery. Answers which sockets are ready, the listening one first, or
    /// `None` when the relay is to end.
    fn wait(&mut self) -> io::Result<Option<Vec<bool>>> {
        let due = [&self.to_target, &self.to_client].into_iter().filter_map(|way| way.schedule.next_due());
        let now = Instant::now();
        // No earlier than GATHER from now, unless that makes a delivery later than GATHER.
        let due = due.min().map(|due| due.max(later(now.min(due), GATHER)));
        let next = due.into_iter().chain(self.clients.next_expiry()).min();
        let timeout = next.map(|next| timespec(next.saturating_duration_since(now)));

        let mut fds =
            vec![PollFd::new(&self.ended, PollFlags::IN), PollFd::new(self.listen.socket(), PollFlags::IN)];
        fds.extend(self.clients.list().iter().map(|c| PollFd::new(c.upstream.socket(), PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        // The only event of the pipe is the end of its writer.
        if ready.next() == Some(true) {
            return Ok(None);
        }
        Ok(Some(ready.collect()))
    }

    /// Reads the ready sockets. A failure there is about one datagram sent earlier (nobody listens), never about the
    /// relay.
    fn receive(&mut self, ready: &[bool]) {
        let Self { listen, clients, to_target, to_client, inbox, refused, .. } = self;
        // Clients may be admitted below, which changes the list: the target's answers come first.
        for (at, _) in ready.iter().skip(1).enumerate().filter(|(_, ready)| **ready) {
            let mut answered = false;
            let Some(client) = clients.list().get(at) else { break };
            drain(|now| {
                inbox.receive(&client.upstream, |received| {
                    answered = true;
                    to_client.admit(client.id, &received, now);
                })
            });
            if answered {
                clients.touch(at, Instant::now());
            }
        }
        if ready.first() == Some(&true) {
            drain(|now| {
                inbox.receive(listen, |received| match clients.admit(received.from, received.to, now) {
                    Ok(client) => to_target.admit(client, &received, now),
                    Err(_) => *refused += 1,
                })
            });
        }
    }

    /// Takes over the outages that the handle has set, and forgets the ones that are past.
    fn heed(&mut self, now: Instant) {
        let mut shared = lock(&self.shared);
        shared.outages.retain(|outage| outage.until > now);
        for (direction, way) in
            [(Direction::ToTarget, &mut self.to_target), (Direction::ToClient, &mut self.to_client)]
        {
            way.outages.clear();
            way.outages.extend(shared.outages.iter().filter(|outage| outage.direction == direction));
        }
    }

    fn publish(&self) {
        let (clients, expired) = self.clients.counts();
        let (to_target, to_client) = (self.to_target.stats, self.to_client.stats);
        lock(&self.shared).stats = Stats { to_target, to_client, clients, expired, refused: self.refused };
    }
}

/// Reads a socket until nothing is left, but not for ever.
fn drain(mut receive: impl FnMut(Instant) -> io::Result<bool>) {
    for _ in 0..CALLS {
        match receive(Instant::now()) {
            Ok(true) => {}
            Ok(false) => break,
            // A reported failure of an earlier send; the next call reads on.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(_) => break,
        }
    }
}

/// Sends a train and answers how many of its datagrams went out.
fn send(port: &Port, train: &Train, destination: SocketAddr, src_ip: Option<std::net::IpAddr>) -> usize {
    let attempt = |train: &Train| match port.send(train, destination, src_ip) {
        // The system reports here that an earlier datagram found nobody, and has not sent this one.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => port.send(train, destination, src_ip),
        other => other,
    };
    match attempt(train) {
        Ok(()) => train.count(),
        // Most likely the path does not take segments; one by one they may pass.
        Err(_) if train.count() > 1 => train.singles().filter(|single| attempt(single).is_ok()).count(),
        Err(_) => 0,
    }
}

/// Linux lets a timer be 50 microseconds late to save power, unless a thread asks for better.
fn precise_timers() {
    #[cfg(target_os = "linux")]
    {
        let nanosecond = std::num::NonZeroU64::MIN;
        // Best effort: without it, deliveries are a little later.
        let _ = rustix::thread::set_current_timer_slack(Some(nanosecond));
    }
}

fn timespec(wait: Duration) -> Timespec {
    // A longer wait than a day ends early and begins again.
    let wait = wait.min(Duration::from_secs(24 * 3600));
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
}
