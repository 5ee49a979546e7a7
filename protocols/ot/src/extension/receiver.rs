//! The extension's receiver: the base sender, who holds whole trees and has choice bits.

use super::columns::{STRETCH, Seeds, Workspace, blocks_drawn, low_mask};
use super::rows::batch_hash;
use super::{FieldBits, ReceiverRows, SECURITY, check_batch};
use crate::base::{BaseSender, Transcript};
use crate::error::OtError;
use crate::pprf;
use crate::secret::Secret;
use crate::session::Context;
use rand_core::CryptoRng;
use rayon::prelude::*;

/// The receiver between its two set-up messages.
pub struct ReceiverSetup {
    field: FieldBits,
    base: BaseSender,
}

/// A receiver that can extend.
pub struct ExtensionReceiver {
    seeds: Seeds,
    transcript: Transcript,
    drawn: u64,
    batches: u64,
    /// For batches of one stretch: a new workspace would cost more than such a batch.
    space: Box<Workspace>,
}

impl ReceiverSetup {
    /// Starts the set-up; the message goes to the extension's sender. `context` names that sender as sender.
    pub fn start(context: Context, field: FieldBits, rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let (base, message) = BaseSender::start(context, SECURITY, rng);
        (Self { field, base }, message)
    }

    /// Ends the set-up with the sender's message; returns the tree message for the sender.
    ///
    /// # Errors
    /// [`OtError`] if the message is malformed.
    pub fn finish(self, message: &[u8]) -> Result<(ExtensionReceiver, Vec<u8>), OtError> {
        let (keys, transcript) = self.base.finish(message)?;
        let mut leaves: Secret<u128> = Secret::zeros(self.field.leaves());
        let mut trees = vec![0; self.field.tree_bytes()];
        let mut rest = trees.as_mut_slice();
        for block in 0..self.field.blocks() {
            let span = self.field.span(block);
            let tree = &mut leaves[block << self.field.get()..][..1 << span.len()];
            let (out, after) = rest.split_at_mut(pprf::message_bytes(span.len()));
            pprf::grow(&keys[span], tree, out);
            rest = after;
        }
        let seeds = Seeds::new(self.field, &leaves);
        let space = Box::new(Workspace::new());
        Ok((ExtensionReceiver { seeds, transcript, drawn: 0, batches: 0, space }, trees))
    }
}

impl ExtensionReceiver {
    /// The field parameter of the link.
    pub fn field_bits(&self) -> FieldBits {
        self.seeds.field()
    }

    /// Extends by `count` transfers with packed choice bits; returns the rows and the message for the sender,
    /// of [`FieldBits::extension_bytes`] bytes.
    ///
    /// # Errors
    /// [`OtError::BadArgument`] if `choices` holds fewer than `count` bits or `count` exceeds
    /// [`super::MAX_BATCH`].
    pub fn extend(&mut self, choices: &[u64], count: usize) -> Result<(ReceiverRows, Vec<u8>), OtError> {
        check_batch(count)?;
        if choices.len() < count.div_ceil(64) {
            return Err(OtError::BadArgument {
                what: "the number of choice words",
                got: choices.len() as u64,
                wanted: "at least one for every 64 transfers",
            });
        }
        let field = self.field_bits();
        let mut rows = Secret::zeros(count);
        let mut message = vec![0; field.extension_bytes(count)];
        let (seeds, drawn) = (&self.seeds, self.drawn);
        let extend = |space: &mut Workspace, stretch: usize, rows: &mut [u128], message: &mut [u8]| {
            let start = stretch * STRETCH;
            let bytes = rows.len().div_ceil(8);
            let count = rows.len();
            let words = &choices[start / 64..];
            let first = drawn + blocks_drawn(start);
            space.stretch(seeds, first, 0, rows, |block, total| {
                let out = &mut message[block * bytes..(block + 1) * bytes];
                let total = total.as_flattened();
                for (position, (out, total)) in out.chunks_mut(8).zip(total).enumerate() {
                    let word = (total ^ words[position]) & low_mask(count - 64 * position);
                    out.copy_from_slice(&word.to_le_bytes()[..out.len()]);
                }
            });
        };
        if (1..=STRETCH).contains(&count) {
            extend(&mut self.space, 0, &mut rows, &mut message);
        } else {
            rows.par_chunks_mut(STRETCH)
                .zip(message.par_chunks_mut(field.extension_bytes(STRETCH)))
                .enumerate()
                .for_each_init(Workspace::new, |space, (stretch, (rows, message))| {
                    extend(space, stretch, rows, message);
                });
        }
        self.drawn += blocks_drawn(count);
        let hash = batch_hash(&self.transcript, self.batches);
        self.batches += 1;
        Ok((ReceiverRows { rows, hash }, message))
    }
}
