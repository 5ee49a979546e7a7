//! Carries out recipes: the parts of one operation, from the masks that it drew.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tercet_online::Dealt;
use tercet_online::plan::{Part, TruncPlan};
use tercet_online::recipe::{BitMask, Digits, Recipe, part_len};
use tercet_share::PackedBits;

use super::adder::bits_of_sums;
use super::and::and_all;
use super::correlations::Correlations;
use super::monomials::Monomials;
use super::one_hot::OneHots;
use super::powers::products;
use super::truncation::{self, TruncMask};
use crate::error::OtError;
use crate::product::Ring;
use crate::secret::Secret;
use crate::times_bits::Selection;

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

    /// Makes and remembers the masks of a batch of truncations, with purposes from `purpose` on; returns this party's shares
    /// of each λ'.
    pub(super) fn truncations<B: Correlations>(
        &mut self,
        by: &mut B,
        purpose: u64,
        plans: &[TruncPlan],
        random: &[PackedBits],
    ) -> Result<Vec<&[u64]>, OtError> {
        let made = truncation::masks(by, plans, random)?;
        let end = purpose + made.len() as u64;
        self.truncations.extend((purpose..).zip(made));
        Ok(self.truncations.range(purpose..end).map(|(_, mask)| &*mask.high).collect())
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
        let (vectors, products) = self.bits(by, parts, recipes)?;
        let (mut vectors, mut products) = (vectors.into_iter(), products.into_iter());
        let mut selected = self.selected(by, parts, recipes)?.into_iter();
        let mut powers = self.powers(by, parts, recipes)?.into_iter();
        let mut made = Vec::with_capacity(parts.len());
        for (part, recipe) in parts.iter().zip(recipes) {
            made.push(match (recipe, *part) {
                (Recipe::OneHot { .. }, _) => Dealt::OneHot(vectors.next().unwrap_or_default()),
                (Recipe::Monomial { .. }, _) => Dealt::Bits(products.next().unwrap_or_default()),
                (Recipe::HighTimes { .. } | Recipe::WrapTimes { .. } | Recipe::BitValue { .. }, _) => {
                    Dealt::Elements(selected.next().unwrap_or_default())
                }
                (Recipe::Product { .. }, _) => Dealt::Elements(powers.next().unwrap_or_default()),
                (_, Part::Elements { n, bits }) => {
                    Dealt::Elements(self.elements(recipe, Ring::new(bits as u8)?, n)?)
                }
                _ => return Err(misfit()),
            });
        }
        Ok(made)
    }

    /// All products of powers. Those of one set of masks are made together.
    fn powers<B: Correlations>(
        &self,
        by: &mut B,
        parts: &[Part],
        recipes: &[Recipe<'_>],
    ) -> Result<Vec<Vec<u64>>, OtError> {
        let mut wanted = Vec::new();
        for (part, recipe) in parts.iter().zip(recipes) {
            if let Recipe::Product { factors, powers } = recipe {
                let Part::Elements { n, bits } = *part else { return Err(misfit()) };
                wanted.push((factors, powers.as_slice(), n, bits));
            }
        }
        let mut out = Vec::with_capacity(wanted.len());
        for set in wanted.chunk_by(|a, b| Rc::ptr_eq(a.0, b.0) && (a.2, a.3) == (b.2, b.3)) {
            let (factors, _, n, bits) = set[0];
            let all: Vec<&[u32]> = set.iter().map(|(_, powers, ..)| *powers).collect();
            let made = products(by, factors, Ring::new(bits as u8)?, n, &all)?;
            out.extend(all.into_iter().map(|powers| made.get(powers).map_or_else(Vec::new, |m| m.to_vec())));
        }
        Ok(out)
    }

    /// Parts that this party holds already.
    fn elements(&self, recipe: &Recipe<'_>, ring: Ring, n: usize) -> Result<Vec<u64>, OtError> {
        Ok(match recipe {
            Recipe::Excess => vec![0; n],
            Recipe::High { mask } => reduced(&self.of_truncation(*mask)?.high, ring),
            Recipe::Wrap { mask } => reduced(&self.of_truncation(*mask)?.top, ring),
            _ => return Err(misfit()),
        })
    }

    /// All products of a bit with λ' or μ, in the rounds of one; and bits as ring elements, which are products with one. That
    /// takes twice the bytes of a conversion, and no rounds of its own.
    fn selected<B: Correlations>(
        &self,
        by: &mut B,
        parts: &[Part],
        recipes: &[Recipe<'_>],
    ) -> Result<Vec<Vec<u64>>, OtError> {
        let mut operands = Vec::new();
        for (part, recipe) in parts.iter().zip(recipes) {
            let bit = match recipe {
                Recipe::HighTimes { bit, .. } | Recipe::WrapTimes { bit, .. } => *bit,
                Recipe::BitValue { pad } => BitMask::Pad(*pad),
                _ => continue,
            };
            let Part::Elements { n, bits } = *part else { return Err(misfit()) };
            let ring = Ring::new(bits as u8)?;
            let values = match recipe {
                Recipe::HighTimes { mask, .. } => reduced(&self.of_truncation(*mask)?.high, ring),
                Recipe::WrapTimes { mask, .. } => reduced(&self.of_truncation(*mask)?.top, ring),
                _ => vec![by.first().into(); n],
            };
            operands.push((ring, self.of_bit(by, bit, n)?, Secret::new(values)));
        }
        if operands.is_empty() {
            return Ok(Vec::new());
        }
        let selections: Vec<_> = operands
            .iter()
            .map(|(ring, bits, values)| Selection { ring: *ring, bits: bits.words(), values })
            .collect();
        Ok(by.times_bits(&selections)?.into_iter().map(|made| made.to_vec()).collect())
    }

    /// One-hot vectors and monomials, step by step together.
    fn bits<B: Correlations>(
        &self,
        by: &mut B,
        parts: &[Part],
        recipes: &[Recipe<'_>],
    ) -> Result<(Vec<Vec<u16>>, Vec<PackedBits>), OtError> {
        // The bits of masks that were made without shared bits: once for all digits of a mask.
        let mut unshared: Vec<(&Rc<Cow<'_, [u64]>>, u32)> = Vec::new();
        for recipe in recipes {
            if let Recipe::OneHot { of: Digits::Value { shares, width }, .. } = recipe
                && !unshared.iter().any(|(known, _)| Rc::ptr_eq(known, shares))
            {
                unshared.push((shares, *width));
            }
        }
        let summands: Vec<(&[u64], u32)> =
            unshared.iter().map(|(shares, width)| (shares.as_ref().as_ref(), *width)).collect();
        let sums: Vec<_> =
            unshared.iter().map(|(shares, _)| *shares).zip(bits_of_sums(by, &summands)?).collect();
        let mut digits: Vec<&[PackedBits]> = Vec::new();
        for recipe in recipes {
            let Recipe::OneHot { of, shift, width } = recipe else { continue };
            let planes = match of {
                Digits::Truncation(mask) => Some(&self.of_truncation(*mask)?.planes),
                Digits::Value { shares, .. } => {
                    sums.iter().find(|(known, _)| Rc::ptr_eq(known, shares)).map(|(_, planes)| planes)
                }
            };
            let digit = planes.and_then(|p| p.get(*shift as usize..(shift + width) as usize));
            digits.push(digit.ok_or_else(misfit)?);
        }
        let mut vectors = OneHots::new(&digits, by.first());
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
        let mut monomials = Monomials::new(masks, &sets);
        while !(vectors.done() && monomials.done()) {
            let mut pairs = vectors.pairs();
            let own = pairs.len();
            pairs.extend(monomials.pairs());
            let mut made = and_all(by, &pairs)?;
            let rest = made.split_off(own);
            vectors.absorb(made);
            monomials.absorb(rest);
        }
        Ok((vectors.finish(), monomials.finish(&sets)))
    }
}

fn reduced(values: &[u64], ring: Ring) -> Vec<u64> {
    values.iter().map(|v| ring.reduce(*v)).collect()
}

fn misfit() -> OtError {
    OtError::BadArgument { what: "the kind of a dealt part", got: 0, wanted: "one that its recipe makes" }
}
