//! Inputs and openings at an evaluator.

use std::sync::Arc;

use ndarray::Array2;
use tercet_engine::{EngineError, Input, Meta, Opening, OpeningRecord, Shared, checks};
use tercet_net::{Label, PartyId, Phase, Transport};
use tercet_share::{Tensor, kernel};

use super::{Evaluator, Masked, next};
use crate::{
    input::{AHEAD, InputChunk, chunks},
    labels,
    linear::Component,
    material::Source,
    output::{decode, pack_all, unpack_one},
    owners,
    plan::{Part, packed_bytes},
    recipe::Recipe,
};

impl<T: Transport, S: Source<T>> Evaluator<T, S> {
    pub(super) fn input_batch(&mut self, mut inputs: Vec<Input>) -> Result<Vec<Masked>, EngineError> {
        let me = self.wire.transport().me();
        for i in &inputs {
            checks::input(i, i.owner == me.index())?;
        }
        let metas: Vec<_> = inputs.iter().map(|i| i.meta).collect();
        let owners: Vec<usize> = inputs.iter().map(|i| i.owner).collect();
        let tags: Vec<u64> = owners.iter().map(|&o| o as u64).collect();
        let label = labels::tensors("input", &metas).with(&tags);
        self.begin();
        let chunks = chunks(&inputs);
        let is_dealer = |owner: usize| self.dealer.is_some_and(|d| d.index() == owner);
        let dealt: Vec<bool> = owners.iter().map(|&o| is_dealer(o)).collect();
        let peers: Vec<PartyId> = self.evaluators.iter().copied().filter(|&p| p != me).collect();
        // The owner's values become its m in place; l is its pad, or the dealt share. Another evaluator's l is zero.
        let mut parts: Vec<(Option<Tensor>, Option<Tensor>)> = inputs
            .iter_mut()
            .zip(&dealt)
            .map(|(i, &dealt)| {
                let zeros = || Tensor::zeros(i.meta.rows, i.meta.cols);
                match i.values.take() {
                    Some(values) => (Some(values), Some(zeros())),
                    None if dealt => (None, Some(zeros())),
                    // Without a dealer, products of masks are made by all: only a public value may lack a share.
                    None if self.dealer.is_none() => (Some(zeros()), Some(zeros())),
                    None => (Some(zeros()), None),
                }
            })
            .collect();
        let theirs: Vec<Vec<&InputChunk>> =
            peers.iter().map(|p| chunks.iter().filter(|c| owners[c.input] == p.index()).collect()).collect();
        let longest = theirs.iter().map(Vec::len).max().unwrap_or(0);
        let mut received = 0;
        let mut sent = 0;
        for chunk in &chunks {
            let at = chunk.range.clone();
            let bits = metas[chunk.input].ring.bits();
            self.set_purpose(chunk.purpose);
            if dealt[chunk.input] {
                let part = Part::Elements { n: at.len(), bits };
                let share =
                    next(&mut self.deal(label.with(&[chunk.purpose]), &[part], || vec![Recipe::Input])?)
                        .elements();
                if let (_, Some(l)) = &mut parts[chunk.input] {
                    l.data_mut()[at].copy_from_slice(&share);
                }
            } else if owners[chunk.input] == me.index() {
                let pad = self.pad(at.len(), bits)?;
                let mut message = Vec::new();
                if let (Some(m), Some(l)) = &mut parts[chunk.input] {
                    let m = &mut m.data_mut()[at.clone()];
                    kernel::add_assign(m, &pad);
                    kernel::mask(m, bits);
                    kernel::pack(m, bits, &mut message);
                    l.data_mut()[at].copy_from_slice(&pad);
                }
                for &peer in &peers {
                    self.wire.send(peer, Phase::Online, label.with(&[chunk.purpose]), message.clone())?;
                }
                sent += 1;
                if sent > AHEAD && received < longest {
                    self.receive_inputs(received, &peers, &theirs, &metas, label, &mut parts)?;
                    received += 1;
                }
            }
        }
        while received < longest {
            self.receive_inputs(received, &peers, &theirs, &metas, label, &mut parts)?;
            received += 1;
        }
        if dealt.iter().any(|d| !d) {
            self.wire.round(label);
        }
        Ok(metas
            .into_iter()
            .zip(parts)
            .zip(owners)
            .map(|((meta, (m, l)), owner)| {
                let owners = owners::input(owner, meta.rows);
                Masked { meta, m: m.map(Arc::new), l: l.map(Arc::new), owners, live: [None, None] }
            })
            .collect())
    }

    /// Receives message number `k` of every other evaluator that has so many.
    fn receive_inputs(
        &mut self,
        k: usize,
        peers: &[PartyId],
        theirs: &[Vec<&InputChunk>],
        metas: &[Meta],
        label: Label,
        parts: &mut [(Option<Tensor>, Option<Tensor>)],
    ) -> Result<(), EngineError> {
        for (&peer, chunks) in peers.iter().zip(theirs) {
            let Some(chunk) = chunks.get(k) else { continue };
            let bits = metas[chunk.input].ring.bits();
            let bytes = packed_bytes(chunk.range.len(), bits);
            let message = self.wire.recv(peer, Phase::Online, label.with(&[chunk.purpose]), bytes)?;
            if let (Some(m), _) = &mut parts[chunk.input] {
                kernel::unpack(&message, bits, &mut m.data_mut()[chunk.range.clone()])
                    .map_err(|_| self.malformed(peer, "input"))?;
            }
        }
        Ok(())
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
        let masks = self.blinded_masks(values)?;
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
                pack_all(masks.iter().zip(&metas).map(|(l, meta)| (l, *meta)))
            };
            self.wire.send(to, Phase::Online, label, bytes)?;
        }
        self.wire.round(label);
        let mut result = None;
        if opening.to.contains(&me.index()) {
            let mut sums: Vec<Vec<u64>> = values
                .iter()
                .zip(&masks)
                .map(|(v, l)| {
                    let zero = || vec![0; v.meta.len()];
                    let mut x = v.m.as_ref().map_or_else(zero, |m| m.data().to_vec());
                    if let Some(l) = l {
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

    /// The summands of the masks, re-randomised where more than one leaves: a recipient learns their sum and no summand,
    /// which other messages depend on.
    fn blinded_masks(&mut self, values: &[&Masked]) -> Result<Vec<Component>, EngineError> {
        let mut masks = Vec::with_capacity(values.len());
        for v in values {
            self.purpose += 1;
            let zero = self.source.zero_share(self.op, self.purpose - 1, v.meta.len(), v.meta.ring.bits())?;
            masks.push(match zero {
                None => v.l.clone(),
                Some(mut share) => {
                    if let Some(l) = &v.l {
                        kernel::add_assign(&mut share, l.data());
                    }
                    Some(Arc::new(Tensor::from_vec(v.meta.rows, v.meta.cols, share)))
                }
            });
        }
        Ok(masks)
    }

    fn malformed(&self, from: PartyId, label: &'static str) -> EngineError {
        EngineError::Malformed { from: self.wire.name(from), label, why: "padding bits are set" }
    }
}
