//! Sums of products of shared bits in one round (Beaver's trick for several factors).
//!
//! Every factor v is opened under a one-time mask a_v as o_v = v ⊕ a_v; the dealer deals the products of masks ("monomials"), and
//! Π v = Π (o_v ⊕ a_v) is then a public combination of shared bits. With one comparison block per factor this joins
//! `lt = p_0 ⊕ p_1 e_0 ⊕ p_2 e_0 e_1 ⊕ …` over all blocks.

use tercet_share::PackedBits;

use crate::plan::Part;

/// A set of factors, as bits of a word.
type Set = u32;

/// Which factors are opened and which products of them are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinPlan {
    /// Number of factors.
    pub factors: usize,
    /// Each output is the exclusive or of these products.
    outputs: Vec<Vec<Set>>,
    /// Products of masks to deal: every subset of two or more factors of a wanted product, in increasing order.
    monomials: Vec<Set>,
}

impl JoinPlan {
    /// A plan for the given outputs, each an exclusive or of products of factors.
    pub fn new(factors: usize, outputs: Vec<Vec<Set>>) -> JoinPlan {
        let mut monomials: Vec<Set> =
            outputs.iter().flatten().flat_map(|&set| subsets(set)).filter(|t| t.count_ones() >= 2).collect();
        monomials.sort_unstable();
        monomials.dedup();
        JoinPlan { factors, outputs, monomials }
    }

    /// The chain p_1 e_0 ⊕ p_2 e_0 e_1 ⊕ … of `blocks` blocks, and the product of all e if `all_equal`.
    /// Factors: e_0, e_1, … first (one more if `all_equal`), then p_1, p_2, ….
    pub fn chain(blocks: usize, all_equal: bool) -> JoinPlan {
        let es = if all_equal { blocks } else { blocks - 1 };
        let low = |n: usize| ((1u64 << n) - 1) as Set;
        let chain = (1..blocks).map(|j| low(j) | 1 << (es + j - 1)).collect();
        let outputs = if all_equal { vec![chain, vec![low(es)]] } else { vec![chain] };
        JoinPlan::new(es + blocks - 1, outputs)
    }

    /// The conjunction of `n` factors.
    pub fn all(n: usize) -> JoinPlan {
        JoinPlan::new(n, vec![vec![((1u64 << n) - 1) as Set]])
    }

    /// Dealt parts for `n` elements: one bit per monomial.
    pub fn parts(&self, n: usize, parts: &mut Vec<Part>) {
        parts.extend(self.monomials.iter().map(|_| Part::Bits { n }));
    }

    /// Number of dealt monomials.
    pub fn monomial_count(&self) -> usize {
        self.monomials.len()
    }

    /// The factors of every dealt monomial, as bits of a word.
    pub fn monomial_sets(&self) -> &[u32] {
        &self.monomials
    }

    /// The dealer's monomials, from the factors' masks.
    pub fn monomials(&self, masks: &[PackedBits]) -> Vec<PackedBits> {
        self.monomials.iter().map(|&set| product(masks, set)).collect()
    }

    /// One evaluator's share of every output. `opened`: the factors under their masks; `masks`: this evaluator's shares of
    /// the masks; `monomials`: its shares of the monomials. `first` adds the public term.
    pub fn evaluate(
        &self,
        opened: &[PackedBits],
        masks: &[PackedBits],
        monomials: &[PackedBits],
        first: bool,
    ) -> Vec<PackedBits> {
        let n = opened.first().map_or(0, PackedBits::len);
        let share = |t: Set| {
            if t.count_ones() == 1 {
                &masks[t.trailing_zeros() as usize]
            } else {
                let at =
                    self.monomials.binary_search(&t).expect("every subset of a wanted product is planned");
                &monomials[at]
            }
        };
        let mut products = Vec::new();
        self.outputs
            .iter()
            .map(|sets| {
                let mut out = PackedBits::zeros(n);
                for &set in sets {
                    // Π (o ⊕ a) over the set, one factor more at a time: products of what is opened, of every subset, in the order in
                    // which `subset` counts.
                    products.clear();
                    for v in members(set) {
                        let with = products.iter().map(|p: &PackedBits| {
                            let mut p = p.clone();
                            p.and_assign(&opened[v]);
                            p
                        });
                        let with: Vec<_> = with.collect();
                        products.push(opened[v].clone());
                        products.extend(with);
                    }
                    let all = (1u32 << set.count_ones()) - 1;
                    for taken in 1..=all {
                        let share = share(subset(set, taken));
                        match all & !taken {
                            0 => out.xor_assign(share),
                            left => out.xor_and(&products[left as usize - 1], share),
                        }
                    }
                    if first && let Some(whole) = products.last() {
                        out.xor_assign(whole);
                    }
                }
                out
            })
            .collect()
    }
}

/// The members of `set`, ascending.
fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..Set::BITS as usize).filter(move |v| set >> v & 1 == 1)
}

/// The members of `set` whose positions in it are the bits of `taken`.
fn subset(set: Set, taken: u32) -> Set {
    members(set).enumerate().filter(|(i, _)| taken >> i & 1 == 1).fold(0, |t, (_, v)| t | 1 << v)
}

/// Non-empty subsets of `set`.
fn subsets(set: Set) -> impl Iterator<Item = Set> {
    let mut next = set;
    std::iter::from_fn(move || {
        let t = next;
        next = next.wrapping_sub(1) & set;
        (t != 0).then_some(t)
    })
}

/// The conjunction of the vectors in a non-empty `set`.
fn product(bits: &[PackedBits], set: Set) -> PackedBits {
    let mut members = (0..32).filter(|v| set >> v & 1 == 1).map(|v| &bits[v]);
    let mut out = members.next().expect("products have at least one factor").clone();
    for b in members {
        out.and_assign(b);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lcg(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *state >> 17 ^ *state << 23
    }

    fn random(n: usize, state: &mut u64) -> PackedBits {
        PackedBits::from_words(n, (0..n.div_ceil(64)).map(|_| lcg(state)).collect())
    }

    #[test]
    fn shares_of_the_outputs_add_up_to_the_clear_formula() {
        let mut s = 7;
        for (blocks, all_equal) in [(2, false), (3, false), (3, true), (5, false), (4, true)] {
            let plan = JoinPlan::chain(blocks, all_equal);
            let n = 131;
            let factors: Vec<_> = (0..plan.factors).map(|_| random(n, &mut s)).collect();
            let masks: [Vec<_>; 2] = [0, 1].map(|_| (0..plan.factors).map(|_| random(n, &mut s)).collect());
            let whole: Vec<_> = (0..plan.factors)
                .map(|v| {
                    let mut m: PackedBits = masks[0][v].clone();
                    m.xor_assign(&masks[1][v]);
                    m
                })
                .collect();
            let opened: Vec<_> = (0..plan.factors)
                .map(|v| {
                    let mut o = factors[v].clone();
                    o.xor_assign(&whole[v]);
                    o
                })
                .collect();
            let dealt = plan.monomials(&whole);
            let m0: Vec<_> = dealt.iter().map(|_| random(n, &mut s)).collect();
            let m1: Vec<_> = dealt
                .iter()
                .zip(&m0)
                .map(|(d, r)| {
                    let mut x = d.clone();
                    x.xor_assign(r);
                    x
                })
                .collect();
            let (a, b) =
                (plan.evaluate(&opened, &masks[0], &m0, true), plan.evaluate(&opened, &masks[1], &m1, false));
            let es = if all_equal { blocks } else { blocks - 1 };
            for i in 0..n {
                let e = |j: usize| factors[j].bit(i);
                let want: u64 = (1..blocks)
                    .fold(0, |acc, j| acc ^ factors[es + j - 1].bit(i) & (0..j).fold(1, |x, t| x & e(t)));
                assert_eq!(a[0].bit(i) ^ b[0].bit(i), want);
                if all_equal {
                    assert_eq!(a[1].bit(i) ^ b[1].bit(i), (0..es).fold(1, |x, t| x & e(t)));
                }
            }
        }
    }
}
