//! Base oblivious transfers: Masny and Rindal, "Endemic Oblivious Transfer" (CCS 2019), on ristretto255.
//!
//! For transfer i the receiver with bit b picks a scalar a and a random element r_{1−b}, and sets
//! r_b = a·G − H_b(r_{1−b}). It sends (r_0, r_1). The sender publishes S = s·G. The key of slot c is the hash of
//! s·(r_c + H_c(r_{1−c})); the receiver knows it for c = b only, as a·S.
//!
//! One round: the two messages do not depend on each other. Bytes: receiver 32 + 64·n, sender 64.
//!
//! * *Choice bits* are hidden perfectly: r_0 and r_1 are uniform and independent whatever b is.
//! * *The other key* is hidden under computational Diffie–Hellman, H and the key hash as random oracles: the other
//!   public key is a random element plus a hash, whose discrete logarithm the receiver does not know.
//! * Difference from the paper: one S for all transfers of a run, as in the paper's remark on reuse. The key hash
//!   holds the context, the index, the slot, S, r_0, r_1, so keys of different transfers are unrelated.

use crate::error::{OtError, expect_length};
use crate::secret::Secret;
use crate::session::Context;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, Zeroizing};

const POINT: usize = 32;
const TAG: usize = 32;
const SENDER: &str = "base sender";
const RECEIVER: &str = "base receiver";

/// Bytes of the sender's message: a tag and one group element.
pub const SENDER_BYTES: usize = TAG + POINT;

/// Bytes of the receiver's message for `count` transfers: a tag and two group elements each.
pub fn receiver_bytes(count: usize) -> usize {
    TAG + 2 * POINT * count
}

/// The sender between its message and the receiver's.
pub struct BaseSender {
    context: Context,
    count: usize,
    scalar: Scalar,
    element: CompressedRistretto,
}

/// The receiver between its message and the sender's.
pub struct BaseReceiver {
    context: Context,
    choices: Secret<u8>,
    scalars: Secret<Scalar>,
    message: Vec<u8>,
}

/// What both ends agree on after a run: public, and different in every run.
pub type Transcript = [u8; 32];

impl BaseSender {
    /// Starts `count` transfers and returns the message for the receiver.
    pub fn start(context: Context, count: usize, rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let scalar = random_scalar(rng);
        let element = (RISTRETTO_BASEPOINT_TABLE * &scalar).compress();
        let message = [context.tag(SENDER, count).as_slice(), element.as_bytes()].concat();
        (Self { context, count, scalar, element }, message)
    }

    /// The key pairs, one per transfer, and the run's transcript, from the receiver's message.
    ///
    /// # Errors
    /// [`OtError`] if the message has another length or context, or holds an element that is not canonical or
    /// is the identity.
    pub fn finish(self, message: &[u8]) -> Result<(Secret<[u128; 2]>, Transcript), OtError> {
        let elements = open(&self.context, RECEIVER, message, self.count, 2 * self.count)?;
        let mut keys: Secret<[u128; 2]> = Secret::zeros(self.count);
        for (index, (pair, key)) in elements.chunks_exact(2).zip(keys.iter_mut()).enumerate() {
            let points = [decode(RECEIVER, 2 * index, &pair[0])?, decode(RECEIVER, 2 * index + 1, &pair[1])?];
            for slot in 0..2 {
                let public = points[slot] + mask(&self.context, index, slot as u8, &pair[1 - slot]);
                if public.is_identity() {
                    return Err(OtError::BadPoint {
                        what: RECEIVER,
                        index: 2 * index + slot,
                        reason: "a public key equal to the identity",
                    });
                }
                let mut shared = public * self.scalar;
                key[slot] = derive(&self.context, index, slot as u8, &self.element, pair, &shared);
                shared.zeroize();
            }
        }
        Ok((keys, transcript(&self.context, &self.element, message)))
    }
}

impl Drop for BaseSender {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl BaseReceiver {
    /// Starts one transfer for each of `choices` (each 0 or 1) and returns the message for the sender.
    pub fn start(context: Context, choices: &[u8], rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let mut message = Vec::with_capacity(receiver_bytes(choices.len()));
        message.extend_from_slice(&context.tag(RECEIVER, choices.len()));
        let mut scalars = Vec::with_capacity(choices.len());
        for (index, &choice) in choices.iter().enumerate() {
            let scalar = random_scalar(rng);
            let other = random_element(rng).compress();
            let own =
                (RISTRETTO_BASEPOINT_TABLE * &scalar - mask(&context, index, choice & 1, &other)).compress();
            let (mut first, mut second) = (own.to_bytes(), other.to_bytes());
            for (x, y) in first.iter_mut().zip(second.iter_mut()) {
                u8::conditional_swap(x, y, Choice::from(choice & 1));
            }
            message.extend_from_slice(&first);
            message.extend_from_slice(&second);
            scalars.push(scalar);
        }
        let state = Self {
            context,
            choices: Secret::new(choices.to_vec()),
            scalars: Secret::new(scalars),
            message: message.clone(),
        };
        (state, message)
    }

    /// The chosen keys, one per transfer, and the run's transcript, from the sender's message.
    ///
    /// # Errors
    /// As for [`BaseSender::finish`].
    pub fn finish(self, message: &[u8]) -> Result<(Secret<u128>, Transcript), OtError> {
        let element = open(&self.context, SENDER, message, self.choices.len(), 1)?[0];
        let point = decode(SENDER, 0, &element)?;
        let mut keys = Secret::zeros(self.choices.len());
        let own = open(&self.context, RECEIVER, &self.message, self.choices.len(), 2 * self.choices.len())?;
        for (index, pair) in own.chunks_exact(2).enumerate() {
            let mut shared = point * self.scalars[index];
            keys[index] = derive(&self.context, index, self.choices[index] & 1, &element, pair, &shared);
            shared.zeroize();
        }
        Ok((keys, transcript(&self.context, &element, &self.message)))
    }
}

fn random_scalar(rng: &mut impl CryptoRng) -> Scalar {
    let mut wide = Zeroizing::new([0u8; 64]);
    rng.fill_bytes(&mut *wide);
    Scalar::from_bytes_mod_order_wide(&wide)
}

fn random_element(rng: &mut impl CryptoRng) -> RistrettoPoint {
    let mut wide = Zeroizing::new([0u8; 64]);
    rng.fill_bytes(&mut *wide);
    RistrettoPoint::from_uniform_bytes(&wide)
}

/// Checks length and tag, and cuts a message into encodings.
fn open(
    context: &Context,
    what: &'static str,
    message: &[u8],
    count: usize,
    elements: usize,
) -> Result<Vec<CompressedRistretto>, OtError> {
    expect_length(what, message, TAG + POINT * elements)?;
    let (tag, body) = message.split_at(TAG);
    // The tag is public: an early exit tells nothing.
    if tag != context.tag(what, count) {
        return Err(OtError::WrongSession { what });
    }
    let (encodings, _) = body.as_chunks::<POINT>();
    Ok(encodings.iter().map(|bytes| CompressedRistretto(*bytes)).collect())
}

fn decode(
    what: &'static str,
    index: usize,
    encoding: &CompressedRistretto,
) -> Result<RistrettoPoint, OtError> {
    let point =
        encoding.decompress().ok_or(OtError::BadPoint { what, index, reason: "not a canonical encoding" })?;
    if point.is_identity() {
        return Err(OtError::BadPoint { what, index, reason: "the identity" });
    }
    Ok(point)
}

/// H_slot: the random oracle into the group.
fn mask(context: &Context, index: usize, slot: u8, other: &CompressedRistretto) -> RistrettoPoint {
    let mut wide = [0u8; 64];
    wide.copy_from_slice(
        &Sha512::new()
            .chain_update(b"tercet ot v1 group hash")
            .chain_update(context.digest())
            .chain_update((index as u64).to_le_bytes())
            .chain_update([slot])
            .chain_update(other.as_bytes())
            .finalize(),
    );
    RistrettoPoint::from_uniform_bytes(&wide)
}

fn derive(
    context: &Context,
    index: usize,
    slot: u8,
    sender: &CompressedRistretto,
    pair: &[CompressedRistretto],
    shared: &RistrettoPoint,
) -> u128 {
    let mut encoded = shared.compress();
    let mut digest: [u8; 32] = context
        .hasher("base key")
        .chain_update((index as u64).to_le_bytes())
        .chain_update([slot])
        .chain_update(sender.as_bytes())
        .chain_update(pair[0].as_bytes())
        .chain_update(pair[1].as_bytes())
        .chain_update(encoded.as_bytes())
        .finalize()
        .into();
    let mut half = [0u8; 16];
    half.copy_from_slice(&digest[..16]);
    let key = u128::from_le_bytes(half);
    digest.zeroize();
    half.zeroize();
    encoded.zeroize();
    key
}

fn transcript(context: &Context, sender: &CompressedRistretto, receiver_message: &[u8]) -> Transcript {
    let digest: Sha256 = context.hasher("base transcript");
    digest.chain_update(sender.as_bytes()).chain_update(receiver_message).finalize().into()
}
