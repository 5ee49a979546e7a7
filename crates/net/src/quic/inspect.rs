//! The decoders of the wire on a recording: the very code that a node runs on a peer's streams, without a network.
//!
//! For looking into a captured stream, for fuzzing and for property tests. Nothing here waits or sends.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use quinn::ReadError;

use super::fault::Fault;
use super::ready::{Heard, PROTOCOL_VERSION};
use super::stream::{Chunks, Inbound, Reader};
use crate::queue::{End, FrameQueue, Stopped};
use crate::{Header, NetError, Party, PartyId, SessionId};

/// What one half of a READY exchange says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Digest of the speaker's job.
    pub job_hash: [u8; 32],
    /// The step at which it would start.
    pub step: u64,
    /// What the speaker came for.
    pub purpose: String,
    /// Its public key.
    pub key: Vec<u8>,
    /// What followed: nothing, the text of its job, or the session that it computed.
    pub then: Then,
}

/// The second message of a READY exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// None came.
    Nothing,
    /// The jobs differed, and this is the speaker's.
    JobText(Option<String>),
    /// The jobs agreed, and this is the session that the speaker computed.
    Session(SessionId),
}

/// Reads what one side said on the control stream. `job` is the listener's digest: it decides what the second message is.
///
/// # Errors
/// [`NetError::Malformed`] or [`NetError::VersionDiffers`], as a node would report them; bytes after the last message too.
pub fn ready(mut bytes: &[u8], job: &[u8; 32]) -> Result<Opening, NetError> {
    let peer = speaker();
    let exchange = async {
        let hello = Heard::new(&mut bytes, &peer).hello(PROTOCOL_VERSION).await?;
        let then = if bytes.is_empty() {
            Then::Nothing
        } else if hello.job_hash == *job {
            Then::Session(Heard::new(&mut bytes, &peer).session().await?)
        } else {
            Then::JobText(Heard::new(&mut bytes, &peer).job_text().await?)
        };
        Ok(Opening {
            job_hash: hello.job_hash,
            step: hello.step,
            purpose: hello.purpose,
            key: hello.key,
            then,
        })
    };
    let opening = at_once(exchange).unwrap_or_else(|| Err(Fault::Passing("it waited".to_owned())));
    let opening = opening.map_err(|fault| match fault {
        Fault::Fatal(error) => error,
        Fault::Connection(error) => malformed(&error.to_string()),
        Fault::Passing(what) => malformed(&what),
    })?;
    match bytes.len() {
        0 => Ok(opening),
        left => Err(malformed(&format!("{left} bytes are left over after the READY exchange"))),
    }
}

/// Reads the frames of one stream after the byte of its phase, cut into chunks of `chunk` bytes as a network would. A whole
/// recording ends with a goodbye of `session`.
///
/// # Errors
/// [`NetError::Malformed`], [`NetError::FrameTooLarge`], or [`NetError::PeerLost`] for a recording without a goodbye.
pub fn frames(
    bytes: &[u8],
    chunk: usize,
    session: SessionId,
    max_frame: usize,
) -> Result<Vec<(Header, Vec<u8>)>, NetError> {
    // As much room as there are bytes, so that the reader never waits for a consumer.
    let queue = Arc::new(FrameQueue::new(usize::MAX));
    let idle = Duration::ZERO;
    let inbound = Inbound { party: speaker(), session, queue: queue.clone(), max_frame, idle };
    let chunks = bytes.chunks(chunk.max(1)).map(Bytes::copy_from_slice).collect();
    let mut reader = Reader::new(Recording(chunks), idle);
    match at_once(reader.run(&inbound)) {
        Some(Ok(())) => {}
        Some(Err(End::Failed(error))) => return Err(error),
        Some(Err(End::Lost(reason))) => {
            return Err(NetError::PeerLost { party: speaker(), step: 0, after: idle, reason });
        }
        Some(Err(End::Finished)) | None => return Err(malformed("its stream has no end")),
    }
    queue.end(End::Finished);
    let mut frames = Vec::new();
    loop {
        let mut header = None;
        let popped = queue.pop_blocking(Duration::ZERO, |next| {
            header = Some(*next);
            Ok(())
        });
        match (popped, header) {
            (Ok(payload), Some(header)) => frames.push((header, payload)),
            (Err(Stopped::Refused(error)), _) => return Err(error),
            _ => return Ok(frames),
        }
    }
}

/// A stream that was recorded.
struct Recording(VecDeque<Bytes>);

impl Chunks for Recording {
    async fn next(&mut self, chunks: &mut [Bytes]) -> Result<Option<usize>, ReadError> {
        match self.0.pop_front() {
            Some(chunk) => {
                chunks[0] = chunk;
                Ok(Some(1))
            }
            None => Ok(None),
        }
    }
}

fn speaker() -> Party {
    Party::new(PartyId::ALL[0], "recorded")
}

fn malformed(what: &str) -> NetError {
    NetError::Malformed { party: speaker(), what: what.to_owned() }
}

/// Runs a future that never waits; `None` if it does.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
