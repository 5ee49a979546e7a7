//! Bit packing in AVX-512, eight elements and `width` bytes at a time.
//!
//! An element is shifted left by the bit offset of its first byte, so that its bytes agree with the bytes of the
//! stream, and byte permutations move them there. A byte of the stream holds bits of at most two elements if
//! `width >= 8`, so two permutations and an OR pack a group. Narrower elements fit a byte each: PEXT closes the gaps.
//! Unpacking gathers the bytes that an element spans and shifts right.
#![allow(unsafe_code)]

use super::put;
use crate::kernel::elementwise::low_mask;
use std::arch::x86_64::*;

/// Byte and bit positions of eight elements in `width` bytes.
struct Group {
    width: usize,
    /// Bit offset of each element in its first byte.
    phase: [u64; 8],
    /// First byte of each element.
    first: [usize; 8],
}

impl Group {
    fn new(width: u32) -> Self {
        let width = width as usize;
        Self {
            width,
            phase: std::array::from_fn(|e| (e * width % 8) as u64),
            first: std::array::from_fn(|e| e * width / 8),
        }
    }

    /// For each byte of the stream, the byte of the element that starts it (second table: the element's bits beyond
    /// 64), and the first byte of the element that ends it, where that is another one.
    fn packing_tables(&self) -> ([u8; 64], [u8; 64], u64) {
        let (mut starts, mut ends, mut shared) = ([0; 64], [0; 64], 0u64);
        for j in 0..self.width.min(64) {
            let e = 8 * j / self.width;
            let t = j - self.first[e];
            starts[j] = if t < 8 { e * 8 + t } else { 64 + e * 8 } as u8;
            let e2 = (8 * j + 7) / self.width;
            if e2 != e {
                ends[j] = (e2 * 8) as u8;
                shared |= 1 << j;
            }
        }
        (starts, ends, shared)
    }

    /// For each element, the eight bytes from its first on, and in the second table the ninth as the lowest byte.
    fn unpacking_tables(&self) -> ([u8; 64], [u8; 64]) {
        let (mut low, mut ninth) = ([0; 64], [0; 64]);
        for e in 0..8 {
            for t in 0..8 {
                // Bytes beyond the group only reach bits above the width, which are masked off.
                low[8 * e + t] = (self.first[e] + t).min(63) as u8;
            }
            ninth[8 * e] = (self.first[e] + 8).min(63) as u8;
        }
        (low, ninth)
    }
}

/// Packs `(x >> shift) mod 2^width`, `width` below 64, into exactly as many bytes as that takes.
///
/// The caller has checked that the CPU has AVX-512 (see `Isa::supported`).
pub(super) fn pack(src: &[u64], shift: u32, width: u32, out: &mut [u8]) {
    assert!(width < 64 && out.len() == super::packed_len(src.len(), width), "packing: wrong output length");
    // SAFETY: the CPU has the features (only called for `Isa::Avx512`), and the assert is the functions' condition.
    unsafe {
        match width {
            0..8 => pack_narrow(src, shift, width, out),
            _ => pack_wide(src, shift, width, out),
        }
    }
}

/// # Safety
/// The CPU has the features and `out` has exactly the packed length.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2")]
unsafe fn pack_wide(src: &[u64], shift: u32, width: u32, out: &mut [u8]) {
    let group = Group::new(width);
    let (starts, ends, shared) = group.packing_tables();
    let load = |table: &[u8; 64]| {
        // SAFETY: the table has 64 bytes.
        unsafe { _mm512_loadu_epi8(table.as_ptr().cast()) }
    };
    let (starts, ends) = (load(&starts), load(&ends));
    // SAFETY: eight elements.
    let phase = unsafe { _mm512_loadu_epi64(group.phase.as_ptr().cast()) };
    let back = _mm512_sub_epi64(_mm512_set1_epi64(64), phase);
    let mask = _mm512_set1_epi64(low_mask(width) as i64);
    let count = _mm_cvtsi32_si128(shift as i32);
    let convert = |x: __m512i| {
        let x = _mm512_and_si512(_mm512_srl_epi64(x, count), mask);
        let aligned = _mm512_sllv_epi64(x, phase);
        // A shift by 64 gives zero.
        let beyond = _mm512_srlv_epi64(x, back);
        let first = _mm512_permutex2var_epi8(aligned, starts, beyond);
        _mm512_or_si512(first, _mm512_maskz_permutexvar_epi8(shared, ends, aligned))
    };
    let width = width as usize;
    let total = out.len();
    let out = out.as_mut_ptr();
    let mut at = 0;
    for chunk in src.chunks(8) {
        let lanes = 0xff_u8 >> (8 - chunk.len());
        // SAFETY: the mask covers the elements of the chunk. The store writes 64 bytes if so many are left in the
        // output (the excess is overwritten by the next group), otherwise exactly those that are left.
        unsafe {
            let bytes = convert(_mm512_maskz_loadu_epi64(lanes, chunk.as_ptr().cast()));
            let at_ptr = out.add(at).cast();
            if total - at >= 64 {
                _mm512_storeu_epi8(at_ptr, bytes);
            } else {
                _mm512_mask_storeu_epi8(at_ptr, _bzhi_u64(u64::MAX, (total - at).min(width) as u32), bytes);
            }
        }
        at += width;
    }
}

/// # Safety
/// The CPU has the features and `out` has exactly the packed length.
#[target_feature(enable = "avx512f,avx512bw,bmi2")]
unsafe fn pack_narrow(src: &[u64], shift: u32, width: u32, out: &mut [u8]) {
    let bits = u64::from(low_mask(width) as u8) * 0x0101_0101_0101_0101;
    let count = _mm_cvtsi32_si128(shift as i32);
    for (chunk, out) in src.chunks(8).zip(out.chunks_mut(width as usize)) {
        let lanes = 0xff_u8 >> (8 - chunk.len());
        // SAFETY: the mask covers the elements of the chunk.
        let x = unsafe { _mm512_maskz_loadu_epi64(lanes, chunk.as_ptr().cast()) };
        let bytes = _mm_cvtsi128_si64(_mm512_cvtepi64_epi8(_mm512_srl_epi64(x, count))) as u64;
        let packed = _pext_u64(bytes, bits).to_le_bytes();
        out.copy_from_slice(&packed[..out.len()]);
    }
}

/// Unpacks `out.len()` elements of `width` below 64 bits from a stream whose length has been checked.
///
/// The caller has checked that the CPU has AVX-512 (see `Isa::supported`).
pub(super) fn unpack<const ADD: bool>(bytes: &[u8], width: u32, out: &mut [u64]) {
    assert!(width < 64 && bytes.len() == super::packed_len(out.len(), width), "packing: wrong input length");
    // SAFETY: the CPU has the features (only called for `Isa::Avx512`), and the assert is the function's condition.
    unsafe { unpack_any::<ADD>(bytes, width, out) }
}

/// # Safety
/// The CPU has the features and `bytes` has exactly the packed length.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi2")]
unsafe fn unpack_any<const ADD: bool>(bytes: &[u8], width: u32, out: &mut [u64]) {
    let group = Group::new(width);
    let (low, ninth) = group.unpacking_tables();
    let load = |table: &[u8; 64]| {
        // SAFETY: the table has 64 bytes.
        unsafe { _mm512_loadu_epi8(table.as_ptr().cast()) }
    };
    let (low, ninth) = (load(&low), load(&ninth));
    // SAFETY: eight elements.
    let phase = unsafe { _mm512_loadu_epi64(group.phase.as_ptr().cast()) };
    let back = _mm512_sub_epi64(_mm512_set1_epi64(64), phase);
    let mask = _mm512_set1_epi64(low_mask(width) as i64);
    // The lowest byte of each lane.
    let lowest = 0x0101_0101_0101_0101;
    let convert = |stream: __m512i| {
        let x = _mm512_srlv_epi64(_mm512_permutexvar_epi8(low, stream), phase);
        // A shift by 64 gives zero.
        let beyond = _mm512_sllv_epi64(_mm512_maskz_permutexvar_epi8(lowest, ninth, stream), back);
        _mm512_and_si512(_mm512_or_si512(x, beyond), mask)
    };
    let step = width as usize;
    let total = bytes.len();
    let mut at = 0;
    for chunk in out.chunks_mut(8) {
        if chunk.len() < 8 || total - at < 64 {
            // SAFETY: the mask covers the bytes that are left.
            let stream = unsafe {
                let left = _bzhi_u64(u64::MAX, (total - at).min(64) as u32);
                _mm512_maskz_loadu_epi8(left, bytes.as_ptr().add(at).cast())
            };
            let mut elements = [0u64; 8];
            // SAFETY: room for eight elements.
            unsafe { _mm512_storeu_epi64(elements.as_mut_ptr().cast(), convert(stream)) };
            for (o, x) in chunk.iter_mut().zip(elements) {
                put::<ADD>(o, x, width);
            }
        } else {
            // SAFETY: 64 bytes of the stream and eight elements of the chunk.
            unsafe {
                let mut x = convert(_mm512_loadu_epi8(bytes.as_ptr().add(at).cast()));
                if ADD {
                    let sum = _mm512_add_epi64(x, _mm512_loadu_epi64(chunk.as_ptr().cast()));
                    x = _mm512_and_si512(sum, mask);
                }
                _mm512_storeu_epi64(chunk.as_mut_ptr().cast(), x);
            }
        }
        at += step;
    }
}
