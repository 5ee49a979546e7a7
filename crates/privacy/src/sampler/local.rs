//! Randomness of one party's noise: its own, from the operating system, and fast.
//!
//! A training draws noise for every coordinate in every step, some ten bytes each. The generator of the masks makes them at several
//! gigabytes a second; here its key comes from the operating system and is known to nobody else. ChaCha with 12 rounds: the best
//! published attack reaches 7 (Aumasson, "Too Much Crypto", 2019).

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use tercet_share::kernel::chacha;
use zeroize::{Zeroize, Zeroizing};

use crate::error::PrivacyError;

/// Words made at once: they stay in the first-level cache.
const WORDS: usize = 1024;
/// Bytes of one key stream.
pub(super) const STREAM: usize = 8 * WORDS;

/// ChaCha12 with a secret key, one stream for every buffer. Wiped when dropped; a word that was given out is not kept.
///
/// Noise must never come from a seed that a peer knows: there is no way to seed it.
pub struct LocalRng {
    key: Zeroizing<[u8; 32]>,
    stream: u64,
    words: Zeroizing<Vec<u64>>,
    used: usize,
}

impl LocalRng {
    /// A generator with a fresh key of 32 bytes from the operating system.
    ///
    /// # Errors
    /// The operating system gave no randomness.
    pub fn new() -> Result<LocalRng, PrivacyError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|error| PrivacyError::OsRandomness(error.to_string()))?;
        Ok(LocalRng { key, stream: 0, words: Zeroizing::new(vec![0; WORDS]), used: WORDS })
    }

    /// Up to `most` words that were not given out yet, at least one.
    fn ready(&mut self, most: usize) -> &mut [u64] {
        if self.used == WORDS {
            chacha::key_stream(&self.key, self.stream, &mut self.words);
            // 2^64 streams of 8 KiB do not run out.
            self.stream += 1;
            self.used = 0;
        }
        let first = self.used;
        self.used = WORDS.min(first + most);
        &mut self.words[first..self.used]
    }

    fn next(&mut self) -> u64 {
        std::mem::take(&mut self.ready(1)[0])
    }
}

impl TryRng for LocalRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        // Whole streams go where they are used. What is buffered stays for shorter requests.
        let (whole, rest) = out.as_chunks_mut::<STREAM>();
        for out in whole {
            chacha::key_stream_bytes(&self.key, self.stream, out);
            self.stream += 1;
        }
        let (mut chunks, rest) = rest.as_chunks_mut::<8>();
        while !chunks.is_empty() {
            let words = self.ready(chunks.len());
            let (now, later) = chunks.split_at_mut(words.len());
            for (bytes, word) in now.iter_mut().zip(words.iter()) {
                *bytes = word.to_le_bytes();
            }
            words.fill(0);
            chunks = later;
        }
        if !rest.is_empty() {
            let mut word = self.next().to_le_bytes();
            rest.copy_from_slice(&word[..rest.len()]);
            word.zeroize();
        }
        Ok(())
    }
}

impl TryCryptoRng for LocalRng {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn words_are_those_of_successive_streams_and_none_is_kept() {
        let mut rng = LocalRng::new().unwrap();
        let mut streams = vec![vec![0; WORDS]; 6];
        for (stream, words) in (0..).zip(&mut streams) {
            chacha::key_stream(&rng.key, stream, words);
        }
        let bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        // Short requests share a stream.
        let mut short = [0; 80];
        rng.fill_bytes(&mut short);
        assert_eq!(short[..], bytes(&streams[0][..10]));
        assert_eq!(rng.next_u64(), streams[0][10]);
        let mut odd = [0; 11];
        rng.fill_bytes(&mut odd);
        assert_eq!(odd[..], bytes(&streams[0][11..13])[..11]);
        // Whole streams have numbers of their own, and the buffered one goes on after them, wherever the bytes lie.
        for (at, first) in [(0, 1), (1, 3)] {
            let mut long = vec![0; at + 2 * STREAM + 8];
            rng.fill_bytes(&mut long[at..]);
            assert_eq!(long[at..][..STREAM], bytes(&streams[first]));
            assert_eq!(long[at + STREAM..][..STREAM], bytes(&streams[first + 1]));
            assert_eq!(long[at + 2 * STREAM..], bytes(&streams[0][13 + at..14 + at]));
        }
        assert!(rng.words[..rng.used].iter().all(|word| *word == 0));
        // The next short requests use up the buffered stream and begin a new one.
        let mut rest = vec![0; 8 * (WORDS - 15)];
        rng.fill_bytes(&mut rest);
        assert_eq!(rest, bytes(&streams[0][15..]));
        assert_eq!(rng.next_u64(), streams[5][0]);
    }

    #[test]
    fn two_generators_have_nothing_in_common() {
        let [mut a, mut b] = [LocalRng::new().unwrap(), LocalRng::new().unwrap()];
        assert!((0..100).all(|_| a.next_u64() != b.next_u64()));
    }
}
