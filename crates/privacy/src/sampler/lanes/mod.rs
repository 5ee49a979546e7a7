//! The first stage of the sampler: many candidates at once, decided by their first 32 random bits wherever these suffice.
//!
//! A candidate has a word a for its z, a word b for its acceptance and 40 bits for u and the sign. The words are the first
//! 32 bits of random reals; where they do not decide, the candidate is *undecided* and the next stage goes on with more bits of
//! the same reals. What this stage decides is what exact arithmetic would decide, so it changes the speed and not the law.
//!
//! # z
//! Entry j of the table is ⌊2^32·P[z ≤ j]⌋. An entry below a is at most the real, an entry above a is above the whole interval
//! [a, a + 1)·2^−32: z is the number of entries below a, unless an entry equals a.
//!
//! # Acceptance
//! To decide is whether a real is below e^{−γ}, γ = βX with X = t(t + 2z), t = u/k, and β = k²/2σ² ≤ 1/8. With fixed point of 32 bits:
//!
//! - t̂ are the first 32 bits of t: t − t̂ < 2^−32.
//! - ŝ = ⌊2^26·t̂⌋ + 2^27·z: 2^26·(t + 2z) − ŝ is in [0, 1).
//! - x̂ = ⌊t̂·ŝ⌋: 2^26·X − x̂ is in [0, 3), for X < 64: below 1 from t̂, below 1 from ŝ, below 1 from rounding.
//! - ĝ = ⌊x̂·r̂⌋ with r̂ = ⌊2^32·4β·log₂e⌋·2^−32: 2^28·γ·log₂e − ĝ is in [0, 4.2): 4β·log₂e < 0.722 times 3, 2^32 units of
//!   2^−32 from r̂, and 1 from rounding.
//! - With n = ⌊ĝ·2^−28⌋ and f̂ = 1 − 2^−28·(1 + ĝ mod 2^28) the power is 2^−n · 2^f̂/2: its exponent is off by −3.2 to 1 units of 2^−28,
//!   and a unit is at most 11.1 of 2^−32 in the power. So it is at most 35.6 too high and 11.1 too low.
//! - 2^f̂/2 by a polynomial of degree 7 in Horner's form: within 0.2 of 2^−32 as a polynomial (a test follows the difference over the whole
//!   interval), 4 for its 8 rounded coefficients, and 7 too low for 7 roundings downwards; 1 more for the last shift.
//!
//! In all the threshold is less than 40 units too high and less than 24 too low. [`SLACK`] is 48: acceptance is sure if b + 48 is below it,
//! refusal if b is above it by more than 48. Undecided are fewer than 2^−24 of all candidates.
//!
//! Every instruction set computes these same integers. Nothing branches on them and no memory is indexed by them; the vector code looks the
//! table up in registers.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use super::table::Table;
use super::variance::Variance;
use num_bigint::BigUint;
use tercet_share::kernel::Isa;

/// Candidates of a block.
pub(super) const LANES: usize = 64;
/// Random bytes of a block: 64 words a, 64 words b, 64 words h, 64 bytes l, little-endian. u is the first bits of h and then of
/// the upper seven bits of l, the sign is the last bit of l.
pub(super) const BLOCK: usize = 13 * LANES;
/// Random bits of which u is the first.
pub(super) const U_BITS: u32 = 39;

/// Bound on the error of an acceptance threshold, in units of 2^−32.
pub(super) const SLACK: u32 = 48;

/// Entries of the table: the later ones would all be 2^32 − 1, σ/k being below 4.
const ENTRIES: usize = 32;

/// 2^31 times the coefficients of the best polynomial for 2^x on [0, 1] (Remez), rounded.
const POWER: [u32; 8] =
    [0x8000_0000, 0x58b9_0c0b, 0x1ebf_bcbb, 0x071a_cc39, 0x013b_03ef, 0x002c_021b, 0x0004_af41, 0x0000_b5b4];

/// ⌊2^64·log₂e⌋.
const LOG2_E: u128 = 0x1_7154_7652_b82f_e177;

/// What the first stage knows of the law. No secret.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// ⌊2^32·P[z ≤ j]⌋, filled up with 2^32 − 1.
    thresholds: [u32; ENTRIES],
    /// k = 2^step_bits.
    step_bits: u32,
    /// The bits of h that belong to u.
    mask: u32,
    /// r̂.
    rate: u32,
    slack: u32,
}

/// What is decided about a block: one bit for each candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// Surely accepted.
    pub(super) kept: u64,
    /// For the next stage; none of them is kept yet.
    pub(super) undecided: u64,
}

impl Stage {
    /// For steps of 2^`step_bits` with σ at least two steps, or steps of 1.
    pub(super) fn new(variance: &Variance, table: &Table, step_bits: u32) -> Self {
        let mut thresholds = [u32::MAX; ENTRIES];
        for (entry, word) in thresholds.iter_mut().zip(table.thresholds()) {
            *entry = (word >> 32) as u32;
        }
        // The last entry must stand for all that is left out, and a z of 32 must not be needed.
        thresholds[ENTRIES - 1] = u32::MAX;
        // r̂ = 4·(k²/2σ²)·log₂e. A step of 1 has u = 0, whatever its rate.
        let numerator = (variance.denominator() << (2 * step_bits + 2)) * BigUint::from(LOG2_E);
        let rate = (numerator >> 32u8) / (variance.numerator() * 2u8);
        let rate = if step_bits == 0 { 0 } else { u32::try_from(rate).unwrap_or(u32::MAX) };
        let mask = u32::MAX.checked_shl(32 - step_bits.min(32)).unwrap_or(0);
        Self { thresholds, step_bits, mask, rate, slack: SLACK }
    }

    /// Decides the candidates of a block. Values of candidates that are not kept mean nothing.
    pub(super) fn decide(&self, isa: Isa, block: &[u8; BLOCK], values: &mut [i64; LANES]) -> Decided {
        match isa.min(Isa::best()) {
            // SAFETY: `best` returns an instruction set only if the CPU has it.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::decide(self, block, values) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::decide(self, block, values) },
            _ => portable::decide(self, block, values),
        }
    }

    /// The same stage with another bound on its error, which must be at least [`SLACK`].
    #[cfg(test)]
    pub(super) fn with_slack(&self, slack: u32) -> Self {
        assert!(slack >= SLACK);
        Self { slack, ..self.clone() }
    }
}

/// Moves the values whose bit is set to the front of `out`, in order, and tells how many they are.
pub(super) fn compact(isa: Isa, values: &[i64; LANES], kept: u64, out: &mut [i64; LANES]) -> usize {
    match isa.min(Isa::best()) {
        // SAFETY: `best` returns an instruction set only if the CPU has it.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::compact(values, kept, out) },
        _ => portable::compact(values, kept, out),
    }
}

/// The random words of one candidate.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// The first 32 bits of the real that z is drawn with.
    pub(super) table: u32,
    /// The first 32 bits of the real that is compared with e^{−γ}.
    pub(super) accept: u32,
    /// [`U_BITS`] bits, of which u is the first.
    pub(super) u: u64,
    pub(super) negative: bool,
}

/// The words of candidate `lane` of a block.
#[inline]
pub(super) fn words(block: &[u8; BLOCK], lane: usize) -> Words {
    let word = |at: usize| {
        let at = 4 * (at * LANES + lane);
        u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
    };
    let low = block[12 * LANES + lane];
    Words {
        table: word(0),
        accept: word(1),
        u: u64::from(word(2)) << 7 | u64::from(low >> 1),
        negative: low & 1 == 1,
    }
}
