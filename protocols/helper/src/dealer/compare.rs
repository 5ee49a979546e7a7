//! The dealer's side of comparisons and argmax.

use std::sync::Arc;

use tercet_engine::{EngineError, Sign, Truncate, checks};
use tercet_net::Transport;
use tercet_share::{PackedBits, Ring};

use super::{Bit, Dealer, Masked, Offset, deal::Value};
use crate::{argmax::ArgmaxPlan, compare::ComparePlan, join::JoinPlan, labels, linear::Component};

/// The masks of a batch of comparisons, drawn in the evaluators' order.
pub(super) struct Comparison {
    /// Per item, per join: the masks of its factors.
    pads: Vec<Vec<Vec<PackedBits>>>,
    lambda_b: Vec<PackedBits>,
}

impl Comparison {
    pub(super) fn prepare<T: Transport>(
        dealer: &mut Dealer<T>,
        plans: &[ComparePlan],
    ) -> Result<Comparison, EngineError> {
        let mut pads: Vec<Vec<Vec<PackedBits>>> = plans.iter().map(|_| Vec::new()).collect();
        for (item, plan) in pads.iter_mut().zip(plans) {
            for (join, ..) in &plan.groups {
                item.push(dealer.pad_bit_vectors(join.factors, plan.n)?);
            }
        }
        for (item, plan) in pads.iter_mut().zip(plans) {
            if let Some(join) = &plan.last {
                item.push(dealer.pad_bit_vectors(join.factors, plan.n)?);
            }
        }
        let lambda_b = plans.iter().map(|p| dealer.pad_bits(p.n)).collect::<Result<_, _>>()?;
        Ok(Comparison { pads, lambda_b })
    }

    /// One-hot blocks of λ and the joins' monomials of item `i`.
    pub(super) fn one_hot(&self, i: usize, plan: &ComparePlan, lambda: &[u64], values: &mut Vec<Value>) {
        let blocks = plan.dealt_blocks().iter();
        values.extend(blocks.map(|&(shift, width)| Value::one_hot(lambda, shift, width)));
        for (join, pads) in plan.joins().zip(&self.pads[i]) {
            monomials(join, pads, values);
        }
    }

    pub(super) fn lambda_b(&self, i: usize) -> &PackedBits {
        &self.lambda_b[i]
    }

    pub(super) fn into_lambda_b(self) -> Vec<PackedBits> {
        self.lambda_b
    }
}

fn monomials(join: &JoinPlan, pads: &[PackedBits], values: &mut Vec<Value>) {
    values.extend(join.monomials(pads).into_iter().map(Value::bits));
}

fn elements(x: &Component, n: usize) -> Vec<u64> {
    x.as_ref().map_or_else(|| vec![0; n], |t| t.data().to_vec())
}

impl<T: Transport> Dealer<T> {
    pub(super) fn nonnegative_batch(
        &mut self,
        signs: &[Sign<'_, Masked>],
        ride: &[Truncate<'_, Offset>],
    ) -> Result<(Vec<Bit>, Vec<Masked>), EngineError> {
        let cuts = checks::signs(signs)?;
        let plans = ComparePlan::of_cuts(&cuts, signs);
        let riders = Self::plans(ride)?;
        let label = labels::comparisons(&plans, &cuts, &riders);
        self.begin();
        let mut masks = Vec::with_capacity(riders.len());
        for (plan, t) in riders.iter().zip(ride) {
            masks.push(self.trunc_mask(plan, t.value)?);
        }
        let comparison = Comparison::prepare(self, &plans)?;
        let mut values = Vec::new();
        for (i, (plan, cut)) in plans.iter().zip(&cuts).enumerate() {
            let lambda = match cut.again {
                true => Vec::new(),
                false => elements(&signs[cut.sign].value.lambda, plan.n),
            };
            comparison.one_hot(i, plan, &lambda, &mut values);
        }
        for (i, cut) in cuts.iter().enumerate() {
            values.push(Value::elements(comparison.lambda_b(i).expand(), cut.bit.ring.bits()));
        }
        Self::trunc_values(&riders, &masks, &mut values);
        self.deal(label, values)?;
        let outputs = self.trunc_outputs(&riders, masks)?;
        let bits = comparison
            .into_lambda_b()
            .into_iter()
            .zip(&cuts)
            .map(|(lb, cut)| Bit { meta: cut.bit, lb: Arc::new(lb) });
        Ok((bits.collect(), outputs))
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
        let compare = [plan.compare()];
        let comparison = Comparison::prepare(self, &compare)?;
        let mut and_pads = Vec::new();
        for (join, n) in plan.and_rounds() {
            and_pads.push((self.pad_bit_vectors(join.factors, n)?, join));
        }
        let lambda_b = self.pad_bits(plan.bits())?;
        let differences = plan.differences(&elements(&x.lambda, x.meta.len()));
        let mut values = Vec::new();
        comparison.one_hot(0, &compare[0], &differences, &mut values);
        for (pads, join) in &and_pads {
            monomials(join, pads, &mut values);
        }
        values.push(Value::elements(lambda_b.expand(), out.bits()));
        self.deal(label, values)?;
        Ok(Bit { meta, lb: Arc::new(lambda_b) })
    }
}
