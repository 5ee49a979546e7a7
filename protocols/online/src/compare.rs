//! The sign of a masked value x = m − λ (mod 2^k): b = [x ≥ 0].
//!
//! x < 0 exactly if the top bit of m ⊕ the top bit of λ ⊕ (m_low < λ_low) is set (low: all bits but the top). The dealer knows λ and
//! deals XOR shares of the one-hot vector of each of its 4-bit blocks; both evaluators know m, so that "less" and "equal" of a block
//! are inner products with public tables, hence local. A join over the blocks finishes: one round for up to five
//! blocks, two for more.
//!
//! Several public thresholds of one value: x − t = (m − t) − λ has the same mask, so the same one-hot blocks serve all of them. What is
//! looked up in them is local, and what is opened of it has masks of its own for every threshold.

use tercet_engine::{Shared, Sign, checks::Cut};
use tercet_share::{PackedBits, kernel::DigitTables};

use crate::{
    join::JoinPlan,
    plan::{Part, blocks},
};

/// Blocks that one round joins; with more, the dealt monomials (2^blocks) cost more than a round.
const ONE_ROUND_BLOCKS: usize = 5;

/// For a public digit m of `width` bits, the sets of digits of λ that count as "m < λ" (in the top block: as a negative sign, its
/// highest bit being the sign) and as "m = λ" (in the top block: without that bit).
pub fn tables(width: u32, top: bool) -> DigitTables {
    let mut t = DigitTables { less: [0; 16], equal: [0; 16] };
    let half = 1u16 << (width - 1);
    for m in 0..1u16 << width {
        for v in 0..1u16 << width {
            let (less, equal) = if top {
                ((m / half) ^ (v / half) ^ u16::from(m % half < v % half) == 1, m % half == v % half)
            } else {
                (m < v, m == v)
            };
            t.less[m as usize] |= u16::from(less) << v;
            t.equal[m as usize] |= u16::from(equal) << v;
        }
    }
    t
}

/// How one batch of `n` comparisons of width `k` runs.
pub struct ComparePlan {
    /// Number of comparisons.
    pub n: usize,
    /// Whether the values have the masks of the batch before, whose one-hot blocks serve these comparisons too.
    pub again: bool,
    /// Shift and width of each block, top first.
    pub blocks: Vec<(u32, u32)>,
    /// First round: one or two groups of neighbouring blocks, with the index of each group's first block.
    pub groups: Vec<(JoinPlan, usize, usize)>,
    /// Second round: P ⊕ Q·R, if there are two groups.
    pub last: Option<JoinPlan>,
}

impl ComparePlan {
    /// A plan for `n` comparisons of `k` bits.
    pub fn new(n: usize, k: u32) -> ComparePlan {
        let blocks = blocks(k);
        let count = blocks.len();
        let (groups, last) = match count {
            1 => (vec![], None),
            c if c <= ONE_ROUND_BLOCKS => (vec![(JoinPlan::chain(c, false), 0, c)], None),
            c => {
                let h = c.div_ceil(2);
                let top = (JoinPlan::chain(h, true), 0, h);
                let low = (JoinPlan::chain(c - h, false), h, c);
                (vec![top, low], Some(JoinPlan::new(2, vec![vec![0b11]])))
            }
        };
        ComparePlan { n, again: false, blocks, groups, last }
    }

    /// The plans of `cuts`, for values that `signs` say.
    pub fn of_cuts<M: Shared>(cuts: &[Cut], signs: &[Sign<'_, M>]) -> Vec<ComparePlan> {
        let plan = |cut: &Cut| ComparePlan {
            again: cut.again,
            ..ComparePlan::new(cut.bit.len(), signs[cut.sign].width)
        };
        cuts.iter().map(plan).collect()
    }

    /// Bits of the comparison.
    pub fn width(&self) -> u32 {
        self.blocks.iter().map(|b| b.1).sum()
    }

    /// The blocks that are dealt one-hot vectors: none if those of the batch before serve.
    pub fn dealt_blocks(&self) -> &[(u32, u32)] {
        if self.again { &[] } else { &self.blocks }
    }

    /// Dealt parts: one-hot blocks, then the monomials of each join.
    pub fn parts(&self, parts: &mut Vec<Part>) {
        parts.extend(self.dealt_blocks().iter().map(|&(_, width)| Part::OneHot { n: self.n, width }));
        for plan in self.joins() {
            plan.parts(self.n, parts);
        }
    }

    /// Bits that each evaluator opens in each round, per comparison.
    pub fn opened_bits(&self) -> Vec<usize> {
        let mut rounds = Vec::new();
        if !self.groups.is_empty() {
            rounds.push(self.groups.iter().map(|g| g.0.factors).sum());
        }
        rounds.extend(self.last.as_ref().map(|j| j.factors));
        rounds
    }

    /// The joins in order.
    pub fn joins(&self) -> impl Iterator<Item = &JoinPlan> {
        self.groups.iter().map(|g| &g.0).chain(&self.last)
    }

    /// The factors of group `g`, from the blocks' "less" and "equal": all e, then p_1, p_2, ….
    pub fn factors(&self, g: usize, less: &[PackedBits], equal: &[PackedBits]) -> Vec<PackedBits> {
        let (plan, from, to) = &self.groups[g];
        let es = plan.factors - (to - from - 1);
        let e = equal[*from..from + es].iter();
        e.chain(&less[from + 1..*to]).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tercet_share::Ring;
    use tercet_share::low_mask;

    #[test]
    fn the_block_formula_is_the_sign_for_every_small_pair() {
        for k in [2u32, 3, 5, 8, 9] {
            let plan = ComparePlan::new(1, k);
            for m in 0..1u64 << k {
                for lambda in 0..1u64 << k {
                    let mut negative = 0;
                    let mut all_equal = 1;
                    for (j, &b) in plan.blocks.iter().enumerate() {
                        let t = tables(b.1, j == 0);
                        let (dm, dv) = ((m >> b.0 & low_mask(b.1)) as usize, lambda >> b.0 & low_mask(b.1));
                        negative ^= all_equal & u64::from(t.less[dm] >> dv & 1);
                        all_equal &= u64::from(t.equal[dm] >> dv & 1);
                    }
                    let x = Ring::new(k).unwrap().signed(m.wrapping_sub(lambda));
                    assert_eq!(negative == 1, x < 0, "k={k} m={m} λ={lambda}");
                }
            }
        }
    }
}
