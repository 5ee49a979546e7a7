//! The declared cost: an engine that runs a program on shapes alone and adds up what it would send.
//!
//! Online rounds and bytes come from the plans that the evaluators follow; what preprocessing costs is for a [`Charge`] to
//! say. Tests compare the totals with the meter, byte for byte and round for round.

use ndarray::Array2;
use tercet_engine::{
    Cost, Engine, EngineError, Gate, Input, Meta, Opening, OpeningRecord, Party, Relu, Shared, Sign, Term,
    Truncate, Var, checks,
};
use tercet_net::PartyId;
use tercet_share::{Bilinear, Linear, PackedBits, Ring, Tensor};

use crate::{
    argmax::ArgmaxPlan,
    compare::ComparePlan,
    owners::{self, Owners},
    plan::{Part, TruncPlan, packed_bytes},
    polynomial::Polynomials,
    recipe::{BitMask, Factor, Recipe},
    recipes,
};

/// What a protocol's preprocessing costs: who takes part, and the bytes of everything that is dealt.
pub trait Charge {
    /// The evaluators in order; the first adds public terms.
    fn evaluators(&self) -> Vec<PartyId>;

    /// The party that deals, if one does.
    fn dealer(&self) -> Option<PartyId> {
        None
    }

    /// As [`crate::Source::dealer_holds`].
    fn dealer_holds(&self) -> bool {
        true
    }

    /// A new operation begins; purposes count from zero.
    fn begin(&mut self) {}

    /// The masks of a batch of truncations, drawn under purposes from zero on.
    fn truncation_pads(&mut self, _cost: &mut Cost, _plans: &[TruncPlan]) -> Result<(), EngineError> {
        Ok(())
    }

    /// The parts of one operation. Shares in the recipes are zeros.
    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        cost: &mut Cost,
        parts: &[Part],
        recipes: F,
    ) -> Result<(), EngineError>;

    /// The product of two masks of these shapes; `owners` of the rows of the first, as in [`crate::Source::mask_product`].
    fn mask_product(
        &mut self,
        _cost: &mut Cost,
        _map: &Bilinear,
        _shapes: [(usize, usize); 2],
        _owners: Option<&[u8]>,
        _ring: Ring,
    ) -> Result<(), EngineError> {
        Ok(())
    }
}

/// A value of which only the public facts exist.
#[derive(Clone, Debug)]
pub struct Shape {
    meta: Meta,
    /// A public constant has no mask.
    public: bool,
    owners: Owners,
}

impl Shape {
    fn secret(meta: Meta) -> Shape {
        Shape { meta, public: false, owners: None }
    }
}

impl Shared for Shape {
    fn meta(&self) -> Meta {
        self.meta
    }
}

/// Counts rounds and payload bytes of a program. It follows the branches of the first evaluator.
pub struct CostEngine<C> {
    charge: C,
    evaluators: Vec<usize>,
    cost: Cost,
    openings: Vec<OpeningRecord>,
    polynomials: Polynomials,
    step: u64,
}

impl<C: Charge> CostEngine<C> {
    /// A counter at zero.
    pub fn new(charge: impl Into<C>) -> CostEngine<C> {
        let charge = charge.into();
        let evaluators = charge.evaluators().iter().map(|p| p.index()).collect();
        let polynomials = Polynomials::default();
        CostEngine { charge, evaluators, cost: Cost::default(), openings: Vec::new(), polynomials, step: 0 }
    }

    /// One round in which all evaluators send `bytes` to each other; no bytes, no round.
    fn exchange(&mut self, bytes: usize) {
        if bytes > 0 {
            for &from in &self.evaluators {
                for &to in self.evaluators.iter().filter(|&&to| to != from) {
                    self.cost.online[from][to] += bytes as u64;
                }
            }
            self.cost.rounds += 1;
        }
    }

    fn deal<'a>(
        &mut self,
        parts: &[Part],
        recipes: impl FnOnce() -> Vec<Recipe<'a>>,
    ) -> Result<(), EngineError> {
        if parts.is_empty() { Ok(()) } else { self.charge.deal(&mut self.cost, parts, recipes) }
    }

    /// Starts an operation whose first masks are those of truncations.
    fn begin(&mut self, plans: &[TruncPlan]) -> Result<(), EngineError> {
        self.charge.begin();
        self.charge.truncation_pads(&mut self.cost, plans)
    }

    fn first(&self) -> usize {
        self.evaluators.first().copied().unwrap_or(0)
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

impl<C: Charge> Engine for CostEngine<C> {
    type Masked = Shape;
    type Offset = Shape;
    type Bit = Shape;

    fn party(&self) -> Party {
        self.first()
    }

    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<Shape, EngineError> {
        Ok(Shape { meta: checks::public(values, meta)?, public: true, owners: None })
    }

    fn linear(&mut self, x: &Shape, f: &Linear) -> Result<Shape, EngineError> {
        let owners = owners::linear(&x.owners, f);
        Ok(Shape { meta: x.meta.linear(f)?, public: x.public, owners })
    }

    fn linear_offset(&mut self, x: &Shape, f: &Linear) -> Result<Shape, EngineError> {
        Ok(Shape::secret(x.meta.linear(f)?))
    }

    fn linear_bit(&mut self, x: &Shape, f: &Linear) -> Result<Shape, EngineError> {
        Ok(Shape::secret(Meta { ring: x.meta.ring, ..checks::linear_bit(&x.meta, f)? }))
    }

    fn add(&mut self, x: &Shape, y: &Shape, _negative: bool) -> Result<Shape, EngineError> {
        let owners = owners::sum((&x.owners, x.public), (&y.owners, y.public));
        Ok(Shape { meta: x.meta.sum(&y.meta)?, public: x.public && y.public, owners })
    }

    fn concat_rows(&mut self, parts: &[&Shape]) -> Result<Shape, EngineError> {
        let metas: Vec<Meta> = parts.iter().map(|p| p.meta).collect();
        let owners = owners::concat(parts.iter().map(|p| (&p.owners, p.meta.rows, p.public)));
        let public = parts.iter().all(|p| p.public);
        Ok(Shape { meta: checks::concat_rows(&metas)?, public, owners })
    }

    fn reread(&mut self, x: &Shape, frac: u32) -> Result<Shape, EngineError> {
        Ok(Shape { meta: checks::reread(&x.meta, frac)?, ..x.clone() })
    }

    fn narrow(&mut self, x: &Shape, ring: Ring) -> Result<Shape, EngineError> {
        Ok(Shape { meta: checks::narrow(&x.meta, ring)?, ..x.clone() })
    }

    fn product(&mut self, kind: &Bilinear, x: &Shape, y: &Shape) -> Result<Shape, EngineError> {
        let meta = checks::product(kind, &x.meta, &y.meta)?;
        if !x.public && !y.public {
            self.charge.mask_product(
                &mut self.cost,
                kind,
                [x.meta.shape(), y.meta.shape()],
                x.owners.as_deref(),
                meta.ring,
            )?;
        }
        Ok(Shape::secret(meta))
    }

    fn lift(&mut self, x: &Shape) -> Result<Shape, EngineError> {
        Ok(x.clone())
    }

    fn accumulate(&mut self, x: &mut Shape, y: &Shape, _factor: i64, shift: u32) -> Result<(), EngineError> {
        x.meta = checks::accumulate(&x.meta, &y.meta, shift)?;
        Ok(())
    }

    fn noise(&mut self, _x: &mut Shape, _draw: &mut dyn FnMut(&mut [u64])) -> Result<(), EngineError> {
        Ok(())
    }

    fn polynomial(
        &mut self,
        vars: &[Var<'_, Shape, Shape>],
        terms: &[Term],
        frac: u32,
    ) -> Result<Shape, EngineError> {
        let (meta, plan) = self.polynomials.of(vars, terms, frac, self.charge.dealer_holds())?;
        let parts: Vec<Part> =
            plan.dealt().map(|_| Part::Elements { n: meta.len(), bits: meta.ring.bits() }).collect();
        let zeros = vec![0; meta.len()];
        let factors = || {
            vars.iter().map(|v| match v {
                Var::Masked(x) if x.public => Factor::Zero,
                Var::Masked(_) => Factor::Elements(&zeros),
                Var::Bit(_) => Factor::Bit(&zeros),
            })
        };
        self.begin(&[])?;
        self.deal(&parts, || recipes::products(&plan, factors().collect()))?;
        Ok(Shape::secret(meta))
    }

    fn input(&mut self, inputs: Vec<Input>) -> Result<Vec<Shape>, EngineError> {
        self.begin(&[])?;
        let mut online = false;
        let mut shapes = Vec::with_capacity(inputs.len());
        for i in &inputs {
            let (n, bits) = (i.meta.len(), i.meta.ring.bits());
            if self.charge.dealer().is_some_and(|d| d.index() == i.owner) {
                self.deal(&[Part::Elements { n, bits }], || vec![Recipe::Input])?;
            } else {
                for &to in self.evaluators.iter().filter(|&&to| to != i.owner) {
                    self.cost.online[i.owner][to] += packed_bytes(n, bits) as u64;
                }
                online = true;
            }
            let owners = owners::input(i.owner, i.meta.rows);
            shapes.push(Shape { meta: i.meta, public: false, owners });
        }
        self.cost.rounds += u64::from(online);
        Ok(shapes)
    }

    fn remask(&mut self, values: &[&Shape]) -> Result<Vec<Shape>, EngineError> {
        let bytes = values.iter().map(|v| packed_bytes(v.meta.len(), v.meta.ring.bits())).sum();
        self.exchange(bytes);
        let parts: Vec<_> =
            values.iter().map(|v| Part::Elements { n: v.meta.len(), bits: v.meta.ring.bits() }).collect();
        self.begin(&[])?;
        self.deal(&parts, || values.iter().map(|_| Recipe::Excess).collect())?;
        Ok(values.iter().map(|v| Shape::secret(v.meta)).collect())
    }

    fn truncate(&mut self, batch: &[Truncate<'_, Shape>]) -> Result<Vec<Shape>, EngineError> {
        let plans = Self::plans(batch)?;
        self.exchange_together(&Self::truncation_rounds(&plans), &[]);
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        self.begin(&plans)?;
        self.deal(&parts, || recipes::truncations(&plans, 0))?;
        Ok(plans.iter().map(|p| Shape::secret(p.out)).collect())
    }

    fn truncate_offset(&mut self, batch: &[(&Shape, u32)]) -> Result<Vec<Shape>, EngineError> {
        let mut plans = Vec::with_capacity(batch.len());
        for (value, shift) in batch {
            checks::truncate_offset(&value.meta, *shift)?;
            plans.push(TruncPlan::new(&value.meta, *shift, value.meta.ring)?);
        }
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.open_bits())).sum());
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        self.begin(&plans)?;
        self.deal(&parts, || recipes::truncations(&plans, 0))?;
        Ok(plans.iter().map(|p| Shape::secret(p.out)).collect())
    }

    fn relu(&mut self, batch: &[Relu<'_, Shape>]) -> Result<Vec<(Shape, Shape)>, EngineError> {
        let (mut plans, mut signs, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for r in batch {
            let t = &r.truncate;
            let (value, bits) = checks::relu(&t.value.meta, t.shift, t.out, r.width)?;
            out.push((Shape::secret(value), Shape::secret(Meta { ring: value.ring, ..bits })));
            let plan = TruncPlan::new(&t.value.meta, t.shift, t.out)?;
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
        self.begin(&plans)?;
        self.deal(&parts, || recipes::relus(&plans, &signs))?;
        Ok(out)
    }

    fn gate(&mut self, batch: &[Gate<'_, Shape, Shape>]) -> Result<Vec<Shape>, EngineError> {
        let mut plans = Vec::new();
        for g in batch {
            let t = &g.truncate;
            checks::gate(&t.value.meta, t.shift, t.out, &g.bit.meta)?;
            plans.push(TruncPlan::new(&t.value.meta, t.shift, t.out)?);
        }
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.open_bits())).sum());
        self.exchange(plans.iter().map(|p| packed_bytes(p.n, p.r)).sum());
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.gate_parts(&mut parts));
        self.begin(&plans)?;
        let zeros: Vec<Vec<u64>> = plans.iter().map(|p| vec![0; p.n]).collect();
        let bits = || zeros.iter().map(|z| BitMask::Shares(z));
        self.deal(&parts, || recipes::gates(&plans, bits()))?;
        Ok(plans.iter().map(|p| Shape::secret(p.out)).collect())
    }

    fn nonnegative(
        &mut self,
        signs: &[Sign<'_, Shape>],
        ride: &[Truncate<'_, Shape>],
    ) -> Result<(Vec<Shape>, Vec<Shape>), EngineError> {
        let cuts = checks::signs(signs)?;
        let plans = ComparePlan::of_cuts(&cuts, signs);
        let bits: Vec<_> = cuts.iter().map(|cut| Shape::secret(cut.bit)).collect();
        let riders = Self::plans(ride)?;
        let mut compare = Self::join_rounds(&plans);
        compare.push(plans.iter().map(|p| PackedBits::wire_bytes(p.n)).sum());
        let riding = if riders.is_empty() { Vec::new() } else { Self::truncation_rounds(&riders) };
        self.exchange_together(&compare, &riding);
        let mut parts = Vec::new();
        plans.iter().for_each(|p| p.parts(&mut parts));
        parts.extend(bits.iter().map(|b| Part::Elements { n: b.meta.len(), bits: b.meta.ring.bits() }));
        riders.iter().for_each(|p| p.parts(&mut parts));
        self.begin(&riders)?;
        let masks = || plans.iter().map(|p| vec![0; p.n].into());
        self.deal(&parts, || recipes::signs(&plans, masks(), &riders))?;
        Ok((bits, riders.iter().map(|p| Shape::secret(p.out)).collect()))
    }

    fn argmax(&mut self, x: &Shape, group: usize, width: u32, out: Ring) -> Result<Shape, EngineError> {
        let meta = checks::argmax(&x.meta, group, width, out)?;
        let plan = ArgmaxPlan::new(&x.meta, group, width);
        let compare = [plan.compare()];
        self.exchange_together(&Self::join_rounds(&compare), &[]);
        let mut parts = Vec::new();
        compare[0].parts(&mut parts);
        for (join, n) in plan.and_rounds() {
            self.exchange(join.factors * PackedBits::wire_bytes(n));
        }
        plan.and_parts(&mut parts);
        self.exchange(PackedBits::wire_bytes(plan.bits()));
        parts.push(Part::Elements { n: plan.bits(), bits: out.bits() });
        self.begin(&[])?;
        self.deal(&parts, || recipes::argmax(&plan, &compare, &vec![0; x.meta.len()]))?;
        Ok(Shape::secret(meta))
    }

    fn reveal(
        &mut self,
        values: &[&Shape],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError> {
        let bytes: usize = values.iter().map(|v| packed_bytes(v.meta.len(), v.meta.ring.bits())).sum();
        for &to in &opening.to {
            // The dealer needs m from one evaluator; an evaluator needs every other's summand of the mask.
            let dealer = self.charge.dealer().is_some_and(|d| d.index() == to);
            let senders = if dealer { &self.evaluators[..1] } else { &self.evaluators };
            for &from in senders.iter().filter(|&&from| from != to) {
                self.cost.online[from][to] += bytes as u64;
            }
        }
        self.cost.rounds += 1;
        let zeros = || values.iter().map(|v| Array2::zeros(v.meta.shape())).collect();
        let result = opening.to.contains(&self.first()).then(zeros);
        let count = values.iter().map(|v| v.meta.len()).sum();
        self.openings.push(OpeningRecord { opening, values: count, step: self.step });
        Ok(result)
    }

    fn export(&mut self, values: &[&Shape]) -> Result<Vec<Option<Tensor>>, EngineError> {
        if self.charge.dealer().is_some() {
            self.remask(values)?;
        }
        // Numbers without meaning: what is counted holds none.
        Ok(values.iter().map(|v| Some(Tensor::zeros(v.meta.rows, v.meta.cols))).collect())
    }

    fn import(&mut self, values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<Shape>, EngineError> {
        let one = |(meta, summand): (Meta, Option<Tensor>)| {
            checks::import(meta, summand.as_ref(), true).map(Shape::secret)
        };
        values.into_iter().map(one).collect()
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
