//! One online round among the evaluators: each sends its summands of a batch of values, and adds up what it gets.

use tercet_engine::EngineError;
use tercet_net::{Label, PartyId, Phase, Transport};
use tercet_share::{PackedBits, kernel};

use super::Evaluator;
use crate::{material::Source, plan::packed_bytes, wire::Wire};

/// One summand to open.
pub(crate) enum Piece {
    /// Elements modulo 2^bits.
    Elements(Vec<u64>, u32),
    /// Bits, opened by exclusive or.
    Bits(PackedBits),
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Piece::Elements(v, bits) => packed_bytes(v.len(), *bits),
            Piece::Bits(b) => PackedBits::wire_bytes(b.len()),
        }
    }

    pub(crate) fn elements(self) -> Vec<u64> {
        match self {
            Piece::Elements(v, _) => v,
            Piece::Bits(_) => unreachable!("pieces come back in the order they were opened"),
        }
    }

    pub(crate) fn bits(self) -> PackedBits {
        match self {
            Piece::Bits(b) => b,
            Piece::Elements(..) => unreachable!("pieces come back in the order they were opened"),
        }
    }
}

/// Messages of one opening that are sent before the peers' are awaited; the rest follow one for one, so that two parties
/// that send each other more than the network's queues hold do not wait for each other for ever.
const AHEAD: usize = 8;

/// Summands that were sent and wait for the peers' own.
#[must_use]
pub(crate) struct Pending {
    label: Label,
    pieces: Vec<Piece>,
    bytes: usize,
    /// The message, if a part of it is yet to be sent.
    unsent: Vec<u8>,
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    fn peers(&self) -> Vec<PartyId> {
        let me = self.wire.transport().me();
        self.evaluators.iter().copied().filter(|&p| p != me).collect()
    }

    /// Sends this evaluator's summands. What it computes before [`Evaluator::collect`] runs while they travel.
    pub(crate) fn post(&mut self, label: Label, pieces: Vec<Piece>) -> Result<Pending, EngineError> {
        let bytes = pieces.iter().map(Piece::bytes).sum();
        let mut unsent = Vec::new();
        if bytes > 0 {
            let mut message = Vec::with_capacity(bytes);
            for piece in &pieces {
                match piece {
                    Piece::Elements(v, bits) => kernel::pack(v, *bits, &mut message),
                    Piece::Bits(b) => b.to_bytes(&mut message),
                }
            }
            let peers = self.peers();
            match (peers.as_slice(), Wire::<T>::chunks(bytes)) {
                ([peer], 1) => self.wire.send(*peer, Phase::Online, label, message)?,
                (peers, chunks) => {
                    for i in 0..chunks.min(AHEAD) {
                        for &peer in peers {
                            self.wire.send_chunk(peer, Phase::Online, label, &message, i)?;
                        }
                    }
                    unsent = message;
                }
            }
            self.wire.round(label);
        }
        Ok(Pending { label, pieces, bytes, unsent })
    }

    /// Receives the peers' summands and returns the sums, each reduced to its width.
    pub(crate) fn collect(&mut self, pending: Pending) -> Result<Vec<Piece>, EngineError> {
        let Pending { label, mut pieces, bytes, unsent } = pending;
        if bytes == 0 {
            return Ok(pieces);
        }
        let peers = self.peers();
        let chunks = Wire::<T>::chunks(bytes);
        let mut messages: Vec<Vec<u8>> = peers.iter().map(|_| Vec::new()).collect();
        for i in 0..chunks {
            for (&peer, message) in peers.iter().zip(&mut messages) {
                let chunk = self.wire.recv_chunk(peer, Phase::Online, label, bytes, i)?;
                if chunks == 1 { *message = chunk } else { message.extend_from_slice(&chunk) }
            }
            if i + AHEAD < chunks {
                for &peer in &peers {
                    self.wire.send_chunk(peer, Phase::Online, label, &unsent, i + AHEAD)?;
                }
            }
        }
        for (peer, message) in peers.into_iter().zip(messages) {
            let mut rest = message.as_slice();
            for piece in &mut pieces {
                let (head, tail) = rest.split_at(piece.bytes());
                rest = tail;
                let ok = match piece {
                    Piece::Elements(v, bits) => kernel::unpack_add(head, *bits, v).is_ok(),
                    Piece::Bits(b) => {
                        PackedBits::from_bytes(b.len(), head).map(|x| b.xor_assign(&x)).is_some()
                    }
                };
                if !ok {
                    return Err(EngineError::Malformed {
                        from: self.wire.name(peer),
                        label: label.name(),
                        why: "padding bits are set",
                    });
                }
            }
        }
        Ok(pieces)
    }

    /// One whole round.
    pub(crate) fn open(&mut self, label: Label, pieces: Vec<Piece>) -> Result<Vec<Piece>, EngineError> {
        let pending = self.post(label, pieces)?;
        self.collect(pending)
    }
}
