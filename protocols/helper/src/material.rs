//! The helper protocol's correlated randomness.

use tercet_engine::EngineError;
use tercet_net::{Label, PartyId, Phase, Transport};
use tercet_share::{PackedBits, PairPrg};

use tercet_online::Recipe;
pub use tercet_online::material::{Dealt, Source, decode, draw, encode};

use crate::{
    plan::{Part, total_bytes},
    wire::Wire,
};

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

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        label: Label,
        parts: &[Part],
        _recipes: F,
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
