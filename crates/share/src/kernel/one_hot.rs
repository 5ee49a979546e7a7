//! One-hot comparison of a public digit with a shared digit of at most four bits.
//!
//! The helper shares the one-hot vector of each digit of its mask as 16 bits. With the public digit d, each evaluator
//! XORs the entries above d (its share of "d is less") and takes the entry at d (its share of "equal"): both are
//! parities of the share AND a mask that a 16-entry table gives. Elements are packed one bit each, 64 to a word.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::{Isa, bits};

/// Masks on a one-hot share for each value of the public digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigitTables {
    /// `less[d]` selects the entries whose parity says that d is less than the shared digit.
    pub less: [u16; 16],
    /// `equal[d]` selects the entries whose parity says that d equals the shared digit.
    pub equal: [u16; 16],
}

impl DigitTables {
    /// The tables of the order on digits: entries above d, and the entry at d.
    pub const ORDER: Self = {
        let (mut less, mut equal) = ([0; 16], [0; 16]);
        let mut d = 0;
        while d < 16 {
            equal[d] = 1 << d;
            less[d] = !(equal[d] | (equal[d] - 1));
            d += 1;
        }
        Self { less, equal }
    };
}

/// Compares digit `(values[i] >> shift) mod 2^width` with the digit whose one-hot share is `shares[i]`.
///
/// Bit i of `less` and `equal` is the parity of `shares[i]` AND the table entry of the digit. `width` is 1 to 4; for
/// narrower digits the unused entries of a share must be zero. Panics if lengths do not fit.
pub fn compare_digits(
    values: &[u64],
    shift: u32,
    width: u32,
    shares: &[u16],
    tables: &DigitTables,
    less: &mut [u64],
    equal: &mut [u64],
) {
    compare_digits_on(Isa::best(), values, shift, width, shares, tables, less, equal);
}

/// [`compare_digits`] on a given instruction set.
pub fn compare_digits_on(
    isa: Isa,
    values: &[u64],
    shift: u32,
    width: u32,
    shares: &[u16],
    tables: &DigitTables,
    less: &mut [u64],
    equal: &mut [u64],
) {
    check(shift, width);
    let words = bits::words(values.len());
    assert!(
        shares.len() == values.len() && less.len() == words && equal.len() == words,
        "digit comparison: lengths differ"
    );
    match isa.supported() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::compare(values, shift, width, shares, tables, less, equal),
        _ => portable::compare(values, shift, width, shares, tables, less, equal),
    }
}

/// `out[i]` = the one-hot vector of digit `(values[i] >> shift) mod 2^width`: the bit of that number set. `width` is 1
/// to 4. Panics if lengths differ.
pub fn one_hot(values: &[u64], shift: u32, width: u32, out: &mut [u16]) {
    one_hot_on(Isa::best(), values, shift, width, out);
}

/// [`one_hot`] on a given instruction set.
pub fn one_hot_on(isa: Isa, values: &[u64], shift: u32, width: u32, out: &mut [u16]) {
    check(shift, width);
    assert_eq!(values.len(), out.len(), "one-hot: lengths differ");
    match isa.supported() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => avx512::one_hot(values, shift, width, out),
        _ => portable::one_hot(values, shift, width, out),
    }
}

fn check(shift: u32, width: u32) {
    assert!((1..=4).contains(&width) && shift < 64, "a digit has 1 to 4 bits and lies inside a ring element");
}
