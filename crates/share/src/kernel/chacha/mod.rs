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

use super::Isa;

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
