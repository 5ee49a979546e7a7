//! The declared cost: an engine that runs a program on shapes alone and adds up what it would send.
//!
//! Every formula is computed from the plans that the evaluators and the dealer follow; tests compare the totals with the
//! meter, byte for byte and round for round.

use ndarray::Array2;
use tercet_engine::{
    Cost, Engine, EngineError, Gate, Input, Meta, Opening, OpeningRecord, Party, Relu, Shared, Sign, Term,
    Truncate, Var, checks,
};
use tercet_share::{Bilinear, Linear, PackedBits, Ring, Tensor};

use crate::{
    Roles,
    argmax::ArgmaxPlan,
    compare::ComparePlan,
    labels,
    plan::{Part, TruncPlan, packed_bytes, total_bytes},
    polynomial::PolyPlan,
};

/// A value of which only the public facts exist.
#[derive(Clone, Copy, Debug)]
pub struct Shape(Meta);

impl Shared for Shape {
    fn meta(&self) -> Meta {
        self.0
    }
}

/// Counts rounds and payload bytes of a program for given roles. `party` decides which program branches it follows.
pub struct CostEngine {
    roles: Roles,
    party: Party,
    cost: Cost,
    openings: Vec<OpeningRecord>,
    step: u64,
}

impl CostEngine {
    /// A counter at zero.
    pub fn new(roles: Roles) -> CostEngine {
        let party = roles.evaluators[0].index();
        CostEngine { roles, party, cost: Cost::default(), openings: Vec::new(), step: 0 }
    }

    /// One round in which both evaluators send `bytes` to each other; no bytes, no round.
    fn exchange(&mut self, bytes: usize) {
        if bytes > 0 {
            let [a, b] = self.roles.evaluators.map(|p| p.index());
            self.cost.online[a][b] += bytes as u64;
            self.cost.online[b][a] += bytes as u64;
            self.cost.rounds += 1;
        }
    }

    fn deal(&mut self, parts: &[Part]) {
        let (h, e1) = (self.roles.dealer.index(), self.roles.evaluators[1].index());
        self.cost.offline[h][e1] += total_bytes(parts) as u64;
    }

    /// The rounds of the joins of a batch of comparisons, as bytes of each.
    fn join_rounds(plans: &[ComparePlan]) -> Vec<usize> {
        let mut rounds: Vec<usize> = Vec::new();
        for plan in plans {
            for (i, bits) in plan.opened_bits().into_iter().enumerate() {
                if rounds.len() <= i {
                    rounds.push(0);
                }
                rounds[i] += bits * PackedBits::wire_bytes(plan.n);
            }
        }
        rounds
    }

    /// Rounds that run side by side: round i carries the bytes of round i of both.
    fn exchange_together(&mut self, a: &[usize], b: &[usize]) {
        for i in 0..a.len().max(b.len()) {
            self.exchange(a.get(i).unwrap_or(&0) + b.get(i).unwrap_or(&0));
        }
    }

    fn truncation_rounds(plans: &[TruncPlan]) -> Vec<usize> {
        let open = plans.iter().map(|p| packed_bytes(p.n, p.open_bits())).sum();
        let remask: usize = plans.iter().filter(|p| !p.shrinks()).map(|p| packed_bytes(p.n, p.r)).sum();
        if remask > 0 { vec![open, remask] } else { vec![open] }
    }

    fn plans(batch: &[Truncate<'_, Shape>]) -> Result<Vec<TruncPlan>, EngineError> {
        batch.iter().map(|t| TruncPlan::new(&t.value.meta(), t.shift, t.out)).collect()
    }
}

impl Engine for CostEngine {
    type Masked = Shape;
    type Offset = Shape;
    type Bit = Shape;

    fn party(&self) -> Party {
        self.party
    }

    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<Shape, EngineError> {
        Ok(Shape(checks::public(values, meta)?))
    }

    fn linear(&mut self, x: &Shape, f: &Linear) -> Result<Shape, EngineError> {
        Ok(Shape(x.0.linear(f)?))
    }

    fn linear_offset(&mut self, x: &Shape, f: &Linear) -> Result<Shape, EngineError> {
        Ok(Shape(x.0.linear(f)?))
    }

    fn linear_bit(&mut self, x: &Shape, f: &Linear) -> Result<Shape, EngineError> {
        Ok(Shape(Meta { ring: x.0.ring, ..checks::linear_bit(&x.0, f)? }))
    }

    fn add(&mut self, x: &Shape, y: &Shape, _negative: bool) -> Result<Shape, EngineError> {
        Ok(Shape(x.0.sum(&y.0)?))
    }

    fn concat_rows(&mut self, parts: &[&Shape]) -> Result<Shape, EngineError> {
        let metas: Vec<Meta> = parts.iter().map(|p| p.0).collect();
        Ok(Shape(checks::concat_rows(&metas)?))
    }

    fn reread(&mut self, x: &Shape, frac: u32) -> Result<Shape, EngineError> {
        Ok(Shape(checks::reread(&x.0, frac)?))
    }

    fn narrow(&mut self, x: &Shape, ring: Ring) -> Result<Shape, EngineError> {
        Ok(Shape(checks::narrow(&x.0, ring)?))
    }

    fn product(&mut self, kind: &Bilinear, x: &Shape, y: &Shape) -> Result<Shape, EngineError> {
        Ok(Shape(checks::product(kind, &x.0, &y.0)?))
    }

    fn lift(&mut self, x: &Shape) -> Result<Shape, EngineError> {
        Ok(*x)
    }

    fn accumulate(&mut self, x: &mut Shape, y: &Shape, _factor: i64, shift: u32) -> Result<(), EngineError> {
        x.0 = checks::accumulate(&x.0, &y.0, shift)?;
        Ok(())
    }

    fn polynomial(
        &mut self,
        vars: &[Var<'_, Shape, Shape>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Shape, EngineError> {
        let (meta, plan) = PolyPlan::of(vars, terms, frac)?;
        let parts: Vec<Part> =
            plan.dealt().map(|_| Part::Elements { n: meta.len(), bits: meta.ring.bits() }).collect();
        self.deal(&parts);
        Ok(Shape(meta))
    }

    fn input(&mut self, inputs: Vec<Input>) -> Result<Vec<Shape>, EngineError> {
        let h = self.roles.dealer.index();
        let [a, b] = self.roles.evaluators.map(|p| p.index());
        let mut online = false;
        let mut shapes = Vec::with_capacity(inputs.len());
        for i in &inputs {
            let (n, bits) = (i.meta.len(), i.meta.ring.bits());
            if i.owner == h {
                self.deal(&[Part::Elements { n, bits }]);
            } else {
                let to = if i.owner == a { b } else { a };
                self.cost.online[i.owner][to] += packed_bytes(n, bits) as u64;
                online = true;
            }
            shapes.push(Shape(i.meta));
        }
        self.cost.rounds += u64::from(online);
        Ok(shapes)
    }

    fn remask(&mut self, values: &[&Shape]) -> Result<Vec<Shape>, EngineError> {
        let bytes = values.iter().map(|v| packed_bytes(v.0.len(), v.0.ring.bits())).sum();
        self.exchange(bytes);
        let parts: Vec<_> =
            values.iter().map(|v| Part::Elements { n: v.0.len(), bits: v.0.ring.bits() }).collect();
        self.deal(&parts);
        Ok(values.iter().map(|v| **v).collect())
    }

    fn truncate(&mut self, batch: &[Truncate<'_, Shape>]) -> Result<Vec<Shape>, EngineError> {
        let plans = Self::plans(batch)?;
        self.exchange_together(&Self::truncation_rounds(&plans), &[]);
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        self.deal(&parts);
        Ok(plans.iter().map(|p| Shape(p.out)).collect())
    }

    fn truncate_offset(&mut self, batch: &[(&Shape, u32)]) -> Result<Vec<Shape>, EngineError> {
        let mut plans = Vec::with_capacity(batch.len());
        for (value, shift) in batch {
            checks::truncate_offset(&value.0, *shift)?;
            plans.push(TruncPlan::new(&value.0, *shift, value.0.ring)?);
        }
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.open_bits())).sum());
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        self.deal(&parts);
        Ok(plans.iter().map(|p| Shape(p.out)).collect())
    }

    fn relu(&mut self, batch: &[Relu<'_, Shape>]) -> Result<Vec<(Shape, Shape)>, EngineError> {
        let (mut plans, mut signs, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for r in batch {
            let t = &r.truncate;
            let (value, bits) = checks::relu(&t.value.0, t.shift, t.out, r.width)?;
            out.push((Shape(value), Shape(Meta { ring: value.ring, ..bits })));
            let plan = TruncPlan::new(&t.value.0, t.shift, t.out)?;
            signs.push(ComparePlan::new(plan.n, r.width));
            plans.push(plan);
        }
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.high_bits())).sum());
        self.exchange_together(&Self::join_rounds(&signs), &[]);
        self.exchange(plans.iter().map(|p| PackedBits::wire_bytes(p.n)).sum());
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.r)).sum());
        let mut parts = Vec::new();
        signs.iter().for_each(|s| s.parts(&mut parts));
        for plan in &plans {
            plan.gate_parts(&mut parts);
            parts.push(Part::Elements { n: plan.n, bits: plan.r });
        }
        self.deal(&parts);
        Ok(out)
    }

    fn gate(&mut self, batch: &[Gate<'_, Shape, Shape>]) -> Result<Vec<Shape>, EngineError> {
        let mut plans = Vec::new();
        for g in batch {
            let t = &g.truncate;
            checks::gate(&t.value.0, t.shift, t.out, &g.bit.0)?;
            labels::check_bit_ring(g.bit.0.ring, t.out)?;
            plans.push(TruncPlan::new(&t.value.0, t.shift, t.out)?);
        }
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.open_bits())).sum());
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.r)).sum());
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.gate_parts(&mut parts));
        self.deal(&parts);
        Ok(plans.iter().map(|p| Shape(p.out)).collect())
    }

    fn nonnegative(
        &mut self,
        signs: &[Sign<'_, Shape>],
        ride: &[Truncate<'_, Shape>],
    ) -> Result<(Vec<Shape>, Vec<Shape>), EngineError> {
        let (mut plans, mut bits) = (Vec::new(), Vec::new());
        for s in signs {
            bits.push(Shape(checks::sign(&s.value.0, s.width)?));
            plans.push(ComparePlan::new(s.value.0.len(), s.width));
        }
        let riders = Self::plans(ride)?;
        let mut compare = Self::join_rounds(&plans);
        compare.push(plans.iter().map(|p| PackedBits::wire_bytes(p.n)).sum());
        let riding = if riders.is_empty() { Vec::new() } else { Self::truncation_rounds(&riders) };
        self.exchange_together(&compare, &riding);
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        parts.extend(plans.iter().map(|p| Part::Elements { n: p.n, bits: 64 }));
        riders.iter().for_each(|p| p.parts(&mut parts));
        self.deal(&parts);
        Ok((bits, riders.iter().map(|p| Shape(p.out)).collect()))
    }

    fn argmax(&mut self, x: &Shape, group: usize, width: u32) -> Result<Shape, EngineError> {
        let meta = checks::argmax(&x.0, group, width)?;
        let plan = ArgmaxPlan::new(&x.0, group, width);
        let compare = [plan.compare()];
        self.exchange_together(&Self::join_rounds(&compare), &[]);
        let mut parts = Vec::new();
        compare[0].parts(&mut parts);
        for (join, n) in plan.and_rounds() {
            self.exchange(join.factors * PackedBits::wire_bytes(n));
        }
        plan.and_parts(&mut parts);
        self.exchange(PackedBits::wire_bytes(plan.len()));
        parts.push(Part::Elements { n: plan.len(), bits: 64 });
        self.deal(&parts);
        Ok(Shape(meta))
    }

    fn reveal(
        &mut self,
        values: &[&Shape],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError> {
        let bytes: usize = values.iter().map(|v| packed_bytes(v.0.len(), v.0.ring.bits())).sum();
        let [a, b] = self.roles.evaluators.map(|p| p.index());
        for &to in &opening.to {
            let from = if to == a { b } else { a };
            self.cost.online[from][to] += bytes as u64;
        }
        self.cost.rounds += 1;
        let zeros = || values.iter().map(|v| Array2::zeros(v.0.shape())).collect();
        let result = opening.to.contains(&self.party).then(zeros);
        let count = values.iter().map(|v| v.0.len()).sum();
        self.openings.push(OpeningRecord { opening, values: count, step: self.step });
        Ok(result)
    }

    fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    fn openings(&self) -> &[OpeningRecord] {
        &self.openings
    }

    fn measured(&self) -> Cost {
        self.cost
    }
}
