//! Where an evaluator's correlated randomness comes from.

use tercet_engine::EngineError;
use tercet_net::{Label, Transport};
use tercet_share::{Bilinear, PackedBits, PairPrg, Ring, Tensor, kernel};

use crate::{
    plan::{Part, TruncPlan, packed_bytes},
    recipe::Recipe,
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

    /// This evaluator's part of the mask of one truncation, modulo 2^l. A source may add a share of zero to it. Later parts
    /// refer to the mask by its purpose.
    fn truncation_pad(
        &mut self,
        _wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plan: &TruncPlan,
    ) -> Result<Vec<u64>, EngineError> {
        self.pad(op, purpose, plan.n, plan.l)
    }

    /// As [`Source::truncation_pad`] for a batch of truncations; purposes count from `purpose` on.
    fn truncation_pads(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plans: &[TruncPlan],
    ) -> Result<Vec<Vec<u64>>, EngineError> {
        plans.iter().zip(purpose..).map(|(plan, at)| self.truncation_pad(wire, op, at, plan)).collect()
    }

    /// Halves of a unit in the last place by which the evaluators' dropped bits exceed those of the mask, on average.
    fn dropped_halves(&self) -> u64 {
        1
    }

    /// This evaluator's shares of the parts of one operation; part i has purpose `purpose + i` and is what recipe i says.
    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        label: Label,
        parts: &[Part],
        recipes: F,
    ) -> Result<Vec<Dealt>, EngineError>;

    /// True if a dealer keeps products of masks that only enter with a constant factor, so that they need no dealing.
    fn dealer_holds(&self) -> bool {
        true
    }

    /// This evaluator's share of map(Λ_X, Λ_Y) modulo 2^ring from its shares of the masks; `None` if a dealer holds it.
    /// `owners` names for each row of X the evaluator that alone holds its mask, if that is known.
    fn mask_product(
        &mut self,
        _wire: &mut Wire<T>,
        _map: &Bilinear,
        _x: &Tensor,
        _owners: Option<&[u8]>,
        _y: &Tensor,
        _ring: Ring,
    ) -> Result<Option<Tensor>, EngineError> {
        Ok(None)
    }

    /// This evaluator's share of `n` zeros modulo 2^bits, to blind summands that leave the evaluators; `None` where one
    /// summand alone leaves.
    fn zero_share(
        &mut self,
        _op: u64,
        _purpose: u64,
        _n: usize,
        _bits: u32,
    ) -> Result<Option<Vec<u64>>, EngineError> {
        Ok(None)
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
