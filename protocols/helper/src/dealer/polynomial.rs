//! The dealer's side of polynomials.

use tercet_engine::{EngineError, Term, Var};
use tercet_net::Transport;
use tercet_share::{Tensor, kernel};

use super::{Bit, Dealer, Masked, Offset, deal::Value};
use crate::{
    labels,
    polynomial::{CHUNK, Powers, Secret, product},
};

impl<T: Transport> Dealer<T> {
    pub(super) fn polynomial_of(
        &mut self,
        vars: &[Var<'_, Masked, Bit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Offset, EngineError> {
        let (meta, plan) = self.polynomials.of(vars, terms, frac, true)?;
        let label = labels::tensors("polynomial", [&meta]).with(&plan.parameters());
        self.begin();
        let n = meta.len();
        let powers: Vec<&[u32]> = plan.dealt().collect();
        let mut products: Vec<Vec<u64>> = powers.iter().map(|_| vec![0; n]).collect();
        let mut off = vec![0u64; n];
        let mut scratch = vec![0u64; CHUNK];
        let held: Vec<_> = plan.pieces().filter(|p| p.secret == Secret::Held).collect();
        let highest = plan.highest_l_powers();
        for start in (0..n).step_by(CHUNK) {
            let at = start..(start + CHUNK).min(n);
            let masks: Vec<Powers> = vars
                .iter()
                .zip(&highest)
                .map(|(v, &highest)| match v {
                    Var::Masked(x) => {
                        Powers::new(x.lambda.as_ref().map(|l| &l.data()[at.clone()]), at.len(), highest)
                    }
                    Var::Bit(b) => {
                        let lb: Vec<u64> = at.clone().map(|i| b.lb.bit(i)).collect();
                        Powers::new(Some(&lb), at.len(), highest)
                    }
                })
                .collect();
            for (out, p) in products.iter_mut().zip(&powers) {
                product(1, p, &masks, &mut out[at.clone()]);
            }
            // The evaluators leave the held pieces out, so their summands fall short of the value by as much.
            for piece in &held {
                let scratch = &mut scratch[..at.len()];
                product(piece.constant_factor(), piece.l_powers(), &masks, scratch);
                kernel::sub_assign(&mut off[at.clone()], scratch);
            }
        }
        let bits = meta.ring.bits();
        self.deal_if_any(label, products.into_iter().map(|v| Value::elements(v, bits)).collect())?;
        Ok(Offset { meta, off: Tensor::from_vec(meta.rows, meta.cols, off) })
    }
}
