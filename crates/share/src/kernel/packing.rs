//! Bit packing: the low `width` bits of each element, one after the other, as a little-endian bit stream.
//!
//! Element i takes bits `i * width..(i + 1) * width`, and bit p is bit `p % 8` of byte `p / 8`. The bits after the last
//! element are zero. Eight elements take `width` whole bytes, which is the unit of the vector code.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use super::Isa;
use super::elementwise::low_mask;

/// A bit stream that cannot be what the sender was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The stream does not have the length that the public shape asks for.
    #[error(
        "packed tensor has {got} bytes where its shape needs {expected}; the peers disagree on a shape or width"
    )]
    Length {
        /// Bytes needed.
        expected: usize,
        /// Bytes received.
        got: usize,
    },
    /// A bit after the last element is set.
    #[error(
        "packed tensor has a set bit after its last element; the sender packs it wrongly or the data is corrupt"
    )]
    Padding,
}

/// Bytes of `n` elements of `width` bits. `width` must be 1 to 64.
#[inline]
pub const fn packed_len(n: usize, width: u32) -> usize {
    assert!(width >= 1 && width <= 64, "packing width must be in 1..=64");
    // n * width does not fit in usize for n above 2^58: whole groups first.
    n / 8 * width as usize + (n % 8 * width as usize).div_ceil(8)
}

/// Appends the low `width` bits of each element to `out`. `width` must be 1 to 64.
pub fn pack(src: &[u64], width: u32, out: &mut Vec<u8>) {
    pack_on(Isa::best(), src, width, out);
}

/// [`pack`] on a given instruction set.
pub fn pack_on(isa: Isa, src: &[u64], width: u32, out: &mut Vec<u8>) {
    append(isa, src, 0, width, out);
}

/// Appends `(x mod 2^bits) >> shift` of each element, in `bits - shift` bits. `shift < bits <= 64`.
pub fn pack_shifted(src: &[u64], bits: u32, shift: u32, out: &mut Vec<u8>) {
    pack_shifted_on(Isa::best(), src, bits, shift, out);
}

/// [`pack_shifted`] on a given instruction set.
pub fn pack_shifted_on(isa: Isa, src: &[u64], bits: u32, shift: u32, out: &mut Vec<u8>) {
    assert!(shift < bits && bits <= 64, "packing needs shift < bits <= 64");
    append(isa, src, shift, bits - shift, out);
}

/// Reads `out.len()` elements of `width` bits.
///
/// Fails, leaving `out` as it was, if `bytes` is not exactly [`packed_len`] bytes long or has a bit set after the last
/// element.
pub fn unpack(bytes: &[u8], width: u32, out: &mut [u64]) -> Result<(), UnpackError> {
    unpack_on(Isa::best(), bytes, width, out)
}

/// [`unpack`] on a given instruction set.
pub fn unpack_on(isa: Isa, bytes: &[u8], width: u32, out: &mut [u64]) -> Result<(), UnpackError> {
    check(bytes, width, out.len())?;
    read::<false>(isa, bytes, width, out);
    Ok(())
}

/// `dst[i] = (dst[i] + element i) mod 2^width`: joins a received half with one's own.
///
/// Fails as [`unpack`] does.
pub fn unpack_add(bytes: &[u8], width: u32, dst: &mut [u64]) -> Result<(), UnpackError> {
    unpack_add_on(Isa::best(), bytes, width, dst)
}

/// [`unpack_add`] on a given instruction set.
pub fn unpack_add_on(isa: Isa, bytes: &[u8], width: u32, dst: &mut [u64]) -> Result<(), UnpackError> {
    check(bytes, width, dst.len())?;
    read::<true>(isa, bytes, width, dst);
    Ok(())
}

/// [`unpack`] of bits that may go on after the last element, as those of a generator do. `bytes` must be [`packed_len`] long.
pub(super) fn cut(isa: Isa, bytes: &[u8], width: u32, out: &mut [u64]) {
    assert_eq!(bytes.len(), packed_len(out.len(), width), "a bit stream is cut whole");
    read::<false>(isa, bytes, width, out);
}

/// Checks the length and the padding of a stream of `n` elements.
pub(super) fn check(bytes: &[u8], width: u32, n: usize) -> Result<(), UnpackError> {
    let expected = packed_len(n, width);
    if bytes.len() != expected {
        return Err(UnpackError::Length { expected, got: bytes.len() });
    }
    let used = n % 8 * width as usize % 8;
    match bytes.last() {
        Some(last) if used != 0 && last >> used != 0 => Err(UnpackError::Padding),
        _ => Ok(()),
    }
}

fn append(isa: Isa, src: &[u64], shift: u32, width: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + packed_len(src.len(), width), 0);
    let out = &mut out[start..];
    match (isa.supported(), width) {
        (_, 64) => portable::pack(src, shift, width, out),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, _) => avx512::pack(src, shift, width, out),
        _ => portable::pack(src, shift, width, out),
    }
}

fn read<const ADD: bool>(isa: Isa, bytes: &[u8], width: u32, out: &mut [u64]) {
    match (isa.supported(), width) {
        (_, 64) => portable::unpack::<ADD>(bytes, width, out),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, _) => avx512::unpack::<ADD>(bytes, width, out),
        _ => portable::unpack::<ADD>(bytes, width, out),
    }
}

/// Stores or adds one element.
#[inline(always)]
fn put<const ADD: bool>(dst: &mut u64, x: u64, width: u32) {
    *dst = if ADD { dst.wrapping_add(x) & low_mask(width) } else { x };
}
