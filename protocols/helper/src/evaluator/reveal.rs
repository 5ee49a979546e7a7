//! Inputs and openings at an evaluator.

use std::sync::Arc;

use ndarray::Array2;
use tercet_engine::{EngineError, Input, Opening, OpeningRecord, Shared, checks};
use tercet_net::{PartyId, Phase, Transport};
use tercet_share::{Tensor, kernel};

use super::{Evaluator, Masked, next, truncate::masked};
use crate::{
    labels,
    material::Source,
    output::{decode, pack_all, unpack_one},
    plan::{Part, packed_bytes},
};

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    pub(super) fn input_batch(&mut self, inputs: Vec<Input>) -> Result<Vec<Masked>, EngineError> {
        let me = self.wire.transport().me();
        for i in &inputs {
            checks::input(i, i.owner == me.index())?;
        }
        let metas: Vec<_> = inputs.iter().map(|i| i.meta).collect();
        let owners: Vec<u64> = inputs.iter().map(|i| i.owner as u64).collect();
        let label = labels::tensors("input", &metas).with(&owners);
        self.begin();
        // The owner's m for the other evaluators, all inputs in one message.
        let mut message = Vec::new();
        let mut results: Vec<Option<Masked>> = Vec::with_capacity(inputs.len());
        let mut parts = Vec::new();
        for input in &inputs {
            let (n, bits) = (input.meta.len(), input.meta.ring.bits());
            let dealt = self.dealer.is_some_and(|d| d.index() == input.owner);
            if dealt {
                parts.push(Part::Elements { n, bits });
                results.push(None);
            } else if let Some(values) = &input.values {
                let l = self.pad(n, bits)?;
                let mut m = values.data().to_vec();
                kernel::add_assign(&mut m, &l);
                kernel::mask(&mut m, bits);
                kernel::pack(&m, bits, &mut message);
                results.push(Some(masked(input.meta, m, l)));
            } else {
                // The pad of another evaluator: its address is skipped, so that the addresses of both stay in step.
                self.skip_purpose();
                results.push(None);
            }
        }
        let mut dealt = self.deal(label, &parts)?;
        let peers: Vec<PartyId> = self.evaluators.iter().copied().filter(|&p| p != me).collect();
        for &peer in &peers {
            self.wire.send(peer, Phase::Online, label, message.clone())?;
        }
        if inputs.iter().any(|i| self.dealer.is_none_or(|d| d.index() != i.owner)) {
            self.wire.round(label);
        }
        for peer in peers {
            let theirs = |i: &Input| i.owner == peer.index();
            let bytes = inputs
                .iter()
                .filter(|i| theirs(i))
                .map(|i| packed_bytes(i.meta.len(), i.meta.ring.bits()))
                .sum();
            let message = self.wire.recv(peer, Phase::Online, label, bytes)?;
            let mut rest = message.as_slice();
            for (i, slot) in inputs.iter().zip(&mut results).filter(|(i, _)| theirs(i)) {
                let m = unpack_one(&mut rest, i.meta.len(), i.meta.ring.bits())
                    .ok_or_else(|| self.malformed(peer, "input"))?;
                let m = Tensor::from_vec(i.meta.rows, i.meta.cols, m);
                *slot = Some(Masked { meta: i.meta, m: Some(Arc::new(m)), l: None });
            }
        }
        Ok(inputs
            .iter()
            .zip(results)
            .map(|(i, slot)| {
                slot.unwrap_or_else(|| {
                    let l = Tensor::from_vec(i.meta.rows, i.meta.cols, next(&mut dealt).elements());
                    Masked { meta: i.meta, m: None, l: Some(Arc::new(l)) }
                })
            })
            .collect())
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
        let me = self.wire.transport().me();
        for &party in &opening.to {
            if party == me.index() {
                continue;
            }
            let to = PartyId::ALL.into_iter().find(|p| p.index() == party);
            let Some(to) = to else { continue };
            let bytes = if self.dealer == Some(to) {
                // The dealer knows λ and needs m, from one evaluator.
                if !self.first() {
                    continue;
                }
                pack_all(values.iter().map(|v| (&v.m, v.meta)))
            } else {
                pack_all(values.iter().map(|v| (&v.l, v.meta)))
            };
            self.wire.send(to, Phase::Online, label, bytes)?;
        }
        self.wire.round(label);
        let mut result = None;
        if opening.to.contains(&me.index()) {
            let mut sums: Vec<Vec<u64>> = values
                .iter()
                .map(|v| {
                    let zero = || vec![0; v.meta.len()];
                    let mut x = v.m.as_ref().map_or_else(zero, |m| m.data().to_vec());
                    if let Some(l) = &v.l {
                        kernel::sub_assign(&mut x, l.data());
                    }
                    x
                })
                .collect();
            let bytes: usize = metas.iter().map(|m| packed_bytes(m.len(), m.ring.bits())).sum();
            let peers: Vec<PartyId> = self.evaluators.iter().copied().filter(|&p| p != me).collect();
            for peer in peers {
                let message = self.wire.recv(peer, Phase::Online, label, bytes)?;
                let mut rest = message.as_slice();
                for (x, meta) in sums.iter_mut().zip(&metas) {
                    let l = unpack_one(&mut rest, meta.len(), meta.ring.bits())
                        .ok_or_else(|| self.malformed(peer, "reveal"))?;
                    kernel::sub_assign(x, &l);
                }
            }
            result = Some(sums.into_iter().zip(&metas).map(|(x, m)| decode(x, m)).collect());
        }
        let values = values.iter().map(|v| v.meta().len()).sum();
        self.openings.push(OpeningRecord { opening, values, step: self.wire.step() });
        Ok(result)
    }

    fn malformed(&self, from: PartyId, label: &'static str) -> EngineError {
        EngineError::Malformed { from: self.wire.name(from), label, why: "padding bits are set" }
    }
}
