//! One-hot vectors of digits from their shared bits.
//!
//! The vector of two halves is the outer product of their vectors. Entries of a one-hot vector add up to one, so that of
//! p × q products only (p − 1)·(q − 1) take a conjunction: 11 for a digit of four bits, in two steps.

use tercet_share::PackedBits;

use super::and::and_all;
use super::correlations::Correlations;
use crate::error::OtError;

/// For every digit (its bits, lowest first; one to four) the shares of its one-hot vectors, entry v in bit v of a word.
pub(super) fn one_hot<B: Correlations>(
    by: &mut B,
    digits: &[&[PackedBits]],
) -> Result<Vec<Vec<u16>>, OtError> {
    let first = by.first();
    // Halves of one or two bits.
    let halves: Vec<Vec<&[PackedBits]>> = digits.iter().map(|bits| bits.chunks(2).collect()).collect();
    let pairs: Vec<_> = halves.iter().flatten().filter(|h| h.len() == 2).map(|h| (&h[1], &h[0])).collect();
    let mut both = and_all(by, &pairs)?.into_iter();
    let vectors: Vec<Vec<Vec<PackedBits>>> = halves
        .iter()
        .map(|halves| halves.iter().map(|half| half_vector(half, &mut both, first)).collect())
        .collect();
    // The outer products.
    let mut pairs = Vec::new();
    for vector in &vectors {
        if let [low, high] = vector.as_slice() {
            for h in &high[1..] {
                pairs.extend(low[1..].iter().map(|l| (h, l)));
            }
        }
    }
    let mut products = and_all(by, &pairs)?.into_iter();
    Ok(vectors
        .iter()
        .map(|vector| match vector.as_slice() {
            [low, high] => pack(&outer(low, high, &mut products)),
            [low] => pack(low),
            _ => Vec::new(),
        })
        .collect())
}

/// Entries of one or two bits; `both` gives the conjunction of two.
fn half_vector(
    bits: &[PackedBits],
    both: &mut impl Iterator<Item = PackedBits>,
    first: bool,
) -> Vec<PackedBits> {
    let not = |x: &PackedBits| {
        let mut x = x.clone();
        if first {
            x.not_assign();
        }
        x
    };
    let xor = |x: &PackedBits, y: &PackedBits| {
        let mut x = x.clone();
        x.xor_assign(y);
        x
    };
    match bits {
        [bit] => vec![not(bit), bit.clone()],
        [low, high] => {
            let both = both.next().expect("one conjunction for every pair of bits");
            let (one, two) = (xor(low, &both), xor(high, &both));
            let zero = not(&xor(&xor(low, high), &both));
            vec![zero, one, two, both]
        }
        _ => Vec::new(),
    }
}

/// Entry h·|low| + l of the outer product; `products` gives those with h, l ≥ 1.
fn outer(
    low: &[PackedBits],
    high: &[PackedBits],
    products: &mut impl Iterator<Item = PackedBits>,
) -> Vec<PackedBits> {
    let mut out: Vec<PackedBits> = Vec::with_capacity(low.len() * high.len());
    out.extend(low.iter().cloned());
    for h in &high[1..] {
        let row = out.len();
        out.push(h.clone());
        for l in 1..low.len() {
            let entry = products.next().expect("one conjunction for every entry with both halves above zero");
            out[row].xor_assign(&entry);
            out[l].xor_assign(&entry);
            out.push(entry);
        }
    }
    // Row 0 holds low less all other rows; its entry 0 lacks the first column of the others.
    for h in 1..high.len() {
        let column = out[h * low.len()].clone();
        out[0].xor_assign(&column);
    }
    out
}

fn pack(entries: &[PackedBits]) -> Vec<u16> {
    let n = entries.first().map_or(0, PackedBits::len);
    let mut words = vec![0u16; n];
    for (v, entry) in entries.iter().enumerate() {
        for (chunk, bits) in words.chunks_mut(64).zip(entry.words()) {
            for (i, word) in chunk.iter_mut().enumerate() {
                *word |= ((bits >> i & 1) as u16) << v;
            }
        }
    }
    words
}
