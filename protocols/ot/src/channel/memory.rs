//! Channels inside one process, with exact counts of bytes, messages and rounds.

use super::Channel;
use crate::error::ChannelError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// How long an in-memory receive waits.
const PATIENCE: Duration = Duration::from_secs(120);

struct Envelope {
    depth: u64,
    body: Vec<u8>,
}

/// One end of an in-memory link.
pub struct MemoryChannel {
    peer: u8,
    outgoing: mpsc::Sender<Envelope>,
    incoming: mpsc::Receiver<Envelope>,
    depth: Arc<AtomicU64>,
    bytes_sent: u64,
    messages_sent: u64,
}

impl MemoryChannel {
    /// Bytes that this end has sent.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Messages that this end has sent.
    pub fn messages_sent(&self) -> u64 {
        self.messages_sent
    }

    /// Length of the longest chain of dependent messages that ends at this party, over all its channels: the
    /// rounds of the protocol so far. A message is one deeper than the deepest one that its sender had received.
    pub fn rounds(&self) -> u64 {
        self.depth.load(Ordering::SeqCst)
    }
}

impl Channel for MemoryChannel {
    fn peer(&self) -> u8 {
        self.peer
    }

    fn send(&mut self, message: Vec<u8>) -> Result<(), ChannelError> {
        self.bytes_sent += message.len() as u64;
        self.messages_sent += 1;
        let depth = self.depth.load(Ordering::SeqCst) + 1;
        self.outgoing
            .send(Envelope { depth, body: message })
            .map_err(|_| ChannelError::Closed { peer: self.peer })
    }

    fn recv(&mut self, _expected: usize) -> Result<Vec<u8>, ChannelError> {
        let envelope = self.incoming.recv_timeout(PATIENCE).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => {
                ChannelError::Silent { peer: self.peer, millis: PATIENCE.as_millis() as u64 }
            }
            mpsc::RecvTimeoutError::Disconnected => ChannelError::Closed { peer: self.peer },
        })?;
        self.depth.fetch_max(envelope.depth, Ordering::SeqCst);
        Ok(envelope.body)
    }
}

/// Channels between `parties` parties: entry `i` holds party i's channels to all others, by rising party number.
pub fn mesh(parties: u8) -> Vec<Vec<MemoryChannel>> {
    let n = usize::from(parties);
    let mut rows: Vec<Vec<MemoryChannel>> = (0..n).map(|_| Vec::new()).collect();
    let depths: Vec<Arc<AtomicU64>> = (0..n).map(|_| Arc::default()).collect();
    for low in 0..n {
        for high in low + 1..n {
            let (to_high, from_low) = mpsc::channel();
            let (to_low, from_high) = mpsc::channel();
            rows[low].push(end(high, to_high, from_high, &depths[low]));
            rows[high].push(end(low, to_low, from_low, &depths[high]));
        }
    }
    for row in &mut rows {
        row.sort_by_key(|channel| channel.peer);
    }
    rows
}

/// A link between party 0 and party 1.
pub fn pair() -> (MemoryChannel, MemoryChannel) {
    let mut ends = mesh(2).into_iter().flatten();
    // A mesh of two parties holds exactly two ends.
    match (ends.next(), ends.next()) {
        (Some(zero), Some(one)) => (zero, one),
        _ => unreachable!("a mesh of two parties has two ends"),
    }
}

fn end(
    peer: usize,
    outgoing: mpsc::Sender<Envelope>,
    incoming: mpsc::Receiver<Envelope>,
    depth: &Arc<AtomicU64>,
) -> MemoryChannel {
    MemoryChannel {
        peer: peer as u8,
        outgoing,
        incoming,
        depth: Arc::clone(depth),
        bytes_sent: 0,
        messages_sent: 0,
    }
}
