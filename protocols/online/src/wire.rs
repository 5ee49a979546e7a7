//! Numbered operations over a transport: chunked messages whose tags both sides compute.

use tercet_engine::EngineError;
use tercet_net::{Label, NetError, PartyId, Phase, Tag, Transport};

/// Messages above this size are sent in pieces, so that a large tensor neither exceeds the frame limit nor waits for its
/// own last byte. 2 MiB.
const CHUNK: usize = 2 << 20;

/// A transport with the counters that every message carries.
pub struct Wire<T> {
    transport: T,
    step: u64,
    op: u64,
}

impl<T: Transport> Wire<T> {
    /// Starts at step 0, operation 0.
    pub fn new(transport: T) -> Wire<T> {
        Wire { transport, step: 0, op: 0 }
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Gives the transport back, for a graceful close.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// The current training step.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Sets the training step.
    pub fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    /// Numbers the next operation.
    pub fn next_op(&mut self) -> u64 {
        self.op += 1;
        self.op
    }

    /// This party's name and that of others, for errors.
    pub fn name(&self, party: PartyId) -> String {
        self.transport.party(party).to_string()
    }

    /// Counts one online round.
    pub fn round(&mut self, label: Label) {
        self.transport.meter_mut().round(label);
    }

    /// Number of messages that `len` bytes travel in.
    pub fn chunks(len: usize) -> usize {
        len.div_ceil(CHUNK)
    }

    /// Sends message number `i` of `bytes`.
    pub fn send_chunk(
        &mut self,
        to: PartyId,
        phase: Phase,
        label: Label,
        bytes: &[u8],
        i: usize,
    ) -> Result<(), EngineError> {
        let end = bytes.len().min((i + 1) * CHUNK);
        let tag = Tag::new(self.step, self.op, Self::chunk_label(label, bytes.len(), i));
        self.transport.send(to, phase, &tag, bytes[i * CHUNK..end].to_vec()).map_err(network)
    }

    /// Receives message number `i` of `len` bytes in all.
    pub fn recv_chunk(
        &mut self,
        from: PartyId,
        phase: Phase,
        label: Label,
        len: usize,
        i: usize,
    ) -> Result<Vec<u8>, EngineError> {
        let tag = Tag::new(self.step, self.op, Self::chunk_label(label, len, i));
        self.transport.recv(from, phase, &tag, CHUNK.min(len - i * CHUNK)).map_err(network)
    }

    fn chunk_label(label: Label, len: usize, i: usize) -> Label {
        if len <= CHUNK { label } else { label.with(&[i as u64]) }
    }

    /// Sends `bytes`, in chunks if they are many. Nothing is sent for an empty message.
    pub fn send(
        &mut self,
        to: PartyId,
        phase: Phase,
        label: Label,
        bytes: Vec<u8>,
    ) -> Result<(), EngineError> {
        if bytes.len() <= CHUNK {
            if bytes.is_empty() {
                return Ok(());
            }
            let tag = Tag::new(self.step, self.op, label);
            return self.transport.send(to, phase, &tag, bytes).map_err(network);
        }
        (0..Self::chunks(bytes.len())).try_for_each(|i| self.send_chunk(to, phase, label, &bytes, i))
    }

    /// Receives exactly `len` bytes.
    pub fn recv(
        &mut self,
        from: PartyId,
        phase: Phase,
        label: Label,
        len: usize,
    ) -> Result<Vec<u8>, EngineError> {
        if len <= CHUNK {
            return if len == 0 { Ok(Vec::new()) } else { self.recv_chunk(from, phase, label, len, 0) };
        }
        let mut bytes = Vec::with_capacity(len);
        for i in 0..Self::chunks(len) {
            bytes.extend_from_slice(&self.recv_chunk(from, phase, label, len, i)?);
        }
        Ok(bytes)
    }
}

fn network(e: NetError) -> EngineError {
    EngineError::Network(Box::new(e))
}
