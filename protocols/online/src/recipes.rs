//! Recipes of whole operations, in the order of their parts: for evaluators and the declared cost alike.

use std::borrow::Cow;
use std::rc::Rc;

use crate::{
    argmax::ArgmaxPlan,
    compare::ComparePlan,
    plan::TruncPlan,
    polynomial::PolyPlan,
    recipe::{BitMask, Digits, Factor, Recipe},
};

/// Of a batch of truncations whose masks have purposes from `first` on.
pub fn truncations<'a>(plans: &[TruncPlan], first: u64) -> Vec<Recipe<'a>> {
    let mut out = Vec::new();
    plans.iter().zip(first..).for_each(|(plan, mask)| plan.recipes(mask, &mut out));
    out
}

/// Of a batch of ReLUs.
pub fn relus<'a>(plans: &[TruncPlan], signs: &[ComparePlan]) -> Vec<Recipe<'a>> {
    let (pads, results) = ComparePlan::pad_purposes(signs, &mut (plans.len() as u64));
    let mut out = Vec::new();
    for ((sign, pads), mask) in signs.iter().zip(&pads).zip(0..) {
        sign.recipes(&Digits::Truncation(mask), pads, &mut out);
    }
    for ((plan, &pad), mask) in plans.iter().zip(&results).zip(0..) {
        plan.gate_recipes(mask, BitMask::Pad(pad), &mut out);
        out.push(Recipe::BitValue { pad });
    }
    out
}

/// Of a batch of gates with stored bits.
pub fn gates<'a>(plans: &[TruncPlan], bits: impl Iterator<Item = BitMask<'a>>) -> Vec<Recipe<'a>> {
    let mut out = Vec::new();
    for ((plan, bit), mask) in plans.iter().zip(bits).zip(0..) {
        plan.gate_recipes(mask, bit, &mut out);
    }
    out
}

/// Of a batch of comparisons of masked values, and of the truncations that ride along.
pub fn signs<'a>(
    plans: &[ComparePlan],
    masks: impl Iterator<Item = Cow<'a, [u64]>>,
    riders: &[TruncPlan],
) -> Vec<Recipe<'a>> {
    let (pads, results) = ComparePlan::pad_purposes(plans, &mut (riders.len() as u64));
    let mut out = Vec::new();
    for ((plan, pads), shares) in plans.iter().zip(&pads).zip(masks) {
        let of = Digits::Value { shares: Rc::new(shares), width: plan.width() };
        plan.recipes(&of, pads, &mut out);
    }
    out.extend(results.into_iter().map(|pad| Recipe::BitValue { pad }));
    out.extend(truncations(riders, 0));
    out
}

/// Of an argmax of a value whose mask has summands `shares`; `compare` is the plan of its comparisons.
pub fn argmax<'a>(plan: &ArgmaxPlan, compare: &[ComparePlan; 1], shares: &[u64]) -> Vec<Recipe<'a>> {
    let mut next = 0;
    // The result masks of the comparisons are drawn and not used: the wins stay shares.
    let (pads, _) = ComparePlan::pad_purposes(compare, &mut next);
    let [compare] = compare;
    let shares = Rc::new(Cow::Owned(plan.differences(shares)));
    let mut out = Vec::new();
    compare.recipes(&Digits::Value { shares, width: compare.width() }, &pads[0], &mut out);
    plan.and_recipes(&mut next, &mut out);
    out.push(Recipe::BitValue { pad: next });
    out
}

/// Of a polynomial with these masks.
pub fn products<'a>(plan: &PolyPlan, factors: Vec<Factor<'a>>) -> Vec<Recipe<'a>> {
    let factors: Rc<[Factor<'a>]> = factors.into();
    plan.dealt().map(|powers| Recipe::Product { factors: factors.clone(), powers: powers.to_vec() }).collect()
}
