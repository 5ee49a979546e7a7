//! The clear engine.

use std::sync::Arc;

use ndarray::Array2;
use tercet_engine::{
    Cost, Engine, EngineError, Gate, Input, Meta, Opening, OpeningRecord, Party, Policy, Relu, Shared, Sign,
    Term, Truncate, Var, checks,
};
use tercet_share::{Bilinear, Linear, PackedBits, Ring, Tensor};

use crate::{
    arithmetic::{self, Operand},
    range::{Doubt, Violation},
    value::{ClearBit, ClearMasked, ClearOffset, Value},
};

/// All three parties in one place, with plain values and no communication.
///
/// Inputs need their values, whoever owns them, and every opening returns the numbers. The policy is checked and
/// openings are recorded as in a protocol.
pub struct ClearEngine {
    policy: Policy,
    records: Vec<OpeningRecord>,
    violations: Vec<Violation>,
    strict: bool,
    step: u64,
}

impl ClearEngine {
    /// An engine that allows the openings of `policy` and lists range violations.
    pub fn new(policy: Policy) -> ClearEngine {
        ClearEngine { policy, records: Vec::new(), violations: Vec::new(), strict: false, step: 0 }
    }

    /// The same engine, but a range violation is an error that names the operation.
    pub fn strict(self) -> ClearEngine {
        ClearEngine { strict: true, ..self }
    }

    /// Every out-of-range value so far that decided a bit or was opened.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    fn see(&mut self, seen_in: &'static str, doubt: &Doubt) -> Result<(), EngineError> {
        let elements = doubt.count();
        if elements == 0 {
            return Ok(());
        }
        let source = doubt.source_or(seen_in);
        self.violations.push(Violation { source, seen_in, elements, step: self.step });
        if self.strict {
            let why = format!(
                "{elements} values left the range of a {source} in step {}; scale the data or lower the fractional bits",
                self.step
            );
            return Err(EngineError::parameter(seen_in, why));
        }
        Ok(())
    }

    /// The bits [v ≥ 0] of signed values, as `width` bits show them; `facts` are those of the bits.
    fn compare(
        &mut self,
        what: &'static str,
        facts: &Meta,
        values: &[i64],
        width: u32,
        doubt: &Doubt,
    ) -> Result<ClearBit, EngineError> {
        let outside = Doubt::of(what, facts, values.iter().map(|&v| !arithmetic::comparable(v, width)));
        self.see(what, &doubt.clone().or(&outside))?;
        let bits = arithmetic::pack(values.iter().map(|&v| arithmetic::nonnegative(v, width)));
        Ok(bit(*facts, bits))
    }

    fn truncated(&mut self, t: &Truncate<'_, ClearOffset>) -> Result<ClearMasked, EngineError> {
        let meta = checks::truncate(&t.value.meta(), t.shift, t.out)?;
        let (values, doubt) = arithmetic::truncate(&t.value.0, t.shift);
        let data = arithmetic::tensor(&meta, values.into_iter());
        Ok(ClearMasked(Value::new(meta, data, doubt.or(&does_not_fit(&meta, &t.value.0, t.shift)))))
    }
}

/// Elements whose truncated value the result's ring cannot hold.
fn does_not_fit(meta: &Meta, x: &Value, shift: u32) -> Doubt {
    if meta.ring.bits() >= x.meta.ring.bits() - shift {
        return Doubt::default();
    }
    let fits = |v: i64| meta.ring.signed(v as u64) == v;
    Doubt::of("truncation", meta, x.signed().map(|v| !fits(arithmetic::rounding_shift(v, shift))))
}

fn bit(meta: Meta, bits: PackedBits) -> ClearBit {
    ClearBit { meta, bits: Arc::new(bits) }
}

impl Engine for ClearEngine {
    type Masked = ClearMasked;
    type Offset = ClearOffset;
    type Bit = ClearBit;

    fn party(&self) -> Party {
        0
    }

    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<ClearMasked, EngineError> {
        let meta = checks::public(values, meta)?;
        Ok(ClearMasked(Value::new(meta, values.clone(), Doubt::default())))
    }

    fn linear(&mut self, x: &ClearMasked, f: &Linear) -> Result<ClearMasked, EngineError> {
        arithmetic::linear(&x.0, f).map(ClearMasked)
    }

    fn linear_offset(&mut self, x: &ClearOffset, f: &Linear) -> Result<ClearOffset, EngineError> {
        arithmetic::linear(&x.0, f).map(ClearOffset)
    }

    fn linear_bit(&mut self, x: &ClearBit, f: &Linear) -> Result<ClearBit, EngineError> {
        let meta = checks::linear_bit(&x.meta, f)?;
        let mapped = f.apply(&Tensor::from_vec(x.meta.rows, x.meta.cols, x.bits.expand()))?;
        Ok(bit(meta, PackedBits::from_lsb(mapped.data())))
    }

    fn add(&mut self, x: &ClearMasked, y: &ClearMasked, negative: bool) -> Result<ClearMasked, EngineError> {
        let meta = x.meta().sum(&y.meta())?;
        let factor = if negative { -1 } else { 1 };
        Ok(ClearMasked(arithmetic::sum(&x.0, &y.0, meta, factor, 0)))
    }

    fn concat_rows(&mut self, parts: &[&ClearMasked]) -> Result<ClearMasked, EngineError> {
        let metas: Vec<Meta> = parts.iter().map(|p| p.meta()).collect();
        let meta = checks::concat_rows(&metas)?;
        let data = parts.iter().flat_map(|p| p.0.data.data().iter().copied()).collect();
        let doubts: Vec<(&Doubt, Meta)> = parts.iter().map(|p| (&p.0.doubt, p.meta())).collect();
        let data = Tensor::from_vec(meta.rows, meta.cols, data);
        Ok(ClearMasked(Value::new(meta, data, Doubt::concat_rows(&doubts))))
    }

    fn reread(&mut self, x: &ClearMasked, frac: u32) -> Result<ClearMasked, EngineError> {
        let meta = checks::reread(&x.meta(), frac)?;
        Ok(ClearMasked(Value { meta, ..x.0.clone() }))
    }

    fn narrow(&mut self, x: &ClearMasked, ring: Ring) -> Result<ClearMasked, EngineError> {
        let meta = checks::narrow(&x.meta(), ring)?;
        let outside = Doubt::of("narrowing", &meta, x.0.signed().map(|v| ring.signed(v as u64) != v));
        let doubt = x.0.doubt.clone().or(&outside);
        Ok(ClearMasked(Value { meta, doubt, data: Arc::clone(&x.0.data) }))
    }

    fn product(
        &mut self,
        kind: &Bilinear,
        x: &ClearMasked,
        y: &ClearMasked,
    ) -> Result<ClearOffset, EngineError> {
        let meta = checks::product(kind, &x.meta(), &y.meta())?;
        arithmetic::product(kind, &x.0, &y.0, &meta).map(ClearOffset)
    }

    fn lift(&mut self, x: &ClearMasked) -> Result<ClearOffset, EngineError> {
        Ok(ClearOffset(x.0.clone()))
    }

    fn accumulate(
        &mut self,
        x: &mut ClearOffset,
        y: &ClearOffset,
        factor: i64,
        shift: u32,
    ) -> Result<(), EngineError> {
        let meta = checks::accumulate(&x.meta(), &y.meta(), shift)?;
        x.0 = arithmetic::sum(&x.0, &y.0, meta, factor, shift);
        Ok(())
    }

    fn noise(&mut self, x: &mut ClearOffset, draw: &mut dyn FnMut(&mut [u64])) -> Result<(), EngineError> {
        let mut noise = Tensor::zeros(x.0.meta.rows, x.0.meta.cols);
        (0..checks::PARTIES).for_each(|_| draw(noise.data_mut()));
        let noise = Value::new(x.0.meta, noise, Doubt::default());
        x.0 = arithmetic::sum(&x.0, &noise, x.0.meta, 1, 0);
        Ok(())
    }

    fn polynomial(
        &mut self,
        vars: &[Var<'_, ClearMasked, ClearBit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<ClearOffset, EngineError> {
        let (meta, coefficients) = checks::polynomial(vars, terms, frac)?;
        let operands: Vec<Operand<'_>> = vars
            .iter()
            .map(|v| match v {
                Var::Masked(m) => Operand::Value(&m.0),
                Var::Bit(b) => Operand::Bit(&b.bits),
            })
            .collect();
        Ok(ClearOffset(arithmetic::polynomial(&operands, terms, &coefficients, &meta)))
    }

    fn input(&mut self, inputs: Vec<Input>) -> Result<Vec<ClearMasked>, EngineError> {
        inputs
            .into_iter()
            .map(|input| {
                let meta = checks::input(&input, true)?;
                let values = input.values.unwrap_or_default();
                Ok(ClearMasked(Value::new(meta, values, Doubt::default())))
            })
            .collect()
    }

    fn remask(&mut self, values: &[&ClearOffset]) -> Result<Vec<ClearMasked>, EngineError> {
        Ok(values.iter().map(|v| ClearMasked(v.0.clone())).collect())
    }

    fn truncate(&mut self, batch: &[Truncate<'_, ClearOffset>]) -> Result<Vec<ClearMasked>, EngineError> {
        batch.iter().map(|t| self.truncated(t)).collect()
    }

    fn truncate_offset(&mut self, batch: &[(&ClearOffset, u32)]) -> Result<Vec<ClearOffset>, EngineError> {
        batch
            .iter()
            .map(|&(value, shift)| {
                let meta = checks::truncate_offset(&value.meta(), shift)?;
                let (values, doubt) = arithmetic::truncate(&value.0, shift);
                Ok(ClearOffset(Value::new(meta, arithmetic::tensor(&meta, values.into_iter()), doubt)))
            })
            .collect()
    }

    fn relu(&mut self, batch: &[Relu<'_, ClearOffset>]) -> Result<Vec<(ClearMasked, ClearBit)>, EngineError> {
        batch
            .iter()
            .map(|r| {
                let t = &r.truncate;
                let (meta, facts) = checks::relu(&t.value.meta(), t.shift, t.out, r.width)?;
                let (values, doubt) = arithmetic::truncate(&t.value.0, t.shift);
                let bit = self.compare("ReLU", &facts, &values, r.width, &doubt)?;
                let kept = values.iter().enumerate().map(|(i, &v)| if bit.bits.bit(i) == 1 { v } else { 0 });
                let data = arithmetic::tensor(&meta, kept);
                let doubt = doubt.or(&does_not_fit(&meta, &t.value.0, t.shift));
                let doubt = Doubt::of(
                    doubt.source_or("ReLU"),
                    &meta,
                    (0..meta.len()).map(|i| doubt.at(i) && bit.bits.bit(i) == 1),
                );
                Ok((ClearMasked(Value::new(meta, data, doubt)), bit))
            })
            .collect()
    }

    fn gate(&mut self, batch: &[Gate<'_, ClearOffset, ClearBit>]) -> Result<Vec<ClearMasked>, EngineError> {
        batch
            .iter()
            .map(|g| {
                let t = &g.truncate;
                let meta = checks::gate(&t.value.meta(), t.shift, t.out, &g.bit.meta)?;
                let (values, doubt) = arithmetic::truncate(&t.value.0, t.shift);
                let doubt = doubt.or(&does_not_fit(&meta, &t.value.0, t.shift));
                let open = |i: usize| g.bit.bits.bit(i) == 1;
                let kept = values.iter().enumerate().map(|(i, &v)| if open(i) { v } else { 0 });
                let data = arithmetic::tensor(&meta, kept);
                let doubt = Doubt::of(
                    doubt.source_or("gate"),
                    &meta,
                    (0..meta.len()).map(|i| doubt.at(i) && open(i)),
                );
                Ok(ClearMasked(Value::new(meta, data, doubt)))
            })
            .collect()
    }

    fn nonnegative(
        &mut self,
        signs: &[Sign<'_, ClearMasked>],
        ride: &[Truncate<'_, ClearOffset>],
    ) -> Result<(Vec<ClearBit>, Vec<ClearMasked>), EngineError> {
        let bits = checks::signs(signs)?
            .iter()
            .map(|cut| {
                let s = &signs[cut.sign];
                let at = s.value.meta().ring.signed(cut.at);
                let values: Vec<i64> = s.value.0.signed().map(|v| v.wrapping_sub(at)).collect();
                self.compare("comparison", &cut.bit, &values, s.width, &s.value.0.doubt)
            })
            .collect::<Result<_, _>>()?;
        Ok((bits, self.truncate(ride)?))
    }

    fn argmax(
        &mut self,
        x: &ClearMasked,
        group: usize,
        width: u32,
        out: Ring,
    ) -> Result<ClearBit, EngineError> {
        let facts = checks::argmax(&x.meta(), group, width, out)?;
        let ring = x.meta().ring;
        let values: Vec<i64> = x.0.signed().collect();
        let mut marks = vec![false; values.len()];
        let mut outside = vec![false; values.len()];
        for (run, entries) in values.chunks_exact(group).enumerate() {
            let mut best = 0;
            for (j, &v) in entries.iter().enumerate() {
                let lead = ring.signed((entries[best] as u64).wrapping_sub(v as u64));
                if !arithmetic::nonnegative(lead, width) {
                    best = j;
                }
            }
            marks[run * group + best] = true;
            let (low, high) = entries.iter().fold((i64::MAX, i64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            let spread = (high as u64).wrapping_sub(low as u64);
            outside[run * group + best] = spread >= 1 << (width - 1);
        }
        let outside = Doubt::of("argmax", &facts, outside.iter().copied());
        self.see("argmax", &x.0.doubt.clone().or(&outside))?;
        Ok(bit(facts, arithmetic::pack(marks.into_iter())))
    }

    fn reveal(
        &mut self,
        values: &[&ClearMasked],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError> {
        checks::opening(&opening)?;
        self.policy.check(&opening)?;
        for v in values {
            self.see("opening", &v.0.doubt)?;
        }
        let count = values.iter().map(|v| v.meta().len()).sum();
        self.records.push(OpeningRecord { opening, values: count, step: self.step });
        Ok(Some(values.iter().map(|v| v.decode()).collect()))
    }

    fn export(&mut self, values: &[&ClearOffset]) -> Result<Vec<Option<Tensor>>, EngineError> {
        Ok(values.iter().map(|v| Some(v.elements().clone())).collect())
    }

    fn import(&mut self, values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<ClearOffset>, EngineError> {
        let one = |(meta, summand): (Meta, Option<Tensor>)| {
            let meta = checks::import(meta, summand.as_ref(), true)?;
            Ok(ClearOffset(Value::new(meta, summand.unwrap_or_default(), Doubt::default())))
        };
        values.into_iter().map(one).collect()
    }

    fn set_step(&mut self, step: u64) {
        self.step = step;
    }

    fn openings(&self) -> &[OpeningRecord] {
        &self.records
    }

    fn measured(&self) -> Cost {
        Cost::default()
    }
}
