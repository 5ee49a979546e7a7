//! Argmax of short runs: every pair of entries is compared at once, and an entry is the largest if it wins all of its pairs.
//!
//! A tournament would compare K − 1 pairs in log2 K times as many rounds; for the K ≤ 10 classes of a classifier and the 4 entries
//! of a pooling window, K(K−1)/2 comparisons cost less than the rounds.

use tercet_engine::Meta;
use tercet_share::PackedBits;

use crate::{compare::ComparePlan, join::JoinPlan, plan::Part};

/// Factors that one round multiplies: 2^4 − 5 monomials are dealt per product.
const ARITY: usize = 4;

/// How the argmax of `runs` runs of `k` entries works.
pub struct ArgmaxPlan {
    runs: usize,
    k: usize,
    width: u32,
}

impl ArgmaxPlan {
    /// A plan for runs of `k` neighbouring entries.
    pub fn new(x: &Meta, k: usize, width: u32) -> ArgmaxPlan {
        ArgmaxPlan { runs: x.len() / k, k, width }
    }

    /// Number of result bits.
    pub fn bits(&self) -> usize {
        self.runs * self.k
    }

    /// Number of comparisons.
    pub fn comparisons(&self) -> usize {
        self.runs * self.k * (self.k - 1) / 2
    }

    /// The comparisons' plan.
    pub fn compare(&self) -> ComparePlan {
        ComparePlan::new(self.comparisons(), self.width)
    }

    /// x_i − x_j for every pair i < j, pair by pair.
    pub fn differences(&self, x: &[u64]) -> Vec<u64> {
        let mut out = Vec::with_capacity(self.comparisons());
        for i in 0..self.k {
            for j in i + 1..self.k {
                out.extend(x.chunks_exact(self.k).map(|run| run[i].wrapping_sub(run[j])));
            }
        }
        out
    }

    fn pair(&self, i: usize, j: usize) -> usize {
        i * self.k - i * (i + 1) / 2 + j - i - 1
    }

    /// For each entry, its wins over the others, from the shares of [x_i ≥ x_j]: the first of equal entries wins.
    pub fn factors(&self, wins: &PackedBits, first: bool) -> Vec<Vec<PackedBits>> {
        (0..self.k)
            .map(|i| {
                (0..self.k)
                    .filter(|&j| j != i)
                    .map(|j| {
                        let mut w = wins.slice(self.pair(i.min(j), i.max(j)) * self.runs, self.runs);
                        if j < i && first {
                            w.not_assign();
                        }
                        w
                    })
                    .collect()
            })
            .collect()
    }

    /// Each conjunction round: its join and its number of products.
    pub fn and_rounds(&self) -> Vec<(JoinPlan, usize)> {
        let mut rounds = Vec::new();
        let mut factors = self.k - 1;
        while factors > 1 {
            let arity = arity(factors);
            let chunks = factors.div_ceil(arity);
            rounds.push((JoinPlan::all(arity), self.k * chunks * self.runs));
            factors = chunks;
        }
        rounds
    }

    /// Dealt parts of the conjunctions.
    pub fn and_parts(&self, parts: &mut Vec<Part>) {
        for (join, n) in self.and_rounds() {
            join.parts(n, parts);
        }
    }

    /// The columns of a round: column t holds factor t of every chunk of every entry; missing factors are one.
    pub fn gather(&self, factors: &[Vec<PackedBits>], arity: usize, first: bool) -> Vec<PackedBits> {
        let one = if first { PackedBits::ones(self.runs) } else { PackedBits::zeros(self.runs) };
        (0..arity)
            .map(|t| {
                let mut column = PackedBits::zeros(0);
                for entry in factors {
                    for chunk in entry.chunks(arity) {
                        column.append(chunk.get(t).unwrap_or(&one));
                    }
                }
                column
            })
            .collect()
    }

    /// The products of a round as the factors of the next.
    pub fn regroup(&self, out: PackedBits, entries: usize) -> Vec<Vec<PackedBits>> {
        let chunks = if self.runs == 0 { 1 } else { out.len() / (entries * self.runs) };
        (0..entries)
            .map(|i| (0..chunks).map(|c| out.slice((i * chunks + c) * self.runs, self.runs)).collect())
            .collect()
    }

    /// The bits in the order of the operand, once every entry has one factor (or none, for runs of one).
    pub fn row_major(&self, factors: &[Vec<PackedBits>], first: bool) -> PackedBits {
        let mut words = vec![0u64; self.bits().div_ceil(64)];
        for (i, entry) in factors.iter().enumerate() {
            for run in 0..self.runs {
                let at = run * self.k + i;
                let b = entry.first().map_or(u64::from(first), |f| f.bit(run));
                words[at / 64] |= b << (at % 64);
            }
        }
        PackedBits::from_words(self.bits(), words)
    }
}

/// The factors per product that finish in the fewest rounds with the least padding.
fn arity(factors: usize) -> usize {
    let (mut rounds, mut reach) = (1u32, ARITY);
    while reach < factors {
        rounds += 1;
        reach *= ARITY;
    }
    (2..=ARITY).find(|a| a.pow(rounds) >= factors).unwrap_or(ARITY)
}
