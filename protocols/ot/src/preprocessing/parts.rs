//! Carries out recipes: the parts of one operation, from the masks that it drew.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tercet_online::Dealt;
use tercet_online::plan::{Part, TruncPlan};
use tercet_online::recipe::{BitMask, Digits, Factor, Recipe, part_len};
use tercet_share::PackedBits;

use super::adder::bits_of_sum;
use super::correlations::Correlations;
use super::monomials::monomials;
use super::one_hot::one_hot;
use super::powers::Powers;
use super::truncation::{self, TruncMask};
use crate::error::OtError;
use crate::product::{Moduli, Ring};

/// The masks that the current operation drew, by purpose.
#[derive(Default)]
pub(super) struct Masks {
    truncations: BTreeMap<u64, TruncMask>,
    bits: BTreeMap<u64, PackedBits>,
}

impl Masks {
    /// Forgets the masks of the last operation.
    pub(super) fn clear(&mut self) {
        self.truncations.clear();
        self.bits.clear();
    }

    /// Remembers a bit mask.
    pub(super) fn keep_bits(&mut self, purpose: u64, bits: PackedBits) {
        self.bits.insert(purpose, bits);
    }

    /// Makes and remembers a truncation mask; returns this party's share of λ'.
    pub(super) fn truncation<B: Correlations>(
        &mut self,
        by: &mut B,
        purpose: u64,
        plan: &TruncPlan,
        random: &PackedBits,
    ) -> Result<&[u64], OtError> {
        let mask = truncation::mask(by, plan, random)?;
        Ok(&self.truncations.entry(purpose).insert_entry(mask).into_mut().high)
    }

    fn of_truncation(&self, purpose: u64) -> Result<&TruncMask, OtError> {
        self.truncations.get(&purpose).ok_or(OtError::BadArgument {
            what: "the purpose of a truncation mask",
            got: purpose,
            wanted: "one that this operation drew",
        })
    }

    /// The bit mask with this purpose, or zeros if nothing is drawn at all.
    fn of_bits<B: Correlations>(&self, by: &B, purpose: u64, n: usize) -> Result<PackedBits, OtError> {
        match self.bits.get(&purpose) {
            Some(bits) if bits.len() == n => Ok(bits.clone()),
            None if by.counts_only() => Ok(PackedBits::zeros(n)),
            _ => Err(OtError::BadArgument {
                what: "the purpose of a bit mask",
                got: purpose,
                wanted: "one that this operation drew",
            }),
        }
    }

    fn of_bit<B: Correlations>(&self, by: &B, bit: BitMask<'_>, n: usize) -> Result<PackedBits, OtError> {
        match bit {
            BitMask::Pad(purpose) => self.of_bits(by, purpose, n),
            BitMask::Shares(shares) => Ok(PackedBits::from_lsb(shares)),
        }
    }

    /// This party's shares of all parts. Kinds run one after the other, each kind at once.
    pub(super) fn parts<B: Correlations>(
        &self,
        by: &mut B,
        parts: &[Part],
        recipes: &[Recipe<'_>],
    ) -> Result<Vec<Dealt>, OtError> {
        if parts.len() != recipes.len() {
            return Err(OtError::BadArgument {
                what: "the number of recipes",
                got: recipes.len() as u64,
                wanted: "one for each part",
            });
        }
        let mut vectors = self.one_hots(by, recipes)?.into_iter();
        let mut products = self.monomials(by, parts, recipes)?.into_iter();
        let mut powers: Option<(*const Factor<'_>, Powers<'_>)> = None;
        let mut made = Vec::with_capacity(parts.len());
        for (part, recipe) in parts.iter().zip(recipes) {
            made.push(match (recipe, *part) {
                (Recipe::OneHot { .. }, _) => Dealt::OneHot(vectors.next().unwrap_or_default()),
                (Recipe::Monomial { .. }, _) => Dealt::Bits(products.next().unwrap_or_default()),
                (_, Part::Elements { n, bits }) => {
                    let ring = Ring::new(bits as u8)?;
                    if let Recipe::Product { factors, powers: wanted } = recipe {
                        let of: *const Factor<'_> = factors.as_ptr();
                        let known = powers.take().filter(|(at, _)| *at == of);
                        let (_, mut all) = known.unwrap_or_else(|| (of, Powers::new(factors, ring, n)));
                        let product = all.product(by, wanted)?;
                        powers = Some((of, all));
                        Dealt::Elements(product)
                    } else {
                        Dealt::Elements(self.elements(by, recipe, ring, n)?)
                    }
                }
                _ => return Err(misfit()),
            });
        }
        Ok(made)
    }

    fn elements<B: Correlations>(
        &self,
        by: &mut B,
        recipe: &Recipe<'_>,
        ring: Ring,
        n: usize,
    ) -> Result<Vec<u64>, OtError> {
        let reduced = |v: &[u64]| v.iter().map(|v| ring.reduce(*v)).collect::<Vec<u64>>();
        Ok(match recipe {
            Recipe::Excess => vec![0; n],
            Recipe::High { mask } => reduced(&self.of_truncation(*mask)?.high),
            Recipe::Wrap { mask } => reduced(&self.of_truncation(*mask)?.top),
            Recipe::HighTimes { mask, bit } => {
                let bits = self.of_bit(by, *bit, n)?;
                by.times_bits(ring, bits.words(), &reduced(&self.of_truncation(*mask)?.high))?.to_vec()
            }
            Recipe::WrapTimes { mask, bit } => {
                let bits = self.of_bit(by, *bit, n)?;
                by.times_bits(ring, bits.words(), &reduced(&self.of_truncation(*mask)?.top))?.to_vec()
            }
            Recipe::BitValue { pad } => {
                let bits = self.of_bits(by, *pad, n)?;
                by.to_ring(Moduli::same(ring), n, bits.words())?.to_vec()
            }
            _ => return Err(misfit()),
        })
    }

    fn one_hots<B: Correlations>(
        &self,
        by: &mut B,
        recipes: &[Recipe<'_>],
    ) -> Result<Vec<Vec<u16>>, OtError> {
        // The bits of masks that were made without shared bits: once for all digits of a mask.
        let mut sums: Vec<(*const Cow<'_, [u64]>, Vec<PackedBits>)> = Vec::new();
        for recipe in recipes {
            if let Recipe::OneHot { of: Digits::Value { shares, width }, .. } = recipe
                && !sums.iter().any(|(known, _)| std::ptr::eq(*known, Rc::as_ptr(shares)))
            {
                sums.push((Rc::as_ptr(shares), bits_of_sum(by, shares, *width)?));
            }
        }
        let mut digits: Vec<&[PackedBits]> = Vec::new();
        for recipe in recipes {
            let Recipe::OneHot { of, shift, width } = recipe else { continue };
            let planes = match of {
                Digits::Truncation(mask) => Some(&self.of_truncation(*mask)?.planes),
                Digits::Value { shares, .. } => {
                    sums.iter().find(|(known, _)| std::ptr::eq(*known, Rc::as_ptr(shares))).map(|(_, p)| p)
                }
            };
            let digit = planes.and_then(|p| p.get(*shift as usize..(shift + width) as usize));
            digits.push(digit.ok_or_else(misfit)?);
        }
        one_hot(by, &digits)
    }

    fn monomials<B: Correlations>(
        &self,
        by: &mut B,
        parts: &[Part],
        recipes: &[Recipe<'_>],
    ) -> Result<Vec<PackedBits>, OtError> {
        let sets: Vec<(&[u64], usize)> = recipes
            .iter()
            .zip(parts)
            .filter_map(|(recipe, part)| match recipe {
                Recipe::Monomial { pads } => Some((pads.as_slice(), part_len(part))),
                _ => None,
            })
            .collect();
        let mut masks = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (set, n) in &sets {
            for &pad in *set {
                if seen.insert(pad) {
                    masks.insert(pad, self.of_bits(by, pad, *n)?);
                }
            }
        }
        let sets: Vec<&[u64]> = sets.into_iter().map(|(set, _)| set).collect();
        monomials(by, &masks, &sets)
    }
}

fn misfit() -> OtError {
    OtError::BadArgument { what: "the kind of a dealt part", got: 0, wanted: "one that its recipe makes" }
}
