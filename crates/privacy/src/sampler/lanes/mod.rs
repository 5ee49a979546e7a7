//! The first stage of the sampler: many candidates at once, decided by their first 16 random bits wherever these suffice.
//!
//! A candidate has a word a for its z, a word b for its acceptance, both of 16 bits, and 32 bits for u and the sign; eight more bits for u
//! where the step is above 2^31. The words are the first 16 bits of random reals; where they do not decide, the candidate is *undecided*
//! and the next stage goes on with more bits of the same reals. What this stage decides is what exact arithmetic would decide, so it
//! changes the speed and not the law.
//!
//! # z
//! Entry j of the table is ⌊2^16·P[z ≤ j]⌋. An entry below a is at most the real, an entry above a is above the whole interval
//! [a, a + 1)·2^−16: z is the number of entries below a, unless an entry equals a.
//!
//! # Acceptance
//! To decide is whether a real is below e^{−γ}, γ = β·t(t + 2z), t = u/k, and β = k²/2σ² ≤ 1/8. With ρ = β·log₂e < 0.1804 the power is 2^−E,
//! E = t·S and S = ρ(t + 2z). In 16 bits, with 2^−14 as the unit of E and S, and values of true minus computed ones in that unit:
//!
//! - t̂ are the first 16 bits of t: t − t̂ < 2^−16. r̂ = ⌊2^14·ρ⌋ and ẑ = ⌊2^15·ρ·z⌋ + 1, a table.
//! - Ŝ = ⌊t̂·r̂⌋ + ẑ: from −1 (ẑ) to 2.05 (below 0.05 from t̂, 1 from r̂, 1 from rounding). S is below 2^16 units for every z that 16 bits decide.
//! - Ê = ⌊t̂·Ŝ⌋: from −1 to 4.05 (what Ŝ has, below 1 from t̂, below 1 from rounding).
//! - With n = ⌊Ê·2^−14⌋ and f̂ = 1 − 2^−14·(1 + Ê mod 2^14) the power is 2^−n · 2^f̂/2: its exponent is off by −2 to 3.05 units, and
//!   a unit is less than 2.78 of 2^−16 in the power. So it is at most 8.5 of these too high and 5.6 too low.
//! - 2^f̂/2 by a polynomial of degree 4 in Horner's form: off by less than 1.7 for every one of the 2^14 values of f̂, by a test of them
//!   all; 1 too low for the last shift.
//!
//! In all the threshold is less than 10.2 units too high and less than 8.3 too low. [`SLACK`] is 12: acceptance is sure if b + 12 is below
//! it, refusal if b is above it by more than 12. Undecided are about 6 of 10 000 candidates.
//!
//! Every instruction set computes these same integers. Nothing branches on them and no memory is indexed by them; the vector code looks the
//! tables up in registers.
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
/// Random bytes of a block: 64 words a, 64 words b, 64 words h of 32 bits, little-endian. The sign is the last bit of h; u is the first
/// bits of its 31 others and then of a byte of the block's [`Tails`].
pub(super) const BLOCK: usize = 8 * LANES;
/// A byte more of u for each candidate of a block; random for laws that need it ([`Stage::long`]).
pub(super) type Tails = [u8; LANES];
/// Random bits of which u is the first.
pub(super) const U_BITS: u32 = 39;
/// Those of them in h.
const H_BITS: u32 = 31;

/// Bound on the error of an acceptance threshold, in units of 2^−16.
pub(super) const SLACK: u16 = 12;

/// Entries of the table: the later ones would all be 2^16 − 1, σ/k being below 4, as the last two of these are.
const ENTRIES: usize = 32;

/// Largest ẑ: no z that 16 bits decide has a larger one (a test), and ⌊t̂·r̂⌋ can be added without overflow.
const MOST_RATE: u16 = u16::MAX - (1 << 12);

/// 2^16 times the coefficients of a polynomial for 2^x/2 on [0, 1]: those next to the best real ones, chosen for the smallest error after
/// all roundings.
const POWER: [u16; 5] = [32768, 22707, 7919, 1696, 448];

/// ⌊2^64·log₂e⌋.
const LOG2_E: u128 = 0x1_7154_7652_b82f_e177;

/// What the first stage knows of the law. No secret.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// ⌊2^16·P[z ≤ j]⌋, filled up with 2^16 − 1.
    thresholds: [u16; ENTRIES],
    /// ẑ.
    rates: [u16; ENTRIES],
    /// r̂.
    rate: u16,
    /// k = 2^step_bits.
    step_bits: u32,
    /// The first bits of h that belong to u.
    mask: u16,
    slack: u16,
}

/// What is decided about a block: one bit for each candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// Surely accepted, if it is not −0.
    pub(super) kept: u64,
    /// For the next stage; none of them is kept yet.
    pub(super) undecided: u64,
}

impl Stage {
    /// For steps of 2^`step_bits` with σ at least two steps, or steps of 1.
    pub(super) fn new(variance: &Variance, table: &Table, step_bits: u32) -> Self {
        let mut thresholds = [u16::MAX; ENTRIES];
        for (entry, word) in thresholds.iter_mut().zip(table.thresholds()) {
            *entry = (word >> 48) as u16;
        }
        // The last two entries must stand for all that is left out: a z of 31 must not be needed.
        thresholds[ENTRIES - 2..].fill(u16::MAX);
        // ⌊2^15·ρ·z⌋. A step of 1 has u = 0, whatever its rate.
        let rate_of = |z: u64| {
            let numerator = (variance.denominator() << (2 * step_bits)) * BigUint::from(LOG2_E) * z;
            let rate = (numerator >> 49u8) / (variance.numerator() * 2u8);
            if step_bits == 0 { 0 } else { u64::try_from(rate).unwrap_or(u64::MAX) }
        };
        let mut rates = [0; ENTRIES];
        for (rate, z) in rates.iter_mut().zip(0..) {
            *rate = (rate_of(z) + 1).min(MOST_RATE.into()) as u16;
        }
        let mask = u16::MAX.checked_shl(16 - step_bits.min(16)).unwrap_or(0);
        let rate = (rate_of(1) / 2) as u16;
        Self { thresholds, rates, rate, step_bits, mask, slack: SLACK }
    }

    /// Whether u has more bits than a word h, so that blocks need random tails.
    pub(super) fn long(&self) -> bool {
        self.step_bits > H_BITS
    }

    /// Draws z for the candidates of a block and decides on them.
    pub(super) fn decide(&self, isa: Isa, block: &[u8; BLOCK], z: &mut [u16; LANES]) -> Decided {
        match isa.min(Isa::best()) {
            // SAFETY: `best` returns an instruction set only if the CPU has it.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::decide(self, block, z) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::decide(self, block, z) },
            _ => portable::decide(self, block, z),
        }
    }

    /// Moves the values of the candidates of `kept` that are not −0 to the front of `out`, in order, and tells how many they are. What
    /// follows them in `out` means nothing.
    pub(super) fn values(
        &self,
        isa: Isa,
        block: &[u8; BLOCK],
        tails: &Tails,
        z: &[u16; LANES],
        kept: u64,
        out: &mut [i64; LANES],
    ) -> usize {
        match isa.min(Isa::best()) {
            // SAFETY: `best` returns an instruction set only if the CPU has it.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::values(self, block, tails, z, kept, out) },
            _ => portable::values(self, block, tails, z, kept, out),
        }
    }

    /// The same stage with another bound on its error, which must be at least [`SLACK`].
    #[cfg(test)]
    pub(super) fn with_slack(&self, slack: u16) -> Self {
        assert!(slack >= SLACK);
        Self { slack, ..self.clone() }
    }
}

/// The random words of one candidate.
#[derive(Clone, Copy)]
pub(super) struct Words {
    /// The first 16 bits of the real that z is drawn with.
    pub(super) table: u16,
    /// The first 16 bits of the real that is compared with e^{−γ}.
    pub(super) accept: u16,
    /// [`U_BITS`] bits, of which u is the first.
    pub(super) u: u64,
    pub(super) negative: bool,
}

/// The words of candidate `lane` of a block.
#[inline]
pub(super) fn words(block: &[u8; BLOCK], tails: &Tails, lane: usize) -> Words {
    let short = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
    let at = 4 * LANES + 4 * lane;
    let h = u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    Words {
        table: short(2 * lane),
        accept: short(2 * LANES + 2 * lane),
        u: u64::from(h >> 1) << (U_BITS - H_BITS) | u64::from(tails[lane]),
        negative: h & 1 == 1,
    }
}
