//! Dealing: E0's share of every part comes from the seed it shares with H; E1 gets the difference. One message per operation.

use tercet_engine::EngineError;
use tercet_net::{Label, Phase, Transport};
use tercet_share::{PackedBits, kernel};

use super::Dealer;
use crate::{
    material::{Dealt, draw, encode},
    plan::Part,
};

/// A correlated value to deal, with its part.
pub(super) struct Value {
    part: Part,
    value: Dealt,
}

impl Value {
    /// Elements modulo 2^bits.
    pub(super) fn elements(v: Vec<u64>, bits: u32) -> Value {
        Value { part: Part::Elements { n: v.len(), bits }, value: Dealt::Elements(v) }
    }

    /// Bits.
    pub(super) fn bits(v: PackedBits) -> Value {
        Value { part: Part::Bits { n: v.len() }, value: Dealt::Bits(v) }
    }

    /// One-hot vectors of the digits of `v` at `shift`.
    pub(super) fn one_hot(v: &[u64], shift: u32, width: u32) -> Value {
        let mut words = vec![0u16; v.len()];
        kernel::one_hot(v, shift, width, &mut words);
        Value { part: Part::OneHot { n: v.len(), width }, value: Dealt::OneHot(words) }
    }
}

impl<T: Transport> Dealer<T> {
    /// Starts an operation: a new number, purposes from zero.
    pub(super) fn begin(&mut self) {
        self.op = self.wire.next_op();
        self.purpose = 0;
    }

    /// Moves on to a purpose that all parties number alike.
    pub(super) fn set_purpose(&mut self, purpose: u64) {
        self.purpose = purpose;
    }

    fn next_purpose(&mut self) -> u64 {
        self.purpose += 1;
        self.purpose - 1
    }

    /// The sum of both evaluators' pads.
    pub(super) fn pad(&mut self, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        let purpose = self.next_purpose();
        let mut sum = self.seeds[0].stream(self.op, purpose)?.elements(n, bits);
        kernel::add_assign(&mut sum, &self.seeds[1].stream(self.op, purpose)?.elements(n, bits));
        Ok(sum)
    }

    /// The pad of one evaluator alone: its input mask.
    pub(super) fn pad_of(&mut self, evaluator: usize, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        let purpose = self.next_purpose();
        Ok(self.seeds[evaluator].stream(self.op, purpose)?.elements(n, bits))
    }

    /// The exclusive or of both evaluators' bit pads.
    pub(super) fn pad_bits(&mut self, n: usize) -> Result<PackedBits, EngineError> {
        let purpose = self.next_purpose();
        let mut sum = self.seeds[0].stream(self.op, purpose)?.bits(n);
        sum.xor_assign(&self.seeds[1].stream(self.op, purpose)?.bits(n));
        Ok(sum)
    }

    pub(super) fn pad_bit_vectors(&mut self, count: usize, n: usize) -> Result<Vec<PackedBits>, EngineError> {
        (0..count).map(|_| self.pad_bits(n)).collect()
    }

    /// Deals the parts of one operation.
    pub(super) fn deal(&mut self, label: Label, values: Vec<Value>) -> Result<(), EngineError> {
        let mut message = Vec::with_capacity(values.iter().map(|v| v.part.bytes()).sum());
        for Value { part, mut value } in values {
            let purpose = self.next_purpose();
            let share = draw(&mut self.seeds[0], self.op, purpose, &part)?;
            match (&mut value, &share) {
                (Dealt::Elements(v), Dealt::Elements(r)) => kernel::sub_assign(v, r),
                (Dealt::Bits(v), Dealt::Bits(r)) => v.xor_assign(r),
                (Dealt::OneHot(v), Dealt::OneHot(r)) => v.iter_mut().zip(r).for_each(|(a, b)| *a ^= b),
                _ => unreachable!("a part is drawn by its own plan"),
            }
            encode(&value, &part, &mut message);
        }
        self.wire.send(self.evaluators[1], Phase::Offline, label, message)
    }
}
