//! The rings Z_{2^L}, L from 1 to 64. Elements are `u64`; bits at and above L are "don't care" until a value is opened.

use crate::ShareError;

/// The ring Z_{2^L}: its width L in bits, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ring(u32);

impl Ring {
    /// Z_{2^64}, the widest ring and the default.
    pub const FULL: Ring = Ring(64);

    /// The ring of `bits` bits; an error unless 1 ≤ bits ≤ 64.
    pub fn new(bits: u32) -> Result<Ring, ShareError> {
        if (1..=64).contains(&bits) { Ok(Ring(bits)) } else { Err(ShareError::RingWidth { bits }) }
    }

    /// Width in bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The mask 2^L − 1.
    pub fn mask(self) -> u64 {
        low_mask(self.0)
    }

    /// `v` as a signed integer of L bits (two's complement).
    pub fn signed(self, v: u64) -> i64 {
        let unused = 64 - self.0;
        ((v << unused) as i64) >> unused
    }

    /// The narrower of two rings: a product or sum is known only modulo the smaller modulus.
    pub fn min(self, other: Ring) -> Ring {
        Ring(self.0.min(other.0))
    }
}

/// 2^bits − 1 for bits 0 to 64.
pub fn low_mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1u64 << bits) - 1 }
}
