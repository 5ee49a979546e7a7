//! One online round among the evaluators: each sends its summands of a batch of values, and adds up what it gets.

use tercet_engine::EngineError;
use tercet_net::{Label, Phase, Transport};
use tercet_share::{PackedBits, kernel};

use super::Evaluator;
use crate::{material::Source, plan::packed_bytes};

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

/// Summands that were sent and wait for the peers' own.
#[must_use]
pub(crate) struct Pending {
    label: Label,
    pieces: Vec<Piece>,
    bytes: usize,
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    /// Sends this evaluator's summands. What it computes before [`Evaluator::collect`] runs while they travel.
    pub(crate) fn post(&mut self, label: Label, pieces: Vec<Piece>) -> Result<Pending, EngineError> {
        let bytes = pieces.iter().map(Piece::bytes).sum();
        if bytes > 0 {
            let mut message = Vec::with_capacity(bytes);
            for piece in &pieces {
                match piece {
                    Piece::Elements(v, bits) => kernel::pack(v, *bits, &mut message),
                    Piece::Bits(b) => b.to_bytes(&mut message),
                }
            }
            let me = self.wire.transport().me();
            let mut peers = self.evaluators.iter().copied().filter(|&p| p != me).peekable();
            while let Some(peer) = peers.next() {
                let copy =
                    if peers.peek().is_some() { message.clone() } else { std::mem::take(&mut message) };
                self.wire.send(peer, Phase::Online, label, copy)?;
            }
            self.wire.round(label);
        }
        Ok(Pending { label, pieces, bytes })
    }

    /// Receives the peers' summands and returns the sums, each reduced to its width.
    pub(crate) fn collect(&mut self, pending: Pending) -> Result<Vec<Piece>, EngineError> {
        let Pending { label, mut pieces, bytes } = pending;
        if bytes == 0 {
            return Ok(pieces);
        }
        let me = self.wire.transport().me();
        let peers: Vec<_> = self.evaluators.iter().copied().filter(|&p| p != me).collect();
        for peer in peers {
            let message = self.wire.recv(peer, Phase::Online, label, bytes)?;
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
