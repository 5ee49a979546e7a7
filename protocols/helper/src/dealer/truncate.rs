//! The dealer's side of truncation, ReLU and gates.

use std::sync::Arc;

use tercet_engine::{EngineError, Gate, Meta, Relu, Shared, Truncate, checks};
use tercet_net::Transport;
use tercet_share::{PackedBits, Tensor, kernel};

use super::{Bit, Dealer, Masked, Offset, compare::Comparison, deal::Value};
use crate::{compare::ComparePlan, labels, plan::TruncPlan};

/// λ' = λ >> s and μ = the top bit of λ, for the mask λ = Γ + off of one truncation.
pub(super) struct TruncMask {
    pub(super) high: Vec<u64>,
    msb: Vec<u64>,
}

impl TruncMask {
    fn values(&self, plan: &TruncPlan, out: &mut Vec<Value>) {
        out.push(Value::elements(self.high.clone(), plan.r));
        if plan.wrap_bits() > 0 {
            out.push(Value::elements(self.msb.clone(), plan.wrap_bits()));
        }
    }

    fn gate_values(&self, plan: &TruncPlan, lb: &PackedBits, out: &mut Vec<Value>) {
        let times = |v: &[u64]| {
            let mut kept = v.to_vec();
            kernel::bits::keep_where(&mut kept, lb.words());
            kept
        };
        self.values(plan, out);
        out.push(Value::elements(times(&self.high), plan.r));
        if plan.wrap_bits() > 0 {
            out.push(Value::elements(times(&self.msb), plan.wrap_bits()));
        }
    }
}

impl<T: Transport> Dealer<T> {
    pub(super) fn trunc_mask(&mut self, plan: &TruncPlan, value: &Offset) -> Result<TruncMask, EngineError> {
        let mut lambda = self.pad(plan.n, plan.l)?;
        kernel::add_assign(&mut lambda, value.off.data());
        let mut msb = vec![0; plan.n];
        kernel::shift_right_into(&mut msb, &lambda, plan.l, plan.l - 1);
        kernel::shift_right(&mut lambda, plan.l, plan.s);
        Ok(TruncMask { high: lambda, msb })
    }

    pub(super) fn plans(batch: &[Truncate<'_, Offset>]) -> Result<Vec<TruncPlan>, EngineError> {
        batch.iter().map(|t| TruncPlan::new(&t.value.meta(), t.shift, t.out)).collect()
    }

    /// Deals λ' and μ of every truncation into `values`.
    pub(super) fn trunc_values(plans: &[TruncPlan], masks: &[TruncMask], values: &mut Vec<Value>) {
        plans.iter().zip(masks).for_each(|(p, m)| m.values(p, values));
    }

    /// The masks of the results: λ' itself where the truncation shrinks, fresh ones elsewhere.
    pub(super) fn trunc_outputs(
        &mut self,
        plans: &[TruncPlan],
        masks: Vec<TruncMask>,
    ) -> Result<Vec<Masked>, EngineError> {
        let mut out = Vec::with_capacity(plans.len());
        for (plan, mask) in plans.iter().zip(masks) {
            let lambda = if plan.shrinks() { mask.high } else { self.pad(plan.n, plan.r)? };
            out.push(self.masked(plan.out, lambda));
        }
        Ok(out)
    }

    pub(super) fn remask_batch(&mut self, values: &[&Offset]) -> Result<Vec<Masked>, EngineError> {
        let label = labels::tensors("remask", values.iter().map(|v| &v.meta));
        self.begin();
        let mut masks = Vec::with_capacity(values.len());
        for v in values {
            masks.push(self.pad(v.meta.len(), v.meta.ring.bits())?);
        }
        let dealt =
            values.iter().map(|v| Value::elements(v.off.data().to_vec(), v.meta.ring.bits())).collect();
        self.deal(label, dealt)?;
        Ok(values
            .iter()
            .zip(masks)
            .map(|(v, mut lambda)| {
                kernel::add_assign(&mut lambda, v.off.data());
                self.masked(v.meta, lambda)
            })
            .collect())
    }

    pub(super) fn truncate_batch(
        &mut self,
        batch: &[Truncate<'_, Offset>],
    ) -> Result<Vec<Masked>, EngineError> {
        let plans = Self::plans(batch)?;
        let label = labels::truncations("truncate", &plans);
        self.begin();
        let mut masks = Vec::with_capacity(plans.len());
        for (plan, t) in plans.iter().zip(batch) {
            masks.push(self.trunc_mask(plan, t.value)?);
        }
        let mut values = Vec::new();
        Self::trunc_values(&plans, &masks, &mut values);
        self.deal(label, values)?;
        self.trunc_outputs(&plans, masks)
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
        let mut masks = Vec::with_capacity(plans.len());
        for (plan, (value, _)) in plans.iter().zip(batch) {
            masks.push(self.trunc_mask(plan, value)?);
        }
        let mut values = Vec::new();
        Self::trunc_values(&plans, &masks, &mut values);
        self.deal(label, values)?;
        // The evaluators hold an additive share of the result itself: nothing is off.
        Ok(plans.iter().map(|p| Offset { meta: p.out, off: Tensor::zeros(p.out.rows, p.out.cols) }).collect())
    }

    pub(super) fn relu_batch(
        &mut self,
        batch: &[Relu<'_, Offset>],
    ) -> Result<Vec<(Masked, Bit)>, EngineError> {
        let mut plans = Vec::with_capacity(batch.len());
        let mut signs = Vec::with_capacity(batch.len());
        let mut metas: Vec<(Meta, Meta)> = Vec::with_capacity(batch.len());
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
        let mut masks = Vec::with_capacity(plans.len());
        for (plan, r) in plans.iter().zip(batch) {
            masks.push(self.trunc_mask(plan, r.truncate.value)?);
        }
        let comparison = Comparison::prepare(self, &signs)?;
        let mut values = Vec::new();
        for (i, sign) in signs.iter().enumerate() {
            comparison.one_hot(i, sign, &masks[i].high, &mut values);
        }
        for (i, plan) in plans.iter().enumerate() {
            let lb = comparison.lambda_b(i);
            masks[i].gate_values(plan, lb, &mut values);
            values.push(Value::elements(lb.expand(), plan.r));
        }
        self.deal(label, values)?;
        let mut out = Vec::with_capacity(plans.len());
        for ((plan, (meta, bits)), lb) in plans.iter().zip(metas).zip(comparison.into_lambda_b()) {
            let lambda = self.pad(plan.n, plan.r)?;
            let bit = Bit { meta: bits, lb: Arc::new(lb) };
            out.push((self.masked(meta, lambda), bit));
        }
        Ok(out)
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
        let mut masks = Vec::with_capacity(plans.len());
        for (plan, g) in plans.iter().zip(batch) {
            masks.push(self.trunc_mask(plan, g.truncate.value)?);
        }
        let mut values = Vec::new();
        for ((plan, mask), g) in plans.iter().zip(&masks).zip(batch) {
            mask.gate_values(plan, &g.bit.lb, &mut values);
        }
        self.deal(label, values)?;
        let mut out = Vec::with_capacity(plans.len());
        for plan in &plans {
            let lambda = self.pad(plan.n, plan.r)?;
            out.push(self.masked(plan.out, lambda));
        }
        Ok(out)
    }
}
