//! Polynomials of masked values and bits at an evaluator: see PROTOCOL.md, "Polynomials".

use tercet_engine::{EngineError, Term, Var};
use tercet_net::Transport;
use tercet_share::{Tensor, kernel};

use super::{Bit, Evaluator, Masked, Offset, next};
use crate::{
    labels,
    material::Source,
    plan::Part,
    polynomial::{CHUNK, Powers, Secret},
    recipe::Factor,
    recipes,
};

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    pub(super) fn polynomial_of(
        &mut self,
        vars: &[Var<'_, Masked, Bit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Offset, EngineError> {
        let (meta, plan) = self.polynomials.of(vars, terms, frac, self.source.dealer_holds())?;
        let label = labels::tensors("polynomial", [&meta]).with(&plan.parameters());
        self.begin();
        let bits = meta.ring.bits();
        let n = meta.len();
        let parts: Vec<Part> = plan.dealt().map(|_| Part::Elements { n, bits }).collect();
        let factors = || {
            vars.iter().map(|v| match v {
                Var::Masked(x) => x.l.as_ref().map_or(Factor::Zero, |l| Factor::Elements(l.data())),
                Var::Bit(b) => Factor::Bit(b.lb.data()),
            })
        };
        let mut dealt = self.deal(label, &parts, || recipes::products(&plan, factors().collect()))?;
        let products: Vec<Vec<u64>> = plan.dealt().map(|_| next(&mut dealt).elements()).collect();
        let first = self.first();
        let mut a = vec![0u64; n];
        let mut factor = vec![0u64; CHUNK];
        let highest = plan.highest_u_powers();
        for (chunk, out) in a.chunks_mut(CHUNK).enumerate() {
            let at = chunk * CHUNK..chunk * CHUNK + out.len();
            let factor = &mut factor[..out.len()];
            // u is m of a value and β of a bit; c is −1 of a value and 1 − 2β of a bit.
            let u: Vec<Powers> = vars
                .iter()
                .zip(&highest)
                .map(|(v, &highest)| match v {
                    Var::Masked(x) => {
                        Powers::new(x.m.as_ref().map(|m| &m.data()[at.clone()]), out.len(), highest)
                    }
                    Var::Bit(b) => {
                        let beta: Vec<u64> = at.clone().map(|i| b.beta.bit(i)).collect();
                        Powers::new(Some(&beta), out.len(), highest)
                    }
                })
                .collect();
            let signs: Vec<Option<Vec<u64>>> = vars
                .iter()
                .map(|v| match v {
                    Var::Masked(_) => None,
                    Var::Bit(b) => Some(at.clone().map(|i| 1u64.wrapping_sub(b.beta.bit(i) << 1)).collect()),
                })
                .collect();
            for piece in plan.pieces() {
                let secret = match piece.secret {
                    Secret::One if first => None,
                    Secret::One | Secret::Held => continue,
                    Secret::Mask(v) => {
                        let share = match vars[v] {
                            Var::Masked(x) => x.l.as_deref(),
                            Var::Bit(b) => Some(b.lb.as_ref()),
                        };
                        let Some(share) = share.map(Tensor::data) else { continue };
                        Some(&share[at.clone()])
                    }
                    Secret::Dealt(d) => Some(&products[d][at.clone()]),
                };
                factor.fill(piece.constant_factor());
                for (v, (u, sign)) in u.iter().zip(&signs).enumerate() {
                    if let Some(power) = u.get(piece.u_power(v)) {
                        kernel::mul_assign(factor, power);
                    }
                    if let Some(sign) = sign
                        && piece.l_power(v) % 2 == 1
                    {
                        kernel::mul_assign(factor, sign);
                    }
                }
                match secret {
                    Some(secret) => kernel::mul_add(out, factor, secret),
                    None => kernel::add_assign(out, factor),
                }
            }
        }
        Ok(Offset { meta, a: Tensor::from_vec(meta.rows, meta.cols, a) })
    }
}
