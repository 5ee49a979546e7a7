//! What every dealt part is, as a function of masks: for sources that make the parts themselves.
//!
//! A dealer knows all masks and needs none of this. Evaluators without a dealer hold shares of the masks, and a recipe tells
//! them what to compute on those shares. Recipes come in the order of the parts.

use std::borrow::Cow;
use std::rc::Rc;

use crate::{
    argmax::ArgmaxPlan,
    compare::ComparePlan,
    join::JoinPlan,
    plan::{Part, TruncPlan},
};

/// One dealt part as a function of masks. Masks that the same operation drew as pads are named by their purpose.
pub enum Recipe<'a> {
    /// What the evaluators' summands of a half-finished value exceed the value by. Zero where no dealer holds products.
    Excess,
    /// An input of the dealer.
    Input,
    /// λ' = λ >> s of the truncation mask with this purpose.
    High {
        /// Purpose of the mask.
        mask: u64,
    },
    /// μ, the top bit of a truncation mask.
    Wrap {
        /// Purpose of the mask.
        mask: u64,
    },
    /// λ_b·λ'.
    HighTimes {
        /// Purpose of the mask.
        mask: u64,
        /// The bit's mask.
        bit: BitMask<'a>,
    },
    /// λ_b·μ.
    WrapTimes {
        /// Purpose of the mask.
        mask: u64,
        /// The bit's mask.
        bit: BitMask<'a>,
    },
    /// A bit mask as a ring element.
    BitValue {
        /// Purpose of the bit pad.
        pad: u64,
    },
    /// One-hot vectors of the digits of a mask at `shift`, of `width` bits.
    OneHot {
        /// The mask.
        of: Digits<'a>,
        /// Lowest bit of the digit.
        shift: u32,
        /// Bits of the digit.
        width: u32,
    },
    /// The conjunction of bit pads.
    Monomial {
        /// Purpose of each factor, two or more.
        pads: Vec<u64>,
    },
    /// A product of powers of masks.
    Product {
        /// The masks of all variables.
        factors: Rc<[Factor<'a>]>,
        /// The power of each.
        powers: Vec<u32>,
    },
}

/// The mask λ_b of a bit.
#[derive(Clone, Copy)]
pub enum BitMask<'a> {
    /// Drawn by this operation under this purpose.
    Pad(u64),
    /// This evaluator's summands of λ_b as ring elements; their lowest bits share λ_b by exclusive or.
    Shares(&'a [u64]),
}

/// A mask whose digits a comparison needs.
#[derive(Clone)]
pub enum Digits<'a> {
    /// λ' of the truncation mask with this purpose.
    Truncation(u64),
    /// This evaluator's summands of a mask of which `width` bits are compared.
    Value {
        /// Summands.
        shares: Rc<Cow<'a, [u64]>>,
        /// Bits compared.
        width: u32,
    },
}

/// The mask of one variable of a polynomial.
pub enum Factor<'a> {
    /// A public variable: its mask is zero.
    Zero,
    /// This evaluator's summands of λ.
    Elements(&'a [u64]),
    /// This evaluator's summands of λ_b.
    Bit(&'a [u64]),
}

impl TruncPlan {
    /// Recipes of [`TruncPlan::parts`].
    pub fn recipes<'a>(&self, mask: u64, out: &mut Vec<Recipe<'a>>) {
        out.push(Recipe::High { mask });
        if self.wrap_bits() > 0 {
            out.push(Recipe::Wrap { mask });
        }
    }

    /// Recipes of [`TruncPlan::gate_parts`].
    pub fn gate_recipes<'a>(&self, mask: u64, bit: BitMask<'a>, out: &mut Vec<Recipe<'a>>) {
        self.recipes(mask, out);
        out.push(Recipe::HighTimes { mask, bit });
        if self.wrap_bits() > 0 {
            out.push(Recipe::WrapTimes { mask, bit });
        }
    }
}

impl JoinPlan {
    /// Recipes of [`JoinPlan::parts`], for factors whose pads have consecutive purposes from `first` on.
    pub fn recipes(&self, first: u64, out: &mut Vec<Recipe<'_>>) {
        out.extend(self.monomial_sets().iter().map(|set| Recipe::Monomial {
            pads: (0..u32::BITS).filter(|v| set >> v & 1 == 1).map(|v| first + u64::from(v)).collect(),
        }));
    }
}

impl ComparePlan {
    /// Recipes of [`ComparePlan::parts`]; `pads` holds the purpose of the first pad of every join.
    pub fn recipes<'a>(&self, of: &Digits<'a>, pads: &[u64], out: &mut Vec<Recipe<'a>>) {
        let blocks = self.dealt_blocks().iter();
        out.extend(blocks.map(|&(shift, width)| Recipe::OneHot { of: of.clone(), shift, width }));
        for (join, &first) in self.joins().zip(pads) {
            join.recipes(first, out);
        }
    }

    /// The purpose of the first pad of every join, for pads drawn from `next` on in the order of the evaluator: all first
    /// rounds of a batch, all last rounds, then one result mask each. Returns those of every plan and the purposes of the
    /// result masks.
    pub fn pad_purposes(plans: &[ComparePlan], next: &mut u64) -> (Vec<Vec<u64>>, Vec<u64>) {
        let mut take = |count: usize| {
            *next += count as u64;
            *next - count as u64
        };
        let mut pads: Vec<Vec<u64>> =
            plans.iter().map(|p| p.groups.iter().map(|g| take(g.0.factors)).collect()).collect();
        for (pads, plan) in pads.iter_mut().zip(plans) {
            pads.extend(plan.last.as_ref().map(|join| take(join.factors)));
        }
        let results = plans.iter().map(|_| take(1)).collect();
        (pads, results)
    }
}

impl ArgmaxPlan {
    /// Recipes of [`ArgmaxPlan::and_parts`]; pads are drawn round after round from `next` on.
    pub fn and_recipes(&self, next: &mut u64, out: &mut Vec<Recipe<'_>>) {
        for (join, _) in self.and_rounds() {
            for set in join.monomial_sets() {
                let pads = (0..u32::BITS).filter(|v| set >> v & 1 == 1).map(|v| *next + u64::from(v));
                out.push(Recipe::Monomial { pads: pads.collect() });
            }
            *next += join.factors as u64;
        }
    }
}

/// Number of elements of a part.
pub fn part_len(part: &Part) -> usize {
    match *part {
        Part::Elements { n, .. } | Part::Bits { n } | Part::OneHot { n, .. } => n,
    }
}
