//! Doubly shared bits: random bits, shared by XOR and shared modulo 2^L; and random numbers with shared bits.
//!
//! Party i draws r_i; r = ⊕ r_i. The arithmetic sharing grows one party at a time: with s = r_0 ⊕ … ⊕ r_{t−1} shared
//! additively among parties 0 … t − 1, s ⊕ r_t = s + r_t − 2·s·r_t, and s·r_t = Σ_j s_j·r_t is one ring-valued
//! correlated transfer from each party j < t, in which party t's bit chooses. Only s_j modulo 2^(L−1) matters,
//! because of the factor 2; for bit j of a number, worth 2^j, only 2^(L−j−1). The principle is that of the conversions
//! of Demmler, Schneider, Zohner, "ABY" (NDSS 2015), of daBits (Rotaru, Wood, INDOCRYPT 2019) and, for whole numbers,
//! edaBits (Escudero et al., CRYPTO 2020), here semi-honest and without an adder circuit.

use crate::channel::Channel;
use crate::error::{OtError, same_length};
use crate::extension::FieldBits;
use crate::link::Link;
use crate::product::{CrossProduct, Moduli, Selections};
use crate::secret::Secret;
use crate::triples::random_bits;
use rand_core::CryptoRng;

/// This party's shares of random bits.
#[derive(Debug)]
pub struct DaBits {
    /// Number of bits.
    pub count: usize,
    /// The modulus of each additive share.
    pub moduli: Moduli,
    /// XOR shares, packed 64 a word, zero beyond `count`.
    pub bits: Secret<u64>,
    /// Additive shares of the same bits.
    pub values: Secret<u64>,
}

/// `count` random doubly shared bits among this party, `me`, and all peers of `links`.
///
/// For random numbers of w bits with shared bits, take [`Moduli::falling`] with period w and a count w times the
/// numbers, and [`compose`] the values.
///
/// # Errors
/// As [`to_ring`].
pub fn dabits<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    moduli: Moduli,
    count: usize,
    rng: &mut impl CryptoRng,
) -> Result<DaBits, OtError> {
    let bits = random_bits(count, rng);
    let values = to_ring(links, me, moduli, count, &bits)?;
    Ok(DaBits { count, moduli, bits, values })
}

/// Additive shares of `count` bits from their packed XOR shares; the share of bit i is modulo that of `moduli`.
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
    moduli: Moduli,
    count: usize,
    bits: &[u64],
) -> Result<Secret<u64>, OtError> {
    same_length("the number of words of bits", bits.len(), count.div_ceil(64))?;
    crate::link::in_order(links, me)?;
    let mut values = Secret::zeros(count);
    for start in (0..count).step_by(moduli.chunk()) {
        let end = count.min(start + moduli.chunk());
        batch(links, me, moduli, &bits[start / 64..end.div_ceil(64)], &mut values[start..end])?;
    }
    Ok(values)
}

/// Traffic of one party, whose messages to its peers differ in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TotalCost {
    /// Bytes that this party sends to all peers together.
    pub bytes: u64,
    /// Rounds: the longest chain of dependent messages.
    pub rounds: u64,
}

/// What [`to_ring`] sends for the party at position `rank` among `parties`. Modulo 2 alone it sends nothing: both sharings
/// are the same.
pub fn to_ring_cost(
    rank: usize,
    parties: usize,
    moduli: Moduli,
    field: FieldBits,
    count: usize,
) -> TotalCost {
    let (choices, corrections) = to_ring_messages(moduli, field, count);
    let batches = if is_binary(moduli) { 0 } else { count.div_ceil(moduli.chunk()) };
    let bytes = rank as u64 * choices + (parties - 1 - rank) as u64 * corrections;
    TotalCost { bytes, rounds: (batches * parties) as u64 }
}

/// Bytes of choice bits to each earlier party, and of corrections to each later one.
pub(crate) fn to_ring_messages(moduli: Moduli, field: FieldBits, count: usize) -> (u64, u64) {
    let (mut choices, mut corrections) = (0, 0);
    if !is_binary(moduli) {
        for start in (0..count).step_by(moduli.chunk()) {
            let size = moduli.chunk().min(count - start);
            choices += field.extension_bytes(size) as u64;
            corrections += moduli.halved().total_bits(size).div_ceil(8) as u64;
        }
    }
    (choices, corrections)
}

/// Shares modulo 2^L of the numbers Σ_j 2^j·b_j from shares of their bits as [`to_ring`] gives them; L is the width of
/// the first modulus. Local.
///
/// # Errors
/// [`OtError::BadArgument`] if the number of values is not a multiple of the period.
pub fn compose(moduli: Moduli, values: &[u64]) -> Result<Secret<u64>, OtError> {
    let period = moduli.period();
    same_length("the number of bits of all numbers", values.len(), values.len() / period * period)?;
    let number = |bits: &[u64]| {
        let sum = bits.iter().enumerate().fold(0u64, |sum, (j, bit)| sum.wrapping_add(bit << j));
        moduli.reduce(0, sum)
    };
    Ok(Secret::new(values.chunks_exact(period).map(number).collect()))
}

fn is_binary(moduli: Moduli) -> bool {
    moduli.width(0) == 1
}

fn batch<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    moduli: Moduli,
    bits: &[u64],
    values: &mut [u64],
) -> Result<(), OtError> {
    let count = values.len();
    for (i, value) in values.iter_mut().enumerate() {
        *value = bits[i / 64] >> (i % 64) & 1;
    }
    if is_binary(moduli) {
        return Ok(());
    }
    let half = moduli.halved();
    let (earlier, later) = links.split_at_mut(links.partition_point(|link| link.peer() < me));
    let rows = earlier.iter_mut().map(|link| link.choose(bits, count)).collect::<Result<Vec<_>, _>>()?;
    // This party joins: s·r_me, from each earlier party's share of s.
    let mut cross = Secret::zeros(count);
    let nothing: Secret<u64> = Secret::zeros(count);
    for (link, rows) in earlier.iter_mut().zip(&rows) {
        link.conclude(&mut Selections::new(half, bits, &nothing, &mut cross)?, 0, rows)?;
    }
    subtract_twice(moduli, values, &cross);
    // Then every later party, in order, with this party's share of the sum so far.
    let unused: Secret<u64> = Secret::zeros(bits.len());
    for link in later {
        let mut cross = Secret::zeros(count);
        let mut product = Selections::new(half, &unused, values, &mut cross)?;
        debug_assert_eq!(product.chunks(), 1);
        link.correct(&mut product, 0)?;
        subtract_twice(moduli, values, &cross);
    }
    Ok(())
}

/// values −= 2·cross.
fn subtract_twice(moduli: Moduli, values: &mut [u64], cross: &[u64]) {
    for (i, (value, cross)) in values.iter_mut().zip(cross).enumerate() {
        *value = moduli.reduce(i, value.wrapping_sub(cross << 1));
    }
}
