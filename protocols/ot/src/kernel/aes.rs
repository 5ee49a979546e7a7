//! AES-128 in the three shapes that this crate needs: many seeds expanded by counter, tree nodes doubled, rows hashed
//! under one public key. A VAES version for AVX-512 machines; everywhere else the `aes` crate, which picks AES-NI,
//! ARMv8 or constant-time software.
//!
//! The `aes` crate alone has VAES too, but broadcasts the round keys anew for every 64 blocks and has no key schedule
//! for several keys at once; for seeds that give 1 KiB each that is half the time.

mod portable;
#[cfg(target_arch = "x86_64")]
mod vaes;

use super::fold::Lane;
use crate::secret::Secret;
use aes::Aes128Enc;

/// Blocks of a lane.
pub(crate) const LANE_BLOCKS: usize = 4;

/// The eleven round keys of AES-128.
#[cfg(target_arch = "x86_64")]
type RoundKeys = [u128; 11];

/// Seeds ready to be expanded: each is an endless stream of 128-bit blocks AES_seed(0), AES_seed(1), …
pub(crate) struct Streams(Inner);

enum Inner {
    #[cfg(target_arch = "x86_64")]
    Vaes(vaes::Vaes, Secret<RoundKeys>),
    Portable(Vec<Aes128Enc>),
}

impl Streams {
    /// Keys the streams of `seeds`.
    pub(crate) fn new(seeds: &[u128]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(vaes) = vaes::Vaes::detect() {
            let mut keys = Secret::zeros(seeds.len());
            vaes.expand_keys(seeds, &mut keys);
            return Self(Inner::Vaes(vaes, keys));
        }
        Self(Inner::Portable(portable::expand_keys(seeds)))
    }

    /// Keys the streams of as many other seeds, in the same memory.
    pub(crate) fn rekey(&mut self, seeds: &[u128]) {
        match &mut self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Vaes(vaes, keys) if keys.len() == seeds.len() => vaes.expand_keys(seeds, keys),
            _ => *self = Self::new(seeds),
        }
    }

    /// Number of streams.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Vaes(_, keys) => keys.len(),
            Inner::Portable(ciphers) => ciphers.len(),
        }
    }

    /// Writes `lanes` lanes of each stream from number `stream` on, starting at block `first`, one stream after the
    /// other, as many as `out` holds.
    pub(crate) fn fill(&self, stream: usize, first: u64, lanes: usize, out: &mut [Lane]) {
        let streams = stream..stream + out.len() / lanes;
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Vaes(vaes, keys) => vaes.fill(&keys[streams], first, lanes, out),
            Inner::Portable(ciphers) => portable::fill(&ciphers[streams], first, lanes, out),
        }
    }
}

/// Replaces the first half of `nodes` by left children and the second half by right children of the first half.
pub(crate) fn double(nodes: &mut [u128]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(vaes) = vaes::Vaes::detect() {
        vaes.double(nodes);
        return;
    }
    portable::double(nodes);
}

/// TMMO under one public key: H(i, x) = π(π(x) ⊕ i) ⊕ π(x).
pub(crate) struct Tmmo(TmmoKey);

enum TmmoKey {
    #[cfg(target_arch = "x86_64")]
    Vaes(vaes::Vaes, RoundKeys),
    Portable(Aes128Enc),
}

impl Tmmo {
    pub(crate) fn new(key: u128) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(vaes) = vaes::Vaes::detect() {
            let mut keys = [[0; 11]];
            vaes.expand_keys(&[key], &mut keys);
            return Self(TmmoKey::Vaes(vaes, keys[0]));
        }
        Self(TmmoKey::Portable(portable::cipher(key)))
    }

    /// out[i] = H(first + i, rows[i] ⊕ offset).
    pub(crate) fn hash(&self, first: u64, rows: &[u128], offset: u128, out: &mut [u128]) {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            TmmoKey::Vaes(vaes, keys) => vaes.hash(keys, first, rows, offset, out),
            TmmoKey::Portable(cipher) => portable::hash(cipher, first, rows, offset, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::{Array, BlockCipherEncrypt};
    use proptest::prelude::*;

    /// One block of AES, the definition of everything here.
    fn aes(key: u128, block: u128) -> u128 {
        let mut block = Array(block.to_le_bytes());
        portable::cipher(key).encrypt_block(&mut block);
        u128::from_le_bytes(block.0)
    }

    fn portable_streams(seeds: &[u128]) -> Streams {
        Streams(Inner::Portable(portable::expand_keys(seeds)))
    }

    #[test]
    fn the_cipher_is_aes_128() {
        // FIPS 197, appendix B.
        let key = u128::from_be_bytes(*b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c")
            .swap_bytes();
        let plain = 0x3243f6a8885a308d313198a2e0370734u128.swap_bytes();
        assert_eq!(aes(key, plain), 0x3925841d02dc09fbdc118597196a0b32u128.swap_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn streams_are_aes_in_counter_mode(
            seeds in proptest::collection::vec(any::<u128>(), 1..20),
            first in 0..u64::MAX / 2,
            lanes in 1usize..20,
            skip in 0usize..19,
        ) {
            let skip = skip.min(seeds.len() - 1);
            for streams in [portable_streams(&seeds), Streams::new(&seeds)] {
                let mut out = vec![[0; 8]; (seeds.len() - skip) * lanes];
                streams.fill(skip, first, lanes, &mut out);
                for (i, lane) in out.iter().enumerate() {
                    for block in 0..4 {
                        let number = first + (i % lanes * 4 + block) as u64;
                        let expected = aes(seeds[skip + i / lanes], number.into());
                        let got = u128::from(lane[2 * block]) | u128::from(lane[2 * block + 1]) << 64;
                        prop_assert_eq!(got, expected);
                    }
                }
            }
        }

        #[test]
        fn rekeyed_streams_are_those_of_the_new_seeds(
            old in proptest::collection::vec(any::<u128>(), 1..9),
            new in proptest::collection::vec(any::<u128>(), 1..9),
        ) {
            let mut streams = Streams::new(&old);
            streams.rekey(&new);
            prop_assert_eq!(streams.len(), new.len());
            let mut out = vec![[0; 8]; new.len()];
            streams.fill(0, 0, 1, &mut out);
            for (lane, seed) in out.iter().zip(&new) {
                prop_assert_eq!(u128::from(lane[0]) | u128::from(lane[1]) << 64, aes(*seed, 0));
            }
        }

        #[test]
        fn children_are_the_first_two_blocks_of_their_node(
            level in 0u32..7,
            nodes in proptest::collection::vec(any::<u128>(), 128),
        ) {
            let half = 1 << level;
            let mut fast = nodes[..2 * half].to_vec();
            let mut plain = fast.clone();
            double(&mut fast);
            portable::double(&mut plain);
            for i in 0..half {
                prop_assert_eq!(fast[i], aes(nodes[i], 0));
                prop_assert_eq!(fast[i + half], aes(nodes[i], 1));
            }
            prop_assert_eq!(fast, plain);
        }

        #[test]
        fn the_hash_is_tmmo(
            key in any::<u128>(),
            first in 0..u64::MAX / 2,
            offset in any::<u128>(),
            rows in proptest::collection::vec(any::<u128>(), 0..200),
        ) {
            for hash in [Tmmo(TmmoKey::Portable(portable::cipher(key))), Tmmo::new(key)] {
                let mut out = vec![0; rows.len()];
                hash.hash(first, &rows, offset, &mut out);
                for (i, (row, out)) in rows.iter().zip(&out).enumerate() {
                    let inner = aes(key, row ^ offset);
                    prop_assert_eq!(*out, aes(key, inner ^ u128::from(first + i as u64)) ^ inner);
                }
            }
        }
    }
}
