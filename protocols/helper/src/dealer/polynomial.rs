//! The dealer's side of polynomials.

use tercet_engine::{EngineError, Term, Var};
use tercet_net::Transport;
use tercet_share::Tensor;

use super::{Bit, Dealer, Masked, Offset, deal::Value};
use crate::{
    labels,
    polynomial::{PolyPlan, Secret},
};

impl<T: Transport> Dealer<T> {
    pub(super) fn polynomial_of(
        &mut self,
        vars: &[Var<'_, Masked, Bit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Offset, EngineError> {
        let (meta, plan) = PolyPlan::of(vars, terms, frac)?;
        let label = labels::tensors("polynomial", [&meta]).with(&plan.parameters());
        self.begin();
        let n = meta.len();
        let powers: Vec<&[u32]> = plan.dealt().collect();
        let mut products: Vec<Vec<u64>> = powers.iter().map(|_| Vec::with_capacity(n)).collect();
        let mut off = Vec::with_capacity(n);
        let mut masks = vec![0u64; vars.len()];
        let held: Vec<_> = plan.pieces().filter(|p| p.secret == Secret::Held).collect();
        for i in 0..n {
            for (mask, v) in masks.iter_mut().zip(vars) {
                *mask = match v {
                    Var::Masked(x) => x.lambda.as_ref().map_or(0, |l| l.data()[i]),
                    Var::Bit(b) => b.lb.bit(i),
                };
            }
            for (product, p) in products.iter_mut().zip(&powers) {
                product.push(PolyPlan::dealt_product(p, &masks));
            }
            // The evaluators leave the held pieces out, so their summands fall short of the value by as much.
            off.push(
                held.iter()
                    .fold(0u64, |s, p| s.wrapping_sub(p.constant().wrapping_mul(p.mask_product(&masks)))),
            );
        }
        let bits = meta.ring.bits();
        self.deal_if_any(label, products.into_iter().map(|v| Value::elements(v, bits)).collect())?;
        Ok(Offset { meta, off: Tensor::from_vec(meta.rows, meta.cols, off) })
    }
}
