//! Which session, which two parties, which role: bound into every hash of the base protocol.

use sha2::{Digest, Sha256};

/// A public name for one run of one directed protocol: session, sender, receiver, purpose.
///
/// The session bytes must be fresh for every run (a hash of the job and of both parties' nonces). Even if they
/// repeat, the base protocol hashes fresh group elements into every key, so no pad repeats.
#[derive(Clone, Copy)]
pub struct Context {
    digest: [u8; 32],
}

impl Context {
    /// The context in which party `sender` is the sender of the oblivious transfers and `receiver` chooses.
    pub fn new(session: &[u8; 32], sender: u8, receiver: u8) -> Self {
        let digest = Sha256::new()
            .chain_update(b"tercet ot v1 context")
            .chain_update(session)
            .chain_update([sender, receiver])
            .finalize()
            .into();
        Self { digest }
    }

    /// A 32-byte tag for one message of this context: opens the message, and refuses a replay elsewhere.
    pub(crate) fn tag(&self, message: &'static str, count: usize) -> [u8; 32] {
        self.hasher("tag").chain_update(message).chain_update((count as u64).to_le_bytes()).finalize().into()
    }

    /// A hash that already holds the domain and this context.
    pub(crate) fn hasher(&self, purpose: &'static str) -> Sha256 {
        Sha256::new()
            .chain_update(b"tercet ot v1 ")
            .chain_update([purpose.len() as u8])
            .chain_update(purpose)
            .chain_update(self.digest)
    }

    /// The context digest itself, for hashes of another width.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
