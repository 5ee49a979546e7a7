//! Inputs and openings at the dealer.

use ndarray::Array2;
use tercet_engine::{EngineError, Input, Opening, OpeningRecord, checks};
use tercet_net::{PartyId, Phase, Transport};
use tercet_share::kernel;

use super::{Dealer, Masked, deal::Value};
use crate::{
    input::chunks,
    labels,
    output::{decode, unpack_one},
    plan::packed_bytes,
};

impl<T: Transport> Dealer<T> {
    /// Deals unless there is nothing to deal.
    pub(super) fn deal_if_any(
        &mut self,
        label: tercet_net::Label,
        values: Vec<Value>,
    ) -> Result<(), EngineError> {
        if values.is_empty() { Ok(()) } else { self.deal(label, values) }
    }

    pub(super) fn input_batch(&mut self, inputs: Vec<Input>) -> Result<Vec<Masked>, EngineError> {
        let me = self.wire.transport().me();
        for i in &inputs {
            checks::input(i, i.owner == me.index())?;
        }
        let metas: Vec<_> = inputs.iter().map(|i| i.meta).collect();
        let owners: Vec<u64> = inputs.iter().map(|i| i.owner as u64).collect();
        let label = labels::tensors("input", &metas).with(&owners);
        self.begin();
        let mut lambdas: Vec<Vec<u64>> = inputs
            .iter()
            .map(|i| if i.values.is_some() { Vec::new() } else { vec![0; i.meta.len()] })
            .collect();
        for (lambda, input) in lambdas.iter_mut().zip(&inputs) {
            // Its own input: m = 0 is public and λ = −x is dealt.
            if let Some(x) = &input.values {
                *lambda = x.data().to_vec();
                kernel::neg_assign(lambda);
            }
        }
        for chunk in chunks(&inputs) {
            let input = &inputs[chunk.input];
            let (lambda, bits) = (&mut lambdas[chunk.input][chunk.range.clone()], input.meta.ring.bits());
            self.set_purpose(chunk.purpose);
            if input.values.is_some() {
                let value = Value::elements(lambda.to_vec(), bits);
                self.deal(label.with(&[chunk.purpose]), vec![value])?;
            } else if let Some(e) = self.evaluators.iter().position(|e| e.index() == input.owner) {
                lambda.copy_from_slice(&self.pad_of(e, chunk.range.len(), bits)?);
            }
        }
        if inputs.iter().any(|i| i.owner != me.index()) {
            self.wire.round(label);
        }
        Ok(metas.into_iter().zip(lambdas).map(|(meta, l)| self.masked(meta, l)).collect())
    }

    pub(super) fn reveal_all(
        &mut self,
        values: &[&Masked],
        opening: Opening,
    ) -> Result<Option<Vec<Array2<f64>>>, EngineError> {
        self.policy.check(&opening)?;
        let metas: Vec<_> = values.iter().map(|v| v.meta).collect();
        let to: Vec<u64> = opening.to.iter().map(|&p| p as u64).collect();
        let label = labels::tensors("reveal", &metas).with(&to);
        self.begin();
        self.wire.round(label);
        let me: PartyId = self.wire.transport().me();
        let mut result = None;
        if opening.to.contains(&me.index()) {
            let from = self.evaluators[0];
            let bytes = metas.iter().map(|m| packed_bytes(m.len(), m.ring.bits())).sum();
            let message = self.wire.recv(from, Phase::Online, label, bytes)?;
            let mut rest = message.as_slice();
            let mut opened = Vec::with_capacity(values.len());
            for v in values {
                let mut x = unpack_one(&mut rest, v.meta.len(), v.meta.ring.bits()).ok_or_else(|| {
                    EngineError::Malformed {
                        from: self.wire.name(from),
                        label: "reveal",
                        why: "padding bits are set",
                    }
                })?;
                if let Some(l) = &v.lambda {
                    kernel::sub_assign(&mut x, l.data());
                }
                opened.push(decode(x, &v.meta));
            }
            result = Some(opened);
        }
        let values = metas.iter().map(|m| m.len()).sum();
        self.openings.push(OpeningRecord { opening, values, step: self.wire.step() });
        Ok(result)
    }
}
