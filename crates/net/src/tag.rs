//! What a message is: step, operation and label.

use sha2::{Digest, Sha256};

/// The place of a message in the protocol. Sender and receiver each compute it; they must agree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag {
    /// The training step (or any coarse counter that both sides advance together).
    pub step: u64,
    /// The operation within the session, counted by both sides.
    pub op: u64,
    /// The kind of message, with its shape and widths.
    pub label: Label,
}

impl Tag {
    /// Joins the three parts.
    pub const fn new(step: u64, op: u64, label: Label) -> Self {
        Self { step, op, label }
    }
}

/// A kind of message: a name for people and meters, and a digest that binds name and parameters.
///
/// The digest is the first 8 bytes, little-endian, of a SHA-256. [`Label::new`] hashes
/// `"tercet.label.v1" ‖ name`; [`Label::with`] hashes `"tercet.label.v1.with" ‖ digest ‖ each value`,
/// all integers as 8 bytes little-endian. It detects two parties out of step; it authenticates
/// nothing, which is the work of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label {
    name: &'static str,
    digest: u64,
}

impl Label {
    /// A label without parameters. Names are short dotted words such as `relu.join`.
    pub fn new(name: &'static str) -> Self {
        let mut hash = Sha256::new_with_prefix(b"tercet.label.v1");
        hash.update(name.as_bytes());
        Self { name, digest: first_word(hash) }
    }

    /// The same name with further parameters bound in: shape, ring width, truncated bits and so on.
    ///
    /// The order counts, and so does the split: `with(&[a, b])` differs from `with(&[a]).with(&[b])`.
    #[must_use]
    pub fn with(self, parameters: &[u64]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"tercet.label.v1.with");
        hash.update(self.digest.to_le_bytes());
        for value in parameters {
            hash.update(value.to_le_bytes());
        }
        Self { name: self.name, digest: first_word(hash) }
    }

    /// The name that meters and errors show.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The 64-bit digest of name and parameters that travels in the header.
    pub const fn digest(self) -> u64 {
        self.digest
    }
}

fn first_word(hash: Sha256) -> u64 {
    let digest = hash.finalize();
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_binds_its_name_and_its_parameters() {
        let plain = Label::new("relu.join");
        assert_ne!(plain.digest(), Label::new("relu.open").digest());
        assert_ne!(plain.digest(), plain.with(&[]).digest());
        assert_ne!(plain.with(&[2, 3]).digest(), plain.with(&[3, 2]).digest());
        assert_ne!(plain.with(&[2, 3]).digest(), plain.with(&[2]).with(&[3]).digest());
        assert_eq!(plain.with(&[2, 3]), Label::new("relu.join").with(&[2, 3]));
    }

    /// The digest is part of the wire format: parties of different builds must compute the same one.
    #[test]
    fn the_digest_of_a_label_is_fixed() {
        assert_eq!(Label::new("truncate.open").digest(), golden(b"tercet.label.v1truncate.open"));
        let mut message = b"tercet.label.v1.with".to_vec();
        message.extend_from_slice(&Label::new("truncate.open").digest().to_le_bytes());
        message.extend_from_slice(&[20, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Label::new("truncate.open").with(&[20]).digest(), golden(&message));
    }

    fn golden(message: &[u8]) -> u64 {
        Sha256::digest(message)[..8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}
