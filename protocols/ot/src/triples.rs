//! Products of additive shares, and Beaver triples: a = Σ a_i, b = Σ b_i, c = Σ c_i = a·b.
//!
//! Party i computes a_i·b_i alone and one cross term with every peer in each direction; any number of parties works,
//! three is what Tercet uses. Secure against all parties but one, semi-honest: whatever a coalition sees of an honest
//! party's operands is masked by that party's own transfers (see PROTOCOL.md).
//!
//! A convolution is a matrix product of its patches (`im2col`), so [`matmul`] serves it.

use crate::channel::Channel;
use crate::error::{OtError, same_length};
use crate::extension::FieldBits;
use crate::link::{Link, Roles, exchange, exchange_by};
use crate::product::{Ands, ChoiceSide, Elementwise, MatrixPlan, MatrixProduct, MatrixShape, Ring};
use crate::secret::{Secret, random_words};
use rand_core::CryptoRng;
use rayon::prelude::*;

/// This party's shares of element-wise triples modulo 2^L.
#[derive(Debug)]
pub struct Triples {
    /// The ring of a, b and c.
    pub ring: Ring,
    /// Shares of a, uniform.
    pub a: Secret<u64>,
    /// Shares of b, uniform.
    pub b: Secret<u64>,
    /// Shares of a·b.
    pub c: Secret<u64>,
}

/// This party's shares of a matrix triple, row-major.
#[derive(Debug)]
pub struct MatrixTriple {
    /// How it was made.
    pub plan: MatrixPlan,
    /// Share of A.
    pub a: Secret<u64>,
    /// Share of B.
    pub b: Secret<u64>,
    /// Share of A·B.
    pub c: Secret<u64>,
}

/// This party's XOR shares of bit triples, packed 64 a word, zero beyond `count`.
#[derive(Debug)]
pub struct BitTriples {
    /// Number of triples.
    pub count: usize,
    /// Shares of a, uniform.
    pub a: Secret<u64>,
    /// Shares of b, uniform.
    pub b: Secret<u64>,
    /// Shares of a ∧ b.
    pub c: Secret<u64>,
}

/// Bytes for one element-wise product modulo 2^L between each pair of parties, both directions together:
/// 2·(L·⌈128/k⌉ + L·(L+1)/2)/8, before rounding to whole messages. L = 64, k = 4: 1032.
pub fn bytes_per_product(ring: Ring, field: FieldBits) -> f64 {
    let bits = 2 * (ring.bits() * field.blocks() + ring.correction_bits());
    bits as f64 / 8.0
}

/// Shares of a_i·b_i, element by element, from shares of `a` and `b`.
///
/// Rounds: 2, and one more for every further 2^20/L elements. Bytes: [`bytes_per_product`] for each element and
/// pair; exactly [`crate::link::exchange_cost`]. The shares of the result are not re-randomised beyond the
/// transfers' own masks, which suffices: each cross term is masked by a pad that one of its two parties lacks.
///
/// # Errors
/// [`OtError`] if lengths differ, a channel fails or a message is malformed.
pub fn multiply<C: Channel>(
    links: &mut [Link<C>],
    ring: Ring,
    a: &[u64],
    b: &[u64],
) -> Result<Secret<u64>, OtError> {
    same_length("the length of the second factor", b.len(), a.len())?;
    let mut c = Secret::new(a.iter().zip(b).map(|(a, b)| ring.reduce(a.wrapping_mul(*b))).collect());
    exchange(links, &mut Elementwise::new(ring, a, b, &mut c)?)?;
    Ok(c)
}

/// `count` random triples modulo 2^L: [`multiply`] on uniform shares.
///
/// # Errors
/// As [`multiply`].
pub fn triples<C: Channel>(
    links: &mut [Link<C>],
    ring: Ring,
    count: usize,
    rng: &mut impl CryptoRng,
) -> Result<Triples, OtError> {
    let a = random_ring(ring, count, rng);
    let b = random_ring(ring, count, rng);
    let c = multiply(links, ring, &a, &b)?;
    Ok(Triples { ring, a, b, c })
}

/// XOR shares of a ∧ b from XOR shares of `count` packed bits.
///
/// Rounds: 2, and one more for every further 2^20 bits. Bytes: 2·(⌈128/k⌉ + 1)/8 for each bit and pair.
///
/// # Errors
/// As [`multiply`].
pub fn and<C: Channel>(
    links: &mut [Link<C>],
    count: usize,
    a: &[u64],
    b: &[u64],
) -> Result<Secret<u64>, OtError> {
    same_length("the number of words of the second factor", b.len(), a.len())?;
    let mut c = Secret::new(a.iter().zip(b).map(|(a, b)| a & b).collect());
    clear_tail(&mut c, count);
    exchange(links, &mut Ands::new(count, a, b, &mut c)?)?;
    Ok(c)
}

/// `count` random bit triples.
///
/// # Errors
/// As [`and`].
pub fn bit_triples<C: Channel>(
    links: &mut [Link<C>],
    count: usize,
    rng: &mut impl CryptoRng,
) -> Result<BitTriples, OtError> {
    let a = random_bits(count, rng);
    let b = random_bits(count, rng);
    let c = and(links, count, &a, &b)?;
    Ok(BitTriples { count, a, b, c })
}

/// Shares of A·B from shares of A and B.
///
/// Rounds and bytes: [`MatrixPlan::cost`].
///
/// # Errors
/// [`OtError`] if a size does not fit the plan, a channel fails or a message is malformed.
pub fn matmul<C: Channel>(
    links: &mut [Link<C>],
    plan: MatrixPlan,
    a: &[u64],
    b: &[u64],
) -> Result<Secret<u64>, OtError> {
    let mut product = MatrixProduct::new(plan, a, b)?;
    exchange(links, &mut product)?;
    let mut c = product.into_share();
    add_local_product(plan.shape(), a, b, &mut c);
    c.iter_mut().for_each(|value| *value = plan.ring().reduce(*value));
    Ok(c)
}

/// A product whose left operand one party alone holds.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    /// That party.
    pub owner: u8,
    /// How the product is made.
    pub plan: MatrixPlan,
    /// A at its owner, zeros elsewhere.
    pub a: &'a [u64],
    /// This party's share of B.
    pub b: &'a [u64],
}

/// Shares of A·B for each of `products`, in the rounds of the longest.
///
/// Every other party makes one product with the owner, in one direction: a third of the traffic of [`matmul`] among three
/// parties. Rounds: as [`MatrixPlan::cost`]. Bytes: [`owned_matmul_messages`].
///
/// # Errors
/// As [`matmul`].
pub fn owned_matmul<C: Channel>(
    links: &mut [Link<C>],
    me: u8,
    products: &[Owned<'_>],
) -> Result<Vec<Secret<u64>>, OtError> {
    let with_owner =
        |index: usize, peer: u8| (me == products[index].owner) != (peer == products[index].owner);
    // The owner chooses if its operand, the left one, does.
    let chooses =
        |index: usize| (me == products[index].owner) == (products[index].plan.side() == ChoiceSide::Left);
    let roles = Roles {
        chooses_to: |index, peer| with_owner(index, peer) && chooses(index),
        corrects_for: |index, peer| with_owner(index, peer) && !chooses(index),
    };
    let mut crossed =
        products.iter().map(|p| MatrixProduct::new(p.plan, p.a, p.b)).collect::<Result<Vec<_>, _>>()?;
    exchange_by(links, &mut crossed, &roles)?;
    let finish = |(product, p): (MatrixProduct<'_>, &Owned<'_>)| {
        let mut c = product.into_share();
        if me == p.owner {
            add_local_product(p.plan.shape(), p.a, p.b, &mut c);
        }
        c.iter_mut().for_each(|value| *value = p.plan.ring().reduce(*value));
        c
    };
    Ok(crossed.into_iter().zip(products).map(finish).collect())
}

/// What [`owned_matmul`] sends: from the owner to each other party, and from each of these to the owner.
pub fn owned_matmul_messages(plan: MatrixPlan, field: FieldBits) -> [u64; 2] {
    let (choices, corrections) = plan.messages(field);
    match plan.side() {
        ChoiceSide::Left => [choices, corrections],
        ChoiceSide::Right => [corrections, choices],
    }
}

/// A random matrix triple: [`matmul`] on uniform shares.
///
/// # Errors
/// As [`matmul`].
pub fn matrix_triple<C: Channel>(
    links: &mut [Link<C>],
    plan: MatrixPlan,
    rng: &mut impl CryptoRng,
) -> Result<MatrixTriple, OtError> {
    let a = random_ring(plan.ring(), plan.shape().left(), rng);
    let b = random_ring(plan.ring(), plan.shape().right(), rng);
    let c = matmul(links, plan, &a, &b)?;
    Ok(MatrixTriple { plan, a, b, c })
}

/// Uniform values of the ring.
pub(crate) fn random_ring(ring: Ring, count: usize, rng: &mut impl CryptoRng) -> Secret<u64> {
    let mut values = random_words(count, rng);
    values.iter_mut().for_each(|value| *value = ring.reduce(*value));
    values
}

/// `count` uniform bits, packed.
pub(crate) fn random_bits(count: usize, rng: &mut impl CryptoRng) -> Secret<u64> {
    let mut words = random_words(count.div_ceil(64), rng);
    clear_tail(&mut words, count);
    words
}

/// Clears the bits beyond `count`.
fn clear_tail(words: &mut [u64], count: usize) {
    if let (Some(last), 1..) = (words.last_mut(), count % 64) {
        *last &= u64::MAX >> (64 - count % 64);
    }
}

/// c += A·B, row by row.
fn add_local_product(shape: MatrixShape, a: &[u64], b: &[u64], c: &mut [u64]) {
    c.par_chunks_mut(shape.columns).zip(a.par_chunks(shape.inner)).for_each(|(c, a)| {
        for (a, b) in a.iter().zip(b.chunks(shape.columns)) {
            for (c, b) in c.iter_mut().zip(b) {
                *c = c.wrapping_add(a.wrapping_mul(*b));
            }
        }
    });
}
