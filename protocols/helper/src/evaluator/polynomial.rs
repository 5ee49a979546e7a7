//! Polynomials of masked values and bits at an evaluator: see PROTOCOL.md, "Polynomials".

use tercet_engine::{EngineError, Term, Var};
use tercet_net::Transport;
use tercet_share::Tensor;

use super::{Bit, Evaluator, Masked, Offset, next};
use crate::{labels, material::Source, plan::Part, polynomial::PolyPlan};

/// A variable x = u + c·ℓ at an evaluator: u and c are public, ℓ is the secret mask of which it holds a share.
struct Affine<'a> {
    u: Option<&'a [u64]>,
    beta: Option<&'a Bit>,
    share: Option<&'a [u64]>,
}

impl Affine<'_> {
    fn u(&self, i: usize) -> u64 {
        match (self.beta, self.u) {
            (Some(b), _) => b.beta.bit(i),
            (None, Some(u)) => u[i],
            (None, None) => 0,
        }
    }

    /// −1 for a masked value; 1 − 2β for a bit.
    fn c(&self, i: usize) -> u64 {
        match self.beta {
            Some(b) => 1u64.wrapping_sub(b.beta.bit(i) << 1),
            None => u64::MAX,
        }
    }
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    pub(super) fn polynomial_of(
        &mut self,
        vars: &[Var<'_, Masked, Bit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Offset, EngineError> {
        let (meta, plan) = PolyPlan::of(vars, terms, frac)?;
        let label = labels::tensors("polynomial", [&meta]).with(&plan.parameters());
        self.begin();
        let bits = meta.ring.bits();
        let n = meta.len();
        let parts: Vec<Part> = plan.dealt().map(|_| Part::Elements { n, bits }).collect();
        let mut dealt = self.deal(label, &parts)?;
        let products: Vec<Vec<u64>> = plan.dealt().map(|_| next(&mut dealt).elements()).collect();
        let affine: Vec<Affine<'_>> = vars
            .iter()
            .map(|v| match v {
                Var::Masked(x) => Affine {
                    u: x.m.as_deref().map(Tensor::data),
                    beta: None,
                    share: x.l.as_deref().map(Tensor::data),
                },
                Var::Bit(b) => Affine { u: None, beta: Some(b), share: Some(b.lb.data()) },
            })
            .collect();
        let first = self.first();
        let mut a = vec![0u64; n];
        let mut u = vec![0u64; vars.len()];
        let mut c = vec![0u64; vars.len()];
        for (i, out) in a.iter_mut().enumerate() {
            for (v, x) in affine.iter().enumerate() {
                u[v] = x.u(i);
                c[v] = x.c(i);
            }
            let mut sum = 0u64;
            for piece in plan.pieces() {
                let public = piece.public(&u, &c);
                let secret = match piece.secret {
                    crate::polynomial::Secret::One if first => 1,
                    crate::polynomial::Secret::One | crate::polynomial::Secret::Held => 0,
                    crate::polynomial::Secret::Mask(v) => affine[v].share.map_or(0, |s| s[i]),
                    crate::polynomial::Secret::Dealt(d) => products[d][i],
                };
                sum = sum.wrapping_add(public.wrapping_mul(secret));
            }
            *out = sum;
        }
        Ok(Offset { meta, a: Tensor::from_vec(meta.rows, meta.cols, a) })
    }
}
