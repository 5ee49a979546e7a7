//! Where an evaluator's correlated randomness comes from.

use tercet_engine::EngineError;
use tercet_net::{Label, PartyId, Phase, Transport};
use tercet_share::{PackedBits, PairPrg, kernel};

use crate::{
    plan::{Part, packed_bytes, total_bytes},
    wire::Wire,
};

/// One received part: this evaluator's share.
pub enum Dealt {
    /// Ring elements.
    Elements(Vec<u64>),
    /// Bits.
    Bits(PackedBits),
    /// One-hot words.
    OneHot(Vec<u16>),
}

/// A source of pads and dealt parts. Addresses (`op`, `purpose`) only grow, so that no randomness is used twice.
pub trait Source<T: Transport> {
    /// This evaluator's part of `n` fresh masks of `bits` bits.
    fn pad(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError>;

    /// This evaluator's part of `n` fresh bit masks.
    fn pad_bits(&mut self, op: u64, purpose: u64, n: usize) -> Result<PackedBits, EngineError>;

    /// This evaluator's shares of the parts of one operation; part i has purpose `purpose + i`.
    fn deal(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        label: Label,
        parts: &[Part],
    ) -> Result<Vec<Dealt>, EngineError>;
}

/// The material of the helper protocol: pads from the seed shared with H; dealt parts from that seed at E0 and from H's
/// message at E1.
pub struct FromDealer {
    prg: PairPrg,
    /// `Some(H)` at E1, which receives the corrections.
    corrections: Option<PartyId>,
}

impl FromDealer {
    /// E0's source.
    pub fn seed_only(prg: PairPrg) -> FromDealer {
        FromDealer { prg, corrections: None }
    }

    /// E1's source.
    pub fn with_corrections(prg: PairPrg, dealer: PartyId) -> FromDealer {
        FromDealer { prg, corrections: Some(dealer) }
    }
}

impl<T: Transport> Source<T> for FromDealer {
    fn pad(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        Ok(self.prg.stream(op, purpose)?.elements(n, bits))
    }

    fn pad_bits(&mut self, op: u64, purpose: u64, n: usize) -> Result<PackedBits, EngineError> {
        Ok(self.prg.stream(op, purpose)?.bits(n))
    }

    fn deal(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        label: Label,
        parts: &[Part],
    ) -> Result<Vec<Dealt>, EngineError> {
        let Some(dealer) = self.corrections else {
            return parts.iter().zip(purpose..).map(|(p, i)| draw(&mut self.prg, op, i, p)).collect();
        };
        let bytes = wire.recv(dealer, Phase::Offline, label, total_bytes(parts))?;
        let malformed = |wire: &Wire<T>| EngineError::Malformed {
            from: wire.name(dealer),
            label: label.name(),
            why: "padding bits are set",
        };
        let mut rest = bytes.as_slice();
        parts
            .iter()
            .map(|part| {
                let (head, tail) = rest.split_at(part.bytes());
                rest = tail;
                decode(part, head).ok_or_else(|| malformed(wire))
            })
            .collect()
    }
}

/// The share of a part that comes from a pairwise seed.
pub fn draw(prg: &mut PairPrg, op: u64, purpose: u64, part: &Part) -> Result<Dealt, EngineError> {
    let stream = prg.stream(op, purpose)?;
    Ok(match *part {
        Part::Elements { n, bits } => Dealt::Elements(stream.elements(n, bits)),
        Part::Bits { n } => Dealt::Bits(stream.bits(n)),
        Part::OneHot { n, width } => Dealt::OneHot(stream.words16(n, 1 << width)),
    })
}

/// Appends a part to a message.
pub fn encode(dealt: &Dealt, part: &Part, out: &mut Vec<u8>) {
    match (dealt, *part) {
        (Dealt::Elements(v), Part::Elements { bits, .. }) => kernel::pack(v, bits, out),
        (Dealt::Bits(b), Part::Bits { .. }) => b.to_bytes(out),
        (Dealt::OneHot(w), Part::OneHot { width: 4, .. }) => {
            out.extend(w.iter().flat_map(|v| v.to_le_bytes()));
        }
        (Dealt::OneHot(w), Part::OneHot { width, .. }) => {
            let wide: Vec<u64> = w.iter().map(|&v| v.into()).collect();
            kernel::pack(&wide, 1 << width, out);
        }
        _ => unreachable!("a part is encoded by its own plan"),
    }
}

/// Reads a part of exactly `bytes`; `None` if padding bits are set.
pub fn decode(part: &Part, bytes: &[u8]) -> Option<Dealt> {
    match *part {
        Part::Elements { n, bits } => unpacked(bytes, bits, n).map(Dealt::Elements),
        Part::Bits { n } => PackedBits::from_bytes(n, bytes).map(Dealt::Bits),
        Part::OneHot { width: 4, .. } => {
            Some(Dealt::OneHot(bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect()))
        }
        Part::OneHot { n, width } => {
            let wide = unpacked(bytes, 1 << width, n)?;
            Some(Dealt::OneHot(wide.into_iter().map(|v| v as u16).collect()))
        }
    }
}

fn unpacked(bytes: &[u8], bits: u32, n: usize) -> Option<Vec<u64>> {
    debug_assert_eq!(bytes.len(), packed_bytes(n, bits));
    let mut out = vec![0; n];
    kernel::unpack(bytes, bits, &mut out).ok().map(|()| out)
}

impl Dealt {
    /// The elements of an element part.
    pub fn elements(self) -> Vec<u64> {
        match self {
            Dealt::Elements(v) => v,
            _ => unreachable!("parts are read in the order of their plan"),
        }
    }

    /// The bits of a bit part.
    pub fn bits(self) -> PackedBits {
        match self {
            Dealt::Bits(b) => b,
            _ => unreachable!("parts are read in the order of their plan"),
        }
    }

    /// The words of a one-hot part.
    pub fn one_hot(self) -> Vec<u16> {
        match self {
            Dealt::OneHot(w) => w,
            _ => unreachable!("parts are read in the order of their plan"),
        }
    }
}
