//! The dealer's half of every operation: it holds masks only, deals correlated randomness, and never sees an opened value. It
//! waits for nobody, except for what it receives as an owner or recipient, and so runs ahead of the evaluators as far as
//! the network's buffers let it.

mod compare;
mod deal;
mod polynomial;
mod reveal;
mod truncate;

use std::sync::Arc;

use ndarray::Array2;
use tercet_engine::{
    Cost, Engine, EngineError, Gate, Input, Meta, Opening, OpeningRecord, Party, Policy, Relu, Shared, Sign,
    Term, Truncate, Var, checks,
};
use tercet_net::{PartyId, Transport};
use tercet_share::{Bilinear, Linear, PackedBits, PairPrg, Product, Ring, Tensor, kernel};

use crate::{
    linear::{self, Component},
    meter,
    polynomial::Polynomials,
    wire::Wire,
};

/// The dealer's part of a masked value: λ. `None` is zero.
#[derive(Clone)]
pub struct Masked {
    pub(crate) meta: Meta,
    pub(crate) lambda: Component,
}

/// The dealer's part of a half-finished value: off, by which the evaluators' summands exceed the value.
#[must_use]
#[derive(Clone)]
pub struct Offset {
    pub(crate) meta: Meta,
    pub(crate) off: Tensor,
}

/// The dealer's part of a bit: λ_b.
#[derive(Clone)]
pub struct Bit {
    pub(crate) meta: Meta,
    pub(crate) lb: Arc<PackedBits>,
}

impl Shared for Masked {
    fn meta(&self) -> Meta {
        self.meta
    }
}

impl Shared for Offset {
    fn meta(&self) -> Meta {
        self.meta
    }
}

impl Shared for Bit {
    fn meta(&self) -> Meta {
        self.meta
    }
}

/// The dealer H over a transport.
pub struct Dealer<T> {
    pub(crate) wire: Wire<T>,
    /// Seeds shared with E0 and E1.
    pub(crate) seeds: [PairPrg; 2],
    pub(crate) evaluators: [PartyId; 2],
    pub(crate) policy: Policy,
    pub(crate) openings: Vec<OpeningRecord>,
    pub(crate) polynomials: Polynomials,
    op: u64,
    purpose: u64,
}

impl<T: Transport> Dealer<T> {
    pub(crate) fn with_seeds(
        transport: T,
        seeds: [PairPrg; 2],
        evaluators: [PartyId; 2],
        policy: Policy,
    ) -> Dealer<T> {
        Dealer {
            wire: Wire::new(transport),
            seeds,
            evaluators,
            policy,
            openings: Vec::new(),
            polynomials: Polynomials::default(),
            op: 0,
            purpose: 0,
        }
    }

    /// The transport, for its meter.
    pub fn transport(&self) -> &T {
        self.wire.transport()
    }

    /// Ends the session and gives the transport back, to be closed.
    pub fn into_transport(self) -> T {
        self.wire.into_transport()
    }

    fn masked(&self, meta: Meta, lambda: Vec<u64>) -> Masked {
        Masked { meta, lambda: Some(Arc::new(Tensor::from_vec(meta.rows, meta.cols, lambda))) }
    }
}

impl<T: Transport> Engine for Dealer<T> {
    type Masked = Masked;
    type Offset = Offset;
    type Bit = Bit;

    fn party(&self) -> Party {
        self.wire.transport().me().index()
    }

    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<Masked, EngineError> {
        Ok(Masked { meta: checks::public(values, meta)?, lambda: None })
    }

    fn linear(&mut self, x: &Masked, f: &Linear) -> Result<Masked, EngineError> {
        Ok(Masked { meta: x.meta.linear(f)?, lambda: linear::apply(&x.lambda, f)? })
    }

    fn linear_offset(&mut self, x: &Offset, f: &Linear) -> Result<Offset, EngineError> {
        Ok(Offset { meta: x.meta.linear(f)?, off: f.apply(&x.off)? })
    }

    fn linear_bit(&mut self, x: &Bit, f: &Linear) -> Result<Bit, EngineError> {
        let meta = Meta { ring: x.meta.ring, ..checks::linear_bit(&x.meta, f)? };
        Ok(Bit { meta, lb: Arc::new(linear::apply_bits(&x.lb, x.meta.shape(), f)?) })
    }

    fn add(&mut self, x: &Masked, y: &Masked, negative: bool) -> Result<Masked, EngineError> {
        Ok(Masked { meta: x.meta.sum(&y.meta)?, lambda: linear::add(&x.lambda, &y.lambda, negative) })
    }

    fn concat_rows(&mut self, parts: &[&Masked]) -> Result<Masked, EngineError> {
        let metas: Vec<Meta> = parts.iter().map(|p| p.meta).collect();
        let meta = checks::concat_rows(&metas)?;
        let pieces: Vec<_> = parts.iter().map(|p| (&p.lambda, p.meta.rows)).collect();
        Ok(Masked { meta, lambda: linear::concat_rows(&pieces, meta.cols) })
    }

    fn reread(&mut self, x: &Masked, frac: u32) -> Result<Masked, EngineError> {
        Ok(Masked { meta: checks::reread(&x.meta, frac)?, lambda: x.lambda.clone() })
    }

    fn narrow(&mut self, x: &Masked, ring: Ring) -> Result<Masked, EngineError> {
        Ok(Masked { meta: checks::narrow(&x.meta, ring)?, lambda: x.lambda.clone() })
    }

    fn product(&mut self, kind: &Bilinear, x: &Masked, y: &Masked) -> Result<Offset, EngineError> {
        let meta = checks::product(kind, &x.meta, &y.meta)?;
        let terms: Vec<_> = match (&x.lambda, &y.lambda) {
            (Some(l), Some(r)) => vec![Product::minus(l, r)],
            _ => Vec::new(),
        };
        let off = kind.apply_sum(&terms, [x.meta.shape(), y.meta.shape()], meta.ring)?;
        Ok(Offset { meta, off })
    }

    fn lift(&mut self, x: &Masked) -> Result<Offset, EngineError> {
        Ok(Offset { meta: x.meta, off: Tensor::zeros(x.meta.rows, x.meta.cols) })
    }

    fn accumulate(&mut self, x: &mut Offset, y: &Offset, factor: i64, shift: u32) -> Result<(), EngineError> {
        x.meta = checks::accumulate(&x.meta, &y.meta, shift)?;
        kernel::scale_add(x.off.data_mut(), (factor as u64) << shift, y.off.data());
        Ok(())
    }

    fn noise(&mut self, x: &mut Offset, draw: &mut dyn FnMut(&mut [u64])) -> Result<(), EngineError> {
        // The value is the evaluators' sum less off, so that −noise here is +noise there.
        kernel::neg_assign(x.off.data_mut());
        draw(x.off.data_mut());
        kernel::neg_assign(x.off.data_mut());
        Ok(())
    }

    fn polynomial(
        &mut self,
        vars: &[Var<'_, Masked, Bit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Offset, EngineError> {
        self.polynomial_of(vars, terms, frac)
    }

    fn input(&mut self, inputs: Vec<Input>) -> Result<Vec<Masked>, EngineError> {
        self.input_batch(inputs)
    }

    fn remask(&mut self, values: &[&Offset]) -> Result<Vec<Masked>, EngineError> {
        self.remask_batch(values)
    }

    fn truncate(&mut self, batch: &[Truncate<'_, Offset>]) -> Result<Vec<Masked>, EngineError> {
        self.truncate_batch(batch)
    }

    fn truncate_offset(&mut self, batch: &[(&Offset, u32)]) -> Result<Vec<Offset>, EngineError> {
        self.truncate_offset_batch(batch)
    }

    fn relu(&mut self, batch: &[Relu<'_, Offset>]) -> Result<Vec<(Masked, Bit)>, EngineError> {
        self.relu_batch(batch)
    }

    fn gate(&mut self, batch: &[Gate<'_, Offset, Bit>]) -> Result<Vec<Masked>, EngineError> {
        self.gate_batch(batch)
    }

    fn nonnegative(
        &mut self,
        signs: &[Sign<'_, Masked>],
        ride: &[Truncate<'_, Offset>],
    ) -> Result<(Vec<Bit>, Vec<Masked>), EngineError> {
        self.nonnegative_batch(signs, ride)
    }

    fn argmax(&mut self, x: &Masked, group: usize, width: u32, out: Ring) -> Result<Bit, EngineError> {
        self.argmax_of(x, group, width, out)
    }

    fn reveal(
        &mut self,
        values: &[&Masked],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError> {
        self.reveal_all(values, opening)
    }

    fn export(&mut self, values: &[&Offset]) -> Result<Vec<Option<Tensor>>, EngineError> {
        // Its part in the re-masking; it keeps nothing of it.
        self.remask_batch(values)?;
        Ok(values.iter().map(|_| None).collect())
    }

    fn import(&mut self, values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<Offset>, EngineError> {
        let one = |(meta, summand): (Meta, Option<Tensor>)| {
            let meta = checks::import(meta, summand.as_ref(), false)?;
            Ok(Offset { meta, off: Tensor::zeros(meta.rows, meta.cols) })
        };
        values.into_iter().map(one).collect()
    }

    fn set_step(&mut self, step: u64) {
        self.wire.set_step(step);
    }

    fn openings(&self) -> &[OpeningRecord] {
        &self.openings
    }

    fn measured(&self) -> Cost {
        meter::cost(self.wire.transport())
    }
}
