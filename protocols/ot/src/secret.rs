//! A vector of secret values, and fresh randomness for them.

use crate::error::OtError;
use rand_core::{Rng, TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::fmt;
use std::ops::{Deref, DerefMut};
use tercet_share::{PairKey, PairPrg};
use zeroize::{Zeroize, Zeroizing};

/// Secret values of one kind. Wiped on drop; shows its length only; has no `==`.
pub struct Secret<T: Zeroize>(Vec<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes ownership of `values`, to wipe them later.
    pub fn new(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T: Zeroize + Clone + Default> Secret<T> {
    /// `count` zero values, to be filled.
    pub fn zeros(count: usize) -> Self {
        Self(vec![T::default(); count])
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> Deref for Secret<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Zeroize> DerefMut for Secret<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

/// Words that a [`LocalRng`] makes at a time.
const WORDS: usize = 1 << 9;

/// A generator for local secrets, such as Δ and the scalars of the base transfers. Its state would give them all again: the key
/// is wiped on drop, a word when it is given out.
pub struct LocalRng {
    prg: PairPrg,
    stream: u64,
    words: Zeroizing<Vec<u64>>,
    used: usize,
}

impl LocalRng {
    fn next(&mut self) -> u64 {
        if self.used == WORDS {
            let stream =
                self.prg.stream(self.stream, 0).expect("2^44 streams of 4 KiB do not run out, and rise");
            self.words = Zeroizing::new(stream.elements(WORDS, 64));
            self.stream += 1;
            self.used = 0;
        }
        self.used += 1;
        std::mem::take(&mut self.words[self.used - 1])
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
        for out in out.chunks_mut(8) {
            let word = Zeroizing::new(self.next().to_le_bytes());
            out.copy_from_slice(&word[..out.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for LocalRng {}

/// A generator for local secrets, with a key from the operating system.
///
/// # Errors
/// [`OtError::NoRandomness`] if the operating system has none.
pub fn fresh_rng() -> Result<LocalRng, OtError> {
    Ok(LocalRng { prg: fresh_prg()?, stream: 0, words: Zeroizing::default(), used: WORDS })
}

/// Streams under a key from the operating system, which nobody else knows.
pub(crate) fn fresh_prg() -> Result<PairPrg, OtError> {
    let mut key = Zeroizing::new([0u8; 32]);
    getrandom::fill(&mut *key).map_err(|_| OtError::NoRandomness)?;
    Ok(PairPrg::new(PairKey::from_bytes(*key)))
}

/// `count` uniform words.
pub(crate) fn random_words(count: usize, rng: &mut impl Rng) -> Secret<u64> {
    Secret::new((0..count).map(|_| rng.next_u64()).collect())
}

/// One uniform 128-bit value.
pub(crate) fn random_u128(rng: &mut impl Rng) -> u128 {
    u128::from(rng.next_u64()) | (u128::from(rng.next_u64()) << 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn local_secrets_repeat_neither_within_a_generator_nor_in_another() {
        let mut seen = HashSet::new();
        for _ in 0..2 {
            let mut rng = fresh_rng().unwrap();
            for _ in 0..2 * WORDS {
                assert!(seen.insert(rng.next_u64()));
                let mut bytes = [0; 13];
                rng.fill_bytes(&mut bytes);
                assert!(seen.insert(u64::from_le_bytes(bytes[..8].try_into().unwrap())));
                assert!(bytes[8..] != [0; 5]);
            }
        }
        let ones: u32 = seen.iter().map(|word| word.count_ones()).sum();
        let bits = 64.0 * seen.len() as f64;
        assert!((f64::from(ones) - bits / 2.0).abs() < 3.0 * bits.sqrt(), "{ones} of {bits}");
    }

    #[test]
    fn a_word_that_was_given_out_is_not_kept() {
        let mut rng = fresh_rng().unwrap();
        for used in 1..=WORDS {
            rng.next_u64();
            assert!(rng.words[..used].iter().all(|word| *word == 0));
        }
    }
}
