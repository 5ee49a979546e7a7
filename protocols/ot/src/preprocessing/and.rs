//! Many conjunctions of packed bit vectors at once.

use tercet_share::PackedBits;

use super::correlations::Correlations;
use crate::error::OtError;

/// XOR shares of a ∧ b for every pair, in two rounds for all of them.
pub(super) fn and_all<B: Correlations>(
    by: &mut B,
    pairs: &[(&PackedBits, &PackedBits)],
) -> Result<Vec<PackedBits>, OtError> {
    let join = |side: fn(&(&PackedBits, &PackedBits)) -> PackedBits| {
        let mut all = PackedBits::zeros(0);
        pairs.iter().for_each(|pair| all.append(&side(pair)));
        all
    };
    let (a, b) = (join(|p| p.0.clone()), join(|p| p.1.clone()));
    let product = PackedBits::from_words(a.len(), by.and(a.len(), a.words(), b.words())?.to_vec());
    let mut start = 0;
    Ok(pairs
        .iter()
        .map(|(a, _)| {
            start += a.len();
            product.slice(start - a.len(), a.len())
        })
        .collect())
}
