//! Doubly shared bits: one random bit, shared by XOR and shared modulo 2^L.
//!
//! Party i draws r_i; r = ⊕ r_i. The arithmetic sharing grows one party at a time: with s = r_0 ⊕ … ⊕ r_{t−1} shared
//! additively among parties 0 … t − 1, s ⊕ r_t = s + r_t − 2·s·r_t, and s·r_t = Σ_j s_j·r_t is one ring-valued
//! correlated transfer from each party j < t, in which party t's bit chooses. Only s_j modulo 2^(L−1) matters,
//! because of the factor 2. The principle is that of the conversions of Demmler, Schneider, Zohner, "ABY" (NDSS
//! 2015), section IV-E, and of daBits (Rotaru, Wood, INDOCRYPT 2019), here semi-honest.

use crate::channel::Channel;
use crate::error::OtError;
use crate::extension::FieldBits;
use crate::link::{Cost, Link};
use crate::product::{CrossProduct, Ring, Selections};
use crate::secret::Secret;
use crate::triples::random_bits;
use rand_core::CryptoRng;

/// Most bits made in one batch.
const BATCH: usize = 1 << 20;

/// This party's shares of random bits.
#[derive(Debug)]
pub struct DaBits {
    /// Number of bits.
    pub count: usize,
    /// The ring of the additive shares.
    pub ring: Ring,
    /// XOR shares, packed 64 a word, zero beyond `count`.
    pub bits: Secret<u64>,
    /// Additive shares of the same bits.
    pub values: Secret<u64>,
}

/// `count` random doubly shared bits among this party, `me`, and all peers of `links`.
///
/// # Errors
/// As [`to_ring`].
pub fn dabits<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    ring: Ring,
    count: usize,
    rng: &mut impl CryptoRng,
) -> Result<DaBits, OtError> {
    let bits = random_bits(count, rng);
    let values = to_ring(links, me, ring, count, &bits)?;
    Ok(DaBits { count, ring, bits, values })
}

/// Additive shares modulo 2^L of `count` bits from their packed XOR shares.
///
/// Rounds: p for p parties (choice bits all at once, then corrections party after party), again for every further 2^20
/// bits. Party t sends its choice bits to each of the t parties before it and corrections to each party after it:
/// exactly [`to_ring_cost`].
///
/// # Errors
/// [`OtError`] if `bits` has another length, links are not in rising order of their peers, a channel fails or a message
/// is malformed.
pub fn to_ring<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    ring: Ring,
    count: usize,
    bits: &[u64],
) -> Result<Secret<u64>, OtError> {
    if bits.len() != count.div_ceil(64) {
        return Err(OtError::BadArgument {
            what: "the number of words of bits",
            got: bits.len() as u64,
            wanted: "one for every 64 bits, rounded up",
        });
    }
    if links.windows(2).any(|pair| pair[0].peer() >= pair[1].peer()) || links.iter().any(|l| l.peer() == me) {
        return Err(OtError::BadArgument {
            what: "the order of the links of party",
            got: u64::from(me),
            wanted: "by rising number of the peer, this party not among them",
        });
    }
    let mut values = Secret::zeros(count);
    for start in (0..count).step_by(BATCH) {
        let end = count.min(start + BATCH);
        batch(links, me, ring, &bits[start / 64..end.div_ceil(64)], &mut values[start..end])?;
    }
    Ok(values)
}

/// What [`to_ring`] sends to all peers together (not to each) for the party at position `rank` among `parties`.
/// Modulo 2 it sends nothing: both sharings are the same.
pub fn to_ring_cost(rank: usize, parties: usize, ring: Ring, field: FieldBits, count: usize) -> Cost {
    if ring.bits() == 1 {
        return Cost::default();
    }
    let (mut bytes, mut batches) = (0, 0);
    for start in (0..count).step_by(BATCH) {
        let size = BATCH.min(count - start);
        let correction = (size * (ring.bits() - 1)).div_ceil(8);
        bytes += rank * field.extension_bytes(size) + (parties - 1 - rank) * correction;
        batches += 1;
    }
    Cost { bytes_per_peer: bytes as u64, rounds: batches * parties as u64 }
}

fn batch<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    ring: Ring,
    bits: &[u64],
    values: &mut [u64],
) -> Result<(), OtError> {
    let count = values.len();
    for (i, value) in values.iter_mut().enumerate() {
        *value = bits[i / 64] >> (i % 64) & 1;
    }
    // Modulo 2 both sharings are the same.
    let Ok(half) = Ring::new(ring.bits() as u8 - 1) else { return Ok(()) };
    let before = links.partition_point(|link| link.peer() < me);
    let (earlier, later) = links.split_at_mut(before);
    let mut rows = Vec::with_capacity(before);
    for link in earlier.iter_mut() {
        rows.push(link.choose(bits, count)?);
    }
    // This party joins: s·r_me, from each earlier party's share of s.
    let mut cross = Secret::zeros(count);
    let nothing: Secret<u64> = Secret::zeros(count);
    for (link, rows) in earlier.iter_mut().zip(&rows) {
        link.conclude(&mut Selections::new(half, bits, &nothing, &mut cross)?, 0, rows)?;
    }
    drop(nothing);
    for (value, cross) in values.iter_mut().zip(cross.iter()) {
        *value = ring.reduce(value.wrapping_sub(cross << 1));
    }
    // Then every later party, in order, with this party's share of the sum so far.
    let unused: Secret<u64> = Secret::zeros(bits.len());
    for link in later {
        let mut cross = Secret::zeros(count);
        let mut product = Selections::new(half, &unused, values, &mut cross)?;
        debug_assert_eq!(product.chunks(), 1);
        link.correct(&mut product, 0)?;
        for (value, cross) in values.iter_mut().zip(cross.iter()) {
            *value = ring.reduce(value.wrapping_sub(cross << 1));
        }
    }
    Ok(())
}
