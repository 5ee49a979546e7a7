//! The extension's sender: the base receiver, who holds punctured trees and the secret Δ.

use super::columns::{STRETCH, Seeds, Workspace, blocks_drawn};
use super::rows::batch_hash;
use super::{FieldBits, SECURITY, SenderRows, check_batch};
use crate::base::{BaseReceiver, Transcript};
use crate::error::{OtError, expect_length};
use crate::pprf;
use crate::secret::{Secret, random_u128};
use crate::session::Context;
use rand_core::CryptoRng;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// The sender between its set-up message and the receiver's two.
pub struct SenderSetup {
    field: FieldBits,
    delta: Zeroizing<u128>,
    base: BaseReceiver,
}

/// A sender that can extend.
pub struct ExtensionSender {
    seeds: Seeds,
    delta: Zeroizing<u128>,
    transcript: Transcript,
    drawn: u64,
    batches: u64,
    /// For batches of one stretch: a new workspace would cost more than such a batch.
    space: Box<Workspace>,
}

impl SenderSetup {
    /// Starts the set-up; the message goes to the extension's receiver. `context` names this party as sender.
    pub fn start(context: Context, field: FieldBits, rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let delta = Zeroizing::new(random_u128(rng));
        // The path's siblings are what this party learns, so it chooses by the complement of Δ.
        let choices = Secret::new((0..SECURITY).map(|i| (!*delta >> i & 1) as u8).collect());
        let (base, message) = BaseReceiver::start(context, &choices, rng);
        (Self { field, delta, base }, message)
    }

    /// Ends the set-up with the receiver's two messages.
    ///
    /// # Errors
    /// [`OtError`] if a message is malformed.
    pub fn finish(self, message: &[u8], trees: &[u8]) -> Result<ExtensionSender, OtError> {
        let (keys, transcript) = self.base.finish(message)?;
        expect_length("tree", trees, self.field.tree_bytes())?;
        let mut leaves: Secret<u128> = Secret::zeros(self.field.leaves());
        let mut rest = trees;
        for block in 0..self.field.blocks() {
            let span = self.field.span(block);
            let alpha = (*self.delta >> span.start) as usize & ((1 << span.len()) - 1);
            let tree = &mut leaves[block << self.field.get()..][..1 << span.len()];
            let (sent, after) = rest.split_at(pprf::message_bytes(span.len()));
            pprf::puncture(&keys[span], alpha, sent, tree);
            rest = after;
        }
        let seeds = Seeds::new(self.field, &leaves);
        let space = Box::new(Workspace::new());
        Ok(ExtensionSender { seeds, delta: self.delta, transcript, drawn: 0, batches: 0, space })
    }
}

impl ExtensionSender {
    /// The field parameter of the link.
    pub fn field_bits(&self) -> FieldBits {
        self.seeds.field()
    }

    /// Extends by `count` transfers with the receiver's message.
    ///
    /// # Errors
    /// [`OtError`] if the message has another length or bits beyond its last transfer, or `count` exceeds
    /// [`super::MAX_BATCH`].
    pub fn extend(&mut self, count: usize, message: &[u8]) -> Result<SenderRows, OtError> {
        check_batch(count)?;
        let field = self.field_bits();
        expect_length("extension", message, field.extension_bytes(count))?;
        refuse_trailing_bits(count, message, field)?;
        let mut rows = Secret::zeros(count);
        let (seeds, drawn, delta) = (&self.seeds, self.drawn, *self.delta);
        let extend = |space: &mut Workspace, stretch: usize, rows: &mut [u128], message: &[u8]| {
            let first = drawn + blocks_drawn(stretch * STRETCH);
            let bytes = rows.len().div_ceil(8);
            space.stretch(seeds, first, delta, rows, |block, total| {
                let sent = &message[block * bytes..(block + 1) * bytes];
                for (total, sent) in total.as_flattened_mut().iter_mut().zip(sent.chunks(8)) {
                    let mut word = [0; 8];
                    word[..sent.len()].copy_from_slice(sent);
                    *total ^= u64::from_le_bytes(word);
                }
            });
        };
        if (1..=STRETCH).contains(&count) {
            extend(&mut self.space, 0, &mut rows, message);
        } else {
            rows.par_chunks_mut(STRETCH)
                .zip(message.par_chunks(field.extension_bytes(STRETCH)))
                .enumerate()
                .for_each_init(Workspace::new, |space, (stretch, (rows, message))| {
                    extend(space, stretch, rows, message);
                });
        }
        self.drawn += blocks_drawn(count);
        let hash = batch_hash(&self.transcript, self.batches);
        self.batches += 1;
        Ok(SenderRows { rows, delta: self.delta.clone(), hash })
    }
}

/// Refuses bits after the last transfer: they could only be there by fault or malice.
fn refuse_trailing_bits(count: usize, message: &[u8], field: FieldBits) -> Result<(), OtError> {
    if count.is_multiple_of(8) {
        return Ok(());
    }
    let bytes = (count % STRETCH).div_ceil(8);
    let last = &message[message.len() - field.blocks() * bytes..];
    let clean = last.chunks_exact(bytes).all(|block| block[bytes - 1] >> (count % 8) == 0);
    if clean { Ok(()) } else { Err(OtError::TrailingBits { what: "extension" }) }
}
