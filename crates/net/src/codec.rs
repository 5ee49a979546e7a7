//! The one door to bincode: control messages with a size limit and no byte left over.
//!
//! Tensors never pass here; they travel as raw payloads.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

/// Why bytes and a control message do not convert into each other.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// Longer than the limit.
    #[error("a control message of {bytes} bytes is over its limit of {limit} bytes")]
    TooLong {
        /// Length of the message.
        bytes: usize,
        /// The limit for this kind of message.
        limit: usize,
    },
    /// Bytes are left after the message.
    #[error("{0} bytes are left over after a control message")]
    Trailing(usize),
    /// Not a message of the expected kind.
    #[error("a control message cannot be read: {0}")]
    Malformed(String),
}

fn config<const LIMIT: usize>() -> Configuration<LittleEndian, Fixint, Limit<LIMIT>> {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// Encodes a control message of at most `LIMIT` bytes.
///
/// # Errors
/// [`CodecError::TooLong`], or [`CodecError::Malformed`] when the value cannot be encoded.
pub fn encode<const LIMIT: usize, T: Encode>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::encode_to_vec(message, config::<LIMIT>())
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if bytes.len() > LIMIT {
        return Err(CodecError::TooLong { bytes: bytes.len(), limit: LIMIT });
    }
    Ok(bytes)
}

/// Decodes exactly one control message of at most `LIMIT` bytes. No allocation is larger than `LIMIT`.
///
/// # Errors
/// [`CodecError`] for anything but one whole message.
pub fn decode<const LIMIT: usize, T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > LIMIT {
        return Err(CodecError::TooLong { bytes: bytes.len(), limit: LIMIT });
    }
    let (message, used) = bincode::decode_from_slice(bytes, config::<LIMIT>())
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    match bytes.len() - used {
        0 => Ok(message),
        left => Err(CodecError::Trailing(left)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, Debug, Encode, Decode)]
    struct Message {
        number: u64,
        fixed: [u8; 4],
        bytes: Vec<u8>,
        text: Option<String>,
    }

    const LIMIT: usize = 64;

    fn sample() -> Message {
        Message { number: 7, fixed: [1, 2, 3, 4], bytes: vec![5; 9], text: Some("é".to_owned()) }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let bytes = encode::<LIMIT, _>(&sample()).unwrap();
        assert_eq!(decode::<LIMIT, Message>(&bytes), Ok(sample()));
    }

    #[test]
    fn the_wire_form_is_fixed_width_and_little_endian() {
        let bytes = encode::<LIMIT, _>(&sample()).unwrap();
        let mut expected = vec![7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([5; 9]);
        expected.extend([1, 2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn a_byte_left_over_is_refused() {
        let mut bytes = encode::<LIMIT, _>(&sample()).unwrap();
        bytes.push(0);
        assert_eq!(decode::<LIMIT, Message>(&bytes), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn a_message_over_its_limit_is_refused_on_both_sides() {
        let long = Message { bytes: vec![0; LIMIT], ..sample() };
        assert!(encode::<LIMIT, _>(&long).is_err());
        let bytes = encode::<1024, _>(&long).unwrap();
        assert!(matches!(decode::<LIMIT, Message>(&bytes), Err(CodecError::TooLong { limit: LIMIT, .. })));
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let mut bytes = encode::<LIMIT, _>(&sample()).unwrap();
        bytes[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode::<LIMIT, Message>(&bytes), Err(CodecError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_decodes_encodes_back(bytes in vec(any::<u8>(), 0..2 * LIMIT)) {
            if let Ok(message) = decode::<LIMIT, Message>(&bytes) {
                prop_assert_eq!(encode::<LIMIT, _>(&message), Ok(bytes));
            }
        }

        #[test]
        fn a_cut_message_is_refused(cut in 0_usize..42) {
            let bytes = encode::<LIMIT, _>(&sample()).unwrap();
            prop_assume!(cut < bytes.len());
            prop_assert!(decode::<LIMIT, Message>(&bytes[..cut]).is_err());
        }
    }
}
