//! What each operation opens and deals, in shapes and widths only.
//!
//! The evaluators, the dealer and the declared cost all read the same plans, so that they cannot drift apart.

use tercet_engine::{EngineError, Meta, checks};
use tercet_share::{PackedBits, Ring};

/// One piece of correlated randomness of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `n` ring elements of `bits` bits, shared additively modulo 2^bits.
    Elements {
        /// Number of elements.
        n: usize,
        /// Width of an element.
        bits: u32,
    },
    /// `n` bits, shared by exclusive or.
    Bits {
        /// Number of bits.
        n: usize,
    },
    /// `n` one-hot vectors of `2^width` bits each, shared by exclusive or.
    OneHot {
        /// Number of vectors.
        n: usize,
        /// Bits of the digit.
        width: u32,
    },
}

impl Part {
    /// Bytes on the wire.
    pub fn bytes(&self) -> usize {
        match *self {
            Part::Elements { n, bits } => packed_bytes(n, bits),
            Part::Bits { n } => PackedBits::wire_bytes(n),
            Part::OneHot { n, width } => packed_bytes(n, 1 << width),
        }
    }
}

/// Bytes of `n` elements of `bits` bits, packed.
pub fn packed_bytes(n: usize, bits: u32) -> usize {
    (n * bits as usize).div_ceil(8)
}

/// Bytes of all parts.
pub fn total_bytes(parts: &[Part]) -> usize {
    parts.iter().map(Part::bytes).sum()
}

/// The widths of one truncation: operand modulo 2^l, shift s, result modulo 2^r.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncPlan {
    /// Facts of the result.
    pub out: Meta,
    /// Elements.
    pub n: usize,
    /// Ring width of the operand.
    pub l: u32,
    /// Bits dropped.
    pub s: u32,
    /// Ring width of the result.
    pub r: u32,
}

impl TruncPlan {
    /// Checks the parameters.
    pub fn new(operand: &Meta, shift: u32, out: Ring) -> Result<TruncPlan, EngineError> {
        let meta = checks::truncate(operand, shift, out)?;
        Ok(TruncPlan { out: meta, n: meta.len(), l: operand.ring.bits(), s: shift, r: out.bits() })
    }

    /// True if the result needs no wrap correction: the opened value and λ' are already a masked share modulo 2^r.
    pub fn shrinks(&self) -> bool {
        self.r <= self.l - self.s
    }

    /// Bits of the opened value that a correction needs; with a comparison all l − s are opened.
    pub fn high_bits(&self) -> u32 {
        self.l - self.s
    }

    /// Bits opened by a plain truncation.
    pub fn open_bits(&self) -> u32 {
        self.high_bits().min(self.r)
    }

    /// Width of μ, the wrap bit of the mask, which is multiplied by 2^(l−s); 0 if no correction is needed.
    pub fn wrap_bits(&self) -> u32 {
        self.r.saturating_sub(self.l - self.s)
    }

    /// The constant that the first evaluator adds before dropping bits: 2^(l−2) keeps the sum from wrapping, `halves`·2^(s−1)
    /// centres the error.
    pub fn bias(&self, halves: u64) -> u64 {
        (1u64 << (self.l - 2)).wrapping_add(halves << (self.s - 1))
    }

    /// What the bias is after the shift.
    pub fn shifted_bias(&self) -> u64 {
        1u64 << (self.l - 2 - self.s)
    }

    /// Parts of λ' and, unless the result shrinks, μ.
    pub fn parts(&self, parts: &mut Vec<Part>) {
        parts.push(Part::Elements { n: self.n, bits: self.r });
        if self.wrap_bits() > 0 {
            parts.push(Part::Elements { n: self.n, bits: self.wrap_bits() });
        }
    }

    /// Parts of λ', μ and their products with a bit's mask.
    pub fn gate_parts(&self, parts: &mut Vec<Part>) {
        self.parts(parts);
        self.parts(parts);
    }

    /// Parameters that both sides must agree on.
    pub fn parameters(&self) -> [u64; 5] {
        [self.out.rows as u64, self.out.cols as u64, self.l.into(), self.s.into(), self.r.into()]
    }
}

/// The 4-bit blocks of a comparison of width k, top block first.
pub fn blocks(k: u32) -> Vec<(u32, u32)> {
    (0..k.div_ceil(4)).rev().map(|j| (4 * j, 4.min(k - 4 * j))).collect()
}
