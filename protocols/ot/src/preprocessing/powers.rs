//! Products of powers of masks, for polynomials.

use std::collections::{BTreeMap, BTreeSet};

use tercet_online::recipe::Factor;
use tercet_share::PackedBits;

use super::correlations::Correlations;
use crate::error::OtError;
use crate::product::Ring;
use crate::secret::Secret;
use crate::times_bits::Selection;

/// This party's shares of Π mask_v^{powers[v]} for every one of `wanted`, of `n` elements modulo 2^ring. Each has at least one
/// mask. A product is a mask times a product of one degree less; all of one degree are made at once, and each once only.
pub(super) fn products<B: Correlations>(
    by: &mut B,
    factors: &[Factor<'_>],
    ring: Ring,
    n: usize,
    wanted: &[&[u32]],
) -> Result<BTreeMap<Vec<u32>, Secret<u64>>, OtError> {
    let vanishes = |powers: &[u32]| {
        powers.iter().zip(factors).any(|(&power, factor)| power > 0 && matches!(factor, Factor::Zero))
    };
    // By degree: the product, and the mask that it has more than the one before it.
    let mut degrees: BTreeMap<u32, BTreeSet<(Vec<u32>, usize)>> = BTreeMap::new();
    for powers in wanted {
        let mut powers = powers.to_vec();
        loop {
            let degree: u32 = powers.iter().sum();
            let Some(taken) = taken(factors, &powers) else { break };
            degrees.entry(degree).or_default().insert((powers.clone(), taken));
            if degree == 1 || vanishes(&powers) {
                break;
            }
            powers[taken] -= 1;
        }
    }
    let mut made: BTreeMap<Vec<u32>, Secret<u64>> = BTreeMap::new();
    for level in degrees.into_values() {
        let (mut bits, mut values) = (Vec::new(), Vec::new());
        for (powers, taken) in level {
            let mut rest = powers.clone();
            rest[taken] -= 1;
            match &factors[taken] {
                _ if vanishes(&powers) => drop(made.insert(powers, Secret::zeros(n))),
                Factor::Elements(share) | Factor::Bit(share) if rest.iter().all(|&p| p == 0) => {
                    made.insert(powers, reduced(share, ring));
                }
                Factor::Bit(share) => bits.push((powers, PackedBits::from_lsb(share), rest)),
                Factor::Elements(share) => values.push((powers, *share, rest)),
                Factor::Zero => {}
            }
        }
        let selections: Vec<_> = bits
            .iter()
            .map(|(_, bits, rest)| Selection { ring, bits: bits.words(), values: &made[rest] })
            .collect();
        let selected = if selections.is_empty() { Vec::new() } else { by.times_bits(&selections)? };
        let left = joined(ring, n, values.iter().map(|(_, share, _)| *share));
        let right = joined(ring, n, values.iter().map(|(.., rest)| &*made[rest]));
        let multiplied = by.multiply(ring, &left, &right)?;
        made.extend(bits.into_iter().map(|(powers, ..)| powers).zip(selected));
        let multiplied = multiplied.chunks(n.max(1)).map(|share| Secret::new(share.to_vec()));
        made.extend(values.into_iter().map(|(powers, ..)| powers).zip(multiplied));
    }
    Ok(made)
}

/// The mask to take last: a bit if there is one, since its product with a share costs less than one of two shares.
fn taken(factors: &[Factor<'_>], powers: &[u32]) -> Option<usize> {
    let mut involved = (0..powers.len()).filter(|&v| powers[v] > 0);
    let bit = involved.clone().find(|&v| matches!(factors[v], Factor::Bit(_)));
    bit.or_else(|| involved.next())
}

fn reduced(share: &[u64], ring: Ring) -> Secret<u64> {
    Secret::new(share.iter().map(|v| ring.reduce(*v)).collect())
}

/// Shares of `n` elements, one after the other. Of the right size from the beginning: a vector that grows leaves copies behind.
fn joined<'a>(ring: Ring, n: usize, shares: impl ExactSizeIterator<Item = &'a [u64]>) -> Secret<u64> {
    let mut all = Secret::zeros(n * shares.len());
    for (out, share) in all.chunks_exact_mut(n.max(1)).zip(shares) {
        out.iter_mut().zip(share).for_each(|(out, v)| *out = ring.reduce(*v));
    }
    all
}
