//! The fixed header before every payload.
//!
//! 64 bytes, all integers little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 0..16 | session |
//! | 16..24 | step |
//! | 24..32 | operation |
//! | 32..40 | label digest |
//! | 40..44 | payload length in bytes |
//! | 44 | kind: 1 message, 2 goodbye |
//! | 45..48 | zero |
//! | 48..64 | first 16 bytes of the label's name, zero-padded |
//!
//! The name is a courtesy to the reader of an error: only the digest is compared.

use crate::{Label, NetError, Party, Position, SessionId, Tag};

/// Length of an encoded header.
pub const HEADER_BYTES: usize = 64;

const NAME_BYTES: usize = 16;
const KIND_MESSAGE: u8 = 1;
const KIND_GOODBYE: u8 = 2;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A payload follows.
    Message,
    /// The sender finished in good order; nothing follows on this stream.
    Goodbye,
}

/// The header of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The run that the frame belongs to.
    pub session: SessionId,
    /// The sender's step.
    pub step: u64,
    /// The sender's operation.
    pub op: u64,
    /// Digest of the label's name and parameters, see [`Label`].
    pub label: u64,
    /// Length of the payload that follows.
    pub bytes: u32,
    /// Message or goodbye.
    pub kind: Kind,
    name: [u8; NAME_BYTES],
}

/// Why 64 bytes are not a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// The kind byte is neither 1 nor 2.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// A reserved byte is not zero.
    #[error("reserved header bytes are not zero")]
    Reserved,
    /// A goodbye announced a payload.
    #[error("a goodbye announced {0} bytes of payload")]
    GoodbyePayload(u32),
}

impl Header {
    /// The header of a message.
    pub fn message(session: SessionId, tag: &Tag, bytes: u32) -> Self {
        Self {
            session,
            step: tag.step,
            op: tag.op,
            label: tag.label.digest(),
            bytes,
            kind: Kind::Message,
            name: short_name(tag.label),
        }
    }

    /// The header of the last frame on a stream.
    pub fn goodbye(session: SessionId) -> Self {
        Self { session, step: 0, op: 0, label: 0, bytes: 0, kind: Kind::Goodbye, name: [0; NAME_BYTES] }
    }

    /// The wire form.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..16].copy_from_slice(self.session.as_bytes());
        out[16..24].copy_from_slice(&self.step.to_le_bytes());
        out[24..32].copy_from_slice(&self.op.to_le_bytes());
        out[32..40].copy_from_slice(&self.label.to_le_bytes());
        out[40..44].copy_from_slice(&self.bytes.to_le_bytes());
        out[44] = match self.kind {
            Kind::Message => KIND_MESSAGE,
            Kind::Goodbye => KIND_GOODBYE,
        };
        out[48..64].copy_from_slice(&self.name);
        out
    }

    /// Reads the wire form. The length is not yet checked against any limit.
    ///
    /// # Errors
    /// [`HeaderError`] when the bytes are not a header of this version.
    pub fn decode(wire: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let kind = match wire[44] {
            KIND_MESSAGE => Kind::Message,
            KIND_GOODBYE => Kind::Goodbye,
            other => return Err(HeaderError::Kind(other)),
        };
        if wire[45..48] != [0; 3] {
            return Err(HeaderError::Reserved);
        }
        let bytes = u32::from_le_bytes(part(wire, 40));
        if kind == Kind::Goodbye && bytes != 0 {
            return Err(HeaderError::GoodbyePayload(bytes));
        }
        Ok(Self {
            session: SessionId::from_bytes(part(wire, 0)),
            step: u64::from_le_bytes(part(wire, 16)),
            op: u64::from_le_bytes(part(wire, 24)),
            label: u64::from_le_bytes(part(wire, 32)),
            bytes,
            kind,
            name: part(wire, 48),
        })
    }

    /// Compares with what the receiver expects.
    ///
    /// # Errors
    /// [`NetError::SessionMismatch`] or [`NetError::Mismatch`], naming both sides' position.
    pub fn expect(
        &self,
        from: &Party,
        session: SessionId,
        tag: &Tag,
        expected_bytes: usize,
    ) -> Result<(), NetError> {
        if self.session != session {
            return Err(NetError::SessionMismatch {
                party: from.clone(),
                ours: session,
                theirs: self.session,
            });
        }
        let same = self.step == tag.step
            && self.op == tag.op
            && self.label == tag.label.digest()
            && self.bytes as usize == expected_bytes;
        if same {
            return Ok(());
        }
        Err(NetError::Mismatch {
            party: from.clone(),
            ours: Box::new(Position::expected(tag, expected_bytes)),
            theirs: Box::new(self.position()),
        })
    }

    /// The sender's position as a person reads it. The name came over the wire, so anything but
    /// printable ASCII is replaced.
    pub fn position(&self) -> Position {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
        let label = self.name[..end].iter().map(|b| if b.is_ascii_graphic() { *b as char } else { '?' });
        Position {
            step: self.step,
            op: self.op,
            label: label.collect(),
            digest: self.label,
            bytes: self.bytes as usize,
        }
    }
}

fn short_name(label: Label) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    let bytes = label.name().as_bytes();
    let length = bytes.len().min(NAME_BYTES);
    name[..length].copy_from_slice(&bytes[..length]);
    name
}

fn part<const N: usize>(wire: &[u8; HEADER_BYTES], start: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&wire[start..start + N]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Header {
        let tag = Tag::new(0x0102, 3, Label::new("truncate.open.long"));
        Header::message(SessionId::from_bytes([0xaa; 16]), &tag, 0x0a0b)
    }

    /// Golden bytes: the layout is the wire format.
    #[test]
    fn the_layout_is_fixed() {
        let wire = sample().encode();
        assert_eq!(wire[..16], [0xaa; 16]);
        assert_eq!(wire[16..24], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(wire[24..32], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(wire[32..40], Label::new("truncate.open.long").digest().to_le_bytes());
        assert_eq!(wire[40..48], [0x0b, 0x0a, 0, 0, 1, 0, 0, 0]);
        assert_eq!(&wire[48..], b"truncate.open.lo");
        assert_eq!(Header::decode(&wire), Ok(sample()));
    }

    #[test]
    fn a_goodbye_is_told_from_a_message_and_carries_nothing() {
        let mut wire = Header::goodbye(SessionId::from_bytes([1; 16])).encode();
        assert_eq!(Header::decode(&wire).unwrap().kind, Kind::Goodbye);
        wire[40] = 1;
        assert_eq!(Header::decode(&wire), Err(HeaderError::GoodbyePayload(1)));
    }

    #[test]
    fn another_session_is_named_before_anything_else() {
        let from = Party::new(crate::PartyId::ALL[1], "b");
        let ours = SessionId::from_bytes([0xbb; 16]);
        let error = sample().expect(&from, ours, &Tag::new(9, 9, Label::new("x")), 1).unwrap_err();
        assert!(matches!(error, NetError::SessionMismatch { theirs, .. } if theirs == sample().session));
    }

    #[test]
    fn a_peers_label_name_is_printed_as_plain_ascii() {
        let mut wire = sample().encode();
        wire[48..52].copy_from_slice(b"\x1b[3\xff");
        assert_eq!(Header::decode(&wire).unwrap().position().label, "?[3?cate.open.lo");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_decodes_encodes_back(
            bytes in proptest::array::uniform32(any::<u8>()),
            kind in 0_u8..4,
            reserved in 0_u8..2,
        ) {
            let mut wire = [0; HEADER_BYTES];
            wire[..32].copy_from_slice(&bytes);
            wire[32..].copy_from_slice(&bytes);
            wire[44..48].copy_from_slice(&[kind, reserved, 0, 0]);
            if let Ok(header) = Header::decode(&wire) {
                prop_assert_eq!(header.encode(), wire);
                let _ = header.position().to_string();
            } else {
                prop_assert!(reserved != 0 || kind != KIND_MESSAGE);
            }
        }
    }
}
