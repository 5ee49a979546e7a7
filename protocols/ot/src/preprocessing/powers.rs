//! Products of powers of masks, for polynomials.

use std::collections::BTreeMap;

use tercet_online::recipe::Factor;
use tercet_share::PackedBits;

use super::correlations::Correlations;
use crate::error::OtError;
use crate::product::Ring;

/// Products made so far in one operation, by their powers.
pub(super) struct Powers<'a> {
    factors: &'a [Factor<'a>],
    ring: Ring,
    n: usize,
    made: BTreeMap<Vec<u32>, Vec<u64>>,
}

impl<'a> Powers<'a> {
    /// Of the masks `factors`, of `n` elements each, modulo 2^ring.
    pub(super) fn new(factors: &'a [Factor<'a>], ring: Ring, n: usize) -> Powers<'a> {
        Powers { factors, ring, n, made: BTreeMap::new() }
    }

    /// This party's share of Π mask_v^{powers[v]}, for at least one mask.
    pub(super) fn product<B: Correlations>(
        &mut self,
        by: &mut B,
        powers: &[u32],
    ) -> Result<Vec<u64>, OtError> {
        if let Some(made) = self.made.get(powers) {
            return Ok(made.clone());
        }
        let mut involved = (0..powers.len()).filter(|&v| powers[v] > 0);
        // A bit last: its product with a share costs less than one of two shares.
        let bit = involved.clone().find(|&v| matches!(self.factors[v], Factor::Bit(_)));
        let taken = bit.or_else(|| involved.next()).expect("a dealt product has at least one mask");
        let mut rest = powers.to_vec();
        rest[taken] -= 1;
        let zero = powers.iter().zip(self.factors).any(|(&p, f)| p > 0 && matches!(f, Factor::Zero));
        let product = if zero {
            vec![0; self.n]
        } else if rest.iter().all(|&p| p == 0) {
            match self.factors[taken] {
                Factor::Elements(share) | Factor::Bit(share) => {
                    share.iter().map(|v| self.ring.reduce(*v)).collect()
                }
                Factor::Zero => vec![0; self.n],
            }
        } else {
            let rest = self.product(by, &rest)?;
            match self.factors[taken] {
                Factor::Bit(share) => {
                    by.times_bits(self.ring, PackedBits::from_lsb(share).words(), &rest)?.to_vec()
                }
                Factor::Elements(share) => {
                    let share: Vec<u64> = share.iter().map(|v| self.ring.reduce(*v)).collect();
                    by.multiply(self.ring, &share, &rest)?.to_vec()
                }
                Factor::Zero => vec![0; self.n],
            }
        };
        self.made.insert(powers.to_vec(), product.clone());
        Ok(product)
    }
}
