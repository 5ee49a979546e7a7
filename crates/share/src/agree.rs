//! Pairwise key agreement: an ephemeral Diffie–Hellman exchange on ristretto255, bound to both identities and the session.

use curve25519_dalek::{RistrettoPoint, Scalar, ristretto::CompressedRistretto, traits::IsIdentity};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use crate::{PairKey, ShareError};

/// Bytes of a public key on the wire.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// A secret scalar for one session and its public point. Wiped on drop.
pub struct EphemeralKey {
    secret: Scalar,
    public: CompressedRistretto,
}

/// One end of a pair: who it is (its certificate fingerprint) and the public key that it sent.
#[derive(Clone, Copy)]
pub struct PairEnd {
    /// SHA-256 of the certificate.
    pub identity: [u8; 32],
    /// Ephemeral public key, compressed ristretto255.
    pub public: [u8; PUBLIC_KEY_BYTES],
}

impl EphemeralKey {
    /// A fresh key from the operating system's randomness.
    pub fn generate() -> Result<EphemeralKey, ShareError> {
        let mut wide = [0u8; 64];
        getrandom::fill(&mut wide).map_err(|_| ShareError::NoRandomness)?;
        let secret = Scalar::from_bytes_mod_order_wide(&wide);
        wide.zeroize();
        let public = RistrettoPoint::mul_base(&secret).compress();
        Ok(EphemeralKey { secret, public })
    }

    /// The public key to send.
    pub fn public(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.public.to_bytes()
    }

    /// The key shared with `theirs`, for `session`. Both ends derive the same key, whichever is `ours`.
    /// An error if the peer's point is not a canonical encoding or is the identity.
    pub fn agree(&self, ours: [u8; 32], theirs: PairEnd, session: &[u8]) -> Result<PairKey, ShareError> {
        let point = CompressedRistretto(theirs.public).decompress().ok_or(ShareError::BadPublicKey)?;
        if point.is_identity() {
            return Err(ShareError::BadPublicKey);
        }
        let mut shared = (point * self.secret).compress().to_bytes();
        let mine = PairEnd { identity: ours, public: self.public() };
        let (first, second) = if mine.identity <= theirs.identity { (mine, theirs) } else { (theirs, mine) };
        let mut info = Vec::with_capacity(128 + session.len() + 24);
        info.extend_from_slice(b"tercet pair key v1");
        for end in [first, second] {
            info.extend_from_slice(&end.identity);
            info.extend_from_slice(&end.public);
        }
        info.extend_from_slice(session);
        let mut key = [0u8; 32];
        Hkdf::<Sha256>::new(None, &shared)
            .expand(&info, &mut key)
            .expect("32 bytes is a valid HKDF-SHA-256 length");
        shared.zeroize();
        let pair = PairKey::from_bytes(key);
        key.zeroize();
        Ok(pair)
    }
}

impl Drop for EphemeralKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairPrg;

    fn draw(key: PairKey) -> Vec<u64> {
        PairPrg::new(key).stream(1, 0).unwrap().elements(4, 64)
    }

    #[test]
    fn both_ends_derive_the_same_key_and_it_depends_on_session_and_identity() {
        let (a, b) = (EphemeralKey::generate().unwrap(), EphemeralKey::generate().unwrap());
        let (ia, ib) = ([1u8; 32], [2u8; 32]);
        let end = |identity, k: &EphemeralKey| PairEnd { identity, public: k.public() };
        let one = draw(a.agree(ia, end(ib, &b), b"s1").unwrap());
        assert_eq!(one, draw(b.agree(ib, end(ia, &a), b"s1").unwrap()));
        assert_ne!(one, draw(a.agree(ia, end(ib, &b), b"s2").unwrap()));
        assert_ne!(one, draw(a.agree(ia, end([3u8; 32], &b), b"s1").unwrap()));
    }

    #[test]
    fn identity_and_non_canonical_points_are_refused() {
        let a = EphemeralKey::generate().unwrap();
        for public in [[0u8; 32], [0xff; 32]] {
            let end = PairEnd { identity: [9; 32], public };
            assert!(matches!(a.agree([1; 32], end, b"s"), Err(ShareError::BadPublicKey)));
        }
    }

    #[test]
    fn a_stream_address_is_opened_once() {
        let mut prg = PairPrg::new(PairKey::from_bytes([7; 32]));
        let first = prg.stream(3, 1).unwrap().elements(2, 64);
        assert!(matches!(prg.stream(3, 1), Err(ShareError::MaskReuse { .. })));
        assert!(matches!(prg.stream(2, 9), Err(ShareError::MaskReuse { .. })));
        assert_ne!(first, prg.stream(3, 2).unwrap().elements(2, 64));
    }
}
