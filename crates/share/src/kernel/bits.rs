//! Packed bits: element i is bit `i % 64` of word `i / 64`; bits after the last element are zero.
//!
//! The loops are written word by word, which every instruction set vectorises. Functions panic if a slice has the
//! wrong number of words, which is an error of the calling code.
#![allow(unsafe_code)]

use super::dispatch::vectorised;
use super::packing::UnpackError;

/// Words that hold `n` packed bits.
#[inline]
pub const fn words(n: usize) -> usize {
    n.div_ceil(64)
}

/// Sets the bits after the last of `n` elements to zero.
#[inline]
pub fn clear_tail(bits: &mut [u64], n: usize) {
    has_words(bits, n);
    if !n.is_multiple_of(64) {
        bits[n / 64] &= (1 << (n % 64)) - 1;
    }
}

/// Appends `n` packed bits to `out` as `ceil(n / 8)` bytes, the lowest bit first.
pub fn to_bytes(bits: &[u64], n: usize, out: &mut Vec<u8>) {
    has_words(bits, n);
    let end = out.len() + n.div_ceil(8);
    out.reserve(bits.len() * 8);
    for word in bits {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.truncate(end);
}

/// Reads `n` packed bits from exactly `ceil(n / 8)` bytes, the lowest bit first.
///
/// Fails if the length differs or if a bit after the last element is set.
pub fn from_bytes(bytes: &[u8], n: usize, out: &mut [u64]) -> Result<(), UnpackError> {
    has_words(out, n);
    super::packing::check(bytes, 1, n)?;
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in out.iter_mut().zip(whole) {
        *word = u64::from_le_bytes(*chunk);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        out[whole.len()] = u64::from_le_bytes(last);
    }
    Ok(())
}

/// `bits = not bits`, for `n` elements.
pub fn not_assign(bits: &mut [u64], n: usize) {
    for word in bits.iter_mut() {
        *word = !*word;
    }
    clear_tail(bits, n);
}

/// Number of elements that are set.
pub fn popcount(bits: &[u64]) -> u64 {
    bits.iter().map(|word| u64::from(word.count_ones())).sum()
}

#[inline(always)]
fn has_words(bits: &[u64], n: usize) {
    assert_eq!(bits.len(), words(n), "packed bits: wrong number of words for {n} elements");
}

/// All ones where bit `i` of `word` is set, else zero. Constant time: the bits may be secret.
#[inline(always)]
fn lane(word: u64, i: usize) -> u64 {
    (word >> i & 1).wrapping_neg()
}

vectorised! {
    /// `dst = dst xor src`, word by word.
    pub fn xor_assign / xor_assign_on(dst: &mut [u64], src: &[u64]) {
        assert_eq!(dst.len(), src.len(), "packed bits: operands differ in length");
        for (d, s) in dst.iter_mut().zip(src) {
            *d ^= *s;
        }
    }

    /// `dst = dst and src`, word by word.
    pub fn and_assign / and_assign_on(dst: &mut [u64], src: &[u64]) {
        assert_eq!(dst.len(), src.len(), "packed bits: operands differ in length");
        for (d, s) in dst.iter_mut().zip(src) {
            *d &= *s;
        }
    }

    /// `dst = dst xor (a and b)`, word by word.
    pub fn xor_and / xor_and_on(dst: &mut [u64], a: &[u64], b: &[u64]) {
        assert!(dst.len() == a.len() && a.len() == b.len(), "packed bits: operands differ in length");
        for ((d, x), y) in dst.iter_mut().zip(a).zip(b) {
            *d ^= *x & *y;
        }
    }

    /// `out[i] = a[i]` where bit i is set, else `b[i]`.
    pub fn select / select_on(out: &mut [u64], bits: &[u64], a: &[u64], b: &[u64]) {
        has_words(bits, out.len());
        assert!(out.len() == a.len() && a.len() == b.len(), "packed bits: operands differ in length");
        let blocks = out.chunks_mut(64).zip(a.chunks(64)).zip(b.chunks(64));
        for (((o, a), b), word) in blocks.zip(bits) {
            for (i, ((o, x), y)) in o.iter_mut().zip(a).zip(b).enumerate() {
                *o = *y ^ ((*x ^ *y) & lane(*word, i));
            }
        }
    }

    /// `dst[i] = 0` where bit i is not set.
    pub fn keep_where / keep_where_on(dst: &mut [u64], bits: &[u64]) {
        has_words(bits, dst.len());
        for (d, word) in dst.chunks_mut(64).zip(bits) {
            for (i, d) in d.iter_mut().enumerate() {
                *d &= lane(*word, i);
            }
        }
    }

    /// `dst[i] = -dst[i]` where bit i is set.
    pub fn negate_where / negate_where_on(dst: &mut [u64], bits: &[u64]) {
        has_words(bits, dst.len());
        for (d, word) in dst.chunks_mut(64).zip(bits) {
            for (i, d) in d.iter_mut().enumerate() {
                let m = lane(*word, i);
                *d = (*d ^ m).wrapping_sub(m);
            }
        }
    }

    /// `out[i]` = bit i, as the ring element 0 or 1.
    pub fn expand / expand_on(bits: &[u64], out: &mut [u64]) {
        has_words(bits, out.len());
        for (o, word) in out.chunks_mut(64).zip(bits) {
            for (i, o) in o.iter_mut().enumerate() {
                *o = *word >> i & 1;
            }
        }
    }

    /// Bit i = bit `position` of `values[i]`; `position` must be below 64.
    pub fn compress / compress_on(values: &[u64], position: u32, out: &mut [u64]) {
        has_words(out, values.len());
        assert!(position < 64, "a ring element has bits 0 to 63");
        for (word, block) in out.iter_mut().zip(values.chunks(64)) {
            let mut w = 0;
            for (i, x) in block.iter().enumerate() {
                w |= (*x >> position & 1) << i;
            }
            *word = w;
        }
    }
}
