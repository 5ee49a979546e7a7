//! An engine that counts the rounds which the `helper` protocol would take, over the clear engine.

use ndarray::Array2;
use tercet_clear::{ClearBit, ClearEngine, ClearMasked, ClearOffset};
use tercet_engine::{
    Cost, Engine, EngineError, Gate, Input, Meta, Opening, OpeningRecord, Party, Policy, Relu, Shared, Sign,
    Term, Truncate, Var,
};
use tercet_share::{Bilinear, Linear, Ring, Tensor, fixed};

/// Every range violation is an error here.
pub struct Counting {
    pub inner: ClearEngine,
    pub rounds: u32,
    /// State of a generator that makes truncations as inexact as on shares; `None` rounds to nearest.
    pub noise: Option<u64>,
}

impl Counting {
    pub fn new() -> Counting {
        Counting { inner: ClearEngine::new(Policy::default()).strict(), rounds: 0, noise: None }
    }

    /// The same engine, but every truncation is off by −1, 0 or 1 unit with probability 1/3 each: more than on shares.
    pub fn noisy(seed: u64) -> Counting {
        Counting { noise: Some(seed), ..Counting::new() }
    }

    fn disturbed(&mut self, x: &ClearMasked) -> Result<ClearMasked, EngineError> {
        let Some(state) = self.noise.as_mut() else { return Ok(x.clone()) };
        let meta = x.meta();
        let units = (0..meta.len())
            .map(|_| {
                *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((*state >> 33) % 3).wrapping_sub(1)
            })
            .collect();
        let noise = self.inner.public(&Tensor::from_vec(meta.rows, meta.cols, units), meta)?;
        self.inner.add(x, &noise, false)
    }

    /// A matrix of real numbers as a masked value in the full ring.
    pub fn masked(&mut self, cols: usize, values: &[f64], frac: u32) -> ClearMasked {
        let meta = Meta { rows: values.len() / cols, cols, frac, ring: Ring::FULL };
        let encoded = fixed::encode_all(values.iter().copied(), frac, Ring::FULL).unwrap();
        self.inner.public(&Tensor::from_vec(meta.rows, cols, encoded), meta).unwrap()
    }
}

fn truncation_rounds(t: &Truncate<'_, ClearOffset>) -> u32 {
    if t.out.bits() + t.shift <= t.value.meta().ring.bits() { 1 } else { 2 }
}

impl Engine for Counting {
    type Masked = ClearMasked;
    type Offset = ClearOffset;
    type Bit = ClearBit;

    fn party(&self) -> Party {
        self.inner.party()
    }
    fn public(&mut self, values: &Tensor, meta: Meta) -> Result<ClearMasked, EngineError> {
        self.inner.public(values, meta)
    }
    fn linear(&mut self, x: &ClearMasked, f: &Linear) -> Result<ClearMasked, EngineError> {
        self.inner.linear(x, f)
    }
    fn linear_offset(&mut self, x: &ClearOffset, f: &Linear) -> Result<ClearOffset, EngineError> {
        self.inner.linear_offset(x, f)
    }
    fn linear_bit(&mut self, x: &ClearBit, f: &Linear) -> Result<ClearBit, EngineError> {
        self.inner.linear_bit(x, f)
    }
    fn add(&mut self, x: &ClearMasked, y: &ClearMasked, negative: bool) -> Result<ClearMasked, EngineError> {
        self.inner.add(x, y, negative)
    }
    fn concat_rows(&mut self, parts: &[&ClearMasked]) -> Result<ClearMasked, EngineError> {
        self.inner.concat_rows(parts)
    }
    fn reread(&mut self, x: &ClearMasked, frac: u32) -> Result<ClearMasked, EngineError> {
        self.inner.reread(x, frac)
    }
    fn narrow(&mut self, x: &ClearMasked, ring: Ring) -> Result<ClearMasked, EngineError> {
        self.inner.narrow(x, ring)
    }
    fn product(
        &mut self,
        kind: &Bilinear,
        x: &ClearMasked,
        y: &ClearMasked,
    ) -> Result<ClearOffset, EngineError> {
        self.inner.product(kind, x, y)
    }
    fn lift(&mut self, x: &ClearMasked) -> Result<ClearOffset, EngineError> {
        self.inner.lift(x)
    }
    fn accumulate(
        &mut self,
        x: &mut ClearOffset,
        y: &ClearOffset,
        factor: i64,
        shift: u32,
    ) -> Result<(), EngineError> {
        self.inner.accumulate(x, y, factor, shift)
    }
    fn noise(&mut self, x: &mut ClearOffset, draw: &mut dyn FnMut(&mut [u64])) -> Result<(), EngineError> {
        self.inner.noise(x, draw)
    }
    fn polynomial(
        &mut self,
        vars: &[Var<'_, ClearMasked, ClearBit>],
        terms: &[Term],
        frac: u32,
    ) -> Result<ClearOffset, EngineError> {
        self.inner.polynomial(vars, terms, frac)
    }
    fn input(&mut self, inputs: Vec<Input>) -> Result<Vec<ClearMasked>, EngineError> {
        self.inner.input(inputs)
    }
    fn remask(&mut self, values: &[&ClearOffset]) -> Result<Vec<ClearMasked>, EngineError> {
        self.rounds += 1;
        self.inner.remask(values)
    }
    fn truncate(&mut self, batch: &[Truncate<'_, ClearOffset>]) -> Result<Vec<ClearMasked>, EngineError> {
        self.rounds += batch.iter().map(truncation_rounds).max().unwrap_or(0);
        let exact = self.inner.truncate(batch)?;
        exact.iter().map(|x| self.disturbed(x)).collect()
    }
    fn truncate_offset(&mut self, batch: &[(&ClearOffset, u32)]) -> Result<Vec<ClearOffset>, EngineError> {
        self.rounds += 1;
        self.inner.truncate_offset(batch)
    }
    fn relu(&mut self, batch: &[Relu<'_, ClearOffset>]) -> Result<Vec<(ClearMasked, ClearBit)>, EngineError> {
        self.rounds += 5;
        self.inner.relu(batch)
    }
    fn gate(&mut self, batch: &[Gate<'_, ClearOffset, ClearBit>]) -> Result<Vec<ClearMasked>, EngineError> {
        self.rounds += 2;
        self.inner.gate(batch)
    }
    fn nonnegative(
        &mut self,
        signs: &[Sign<'_, ClearMasked>],
        ride: &[Truncate<'_, ClearOffset>],
    ) -> Result<(Vec<ClearBit>, Vec<ClearMasked>), EngineError> {
        self.rounds += 3;
        self.inner.nonnegative(signs, ride)
    }
    fn argmax(
        &mut self,
        x: &ClearMasked,
        group: usize,
        width: u32,
        out: Ring,
    ) -> Result<ClearBit, EngineError> {
        self.rounds += 5;
        self.inner.argmax(x, group, width, out)
    }
    fn reveal(
        &mut self,
        values: &[&ClearMasked],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError> {
        self.rounds += 1;
        self.inner.reveal(values, opening)
    }
    fn export(&mut self, values: &[&ClearOffset]) -> Result<Vec<Option<Tensor>>, EngineError> {
        self.inner.export(values)
    }
    fn import(&mut self, values: Vec<(Meta, Option<Tensor>)>) -> Result<Vec<ClearOffset>, EngineError> {
        self.inner.import(values)
    }
    fn set_step(&mut self, step: u64) {
        self.inner.set_step(step);
    }
    fn openings(&self) -> &[OpeningRecord] {
        self.inner.openings()
    }
    fn measured(&self) -> Cost {
        self.inner.measured()
    }
}

/// `n + 1` points from `lo` to `hi`, both included.
pub fn points(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    (0..=n).map(|k| lo + (hi - lo) * k as f64 / n as f64).collect()
}

/// `n + 1` points from `lo` to `hi` in geometric progression.
pub fn geometric(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    points(lo.ln(), hi.ln(), n).into_iter().map(|x| x.exp().clamp(lo, hi)).collect()
}
