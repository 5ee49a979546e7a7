//! A vector of secret values, and fresh randomness for them.

use crate::error::OtError;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::fmt;
use std::ops::{Deref, DerefMut};
use zeroize::Zeroize;

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

/// A ChaCha20 generator seeded by the operating system, for local secrets.
///
/// # Errors
/// [`OtError::NoRandomness`] if the operating system has none.
pub fn fresh_rng() -> Result<ChaCha20Rng, OtError> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|_| OtError::NoRandomness)?;
    let rng = ChaCha20Rng::from_seed(seed);
    seed.zeroize();
    Ok(rng)
}

/// `count` uniform words.
pub(crate) fn random_words(count: usize, rng: &mut impl Rng) -> Secret<u64> {
    Secret::new((0..count).map(|_| rng.next_u64()).collect())
}

/// One uniform 128-bit value.
pub(crate) fn random_u128(rng: &mut impl Rng) -> u128 {
    u128::from(rng.next_u64()) | (u128::from(rng.next_u64()) << 64)
}
