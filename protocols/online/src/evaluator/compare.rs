//! Comparisons with zero, and argmax on top of them: see PROTOCOL.md, "Sign" and "Argmax".

use std::{borrow::Cow, sync::Arc, vec::IntoIter};

use tercet_engine::{EngineError, Meta, Shared, Sign, Truncate, checks};
use tercet_net::{Label, Transport};
use tercet_share::{PackedBits, Ring, Tensor, kernel};

use super::{Bit, Evaluator, Masked, Offset, next, open::Piece};
use crate::{
    argmax::ArgmaxPlan,
    compare::{ComparePlan, tables},
    labels,
    material::{Dealt, Source},
    plan::{Part, TruncPlan},
    recipes,
};

/// The state of a batch of comparisons at one evaluator.
pub(super) struct Comparison {
    items: Vec<Item>,
    stage: usize,
}

#[derive(Default)]
struct Item {
    /// Masks of the factors of each join, in order.
    pads: Vec<Vec<PackedBits>>,
    /// Shares of the monomials of each join, in order.
    monomials: Vec<Vec<PackedBits>>,
    /// The same for all thresholds of a value.
    one_hot: Arc<Vec<Vec<u16>>>,
    lambda_b: PackedBits,
    less: Vec<PackedBits>,
    equal: Vec<PackedBits>,
    /// Share of [x < 0] once it is known; before that the factors of the last join.
    negative: PackedBits,
    last_factors: Vec<PackedBits>,
}

impl Comparison {
    /// Draws every mask of a batch: first the factors of the first round, then of the last, then of the results.
    pub(super) fn prepare<T: Transport, S: Source<T>>(
        ev: &mut Evaluator<T, S>,
        plans: &[ComparePlan],
    ) -> Result<Comparison, EngineError> {
        let mut items: Vec<Item> = plans.iter().map(|_| Item::default()).collect();
        for (item, plan) in items.iter_mut().zip(plans) {
            for (join, ..) in &plan.groups {
                item.pads.push(ev.pad_bit_vectors(join.factors, plan.n)?);
            }
        }
        for (item, plan) in items.iter_mut().zip(plans) {
            if let Some(join) = &plan.last {
                item.pads.push(ev.pad_bit_vectors(join.factors, plan.n)?);
            }
        }
        for (item, plan) in items.iter_mut().zip(plans) {
            item.lambda_b = ev.pad_bits(plan.n)?;
        }
        Ok(Comparison { items, stage: 0 })
    }

    /// Reads the dealt one-hot blocks and monomials.
    pub(super) fn read(&mut self, plans: &[ComparePlan], dealt: &mut IntoIter<Dealt>) {
        let mut one_hot = Arc::default();
        for (item, plan) in self.items.iter_mut().zip(plans) {
            if !plan.again {
                one_hot = Arc::new(plan.dealt_blocks().iter().map(|_| next(dealt).one_hot()).collect());
            }
            item.one_hot = Arc::clone(&one_hot);
            item.monomials =
                plan.joins().map(|j| (0..j.monomial_count()).map(|_| next(dealt).bits()).collect()).collect();
        }
    }

    /// Local: "less" and "equal" of every block from the public m of each item.
    pub(super) fn digits<'a>(
        &mut self,
        plans: &[ComparePlan],
        public: impl IntoIterator<Item = Cow<'a, [u64]>>,
    ) {
        for ((item, plan), m) in self.items.iter_mut().zip(plans).zip(public) {
            for (j, &(shift, width)) in plan.blocks.iter().enumerate() {
                let words = plan.n.div_ceil(64);
                let (mut less, mut equal) = (vec![0; words], vec![0; words]);
                let t = tables(width, j == 0);
                kernel::compare_digits(&m, shift, width, &item.one_hot[j], &t, &mut less, &mut equal);
                item.less.push(PackedBits::from_words(plan.n, less));
                item.equal.push(PackedBits::from_words(plan.n, equal));
            }
            item.one_hot = Arc::default();
            if plan.groups.is_empty() {
                item.negative = item.less[0].clone();
            }
        }
    }

    /// The masked factors of the next join round; `None` when every item is joined.
    pub(super) fn next_pieces(&mut self, plans: &[ComparePlan]) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut open = |factors: Vec<PackedBits>, pads: &[PackedBits]| {
            for (mut f, pad) in factors.into_iter().zip(pads) {
                f.xor_assign(pad);
                pieces.push(Piece::Bits(f));
            }
        };
        for (item, plan) in self.items.iter_mut().zip(plans) {
            if self.stage == 0 {
                for g in 0..plan.groups.len() {
                    open(plan.factors(g, &item.less, &item.equal), &item.pads[g]);
                }
            } else if self.stage == 1 && plan.last.is_some() {
                open(std::mem::take(&mut item.last_factors), &item.pads[plan.groups.len()]);
            }
        }
        (!pieces.is_empty()).then_some(pieces)
    }

    /// Takes the opened factors of the round that [`Comparison::next_pieces`] began.
    pub(super) fn absorb(
        &mut self,
        plans: &[ComparePlan],
        opened: &mut impl Iterator<Item = Piece>,
        first: bool,
    ) {
        for (item, plan) in self.items.iter_mut().zip(plans) {
            if self.stage == 0 {
                let mut outputs = Vec::new();
                for (g, (join, from, _)) in plan.groups.iter().enumerate() {
                    let o: Vec<_> = opened.by_ref().take(join.factors).map(Piece::bits).collect();
                    let mut out = join.evaluate(&o, &item.pads[g], &item.monomials[g], first);
                    out[0].xor_assign(&item.less[*from]);
                    outputs.push(out);
                }
                if let [top, low] = outputs.as_mut_slice() {
                    item.last_factors = vec![std::mem::take(&mut top[1]), std::mem::take(&mut low[0])];
                }
                if let Some(top) = outputs.first_mut() {
                    item.negative = std::mem::take(&mut top[0]);
                }
            } else if let Some(join) = &plan.last {
                let at = plan.groups.len();
                let o: Vec<_> = opened.by_ref().take(join.factors).map(Piece::bits).collect();
                let out = join.evaluate(&o, &item.pads[at], &item.monomials[at], first);
                item.negative.xor_assign(&out[0]);
            }
        }
        self.stage += 1;
    }

    /// Shares of b = [x ≥ 0], before their opening.
    pub(super) fn shares(&mut self, first: bool) -> Vec<PackedBits> {
        self.items
            .iter_mut()
            .map(|item| {
                let mut b = std::mem::take(&mut item.negative);
                if first {
                    b.not_assign();
                }
                b
            })
            .collect()
    }

    /// b ⊕ λ_b of every item, to be opened.
    pub(super) fn result_pieces(&mut self, first: bool) -> Vec<Piece> {
        let shares = self.shares(first);
        shares
            .into_iter()
            .zip(&self.items)
            .map(|(mut b, item)| {
                b.xor_assign(&item.lambda_b);
                Piece::Bits(b)
            })
            .collect()
    }
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    pub(super) fn pad_bit_vectors(&mut self, count: usize, n: usize) -> Result<Vec<PackedBits>, EngineError> {
        (0..count).map(|_| self.pad_bits(n)).collect()
    }

    /// Runs the join rounds of a prepared batch.
    pub(super) fn join_rounds(
        &mut self,
        comparison: &mut Comparison,
        plans: &[ComparePlan],
        label: Label,
    ) -> Result<(), EngineError> {
        let first = self.first();
        let mut round = 0x20;
        while let Some(pieces) = comparison.next_pieces(plans) {
            let opened = self.open(label.with(&[round]), pieces)?;
            comparison.absorb(plans, &mut opened.into_iter(), first);
            round += 1;
        }
        Ok(())
    }

    pub(super) fn nonnegative_batch(
        &mut self,
        signs: &[Sign<'_, Masked>],
        ride: &[Truncate<'_, Offset>],
    ) -> Result<(Vec<Bit>, Vec<Masked>), EngineError> {
        let cuts = checks::signs(signs)?;
        let plans = ComparePlan::of_cuts(&cuts, signs);
        let riders = ride
            .iter()
            .map(|t| TruncPlan::new(&t.value.meta(), t.shift, t.out))
            .collect::<Result<Vec<_>, _>>()?;
        let label = labels::comparisons(&plans, &cuts, &riders);
        self.begin();
        let first = self.first();

        let rider_pieces = self.trunc_pieces(&riders, ride.iter().map(|t| t.value), TruncPlan::open_bits)?;
        let mut comparison = Comparison::prepare(self, &plans)?;
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        parts.extend(cuts.iter().map(|c| Part::Elements { n: c.bit.len(), bits: c.bit.ring.bits() }));
        riders.iter().for_each(|p| p.parts(&mut parts));
        let masks = || cuts.iter().map(|c| mask(signs[c.sign].value));
        let mut dealt = self.deal(label, &parts, || recipes::signs(&plans, masks(), &riders))?;
        comparison.read(&plans, &mut dealt);
        let lbs: Vec<_> = plans.iter().map(|_| next(&mut dealt).elements()).collect();
        let public = cuts.iter().map(|c| {
            let x = signs[c.sign].value;
            let mut m = x.m.as_ref().map_or_else(|| vec![0; x.meta.len()].into(), |m| Cow::from(m.data()));
            if c.at != 0 {
                kernel::add_scalar(m.to_mut(), c.at.wrapping_neg());
            }
            m
        });
        comparison.digits(&plans, public);

        // The riders' two rounds go out with the first two rounds of the comparison.
        let mut rider_pieces = Some(rider_pieces);
        let mut rider_results = None;
        let mut rider_masks = Vec::new();
        let mut rider_values: Vec<(Vec<u64>, Vec<u64>)> = Vec::new();
        let mut slots = Vec::new();
        let mut betas = None;
        for round in 0u64.. {
            let join = if betas.is_none() { comparison.next_pieces(&plans) } else { None };
            let mut pieces = Vec::new();
            let joining = join.is_some();
            let finishing = !joining && betas.is_none();
            if let Some(join) = join {
                pieces.extend(join);
            } else if finishing {
                pieces.extend(comparison.result_pieces(first));
            }
            let own = pieces.len();
            let opening = rider_pieces.take();
            let remasking = rider_results.take();
            let (opens_riders, remasks_riders) = (opening.is_some(), remasking.is_some());
            pieces.extend(opening.into_iter().flatten());
            for y in remasking.into_iter().flatten() {
                let (mut y, bits): (Vec<u64>, u32) = y;
                let g = self.pad(y.len(), bits)?;
                kernel::add_assign(&mut y, &g);
                rider_masks.push(g);
                pieces.push(Piece::Elements(y, bits));
            }
            if pieces.is_empty() {
                break;
            }
            let mut opened = self.open(label.with(&[round]), pieces)?.into_iter();
            let mut mine = opened.by_ref().take(own);
            if joining {
                comparison.absorb(&plans, &mut mine, first);
            } else if finishing {
                betas = Some(mine.map(Piece::bits).collect::<Vec<_>>());
            }
            if opens_riders {
                let results = self.trunc_results(&riders, opened.collect(), &mut dealt);
                let mut additive = Vec::new();
                for (plan, result) in riders.iter().zip(results) {
                    match result {
                        super::truncate::TruncResult::Masked(m, l) => slots.push(Some((m, l))),
                        super::truncate::TruncResult::Additive(y) => {
                            additive.push((y, plan.r));
                            slots.push(None);
                        }
                    }
                }
                rider_results = (!additive.is_empty()).then_some(additive);
            } else if remasks_riders {
                rider_values = opened.map(Piece::elements).zip(rider_masks.drain(..)).collect();
            }
        }
        let mut rider_values = rider_values.into_iter();
        let values = riders
            .iter()
            .zip(slots)
            .map(|(plan, slot)| {
                let (m, l) =
                    slot.unwrap_or_else(|| rider_values.next().expect("one opening per additive result"));
                super::truncate::masked(plan.out, m, l)
            })
            .collect();
        let bits = betas
            .into_iter()
            .flatten()
            .zip(lbs)
            .zip(&cuts)
            .map(|((beta, lb), cut)| bit(cut.bit, beta, lb))
            .collect();
        Ok((bits, values))
    }

    pub(super) fn argmax_of(
        &mut self,
        x: &Masked,
        group: usize,
        width: u32,
        out: Ring,
    ) -> Result<Bit, EngineError> {
        let meta = checks::argmax(&x.meta, group, width, out)?;
        let plan = ArgmaxPlan::new(&x.meta, group, width);
        let label = labels::argmax(&x.meta, group, width, out);
        self.begin();
        let first = self.first();
        let compare = [plan.compare()];
        let mut comparison = Comparison::prepare(self, &compare)?;
        let mut and_pads = Vec::new();
        for (join, n) in plan.and_rounds() {
            and_pads.push(self.pad_bit_vectors(join.factors, n)?);
        }
        let lambda_b = self.pad_bits(plan.bits())?;
        let mut parts = Vec::new();
        compare[0].parts(&mut parts);
        plan.and_parts(&mut parts);
        parts.push(Part::Elements { n: plan.bits(), bits: out.bits() });
        let mut dealt = self.deal(label, &parts, || recipes::argmax(&plan, &compare, &mask(x)))?;
        comparison.read(&compare, &mut dealt);
        let mut and_monomials = Vec::new();
        for (join, _) in plan.and_rounds() {
            and_monomials
                .push((0..join.monomial_count()).map(|_| next(&mut dealt).bits()).collect::<Vec<_>>());
        }
        let lb = next(&mut dealt).elements();

        let differences = match &x.m {
            Some(m) => plan.differences(m.data()),
            None => vec![0; plan.comparisons()],
        };
        comparison.digits(&compare, [Cow::from(differences)]);
        self.join_rounds(&mut comparison, &compare, label)?;
        let wins = comparison.shares(first).pop().unwrap_or_default();

        // Conjunction of each entry's wins, a few factors a round.
        let mut factors = plan.factors(&wins, first);
        for (round, (((join, _), pads), monomials)) in
            plan.and_rounds().into_iter().zip(&and_pads).zip(&and_monomials).enumerate()
        {
            let columns = plan.gather(&factors, join.factors, first);
            let pieces = columns
                .into_iter()
                .zip(pads)
                .map(|(mut f, pad)| {
                    f.xor_assign(pad);
                    Piece::Bits(f)
                })
                .collect();
            let opened: Vec<_> =
                self.open(label.with(&[0x40 + round as u64]), pieces)?.into_iter().map(Piece::bits).collect();
            let out = join.evaluate(&opened, pads, monomials, first).swap_remove(0);
            factors = plan.regroup(out, factors.len());
        }
        let mut share = plan.row_major(&factors, first);
        share.xor_assign(&lambda_b);
        let beta = self.open(label.with(&[0x60]), vec![Piece::Bits(share)])?.swap_remove(0).bits();
        Ok(bit(meta, beta, lb))
    }
}

/// This evaluator's summands of a value's mask.
fn mask(x: &Masked) -> Cow<'_, [u64]> {
    x.l.as_ref().map_or_else(|| vec![0; x.meta.len()].into(), |l| l.data().into())
}

fn bit(meta: Meta, beta: PackedBits, lb: Vec<u64>) -> Bit {
    Bit { meta, beta: Arc::new(beta), lb: Arc::new(Tensor::from_vec(meta.rows, meta.cols, lb)) }
}
