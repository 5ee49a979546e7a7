//! From additive shares to XOR shares of the bits: an adder over the parties' summands.
//!
//! Party i holds all bits of its summand, so that these are shared by exclusive or for free. A carry-save step turns three
//! summands into two, and a parallel-prefix adder (Sklansky, IEEE Trans. Computers 1960) finishes, in 2 + ⌈log2(w − 2)⌉ steps. A
//! ripple-carry adder would take 57 conjunctions for w = 30 where this one takes 158, but 29 steps where this one takes 7; what
//! an online phase compares in this way is a few values a row, so that steps cost more than conjunctions.

use std::collections::BTreeSet;

use tercet_share::PackedBits;

use super::and::and_all;
use super::correlations::Correlations;
use crate::error::OtError;
use crate::secret::Secret;

/// XOR shares of bits 0 to w − 1 of Σ x_i modulo 2^w for every list of numbers, from this party's summands and w. Lists of one
/// width are added at once. Three parties.
pub(super) fn bits_of_sums<B: Correlations>(
    by: &mut B,
    lists: &[(&[u64], u32)],
) -> Result<Vec<Vec<PackedBits>>, OtError> {
    let mut out: Vec<Vec<PackedBits>> = lists.iter().map(|_| Vec::new()).collect();
    for width in lists.iter().map(|(_, width)| *width).collect::<BTreeSet<_>>() {
        let alike = || (0..lists.len()).filter(|&i| lists[i].1 == width);
        let all = Secret::new(alike().flat_map(|i| lists[i].0).copied().collect::<Vec<u64>>());
        let planes = bits_of_sum(by, &all, width)?;
        let mut start = 0;
        for i in alike() {
            let n = lists[i].0.len();
            out[i] = planes.iter().map(|plane| plane.slice(start, n)).collect();
            start += n;
        }
    }
    Ok(out)
}

fn bits_of_sum<B: Correlations>(by: &mut B, x: &[u64], width: u32) -> Result<Vec<PackedBits>, OtError> {
    let own: Vec<PackedBits> = (0..width).map(|j| plane(x, j)).collect();
    if width <= 1 {
        return Ok(own);
    }
    // Majority of the three bits = (a ⊕ c)(b ⊕ c) ⊕ c. The exclusive or of the summands' bits is shared by the bits themselves.
    let low = &own[..width as usize - 1];
    let zeros = PackedBits::zeros(x.len());
    let me = by.me();
    let holds = |parties: [u8; 2], j: usize| if parties.contains(&me) { &low[j] } else { &zeros };
    let pairs: Vec<_> = (0..low.len()).map(|j| (holds([0, 2], j), holds([1, 2], j))).collect();
    let mut carries = and_all(by, &pairs)?;
    for (carry, bit) in carries.iter_mut().zip(low) {
        if me == 2 {
            carry.xor_assign(bit);
        }
    }
    // u = own, v = carries shifted up by one: v_0 = 0, so that nothing is carried into bit 1.
    let mut sums = Vec::with_capacity(own.len());
    sums.push(own[0].clone());
    for (u, v) in own[1..].iter().zip(&carries) {
        sums.push(exclusive_or(u, v));
    }
    let pairs: Vec<_> = own[1..own.len() - 1].iter().zip(&carries).collect();
    let generated = and_all(by, &pairs)?;
    let carried = prefixes(by, generated, sums[1..own.len() - 1].to_vec())?;
    for (sum, carry) in sums[2..].iter_mut().zip(&carried) {
        sum.xor_assign(carry);
    }
    Ok(sums)
}

/// What is carried out of each position, from what each generates and whether it hands on: Sklansky's network, in which at
/// step l every block of 2^l positions takes in the last of the block before it. log2 steps.
fn prefixes<B: Correlations>(
    by: &mut B,
    mut generated: Vec<PackedBits>,
    mut handed: Vec<PackedBits>,
) -> Result<Vec<PackedBits>, OtError> {
    let n = generated.len();
    let mut block = 1;
    while block < n {
        let upper: Vec<usize> = (0..n).filter(|j| j & block != 0).collect();
        // The last position of the lower block.
        let below = |j: usize| (j & !(block - 1)) - 1;
        // A prefix that reaches down to position 0 is complete: nothing is handed on through it any more.
        let open = |j: usize| j >= 2 * block;
        let mut pairs: Vec<_> = upper.iter().map(|&j| (&handed[j], &generated[below(j)])).collect();
        pairs.extend(upper.iter().filter(|&&j| open(j)).map(|&j| (&handed[j], &handed[below(j)])));
        let mut products = and_all(by, &pairs)?;
        let longer = products.split_off(upper.len());
        for (&j, product) in upper.iter().zip(&products) {
            generated[j].xor_assign(product);
        }
        for (&j, product) in upper.iter().filter(|&&j| open(j)).zip(longer) {
            handed[j] = product;
        }
        block *= 2;
    }
    Ok(generated)
}

fn exclusive_or(a: &PackedBits, b: &PackedBits) -> PackedBits {
    let mut out = a.clone();
    out.xor_assign(b);
    out
}

/// Bit `j` of every value.
fn plane(x: &[u64], j: u32) -> PackedBits {
    let words = x
        .chunks(64)
        .map(|chunk| chunk.iter().enumerate().fold(0, |w, (i, v)| w | (v >> j & 1) << i))
        .collect();
    PackedBits::from_words(x.len(), words)
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;
    use crate::channel::memory;
    use crate::extension::FieldBits;
    use crate::preprocessing::correlations::Linked;
    use crate::{fresh_rng, link};

    #[test]
    fn the_bits_of_a_sum_are_right_at_every_width() {
        const N: usize = 65;
        let field = FieldBits::default();
        let party = |(me, channels)| {
            let mut rng = fresh_rng().unwrap();
            let mut links = link::connect(channels, &[8; 32], me, field, &mut rng).unwrap();
            let lists: Vec<(Vec<u64>, u32)> =
                (1..=64).map(|width| ((0..N).map(|_| rng.next_u64()).collect(), width)).collect();
            let borrowed: Vec<(&[u64], u32)> =
                lists.iter().map(|(list, width)| (&list[..], *width)).collect();
            let by = &mut Linked { links: &mut links, me, field };
            let planes = bits_of_sums(by, &borrowed).unwrap();
            (lists, planes)
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0u8..).zip(memory::mesh(3)).map(|party_of| scope.spawn(move || party(party_of))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (at, width) in (1..=64usize).enumerate() {
            for i in 0..N {
                let sum = made.iter().fold(0u64, |sum, (lists, _)| sum.wrapping_add(lists[at].0[i]));
                for j in 0..width {
                    let bit = made.iter().fold(0, |bit, (_, planes)| bit ^ planes[at][j].bit(i));
                    assert_eq!(bit, sum >> j & 1, "bit {j} of {width}, element {i}");
                }
            }
        }
    }
}
