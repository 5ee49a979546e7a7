//! The ChaCha12 key stream, many blocks at a time.
//!
//! Masks are the largest part of what a party computes outside of matrix products. The stream is that of `rand_chacha` (Bernstein's layout:
//! 64-bit block counter, 64-bit stream number); `rand_chacha` itself is the portable version, and the vector version must
//! give the same bytes.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx512;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroize;

use super::{Isa, packing};

/// Fills `out` with the key stream of (`key`, `stream`) from its beginning, as little-endian words.
pub fn key_stream(key: &[u8; 32], stream: u64, out: &mut [u64]) {
    key_stream_on(Isa::best(), key, stream, out);
}

/// [`key_stream`] on a given instruction set.
pub fn key_stream_on(isa: Isa, key: &[u8; 32], stream: u64, out: &mut [u64]) {
    match isa.supported() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => {
            let (whole, rest) = out.split_at_mut(out.len() - out.len() % avx512::WORDS);
            // SAFETY: `supported` returns Avx512 only on a CPU that has it, and `whole` is a multiple of WORDS long.
            unsafe { avx512::blocks(key, stream, 0, whole) };
            if !rest.is_empty() {
                let mut last = [0u64; avx512::WORDS];
                let counter = (whole.len() / avx512::WORDS * avx512::BLOCKS) as u64;
                // SAFETY: as above; `last` is WORDS long.
                unsafe { avx512::blocks(key, stream, counter, &mut last) };
                rest.copy_from_slice(&last[..rest.len()]);
                last.zeroize();
            }
        }
        _ => portable(key, stream, out),
    }
}

/// [`key_stream`] as bytes. Fastest where `out` starts at a multiple of 8 bytes.
pub fn key_stream_bytes(key: &[u8; 32], stream: u64, out: &mut [u8]) {
    // SAFETY: any bytes are valid words and the other way round.
    let (before, words, after) = unsafe { out.align_to_mut::<u64>() };
    if before.is_empty() && after.is_empty() && cfg!(target_endian = "little") {
        key_stream(key, stream, words);
    } else {
        let mut rng = ChaCha12Rng::from_seed(*key);
        rng.set_stream(stream);
        rng.fill_bytes(out);
    }
}

/// Elements that are cut from one piece of key stream: 64·width words, which stay in the first-level cache.
const PIECE: usize = 4096;

/// Elements of a stream that is one piece on a small stack.
#[cfg(target_arch = "x86_64")]
const SHORT_PIECE: usize = 384;

/// Cuts the key stream of (`key`, `stream`) into elements of `width` bits (1 to 64): a bit stream as [`packing`] has it. Nothing of
/// the stream is left out, for making it costs more than cutting it.
pub fn key_stream_elements(key: &[u8; 32], stream: u64, width: u32, out: &mut [u64]) {
    key_stream_elements_on(Isa::best(), key, stream, width, out);
}

/// [`key_stream_elements`] on a given instruction set.
pub fn key_stream_elements_on(isa: Isa, key: &[u8; 32], stream: u64, width: u32, out: &mut [u64]) {
    assert!((1..=64).contains(&width), "an element has 1 to 64 bits");
    match isa.supported() {
        // Most streams are short, and what is put on the stack is cleared and wiped.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if out.len() <= SHORT_PIECE => {
            cut_avx512(&mut [0u64; SHORT_PIECE + avx512::WORDS], key, stream, width, out);
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => cut_avx512(&mut [0u64; PIECE + avx512::WORDS], key, stream, width, out),
        isa => {
            let mut rng = ChaCha12Rng::from_seed(*key);
            rng.set_stream(stream);
            let mut piece = [0u8; 8 * PIECE];
            for out in out.chunks_mut(PIECE) {
                let bytes = &mut piece[..packing::packed_len(out.len(), width)];
                rng.fill_bytes(bytes);
                packing::cut(isa, bytes, width, out);
            }
            piece.zeroize();
        }
    }
}

/// Cuts the stream piece by piece; `piece` has [`avx512::WORDS`] words more than elements are cut at once, at most [`PIECE`].
///
/// The CPU must have AVX-512.
#[cfg(target_arch = "x86_64")]
fn cut_avx512(piece: &mut [u64], key: &[u8; 32], stream: u64, width: u32, out: &mut [u64]) {
    let isa = Isa::Avx512.supported();
    assert_eq!(isa, Isa::Avx512, "the caller has looked");
    let elements = piece.len() - avx512::WORDS;
    for (i, out) in out.chunks_mut(elements).enumerate() {
        let words = (out.len() * width as usize).div_ceil(64).next_multiple_of(avx512::WORDS);
        let counter = (i * elements * width as usize / 512) as u64;
        // SAFETY: this CPU has AVX-512, and `words` is a multiple of WORDS.
        unsafe { avx512::blocks(key, stream, counter, &mut piece[..words]) };
        // SAFETY: any bytes are a valid `[u8]`, and the length is that of `words` words. This CPU is little-endian.
        let bytes = unsafe { std::slice::from_raw_parts(piece.as_ptr().cast::<u8>(), 8 * words) };
        packing::cut(isa, &bytes[..packing::packed_len(out.len(), width)], width, out);
    }
    piece.zeroize();
}

fn portable(key: &[u8; 32], stream: u64, out: &mut [u64]) {
    let mut rng = ChaCha12Rng::from_seed(*key);
    rng.set_stream(stream);
    // Through a buffer that stays in the first-level cache: `fill_bytes` is the generator's vectorised path.
    let mut block = [0u8; 4096];
    for chunk in out.chunks_mut(512) {
        let bytes = &mut block[..chunk.len() * 8];
        rng.fill_bytes(bytes);
        for (word, b) in chunk.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*b);
        }
    }
    block.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_the_bits_of_the_stream_one_after_the_other() {
        let key: [u8; 32] = std::array::from_fn(|i| (i * 11 + 5) as u8);
        for width in [1u32, 2, 7, 8, 13, 16, 17, 31, 32, 33, 34, 44, 52, 63, 64] {
            for n in [0usize, 1, 3, 8, 9, 100, 384, 385, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 77] {
                let mut stream = vec![0u64; n + 1];
                portable(&key, 9, &mut stream);
                let bit = |at: usize| stream[at / 64] >> (at % 64) & 1;
                let width_of = width as usize;
                let want: Vec<u64> =
                    (0..n).map(|i| (0..width_of).map(|j| bit(i * width_of + j) << j).sum()).collect();
                for isa in Isa::available() {
                    let mut out = vec![u64::MAX; n];
                    key_stream_elements_on(isa, &key, 9, width, &mut out);
                    assert!(out == want, "{isa:?}, {n} of {width} bits");
                }
            }
        }
    }

    #[test]
    fn bytes_are_those_of_the_words_wherever_they_lie() {
        let key: [u8; 32] = std::array::from_fn(|i| (i * 5 + 3) as u8);
        for len in [0usize, 1, 7, 8, 1024, 1032, 4100] {
            let mut words = vec![0u64; len.div_ceil(8)];
            portable(&key, 5, &mut words);
            let want: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).take(len).collect();
            for at in 0..8 {
                let mut out = vec![0xa5; at + len + 1];
                key_stream_bytes(&key, 5, &mut out[at..at + len]);
                assert!(out[at..at + len] == want && out[at + len] == 0xa5, "{len} bytes from {at}");
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_stream_of_rand_chacha() {
        let key: [u8; 32] = std::array::from_fn(|i| (i * 37 + 11) as u8);
        for stream in [0u64, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            for len in [0usize, 1, 7, 8, 127, 128, 129, 255, 256, 300, 1000, 4096] {
                let mut want = vec![0u64; len];
                portable(&key, stream, &mut want);
                for isa in Isa::available() {
                    let mut out = vec![0u64; len];
                    key_stream_on(isa, &key, stream, &mut out);
                    assert_eq!(out, want, "{isa:?}, stream {stream}, {len} words");
                }
            }
        }
    }
}
