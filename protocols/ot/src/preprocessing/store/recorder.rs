//! A source that writes down what another source answers.

use std::path::Path;

use tercet_engine::EngineError;
use tercet_net::{Label, Phase, Transport};
use tercet_online::material::encode;
use tercet_online::plan::{Part, TruncPlan, total_bytes};
use tercet_online::wire::Wire;
use tercet_online::{Dealt, Evaluator, Recipe, Source};
use tercet_share::{Bilinear, PackedBits, PairKey, PairPrg, Ring, Tensor, kernel};
use zeroize::Zeroizing;

use super::frames::FrameWriter;
use super::{Binding, Kind, StoreError, Writer};
use crate::error::OtError;
use crate::preprocessing::OtSource;

/// Records the answers of an [`OtSource`]; pads come from a generator whose key is recorded.
pub struct Recorder {
    inner: OtSource,
    writer: Writer,
}

impl Recorder {
    /// Turns an engine that preprocesses on the fly into one that records, in the store `folder`. `own` is a secret of the
    /// party that lies elsewhere. Run the program over the engine, then call [`Recorder::finish`].
    ///
    /// # Errors
    /// [`StoreError`] if the folder holds an unused store, or cannot be written.
    pub fn begin<T: Transport>(
        engine: Evaluator<T, OtSource>,
        folder: &Path,
        own: &[u8],
        binding: &Binding,
    ) -> Result<Evaluator<T, Recorder>, StoreError> {
        let session = *engine.transport().session().as_bytes();
        let frames = FrameWriter::create(folder, own, binding, session)?;
        let mut writer = Writer { frames };
        let mut bytes = Zeroizing::new([0u8; 32]);
        getrandom::fill(&mut *bytes).map_err(|_| StoreError::NoRandomness)?;
        writer.put(Kind::Key, 0, 0, &*bytes)?;
        let pads = PairPrg::new(PairKey::from_bytes(*bytes));
        Ok(engine.map_source(|mut inner| {
            inner.own = pads;
            Recorder { inner, writer }
        }))
    }

    /// Makes the store durable, and usable once both peers have said that theirs is durable too: a party that stopped before leaves
    /// no store at any other. One round of one byte. Returns the transport and the bytes of the store.
    ///
    /// # Errors
    /// [`StoreError`], inside an [`EngineError`], if it cannot be written; if a peer is lost or silent.
    pub fn finish<T: Transport>(self, transport: T) -> Result<(T, u64), EngineError> {
        let mut frames = self.writer.frames;
        let bytes = frames.complete().map_err(stored)?;
        let (me, mut wire) = (transport.me(), Wire::new(transport));
        let label = Label::new("complete");
        for peer in me.others() {
            wire.send(peer, Phase::Offline, label, vec![1])?;
        }
        for peer in me.others() {
            wire.recv(peer, Phase::Offline, label, 1)?;
        }
        frames.publish().map_err(stored)?;
        Ok((wire.into_transport(), bytes))
    }
}

fn stored(error: StoreError) -> EngineError {
    OtError::from(error).into()
}

fn packed(values: &[u64], bits: u32) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity((values.len() * bits as usize).div_ceil(8)));
    kernel::pack(values, bits, &mut out);
    out
}

impl<T: Transport> Source<T> for Recorder {
    fn pad(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        Source::<T>::pad(&mut self.inner, op, purpose, n, bits)
    }

    fn pad_bits(&mut self, op: u64, purpose: u64, n: usize) -> Result<PackedBits, EngineError> {
        Source::<T>::pad_bits(&mut self.inner, op, purpose, n)
    }

    fn truncation_pad(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plan: &TruncPlan,
    ) -> Result<Vec<u64>, EngineError> {
        Ok(self.truncation_pads(wire, op, purpose, &[*plan])?.swap_remove(0))
    }

    fn truncation_pads(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plans: &[TruncPlan],
    ) -> Result<Vec<Vec<u64>>, EngineError> {
        let pads = self.inner.truncation_pads(wire, op, purpose, plans)?;
        for ((pad, plan), purpose) in pads.iter().zip(plans).zip(purpose..) {
            self.writer.put(Kind::Truncation, op, purpose, &packed(pad, plan.l)).map_err(stored)?;
        }
        Ok(pads)
    }

    fn dropped_halves(&self) -> u64 {
        Source::<T>::dropped_halves(&self.inner)
    }

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        label: Label,
        parts: &[Part],
        recipes: F,
    ) -> Result<Vec<Dealt>, EngineError> {
        let dealt = self.inner.deal(wire, op, purpose, label, parts, recipes)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(total_bytes(parts) + 8));
        for (value, part) in dealt.iter().zip(parts) {
            encode(value, part, &mut bytes);
        }
        self.writer.put(Kind::Parts, op, purpose, &bytes).map_err(stored)?;
        Ok(dealt)
    }

    fn dealer_holds(&self) -> bool {
        Source::<T>::dealer_holds(&self.inner)
    }

    fn mask_product(
        &mut self,
        wire: &mut Wire<T>,
        map: &Bilinear,
        x: &Tensor,
        owners: Option<&[u8]>,
        y: &Tensor,
        ring: Ring,
    ) -> Result<Option<Tensor>, EngineError> {
        let product = self.inner.mask_product(wire, map, x, owners, y, ring)?;
        if let Some(z) = &product {
            self.writer
                .put(Kind::Product, self.inner.op, 0, &packed(z.data(), ring.bits()))
                .map_err(stored)?;
        }
        Ok(product)
    }

    fn zero_share(
        &mut self,
        op: u64,
        purpose: u64,
        n: usize,
        bits: u32,
    ) -> Result<Option<Vec<u64>>, EngineError> {
        let zeros = Source::<T>::zero_share(&mut self.inner, op, purpose, n, bits)?;
        if let Some(z) = &zeros {
            self.writer.put(Kind::Zeros, op, purpose, &packed(z, bits)).map_err(stored)?;
        }
        Ok(zeros)
    }
}
