//! Shares of b·x from XOR shares of a bit b and additive shares of a value x, among any number of parties.
//!
//! With c_t = b_0 ⊕ … ⊕ b_t and P_t = c_t·x, the next party's bit gives P_t = P_{t−1} + b_t·(x − 2·P_{t−1}): every other
//! party's summand of x − 2·P_{t−1} times party t's bit is one correlated transfer in which party t chooses. One transfer
//! and L correction bits for each ordered pair, where Gilboa's product of two ring elements takes L transfers.

use crate::channel::Channel;
use crate::error::{OtError, same_length};
use crate::extension::FieldBits;
use crate::link::{Cost, Link};
use crate::product::{Moduli, Ring, Selections};
use crate::secret::Secret;

/// Additive shares modulo 2^L of b_i·x_i, for party `me` among all peers of `links`.
///
/// `bits` are packed XOR shares of b, `values` additive shares of x. Rounds: p + 1 for p parties, again for every
/// further 2^20 elements. Bytes: [`times_bits_cost`].
///
/// # Errors
/// [`OtError`] if lengths differ, links are not in rising order of their peers, a channel fails or a message is malformed.
pub fn times_bits<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    ring: Ring,
    bits: &[u64],
    values: &[u64],
) -> Result<Secret<u64>, OtError> {
    same_length("the number of words of bits", bits.len(), values.len().div_ceil(64))?;
    crate::link::in_order(links, me)?;
    let moduli = Moduli::same(ring);
    let mut product = Secret::zeros(values.len());
    for start in (0..values.len()).step_by(moduli.chunk()) {
        let end = values.len().min(start + moduli.chunk());
        let bits = &bits[start / 64..end.div_ceil(64)];
        batch(links, me, moduli, bits, &values[start..end], &mut product[start..end])?;
    }
    Ok(product)
}

/// What [`times_bits`] sends to each peer.
pub fn times_bits_cost(parties: usize, ring: Ring, field: FieldBits, count: usize) -> Cost {
    let moduli = Moduli::same(ring);
    let (mut bytes, mut batches) = (0, 0);
    for start in (0..count).step_by(moduli.chunk()) {
        let size = moduli.chunk().min(count - start);
        bytes += field.extension_bytes(size) + moduli.total_bits(size).div_ceil(8);
        batches += 1;
    }
    Cost { bytes_per_peer: bytes as u64, rounds: batches * (parties as u64 + 1) }
}

fn batch<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    moduli: Moduli,
    bits: &[u64],
    values: &[u64],
    product: &mut [u64],
) -> Result<(), OtError> {
    let count = values.len();
    let unused: Secret<u64> = Secret::zeros(bits.len());
    let nothing: Secret<u64> = Secret::zeros(count);
    let rank = links.partition_point(|link| link.peer() < me);
    // Choice bits to later parties go out at once; to an earlier party after its own step, so that every message of a link
    // is read in the order in which it was sent.
    let (earlier, later) = links.split_at_mut(rank);
    let mut rows = Vec::with_capacity(earlier.len() + later.len());
    let ahead = later.iter_mut().map(|link| link.choose(bits, count)).collect::<Result<Vec<_>, _>>()?;
    for link in earlier {
        correct(link, moduli, &unused, values, product)?;
        rows.push(link.choose(bits, count)?);
    }
    rows.extend(ahead);
    // This party's own step.
    let mut cross = Secret::zeros(count);
    for (link, rows) in links.iter_mut().zip(&rows) {
        link.conclude(&mut Selections::new(moduli, bits, &nothing, &mut cross)?, 0, rows)?;
    }
    for (i, ((product, value), cross)) in product.iter_mut().zip(values).zip(cross.iter()).enumerate() {
        let bit = (bits[i / 64] >> (i % 64) & 1).wrapping_neg();
        let own = value.wrapping_sub(*product << 1) & bit;
        *product = moduli.reduce(i, product.wrapping_add(own).wrapping_add(*cross));
    }
    for link in &mut links[rank..] {
        correct(link, moduli, &unused, values, product)?;
    }
    Ok(())
}

/// Another party's step: this party's summand of x − 2·P times its bit.
fn correct<C: Channel>(
    link: &mut Link<C>,
    moduli: Moduli,
    unused: &[u64],
    values: &[u64],
    product: &mut [u64],
) -> Result<(), OtError> {
    let count = values.len();
    let mut payload = Secret::zeros(count);
    for (i, (out, (value, product))) in payload.iter_mut().zip(values.iter().zip(product.iter())).enumerate()
    {
        *out = moduli.reduce(i, value.wrapping_sub(product << 1));
    }
    let mut cross = Secret::zeros(count);
    link.correct(&mut Selections::new(moduli, unused, &payload, &mut cross)?, 0)?;
    for (i, (product, cross)) in product.iter_mut().zip(cross.iter()).enumerate() {
        *product = moduli.reduce(i, product.wrapping_add(*cross));
    }
    Ok(())
}
