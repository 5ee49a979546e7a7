//! An evaluator's half of every operation: it holds m and its own part of λ, opens values under fresh masks, and never sees H's
//! correction of a half-finished value.

mod compare;
mod local;
mod open;
mod polynomial;
mod reveal;
mod truncate;

use std::sync::Arc;

use ndarray::Array2;
use tercet_engine::{
    Cost, Engine, EngineError, Gate, Input, Meta, Opening, OpeningRecord, Party, Policy, Relu, Shared, Sign,
    Term, Truncate, Var, checks,
};
use tercet_net::{Label, PartyId, Transport};
use tercet_share::{Bilinear, Linear, PackedBits, Ring, Tensor};

use crate::{
    linear::LiveRows,
    material::{Dealt, Source},
    meter,
    owners::Owners,
    plan::{Part, TruncPlan},
    polynomial::Polynomials,
    recipe::Recipe,
    wire::Wire,
};

/// An evaluator's part of a masked value: m = x + λ, and its summand of λ. `None` stands for zeros.
#[derive(Clone)]
pub struct Masked {
    pub(crate) meta: Meta,
    pub(crate) m: Option<Arc<Tensor>>,
    pub(crate) l: Option<Arc<Tensor>>,
    /// Whose masks the rows have.
    pub(crate) owners: Owners,
    /// The rows of m, and of l, that are not zero because of whose they are.
    pub(crate) live: [LiveRows; 2],
}

/// An evaluator's summand of a half-finished value: the summands add up to z + off, and H alone knows off.
#[must_use]
#[derive(Clone)]
pub struct Offset {
    pub(crate) meta: Meta,
    pub(crate) a: Tensor,
}

/// An evaluator's part of a bit b = β ⊕ λ_b: the opened β, and its summand of λ_b as a ring element.
#[derive(Clone)]
pub struct Bit {
    pub(crate) meta: Meta,
    pub(crate) beta: Arc<PackedBits>,
    pub(crate) lb: Arc<Tensor>,
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

/// An evaluator over a transport and a source of correlated randomness.
pub struct Evaluator<T, S> {
    pub(crate) wire: Wire<T>,
    pub(crate) source: S,
    /// Position among the evaluators; the first adds public terms.
    pub(crate) index: usize,
    /// All evaluators in order, this one included.
    pub(crate) evaluators: Vec<PartyId>,
    /// The party that deals, if one does.
    pub(crate) dealer: Option<PartyId>,
    pub(crate) policy: Policy,
    pub(crate) openings: Vec<OpeningRecord>,
    pub(crate) polynomials: Polynomials,
    op: u64,
    purpose: u64,
}

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    /// An evaluator at position `index` of `evaluators`; `dealer` names the party that deals, if one does.
    pub fn with_source(
        transport: T,
        source: S,
        index: usize,
        evaluators: Vec<PartyId>,
        dealer: Option<PartyId>,
        policy: Policy,
    ) -> Evaluator<T, S> {
        let wire = Wire::new(transport);
        let (openings, polynomials) = (Vec::new(), Polynomials::default());
        Evaluator {
            wire,
            source,
            index,
            evaluators,
            dealer,
            policy,
            openings,
            polynomials,
            op: 0,
            purpose: 0,
        }
    }

    /// The transport, for its meter.
    pub fn transport(&self) -> &T {
        self.wire.transport()
    }

    /// The same evaluator over another source, made from this one; nothing may have run yet.
    pub fn map_source<R>(self, f: impl FnOnce(S) -> R) -> Evaluator<T, R> {
        let Evaluator { wire, source, index, evaluators, dealer, policy, openings, polynomials, op, purpose } =
            self;
        let source = f(source);
        Evaluator { wire, source, index, evaluators, dealer, policy, openings, polynomials, op, purpose }
    }

    /// Ends the session and gives transport and source back.
    pub fn into_parts(self) -> (T, S) {
        (self.wire.into_transport(), self.source)
    }

    /// The source of correlated randomness.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Ends the session and gives the transport back, to be closed.
    pub fn into_transport(self) -> T {
        self.wire.into_transport()
    }

    pub(crate) fn first(&self) -> bool {
        self.index == 0
    }

    /// Starts an operation: a new number, purposes from zero.
    pub(crate) fn begin(&mut self) {
        self.op = self.wire.next_op();
        self.purpose = 0;
    }

    pub(crate) fn pad(&mut self, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        self.purpose += 1;
        self.source.pad(self.op, self.purpose - 1, n, bits)
    }

    pub(crate) fn truncation_pads(&mut self, plans: &[TruncPlan]) -> Result<Vec<Vec<u64>>, EngineError> {
        let purpose = self.purpose;
        self.purpose += plans.len() as u64;
        self.source.truncation_pads(&mut self.wire, self.op, purpose, plans)
    }

    pub(crate) fn pad_bits(&mut self, n: usize) -> Result<PackedBits, EngineError> {
        self.purpose += 1;
        self.source.pad_bits(self.op, self.purpose - 1, n)
    }

    /// Moves on to a purpose that all parties number alike; the generator refuses to go back.
    pub(crate) fn set_purpose(&mut self, purpose: u64) {
        self.purpose = purpose;
    }

    pub(crate) fn deal<'a>(
        &mut self,
        label: Label,
        parts: &[Part],
        recipes: impl FnOnce() -> Vec<Recipe<'a>>,
    ) -> Result<std::vec::IntoIter<Dealt>, EngineError> {
        if parts.is_empty() {
            return Ok(Vec::new().into_iter());
        }
        let purpose = self.purpose;
        self.purpose += parts.len() as u64;
        Ok(self.source.deal(&mut self.wire, self.op, purpose, label, parts, recipes)?.into_iter())
    }

    pub(crate) fn measured_cost(&self) -> Cost {
        meter::cost(self.wire.transport())
    }
}

/// The next dealt part; a plan that runs dry is a programming error, caught by every test that runs the operation.
pub(crate) fn next(dealt: &mut std::vec::IntoIter<Dealt>) -> Dealt {
    dealt.next().expect("the plan lists every part that the operation reads")
}

impl<T: Transport, S: Source<T>> Engine for Evaluator<T, S> {
    type Masked = Masked;
    type Offset = Offset;
    type Bit = Bit;

    fn party(&self) -> Party {
        self.wire.transport().me().index()
    }

    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<Masked, EngineError> {
        let meta = checks::public(values, meta)?;
        Ok(Masked { meta, m: Some(Arc::new(values.clone())), l: None, owners: None, live: [None, None] })
    }

    fn linear(&mut self, x: &Masked, f: &Linear) -> Result<Masked, EngineError> {
        local::linear(x, f)
    }

    fn linear_offset(&mut self, x: &Offset, f: &Linear) -> Result<Offset, EngineError> {
        local::linear_offset(x, f)
    }

    fn linear_bit(&mut self, x: &Bit, f: &Linear) -> Result<Bit, EngineError> {
        local::linear_bit(x, f)
    }

    fn add(&mut self, x: &Masked, y: &Masked, negative: bool) -> Result<Masked, EngineError> {
        local::add(x, y, negative)
    }

    fn concat_rows(&mut self, parts: &[&Masked]) -> Result<Masked, EngineError> {
        local::concat_rows(parts)
    }

    fn reread(&mut self, x: &Masked, frac: u32) -> Result<Masked, EngineError> {
        Ok(x.with_meta(checks::reread(&x.meta, frac)?))
    }

    fn narrow(&mut self, x: &Masked, ring: Ring) -> Result<Masked, EngineError> {
        Ok(x.with_meta(checks::narrow(&x.meta, ring)?))
    }

    fn product(&mut self, kind: &Bilinear, x: &Masked, y: &Masked) -> Result<Offset, EngineError> {
        self.product_of(kind, x, y)
    }

    fn lift(&mut self, x: &Masked) -> Result<Offset, EngineError> {
        Ok(self.lift_of(x))
    }

    fn accumulate(&mut self, x: &mut Offset, y: &Offset, factor: i64, shift: u32) -> Result<(), EngineError> {
        local::accumulate(x, y, factor, shift)
    }

    fn noise(&mut self, x: &mut Offset, draw: &mut dyn FnMut(&mut [u64])) -> Result<(), EngineError> {
        // Summands add up to z + off: what is added to one of them is added to z.
        draw(x.a.data_mut());
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
        self.export_summands(values)
    }

    fn import(&mut self, values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<Offset>, EngineError> {
        local::import(values)
    }

    fn set_step(&mut self, step: u64) {
        self.wire.set_step(step);
    }

    fn openings(&self) -> &[OpeningRecord] {
        &self.openings
    }

    fn measured(&self) -> Cost {
        self.measured_cost()
    }
}
