//! Frames on a QUIC stream: one stream for each phase and direction.
//!
//! A stream begins with one byte that names its phase. Then come frames: a header of 64 bytes and the
//! payload. The last frame is a goodbye.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt, WriteError};

use super::fault::end;
use crate::header::{HEADER_BYTES, Header, Kind};
use crate::queue::{End, Frame, FrameQueue};
use crate::{NetError, Party, Phase, SessionId};

/// Tells the peer that its stream is not wanted.
const REJECTED: VarInt = VarInt::from_u32(3);

/// Chunks taken from QUIC at once, each up to a datagram.
const CHUNKS: usize = 32;

/// The most that a payload's buffer grows ahead of the bytes that have arrived.
const GROWTH: usize = 1 << 20;

fn stream_type(phase: Phase) -> u8 {
    match phase {
        Phase::Offline => 1,
        Phase::Online => 2,
    }
}

fn phase_of(stream_type: u8) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| self::stream_type(*phase) == stream_type)
}

/// Writes what the protocol queues, until it ends. Returns when the peer has everything.
pub(super) async fn write_frames(
    connection: Connection,
    phase: Phase,
    session: SessionId,
    queue: Arc<FrameQueue>,
    idle: Duration,
) -> Result<(), End> {
    let lost = |error| match error {
        WriteError::ConnectionLost(error) => end(&error, idle),
        other => End::Lost(other.to_string()),
    };
    let mut stream = connection.open_uni().await.map_err(|error| end(&error, idle))?;
    // Openings go before dealt randomness when both wait for the same link.
    let _ = stream.set_priority(if phase == Phase::Online { 1 } else { 0 });
    stream.write_all(&[stream_type(phase)]).await.map_err(lost)?;
    loop {
        match queue.next().await {
            Ok(frame) => write_frame(&mut stream, frame, &queue).await.map_err(lost)?,
            Err(End::Finished) => break,
            Err(other) => return Err(other),
        }
    }
    stream.write_all(&Header::goodbye(session).encode()).await.map_err(lost)?;
    // Fails only on a stream that was finished before.
    let _ = stream.finish();
    match stream.stopped().await {
        Ok(_) => Ok(()),
        Err(quinn::StoppedError::ConnectionLost(error)) => Err(end(&error, idle)),
        Err(other) => Err(End::Lost(other.to_string())),
    }
}

async fn write_frame(stream: &mut SendStream, frame: Frame, queue: &FrameQueue) -> Result<(), WriteError> {
    let mut chunks = [Bytes::copy_from_slice(&frame.header.encode()), Bytes::from(frame.payload)];
    let mut left = &mut chunks[..];
    while left.iter().any(|chunk| !chunk.is_empty()) {
        let written = stream.write_chunks(left).await?;
        left = &mut left[written.chunks..];
        queue.moved();
    }
    Ok(())
}

/// The receiving half of a link: where its frames go, and its limits.
#[derive(Clone)]
pub(super) struct Inbound {
    pub(super) party: Party,
    pub(super) session: SessionId,
    pub(super) queue: Arc<FrameQueue>,
    pub(super) max_frame: usize,
    pub(super) idle: Duration,
}

/// Reads the byte that names a stream's phase.
pub(super) async fn read_phase(stream: &mut RecvStream) -> Option<Phase> {
    let mut first = [0];
    stream.read_exact(&mut first).await.ok()?;
    let phase = phase_of(first[0]);
    if phase.is_none() {
        let _ = stream.stop(REJECTED);
    }
    phase
}

/// Reads frames into the queue until the stream ends, then tells the queue why.
pub(super) async fn read_frames(stream: RecvStream, inbound: Inbound) {
    let mut reader = Reader::new(stream, inbound.idle);
    let end = match reader.run(&inbound).await {
        Ok(()) => End::Finished,
        Err(end) => {
            let _ = reader.stream.stop(REJECTED);
            end
        }
    };
    inbound.queue.end(end);
}

/// Where the peer's bytes come from: its stream, or a recording of one.
pub(super) trait Chunks {
    /// Fills `chunks` from its start and says how many; `None` at the end.
    async fn next(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, ReadError>;
}

impl Chunks for RecvStream {
    async fn next(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, ReadError> {
        self.read_chunks(chunks).await
    }
}

/// Reads frames.
pub(super) struct Reader<S> {
    stream: S,
    /// Received and not yet consumed. Never holds an empty chunk.
    chunks: VecDeque<Bytes>,
    idle: Duration,
}

impl<S: Chunks> Reader<S> {
    /// A reader at the start of the first frame.
    pub(super) fn new(stream: S, idle: Duration) -> Self {
        Self { stream, chunks: VecDeque::new(), idle }
    }

    /// Ends with `Ok` at the peer's goodbye, after which nothing may come.
    pub(super) async fn run(&mut self, inbound: &Inbound) -> Result<(), End> {
        loop {
            let header = self.header(inbound).await?;
            match header.kind {
                Kind::Goodbye if header.session == inbound.session => return self.silence(inbound).await,
                Kind::Goodbye => return Err(malformed(inbound, "a goodbye of another session")),
                Kind::Message => {}
            }
            if header.bytes as usize > inbound.max_frame {
                return Err(End::Failed(NetError::FrameTooLarge {
                    party: inbound.party.clone(),
                    bytes: u64::from(header.bytes),
                    limit: inbound.max_frame,
                }));
            }
            let payload = self.payload(&header, inbound).await?;
            inbound.queue.push(Frame { header, payload });
        }
    }

    async fn header(&mut self, inbound: &Inbound) -> Result<Header, End> {
        let mut wire = [0; HEADER_BYTES];
        let mut filled = 0;
        loop {
            while let Some(chunk) = self.take(HEADER_BYTES - filled) {
                wire[filled..filled + chunk.len()].copy_from_slice(&chunk);
                filled += chunk.len();
            }
            if filled == HEADER_BYTES {
                return Header::decode(&wire).map_err(|error| malformed(inbound, &error.to_string()));
            }
            inbound.queue.room(filled).await?;
            self.fill().await?;
        }
    }

    /// Collects the payload. Its buffer grows with the bytes that arrive: the peer's claim of a length
    /// reserves at most [`GROWTH`] bytes.
    async fn payload(&mut self, header: &Header, inbound: &Inbound) -> Result<Vec<u8>, End> {
        let length = header.bytes as usize;
        let mut payload = Vec::new();
        loop {
            while let Some(chunk) = self.take(length - payload.len()) {
                if payload.capacity() - payload.len() < chunk.len() {
                    let step = payload.len().max(GROWTH).max(chunk.len());
                    payload.reserve_exact(step.min(length - payload.len()));
                }
                payload.extend_from_slice(&chunk);
            }
            if payload.len() == length {
                return Ok(payload);
            }
            if payload.len() < GROWTH {
                inbound.queue.announce(*header);
            }
            inbound.queue.room(payload.len()).await?;
            self.fill().await?;
        }
    }

    /// Nothing but the end of the stream follows a goodbye. A connection that breaks then breaks nothing.
    async fn silence(&mut self, inbound: &Inbound) -> Result<(), End> {
        let mut chunks: [Bytes; CHUNKS] = Default::default();
        while self.chunks.is_empty() {
            match self.stream.next(&mut chunks).await {
                Ok(Some(count)) => self.keep(&mut chunks[..count]),
                Ok(None) | Err(_) => return Ok(()),
            }
        }
        Err(malformed(inbound, "bytes after its goodbye"))
    }

    /// The next received bytes, at most `limit`; `None` when nothing is left or wanted.
    fn take(&mut self, limit: usize) -> Option<Bytes> {
        if limit == 0 {
            return None;
        }
        let front = self.chunks.front_mut()?;
        if front.len() > limit { Some(front.split_to(limit)) } else { self.chunks.pop_front() }
    }

    /// Waits for more bytes. The stream must not end here: a goodbye comes first.
    async fn fill(&mut self) -> Result<(), End> {
        let mut chunks: [Bytes; CHUNKS] = Default::default();
        match self.stream.next(&mut chunks).await {
            Ok(Some(count)) => {
                self.keep(&mut chunks[..count]);
                Ok(())
            }
            Ok(None) => Err(End::Lost("it ended its stream without saying goodbye".to_owned())),
            Err(ReadError::ConnectionLost(error)) => Err(match end(&error, self.idle) {
                // The connection was closed in good order, but this stream had more to say.
                End::Finished => End::Lost("it closed the connection without saying goodbye".to_owned()),
                other => other,
            }),
            Err(other) => Err(End::Lost(other.to_string())),
        }
    }

    fn keep(&mut self, chunks: &mut [Bytes]) {
        self.chunks.extend(chunks.iter_mut().map(std::mem::take).filter(|chunk| !chunk.is_empty()));
    }
}

/// The peer broke the rules of its streams.
pub(super) fn malformed(inbound: &Inbound, what: &str) -> End {
    End::Failed(NetError::Malformed { party: inbound.party.clone(), what: what.to_owned() })
}
