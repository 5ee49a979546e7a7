//! Truncation, ReLU and gates: see PROTOCOL.md, "Truncation" and "ReLU".

use std::sync::Arc;

use tercet_engine::{EngineError, Gate, Relu, Shared, Truncate, checks};
use tercet_net::{Label, Transport};
use tercet_share::{PackedBits, Tensor, kernel};

use super::{
    Bit, Evaluator, Masked, Offset,
    compare::Comparison,
    next,
    open::{Pending, Piece},
};
use crate::{
    compare::ComparePlan,
    labels,
    material::{Dealt, Source},
    plan::{Part, TruncPlan},
    recipe::{BitMask, Recipe},
    recipes,
};

/// The opened part of a truncation: v >> s = a − λ' + wrap·2^(l−s)·μ, where `wrap` and a are known to all evaluators.
pub(super) struct OpenedTrunc {
    pub(super) a: Vec<u64>,
    wrap: Vec<u64>,
}

/// This evaluator's shares of λ' and μ, or of their products with a bit's mask.
struct MaskShares {
    high: Vec<u64>,
    msb: Option<Vec<u64>>,
}

impl MaskShares {
    fn read(plan: &TruncPlan, dealt: &mut std::vec::IntoIter<Dealt>) -> MaskShares {
        let high = next(dealt).elements();
        let msb = (plan.wrap_bits() > 0).then(|| next(dealt).elements());
        MaskShares { high, msb }
    }

    /// Adds wrap·μ − λ', this evaluator's summand of the truncated value less the public a.
    fn correct(&self, opened: &OpenedTrunc, sum: &mut [u64]) {
        if let Some(mu) = &self.msb {
            kernel::mul_add(sum, &opened.wrap, mu);
        }
        kernel::sub_assign(sum, &self.high);
    }
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    /// The summands of (v + λ) >> s that are opened, each with the bits to open: the low bits are dropped before anything is
    /// sent.
    pub(super) fn trunc_pieces<'a>(
        &mut self,
        plans: &[TruncPlan],
        values: impl Iterator<Item = &'a Offset>,
        bits: fn(&TruncPlan) -> u32,
    ) -> Result<Vec<Piece>, EngineError> {
        let pads = self.truncation_pads(plans)?;
        let halves = self.source.dropped_halves();
        let pieces = pads.into_iter().zip(plans).zip(values).map(|((mut t, plan), value)| {
            kernel::add_assign(&mut t, value.a.data());
            if self.first() {
                kernel::add_scalar(&mut t, plan.bias(halves));
            }
            kernel::shift_right(&mut t, plan.l, plan.s);
            Piece::Elements(t, bits(plan))
        });
        Ok(pieces.collect())
    }

    /// `a` and the wrap factor from the opened high bits.
    pub(super) fn trunc_opened(plan: &TruncPlan, m: Vec<u64>) -> OpenedTrunc {
        let bias = plan.shifted_bias();
        let wrap = if plan.wrap_bits() > 0 {
            // (1 − top bit) · 2^high.
            let high = plan.high_bits();
            let mut wrap = vec![0; m.len()];
            kernel::shift_right_into(&mut wrap, &m, high, high - 1);
            kernel::scale(&mut wrap, (1u64 << high).wrapping_neg());
            kernel::add_scalar(&mut wrap, 1 << high);
            wrap
        } else {
            Vec::new()
        };
        let mut a = m;
        kernel::add_scalar(&mut a, bias.wrapping_neg());
        OpenedTrunc { a, wrap }
    }

    /// This evaluator's additive share of the truncated value.
    fn trunc_share(&self, opened: &OpenedTrunc, shares: &MaskShares) -> Vec<u64> {
        let mut sum = self.public_part(opened);
        shares.correct(opened, &mut sum);
        sum
    }

    /// The public a at the first evaluator, zeros at the others.
    fn public_part(&self, opened: &OpenedTrunc) -> Vec<u64> {
        if self.first() { opened.a.clone() } else { vec![0; opened.a.len()] }
    }

    /// This evaluator's additive share of b·(v >> s), b = β ⊕ λ_b (ABY2.0-style gate over four dealt products).
    fn gate_share(
        &self,
        opened: &OpenedTrunc,
        plain: &MaskShares,
        masked: &MaskShares,
        beta: &PackedBits,
        lb: &[u64],
    ) -> Vec<u64> {
        let mut straight = self.public_part(opened);
        plain.correct(opened, &mut straight);
        let mut crossed = opened.a.clone();
        kernel::mul_assign(&mut crossed, lb);
        masked.correct(opened, &mut crossed);
        // β = 0: λ_b·v; β = 1: v − λ_b·v.
        kernel::bits::negate_where(&mut crossed, beta.words());
        kernel::bits::keep_where(&mut straight, beta.words());
        kernel::add_assign(&mut crossed, &straight);
        crossed
    }

    /// Opens additive shares under fresh masks: the last round of every operation whose result is a masked value.
    pub(super) fn post_remask(
        &mut self,
        label: Label,
        shares: Vec<(Vec<u64>, u32)>,
    ) -> Result<(Pending, Vec<Vec<u64>>), EngineError> {
        let mut masks = Vec::with_capacity(shares.len());
        let mut pieces = Vec::with_capacity(shares.len());
        for (mut y, bits) in shares {
            let g = self.pad(y.len(), bits)?;
            kernel::add_assign(&mut y, &g);
            masks.push(g);
            pieces.push(Piece::Elements(y, bits));
        }
        Ok((self.post(label, pieces)?, masks))
    }

    pub(super) fn remask_batch(&mut self, values: &[&Offset]) -> Result<Vec<Masked>, EngineError> {
        let metas: Vec<_> = values.iter().map(|v| v.meta).collect();
        let label = labels::tensors("remask", &metas);
        self.begin();
        let shares = values.iter().map(|v| (v.a.data().to_vec(), v.meta.ring.bits())).collect();
        let (pending, mut masks) = self.post_remask(label, shares)?;
        // The mask is Γ + off; the dealer alone knows off and deals it.
        let parts: Vec<_> =
            metas.iter().map(|m| Part::Elements { n: m.len(), bits: m.ring.bits() }).collect();
        let mut dealt = self.deal(label, &parts, || metas.iter().map(|_| Recipe::Excess).collect())?;
        for mask in &mut masks {
            kernel::add_assign(mask, &next(&mut dealt).elements());
        }
        let opened = self.collect(pending)?;
        Ok(opened
            .into_iter()
            .zip(masks)
            .zip(metas)
            .map(|((m, l), meta)| masked(meta, m.elements(), l))
            .collect())
    }

    pub(super) fn truncate_batch(
        &mut self,
        batch: &[Truncate<'_, Offset>],
    ) -> Result<Vec<Masked>, EngineError> {
        let plans = batch
            .iter()
            .map(|t| TruncPlan::new(&t.value.meta(), t.shift, t.out))
            .collect::<Result<Vec<_>, _>>()?;
        let label = labels::truncations("truncate", &plans);
        self.begin();
        let pieces = self.trunc_pieces(&plans, batch.iter().map(|t| t.value), TruncPlan::open_bits)?;
        let pending = self.post(label.with(&[1]), pieces)?;
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        let mut dealt = self.deal(label, &parts, || recipes::truncations(&plans, 0))?;
        let opened = self.collect(pending)?;
        let results = self.trunc_results(&plans, opened, &mut dealt);
        self.finish_truncations(label.with(&[2]), &plans, results)
    }

    /// After the first round: masked results of shrinking truncations, additive shares of the others.
    pub(super) fn trunc_results(
        &self,
        plans: &[TruncPlan],
        opened: Vec<Piece>,
        dealt: &mut std::vec::IntoIter<Dealt>,
    ) -> Vec<TruncResult> {
        plans
            .iter()
            .zip(opened)
            .map(|(plan, piece)| {
                let shares = MaskShares::read(plan, dealt);
                let opened = Self::trunc_opened(plan, piece.elements());
                if plan.shrinks() {
                    TruncResult::Masked(opened.a, shares.high)
                } else {
                    TruncResult::Additive(self.trunc_share(&opened, &shares))
                }
            })
            .collect()
    }

    /// The last round of a batch of truncations, if any of them needs it.
    pub(super) fn finish_truncations(
        &mut self,
        label: Label,
        plans: &[TruncPlan],
        results: Vec<TruncResult>,
    ) -> Result<Vec<Masked>, EngineError> {
        let mut shares = Vec::new();
        let mut slots = Vec::with_capacity(plans.len());
        for (plan, result) in plans.iter().zip(results) {
            match result {
                TruncResult::Masked(m, l) => slots.push(Some((m, l))),
                TruncResult::Additive(y) => {
                    shares.push((y, plan.r));
                    slots.push(None);
                }
            }
        }
        let (pending, masks) = self.post_remask(label, shares)?;
        let opened = self.collect(pending)?;
        let mut remasked = opened.into_iter().map(Piece::elements).zip(masks);
        Ok(plans
            .iter()
            .zip(slots)
            .map(|(plan, slot)| {
                let (m, l) =
                    slot.unwrap_or_else(|| remasked.next().expect("one opening per additive result"));
                masked(plan.out, m, l)
            })
            .collect())
    }

    pub(super) fn truncate_offset_batch(
        &mut self,
        batch: &[(&Offset, u32)],
    ) -> Result<Vec<Offset>, EngineError> {
        let mut plans = Vec::with_capacity(batch.len());
        for (value, shift) in batch {
            checks::truncate_offset(&value.meta(), *shift)?;
            plans.push(TruncPlan::new(&value.meta(), *shift, value.meta().ring)?);
        }
        let label = labels::truncations("truncate-offset", &plans);
        self.begin();
        let pieces =
            self.trunc_pieces(&plans, batch.iter().map(|(value, _)| *value), TruncPlan::open_bits)?;
        let pending = self.post(label.with(&[1]), pieces)?;
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        let mut dealt = self.deal(label, &parts, || recipes::truncations(&plans, 0))?;
        let opened = self.collect(pending)?;
        Ok(self
            .trunc_results(&plans, opened, &mut dealt)
            .into_iter()
            .zip(&plans)
            .map(|(result, plan)| {
                let a = match result {
                    TruncResult::Additive(y) => y,
                    // Only a shift of zero bits could shrink here, and checks refuse it.
                    TruncResult::Masked(m, l) => self.additive(m, l),
                };
                Offset { meta: plan.out, a: Tensor::from_vec(plan.out.rows, plan.out.cols, a) }
            })
            .collect())
    }

    fn additive(&self, m: Vec<u64>, l: Vec<u64>) -> Vec<u64> {
        let first = self.first();
        m.iter().zip(&l).map(|(m, l)| if first { m.wrapping_sub(*l) } else { l.wrapping_neg() }).collect()
    }

    pub(super) fn relu_batch(
        &mut self,
        batch: &[Relu<'_, Offset>],
    ) -> Result<Vec<(Masked, Bit)>, EngineError> {
        let mut plans = Vec::with_capacity(batch.len());
        let mut signs = Vec::with_capacity(batch.len());
        let mut metas = Vec::with_capacity(batch.len());
        for r in batch {
            let t = &r.truncate;
            metas.push(checks::relu(&t.value.meta(), t.shift, t.out, r.width)?);
            let plan = TruncPlan::new(&t.value.meta(), t.shift, t.out)?;
            signs.push(ComparePlan::new(plan.n, r.width));
            plans.push(plan);
        }
        let widths: Vec<u64> = batch.iter().map(|r| r.width.into()).collect();
        let label = labels::truncations("relu", &plans).with(&widths);
        self.begin();

        // Round 1: the high bits. Everything that does not depend on them is drawn while they travel.
        let pieces =
            self.trunc_pieces(&plans, batch.iter().map(|r| r.truncate.value), TruncPlan::high_bits)?;
        let pending = self.post(label.with(&[1]), pieces)?;
        let mut comparison = Comparison::prepare(self, &signs)?;
        let mut parts = Vec::new();
        signs.iter().for_each(|s| s.parts(&mut parts));
        for plan in &plans {
            plan.gate_parts(&mut parts);
            parts.push(Part::Elements { n: plan.n, bits: plan.r });
        }
        let mut dealt = self.deal(label, &parts, || recipes::relus(&plans, &signs))?;
        comparison.read(&signs, &mut dealt);
        let mask_shares: Vec<_> = plans
            .iter()
            .map(|plan| {
                let plain = MaskShares::read(plan, &mut dealt);
                let crossed = MaskShares::read(plan, &mut dealt);
                (plain, crossed, next(&mut dealt).elements())
            })
            .collect();
        let opened: Vec<_> = self
            .collect(pending)?
            .into_iter()
            .zip(&plans)
            .map(|(piece, plan)| Self::trunc_opened(plan, piece.elements()))
            .collect();

        // Rounds 2 and 3 (or 2 alone): the join. Then β, one bit each.
        comparison.digits(&signs, opened.iter().map(|o| o.a.as_slice().into()));
        self.join_rounds(&mut comparison, &signs, label)?;
        let result = comparison.result_pieces(self.first());
        let betas: Vec<_> = self.open(label.with(&[9]), result)?.into_iter().map(Piece::bits).collect();

        // Last round: b·v under a fresh mask.
        let mut shares = Vec::with_capacity(plans.len());
        for (i, plan) in plans.iter().enumerate() {
            let (plain, crossed, lb) = &mask_shares[i];
            shares.push((self.gate_share(&opened[i], plain, crossed, &betas[i], lb), plan.r));
        }
        let (pending, masks) = self.post_remask(label.with(&[10]), shares)?;
        let values = self.collect(pending)?;
        Ok(values
            .into_iter()
            .zip(masks)
            .zip(metas)
            .zip(betas.into_iter().zip(mask_shares))
            .map(|(((piece, l), (meta, bits)), (beta, (_, _, lb)))| {
                let lb = Arc::new(Tensor::from_vec(bits.rows, bits.cols, lb));
                (masked(meta, piece.elements(), l), Bit { meta: bits, beta: Arc::new(beta), lb })
            })
            .collect())
    }

    pub(super) fn gate_batch(&mut self, batch: &[Gate<'_, Offset, Bit>]) -> Result<Vec<Masked>, EngineError> {
        let mut plans = Vec::with_capacity(batch.len());
        for g in batch {
            let t = &g.truncate;
            checks::gate(&t.value.meta(), t.shift, t.out, &g.bit.meta())?;
            plans.push(TruncPlan::new(&t.value.meta(), t.shift, t.out)?);
        }
        let label = labels::truncations("gate", &plans);
        self.begin();
        let pieces =
            self.trunc_pieces(&plans, batch.iter().map(|g| g.truncate.value), TruncPlan::open_bits)?;
        let pending = self.post(label.with(&[1]), pieces)?;
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.gate_parts(&mut parts));
        let bits = || batch.iter().map(|g| BitMask::Shares(g.bit.lb.data()));
        let mut dealt = self.deal(label, &parts, || recipes::gates(&plans, bits()))?;
        let mask_shares: Vec<_> = plans
            .iter()
            .map(|p| (MaskShares::read(p, &mut dealt), MaskShares::read(p, &mut dealt)))
            .collect();
        let opened = self.collect(pending)?;
        let mut shares = Vec::with_capacity(plans.len());
        for (i, piece) in opened.into_iter().enumerate() {
            let opened = Self::trunc_opened(&plans[i], piece.elements());
            let (plain, crossed) = &mask_shares[i];
            let bit = batch[i].bit;
            shares.push((self.gate_share(&opened, plain, crossed, &bit.beta, bit.lb.data()), plans[i].r));
        }
        let (pending, masks) = self.post_remask(label.with(&[2]), shares)?;
        let values = self.collect(pending)?;
        Ok(values
            .into_iter()
            .zip(masks)
            .zip(&plans)
            .map(|((piece, l), plan)| masked(plan.out, piece.elements(), l))
            .collect())
    }
}

/// What a truncation's first round gives.
pub(super) enum TruncResult {
    /// A masked value: m and this evaluator's part of λ.
    Masked(Vec<u64>, Vec<u64>),
    /// An additive share.
    Additive(Vec<u64>),
}

pub(super) fn masked(meta: tercet_engine::Meta, m: Vec<u64>, l: Vec<u64>) -> Masked {
    let tensor = |v| Some(Arc::new(Tensor::from_vec(meta.rows, meta.cols, v)));
    Masked { meta, m: tensor(m), l: tensor(l), owners: None, live: [None, None] }
}
