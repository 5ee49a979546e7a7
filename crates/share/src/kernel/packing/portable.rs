//! Bit packing a word at a time: the twin of the vector code.

use super::put;
use crate::kernel::elementwise::low_mask;

/// Packs `(x >> shift) mod 2^width` into exactly as many bytes as that takes.
pub(super) fn pack(src: &[u64], shift: u32, width: u32, out: &mut [u8]) {
    match width {
        8 => out.iter_mut().zip(src).for_each(|(o, x)| *o = (x >> shift) as u8),
        16 => out
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(src)
            .for_each(|(o, x)| *o = ((x >> shift) as u16).to_le_bytes()),
        32 => out
            .as_chunks_mut()
            .0
            .iter_mut()
            .zip(src)
            .for_each(|(o, x)| *o = ((x >> shift) as u32).to_le_bytes()),
        64 => out.as_chunks_mut().0.iter_mut().zip(src).for_each(|(o, x)| *o = (x >> shift).to_le_bytes()),
        _ => pack_any(src, shift, width, out),
    }
}

fn pack_any(src: &[u64], shift: u32, width: u32, out: &mut [u8]) {
    let mask = low_mask(width);
    let (words, rest) = out.as_chunks_mut::<8>();
    let mut words = words.iter_mut();
    // The bits not yet written, and how many: always fewer than 64.
    let (mut pending, mut filled) = (0u64, 0u32);
    for x in src {
        let x = x >> shift & mask;
        pending |= x << filled;
        filled += width;
        if filled >= 64 {
            if let Some(word) = words.next() {
                *word = pending.to_le_bytes();
            }
            filled -= 64;
            // The bits of x that did not fit; width - filled is 64 only if width is, which has its own path.
            pending = x >> (width - filled);
        }
    }
    // Up to 63 bits are left, which may still need a whole word.
    let tail = words.next().map_or(rest, |word| word);
    tail.copy_from_slice(&pending.to_le_bytes()[..tail.len()]);
}

/// Unpacks `out.len()` elements from a stream whose length has been checked.
pub(super) fn unpack<const ADD: bool>(bytes: &[u8], width: u32, out: &mut [u64]) {
    match width {
        8 => out.iter_mut().zip(bytes).for_each(|(o, x)| put::<ADD>(o, u64::from(*x), 8)),
        16 => {
            let words = bytes.as_chunks().0;
            out.iter_mut().zip(words).for_each(|(o, x)| put::<ADD>(o, u64::from(u16::from_le_bytes(*x)), 16));
        }
        32 => {
            let words = bytes.as_chunks().0;
            out.iter_mut().zip(words).for_each(|(o, x)| put::<ADD>(o, u64::from(u32::from_le_bytes(*x)), 32));
        }
        64 => {
            let words = bytes.as_chunks().0;
            out.iter_mut().zip(words).for_each(|(o, x)| put::<ADD>(o, u64::from_le_bytes(*x), 64));
        }
        _ => unpack_any::<ADD>(bytes, width, out),
    }
}

fn unpack_any<const ADD: bool>(bytes: &[u8], width: u32, out: &mut [u64]) {
    let mask = low_mask(width);
    let width_bits = width as usize;
    // An element spans at most 9 bytes. The last ones are read from a copy with zeros behind it.
    let safe = bytes.len().saturating_sub(9) * 8 / width_bits;
    let safe = safe.min(out.len());
    let (head, tail) = out.split_at_mut(safe);
    let element = |bytes: &[u8], bit: usize| {
        let at: &[u8; 9] = bytes[bit / 8..].first_chunk().expect("nine bytes are left: see `safe`");
        let low = u64::from_le_bytes(*at.first_chunk().expect("nine bytes hold eight")) >> (bit % 8);
        let high = u64::from(at[8]) << 1 << (63 - bit % 8);
        (low | high) & mask
    };
    for (i, o) in head.iter_mut().enumerate() {
        put::<ADD>(o, element(bytes, i * width_bits), width);
    }
    let mut bit = safe * width_bits;
    for o in tail {
        let mut window = [0; 9];
        let left = &bytes[(bit / 8).min(bytes.len())..];
        let n = left.len().min(9);
        window[..n].copy_from_slice(&left[..n]);
        put::<ADD>(o, element(&window, bit % 8), width);
        bit += width_bits;
    }
}
