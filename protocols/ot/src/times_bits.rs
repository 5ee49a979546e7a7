//! Shares of b·x from XOR shares of a bit b and additive shares of a value x, among any number of parties.
//!
//! With c_t = b_0 ⊕ … ⊕ b_t and P_t = c_t·x, the next party's bit gives P_t = P_{t−1} + b_t·(x − 2·P_{t−1}): every other
//! party's summand of x − 2·P_{t−1} times party t's bit is one correlated transfer in which party t chooses. One transfer
//! and L correction bits for each ordered pair, where Gilboa's product of two ring elements takes L transfers.

use crate::channel::Channel;
use crate::error::{OtError, same_length};
use crate::extension::{FieldBits, ReceiverRows};
use crate::link::{Cost, Link};
use crate::product::{Moduli, Ring, Selections};
use crate::secret::Secret;

/// Bits and values whose products are wanted, element by element, modulo 2^L.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// L.
    pub ring: Ring,
    /// Packed XOR shares of the bits.
    pub bits: &'a [u64],
    /// Additive shares of the values.
    pub values: &'a [u64],
}

/// Additive shares of b_i·x_i for every element of every selection, for party `me` among all peers of `links`.
///
/// Rounds: p + 1 for p parties, for all selections together; again for every further 2^20 elements of the longest. Bytes: the
/// sum of their [`times_bits_cost`].
///
/// # Errors
/// [`OtError`] if lengths differ, links are not in rising order of their peers, a channel fails or a message is malformed.
pub fn times_bits<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    selections: &[Selection<'_>],
) -> Result<Vec<Secret<u64>>, OtError> {
    for s in selections {
        same_length("the number of words of bits", s.bits.len(), s.values.len().div_ceil(64))?;
    }
    crate::link::in_order(links, me)?;
    let mut products: Vec<Secret<u64>> = selections.iter().map(|s| Secret::zeros(s.values.len())).collect();
    let longest = selections.iter().map(|s| s.values.len()).max().unwrap_or(0);
    let step = Moduli::same(Ring::FULL).chunk();
    for start in (0..longest).step_by(step) {
        let part = |n: usize| start.min(n)..n.min(start + step);
        let mut items: Vec<Item<'_>> = selections
            .iter()
            .zip(&mut products)
            .filter(|(s, _)| s.values.len() > start)
            .map(|(s, product)| {
                let range = part(s.values.len());
                Item {
                    moduli: Moduli::same(s.ring),
                    bits: &s.bits[range.start / 64..range.end.div_ceil(64)],
                    values: &s.values[range.clone()],
                    product: &mut product[range],
                }
            })
            .collect();
        batch(links, me, &mut items)?;
    }
    Ok(products)
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

/// A part of a selection that fits one batch of transfers.
struct Item<'a> {
    moduli: Moduli,
    bits: &'a [u64],
    values: &'a [u64],
    product: &'a mut [u64],
}

impl Item<'_> {
    fn choose<C: Channel>(&self, link: &mut Link<C>) -> Result<ReceiverRows, OtError> {
        link.choose(self.bits, self.values.len())
    }

    /// Another party's step: this party's summand of x − 2·P times its bit.
    fn correct<C: Channel>(&mut self, link: &mut Link<C>) -> Result<(), OtError> {
        let count = self.values.len();
        let mut payload = Secret::zeros(count);
        for (i, (out, (value, product))) in
            payload.iter_mut().zip(self.values.iter().zip(self.product.iter())).enumerate()
        {
            *out = self.moduli.reduce(i, value.wrapping_sub(product << 1));
        }
        let unused: Secret<u64> = Secret::zeros(self.bits.len());
        let mut cross = Secret::zeros(count);
        link.correct(&mut Selections::new(self.moduli, &unused, &payload, &mut cross)?, 0)?;
        for (i, (product, cross)) in self.product.iter_mut().zip(cross.iter()).enumerate() {
            *product = self.moduli.reduce(i, product.wrapping_add(*cross));
        }
        Ok(())
    }

    /// This party's own step, from the rows of its choices on every link.
    fn conclude<C: Channel>(
        &mut self,
        links: &mut [Link<C>],
        rows: impl Iterator<Item = ReceiverRows>,
    ) -> Result<(), OtError> {
        let count = self.values.len();
        let nothing: Secret<u64> = Secret::zeros(count);
        let mut cross = Secret::zeros(count);
        for (link, rows) in links.iter_mut().zip(rows) {
            link.conclude(&mut Selections::new(self.moduli, self.bits, &nothing, &mut cross)?, 0, &rows)?;
        }
        let values = self.values.iter().zip(cross.iter());
        for (i, (product, (value, cross))) in self.product.iter_mut().zip(values).enumerate() {
            let bit = (self.bits[i / 64] >> (i % 64) & 1).wrapping_neg();
            let own = value.wrapping_sub(*product << 1) & bit;
            *product = self.moduli.reduce(i, product.wrapping_add(own).wrapping_add(*cross));
        }
        Ok(())
    }
}

fn batch<C: Channel>(links: &mut [Link<C>], me: u8, items: &mut [Item<'_>]) -> Result<(), OtError> {
    let rank = links.partition_point(|link| link.peer() < me);
    let choose_all = |link: &mut Link<C>, items: &[Item<'_>]| {
        items.iter().map(|item| item.choose(link)).collect::<Result<Vec<_>, _>>()
    };
    // Choice bits to later parties go out at once; to an earlier party after its own step, so that every message of a link
    // is read in the order in which it was sent.
    let (earlier, later) = links.split_at_mut(rank);
    let mut rows = Vec::with_capacity(earlier.len() + later.len());
    let mut ahead = Vec::with_capacity(later.len());
    for link in later {
        ahead.push(choose_all(link, items)?.into_iter());
    }
    for link in earlier {
        items.iter_mut().try_for_each(|item| item.correct(link))?;
        rows.push(choose_all(link, items)?.into_iter());
    }
    rows.extend(ahead);
    for item in items.iter_mut() {
        // Every link has one set of rows for each item, in order.
        item.conclude(links, rows.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>().into_iter())?;
    }
    for link in &mut links[rank..] {
        items.iter_mut().try_for_each(|item| item.correct(link))?;
    }
    Ok(())
}
