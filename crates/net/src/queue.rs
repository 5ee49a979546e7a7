//! A bounded queue of frames with one producer and one consumer.
//!
//! Each side may be a blocking thread (the protocol) or an async task (the network thread). Waiting is
//! bounded by a deadline that counts from the last byte that moved, so that a large message over a slow
//! link is not mistaken for silence.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::NetError;
use crate::header::{HEADER_BYTES, Header};

/// One message in a queue.
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// What the frame counts against the bound; the header counts too, or empty messages would be free.
    fn cost(&self) -> usize {
        self.payload.len() + HEADER_BYTES
    }
}

/// Why a queue ended.
#[derive(Clone)]
pub(crate) enum End {
    /// The other side closed in good order.
    Finished,
    /// The other side went away without a goodbye; the reason is for people.
    Lost(String),
    /// The other side broke the rules of the stream.
    Failed(NetError),
}

/// Why a blocking call returned without a frame moving.
pub(crate) enum Stopped {
    /// Nothing moved for the whole deadline; `queued` bytes were in the queue.
    Stalled { waited: Duration, queued: usize },
    /// The queue ended.
    Ended { end: End, waited: Duration },
    /// The check of the header failed; the frame stays.
    Refused(NetError),
}

struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Header of a frame whose payload is still arriving.
    arriving: Option<Header>,
    /// Set by the producer: nothing more will come.
    end: Option<End>,
    /// Set by the consumer: nothing more will be taken.
    refused: Option<End>,
    last_arrival: Instant,
    last_departure: Instant,
    /// Blocking threads inside `changed.wait`: a notify without waiters would still cost a system call.
    waiters: usize,
}

/// The queue. See the module's description.
pub(crate) struct FrameQueue {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
    /// For an async consumer.
    ready: Notify,
    /// For an async producer.
    space: Notify,
}

impl FrameQueue {
    /// A queue that holds up to `capacity` bytes of frames, or one frame of any size.
    pub(crate) fn new(capacity: usize) -> Self {
        let now = Instant::now();
        Self {
            capacity,
            state: Mutex::new(State {
                frames: VecDeque::new(),
                bytes: 0,
                arriving: None,
                end: None,
                refused: None,
                last_arrival: now,
                last_departure: now,
                waiters: 0,
            }),
            changed: Condvar::new(),
            ready: Notify::new(),
            space: Notify::new(),
        }
    }

    /// Adds a frame; waits while the queue is full.
    pub(crate) fn push_blocking(&self, frame: Frame, deadline: Duration) -> Result<(), Stopped> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(end) = state.refused.as_ref().or(state.end.as_ref()) {
                return Err(Stopped::Ended { end: end.clone(), waited: start.elapsed() });
            }
            if state.frames.is_empty() || state.bytes.saturating_add(frame.cost()) <= self.capacity {
                self.add(state, frame);
                return Ok(());
            }
            let waited = start.max(state.last_departure).elapsed();
            if waited >= deadline {
                return Err(Stopped::Stalled { waited, queued: state.bytes });
            }
            state = self.wait(state, deadline - waited);
        }
    }

    /// Takes the next frame after `check` has accepted its header; waits while the queue is empty.
    /// Frames queued before an end are still delivered.
    pub(crate) fn pop_blocking(
        &self,
        deadline: Duration,
        mut check: impl FnMut(&Header) -> Result<(), NetError>,
    ) -> Result<Vec<u8>, Stopped> {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(header) = state.frames.front().map(|frame| frame.header).or(state.arriving) {
                check(&header).map_err(Stopped::Refused)?;
            }
            if let Some(frame) = self.remove(&mut state) {
                return Ok(frame.payload);
            }
            if let Some(end) = &state.end {
                return Err(Stopped::Ended { end: end.clone(), waited: start.elapsed() });
            }
            let waited = start.max(state.last_arrival).elapsed();
            if waited >= deadline {
                return Err(Stopped::Stalled { waited, queued: state.bytes });
            }
            state = self.wait(state, deadline - waited);
        }
    }

    /// Bytes in the queue.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Time since anything arrived.
    pub(crate) fn quiet(&self) -> Duration {
        self.lock().last_arrival.elapsed()
    }

    /// Whether the producer said goodbye.
    pub(crate) fn finished(&self) -> bool {
        matches!(self.lock().end, Some(End::Finished))
    }

    /// The producer's last word: frames already queued stay, then the consumer sees `end`.
    /// The first end counts.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        state.arriving = None;
        self.wake(state);
        self.ready.notify_one();
    }

    /// The consumer's last word: nothing more is taken, the producer sees `end`.
    pub(crate) fn refuse(&self, end: End) {
        let mut state = self.lock();
        state.refused.get_or_insert(end);
        self.wake(state);
        self.space.notify_one();
    }

    fn add(&self, mut state: MutexGuard<'_, State>, frame: Frame) {
        state.bytes += frame.cost();
        state.last_arrival = Instant::now();
        state.arriving = None;
        state.frames.push_back(frame);
        self.wake(state);
        self.ready.notify_one();
    }

    fn remove(&self, state: &mut State) -> Option<Frame> {
        let frame = state.frames.pop_front()?;
        state.bytes -= frame.cost();
        state.last_departure = Instant::now();
        if state.waiters > 0 {
            self.changed.notify_all();
        }
        self.space.notify_one();
        Some(frame)
    }

    fn wake(&self, state: MutexGuard<'_, State>) {
        let waiters = state.waiters;
        drop(state);
        if waiters > 0 {
            self.changed.notify_all();
        }
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        state.waiters += 1;
        let (mut state, _) =
            self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner);
        state.waiters -= 1;
        state
    }

    /// A panic while the lock is held leaves no half-made state: every change is a few assignments.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The async half, for the network thread.
impl FrameQueue {
    /// The next frame to write, or the producer's last word once everything is taken.
    pub(crate) async fn next(&self) -> Result<Frame, End> {
        loop {
            {
                let mut state = self.lock();
                if let Some(frame) = self.remove(&mut state) {
                    return Ok(frame);
                }
                if let Some(end) = &state.end {
                    return Err(end.clone());
                }
            }
            self.ready.notified().await;
        }
    }

    /// Notes that part of a frame already taken went out.
    pub(crate) fn moved(&self) {
        self.lock().last_departure = Instant::now();
    }

    /// Shows the header of a frame whose payload is still on its way, so that a mismatch is found at once.
    pub(crate) fn announce(&self, header: Header) {
        let mut state = self.lock();
        state.arriving = Some(header);
        state.last_arrival = Instant::now();
        self.wake(state);
    }

    /// Notes that part of a payload arrived, and waits until the queue has room for more bytes.
    /// `held` bytes of the arriving frame are outside the queue. Fails when the consumer has gone.
    pub(crate) async fn room(&self, held: usize) -> Result<(), End> {
        loop {
            {
                let mut state = self.lock();
                if let Some(end) = &state.refused {
                    return Err(end.clone());
                }
                if state.frames.is_empty() || state.bytes + held <= self.capacity {
                    state.last_arrival = Instant::now();
                    return Ok(());
                }
            }
            self.space.notified().await;
        }
    }

    /// Adds a whole frame without waiting; the caller has waited in [`FrameQueue::room`].
    pub(crate) fn push(&self, frame: Frame) {
        self.add(self.lock(), frame);
    }
}
