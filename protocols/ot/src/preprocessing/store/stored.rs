//! A source that gives out what was stored, once.

use std::path::Path;

use tercet_engine::{EngineError, Policy};
use tercet_net::{Label, PartyId, Phase, Transport};
use tercet_online::material::decode;
use tercet_online::plan::{Part, TruncPlan, packed_bytes, total_bytes};
use tercet_online::wire::Wire;
use tercet_online::{Dealt, Evaluator, Recipe, Source};
use tercet_share::{Bilinear, PackedBits, PairKey, PairPrg, Ring, Tensor, kernel};

use zeroize::Zeroizing;

use super::frames::FrameReader;
use super::{Binding, Kind, Reader, StoreError, inspect};
use crate::error::OtError;

/// Gives out the records of a store in order; each must be what the program asks for.
pub struct Stored {
    pads: PairPrg,
    reader: Reader,
    folder: std::path::PathBuf,
    op: u64,
}

/// Takes the store in `folder` and builds this party's engine over it. One round of 16 bytes to each peer before anything
/// is taken: all three must hold material that they made together.
///
/// # Errors
/// [`StoreError`], inside an [`EngineError`], if the store is used, damaged or made for something else.
pub fn join_stored_session<T: Transport>(
    transport: T,
    folder: &Path,
    own: &[u8],
    binding: &Binding,
    policy: Policy,
) -> Result<Evaluator<T, Stored>, EngineError> {
    let session = inspect(folder, binding).map_err(stored)?;
    let me = transport.me();
    let mut wire = Wire::new(transport);
    let label = Label::new("stored");
    for peer in me.others() {
        wire.send(peer, Phase::Offline, label, session.to_vec())?;
    }
    for peer in me.others() {
        if wire.recv(peer, Phase::Offline, label, session.len())? != session {
            return Err(stored(StoreError::NotTogether { party: wire.name(peer) }));
        }
    }
    let source = Stored::take(folder, own, binding).map_err(stored)?;
    let evaluators = PartyId::ALL.to_vec();
    Ok(Evaluator::with_source(wire.into_transport(), source, me.index(), evaluators, None, policy))
}

fn stored(error: StoreError) -> EngineError {
    OtError::from(error).into()
}

impl Stored {
    /// Takes the store in `folder`, whatever the peers hold: nobody can take it after this.
    ///
    /// # Errors
    /// [`StoreError`] if the store is used, damaged or made for something else.
    pub fn take(folder: &Path, own: &[u8], binding: &Binding) -> Result<Stored, StoreError> {
        let mut reader = Reader { frames: FrameReader::take(folder, own, binding)? };
        let bytes = reader.take(Kind::Key, 0, 0, 32)?;
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&bytes);
        let pads = PairPrg::new(PairKey::from_bytes(*key));
        Ok(Stored { pads, reader, folder: folder.to_owned(), op: 0 })
    }

    fn elements(
        &mut self,
        kind: Kind,
        op: u64,
        purpose: u64,
        n: usize,
        bits: u32,
    ) -> Result<Vec<u64>, EngineError> {
        let bytes = self.reader.take(kind, op, purpose, packed_bytes(n, bits)).map_err(stored)?;
        let mut out = vec![0; n];
        kernel::unpack(&bytes, bits, &mut out).map_err(|_| self.damaged())?;
        Ok(out)
    }

    fn damaged(&self) -> EngineError {
        stored(StoreError::Damaged { path: self.folder.clone() })
    }
}

impl<T: Transport> Source<T> for Stored {
    fn pad(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        Ok(self.pads.stream(op, purpose)?.elements(n, bits))
    }

    fn pad_bits(&mut self, op: u64, purpose: u64, n: usize) -> Result<PackedBits, EngineError> {
        self.op = op;
        Ok(self.pads.stream(op, purpose)?.bits(n))
    }

    fn truncation_pad(
        &mut self,
        _wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plan: &TruncPlan,
    ) -> Result<Vec<u64>, EngineError> {
        self.op = op;
        self.elements(Kind::Truncation, op, purpose, plan.n, plan.l)
    }

    fn dropped_halves(&self) -> u64 {
        super::super::source::DROPPED_HALVES
    }

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        _wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        _label: Label,
        parts: &[Part],
        _recipes: F,
    ) -> Result<Vec<Dealt>, EngineError> {
        self.op = op;
        let bytes = self.reader.take(Kind::Parts, op, purpose, total_bytes(parts)).map_err(stored)?;
        let mut rest = bytes.as_slice();
        parts
            .iter()
            .map(|part| {
                let (head, tail) = rest.split_at(part.bytes());
                rest = tail;
                decode(part, head).ok_or_else(|| self.damaged())
            })
            .collect()
    }

    fn dealer_holds(&self) -> bool {
        false
    }

    fn mask_product(
        &mut self,
        _wire: &mut Wire<T>,
        map: &Bilinear,
        x: &Tensor,
        _owners: Option<&[u8]>,
        y: &Tensor,
        ring: Ring,
    ) -> Result<Option<Tensor>, EngineError> {
        let (rows, cols) = map.shape(x.shape(), y.shape())?;
        let z = self.elements(Kind::Product, self.op, 0, rows * cols, ring.bits())?;
        Ok(Some(Tensor::from_vec(rows, cols, z)))
    }

    fn zero_share(
        &mut self,
        op: u64,
        purpose: u64,
        n: usize,
        bits: u32,
    ) -> Result<Option<Vec<u64>>, EngineError> {
        self.elements(Kind::Zeros, op, purpose, n, bits).map(Some)
    }
}
