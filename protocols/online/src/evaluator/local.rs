//! Local operations, applied to every component of a share alike.

use std::sync::Arc;

use tercet_engine::{EngineError, Meta, checks};
use tercet_net::Transport;
use tercet_share::{Bilinear, Linear, Tensor, beaver, kernel};

use super::{Bit, Evaluator, Masked, Offset};
use crate::{linear, material::Source, owners};

impl Masked {
    pub(super) fn operand(&self) -> beaver::MaskedOperand<'_> {
        let [m_rows, l_rows] = [0, 1].map(|part| self.live[part].as_deref());
        let (m, l) = (self.m.as_deref(), self.l.as_deref());
        beaver::MaskedOperand { shape: self.meta.shape(), m, l, m_rows, l_rows }
    }

    pub(super) fn with_meta(&self, meta: Meta) -> Masked {
        Masked { meta, ..self.clone() }
    }
}

pub(super) fn linear(x: &Masked, f: &Linear) -> Result<Masked, EngineError> {
    let meta = x.meta.linear(f)?;
    let owners = owners::linear(&x.owners, f);
    Ok(Masked { meta, m: linear::apply(&x.m, f)?, l: linear::apply(&x.l, f)?, owners, live: [None, None] })
}

pub(super) fn linear_offset(x: &Offset, f: &Linear) -> Result<Offset, EngineError> {
    Ok(Offset { meta: x.meta.linear(f)?, a: f.apply(&x.a)? })
}

pub(super) fn linear_bit(x: &Bit, f: &Linear) -> Result<Bit, EngineError> {
    let meta = Meta { ring: x.meta.ring, ..checks::linear_bit(&x.meta, f)? };
    let beta = linear::apply_bits(&x.beta, x.meta.shape(), f)?;
    Ok(Bit { meta, beta: Arc::new(beta), lb: Arc::new(f.apply(&x.lb)?) })
}

pub(super) fn add(x: &Masked, y: &Masked, negative: bool) -> Result<Masked, EngineError> {
    let meta = x.meta.sum(&y.meta)?;
    let owners = owners::sum((&x.owners, x.l.is_none()), (&y.owners, y.l.is_none()));
    let (m, l) = (linear::add(&x.m, &y.m, negative), linear::add(&x.l, &y.l, negative));
    Ok(Masked { meta, m, l, owners, live: [None, None] })
}

pub(super) fn concat_rows(parts: &[&Masked]) -> Result<Masked, EngineError> {
    let metas: Vec<Meta> = parts.iter().map(|p| p.meta).collect();
    let meta = checks::concat_rows(&metas)?;
    let join = |part: fn(&Masked) -> &Option<Arc<Tensor>>| {
        let pieces: Vec<_> = parts.iter().map(|p| (part(p), p.meta.rows)).collect();
        (linear::concat_rows(&pieces, meta.cols), linear::live_rows(&pieces))
    };
    let owners = owners::concat(parts.iter().map(|p| (&p.owners, p.meta.rows, p.l.is_none())));
    let ((m, m_rows), (l, l_rows)) = (join(|p| &p.m), join(|p| &p.l));
    Ok(Masked { meta, m, l, owners, live: [m_rows, l_rows] })
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    pub(super) fn product_of(
        &mut self,
        kind: &Bilinear,
        x: &Masked,
        y: &Masked,
    ) -> Result<Offset, EngineError> {
        let meta = checks::product(kind, &x.meta, &y.meta)?;
        let mut a = beaver::masked_product(kind, self.first(), x.operand(), y.operand(), meta.ring)?;
        if let (Some(lx), Some(ly)) = (&x.l, &y.l)
            && let Some(c) =
                self.source.mask_product(&mut self.wire, kind, lx, x.owners.as_deref(), ly, meta.ring)?
        {
            kernel::add_assign(a.data_mut(), c.data());
        }
        Ok(Offset { meta, a })
    }

    /// Summands that add up to the values. With a dealer those at hand add up to the values plus what the dealer alone
    /// knows, so they are re-masked first: m − λ0 and −λ1 then, which no one but an evaluator with both could add.
    pub(super) fn export_summands(&mut self, values: &[&Offset]) -> Result<Vec<Option<Tensor>>, EngineError> {
        let mut summands: Vec<Tensor> = if self.dealer.is_some() {
            self.remask_batch(values)?.iter().map(|x| self.lift_of(x).a).collect()
        } else {
            values.iter().map(|x| x.a.clone()).collect()
        };
        for (summand, value) in summands.iter_mut().zip(values) {
            kernel::mask(summand.data_mut(), value.meta.ring.bits());
        }
        Ok(summands.into_iter().map(Some).collect())
    }

    pub(super) fn lift_of(&self, x: &Masked) -> Offset {
        let mut a = match (&x.m, self.first()) {
            (Some(m), true) => m.as_ref().clone(),
            _ => Tensor::zeros(x.meta.rows, x.meta.cols),
        };
        if let Some(l) = &x.l {
            kernel::sub_assign(a.data_mut(), l.data());
        }
        Offset { meta: x.meta, a }
    }
}

/// Summands of an earlier session, whole again: no dealer is off by anything.
pub(super) fn import(values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<Offset>, EngineError> {
    let one = |(meta, summand): (Meta, Option<Tensor>)| {
        let meta = checks::import(meta, summand.as_ref(), true)?;
        Ok(Offset { meta, a: summand.unwrap_or_default() })
    };
    values.into_iter().map(one).collect()
}

pub(super) fn accumulate(x: &mut Offset, y: &Offset, factor: i64, shift: u32) -> Result<(), EngineError> {
    x.meta = checks::accumulate(&x.meta, &y.meta, shift)?;
    kernel::scale_add(x.a.data_mut(), (factor as u64) << shift, y.a.data());
    Ok(())
}
