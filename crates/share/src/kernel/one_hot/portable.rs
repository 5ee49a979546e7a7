//! The comparison in plain Rust: the twin of the vector code.

use super::DigitTables;

/// See [`super::compare_digits`]; lengths have been checked. The digits are public, so table indices may be too.
pub(super) fn compare(
    values: &[u64],
    shift: u32,
    width: u32,
    shares: &[u16],
    tables: &DigitTables,
    less: &mut [u64],
    equal: &mut [u64],
) {
    let mask = (1u64 << width) - 1;
    let blocks = values.chunks(64).zip(shares.chunks(64));
    for ((values, shares), (less, equal)) in blocks.zip(less.iter_mut().zip(equal)) {
        (*less, *equal) = (0, 0);
        for (i, (value, share)) in values.iter().zip(shares).enumerate() {
            let digit = (value >> shift & mask) as usize;
            *less |= u64::from((share & tables.less[digit]).count_ones() & 1) << i;
            *equal |= u64::from((share & tables.equal[digit]).count_ones() & 1) << i;
        }
    }
}

/// See [`super::one_hot`]; lengths have been checked. A shift takes constant time, so the digits may be secret.
pub(super) fn one_hot(values: &[u64], shift: u32, width: u32, out: &mut [u16]) {
    let mask = (1u64 << width) - 1;
    for (o, value) in out.iter_mut().zip(values) {
        *o = 1 << (value >> shift & mask);
    }
}
