//! Headers and whole streams of frames.

use tercet_net::header::HEADER_BYTES;
use tercet_net::quic::inspect;
use tercet_net::{Header, Label, Party, PartyId, SessionId, Tag};

const SESSION: SessionId = SessionId::from_bytes([7; 16]);

/// The longest payload that the stream's reader accepts here, bytes.
const MAX_FRAME: usize = 4096;

pub(crate) fn header(bytes: &[u8]) -> bool {
    let Ok(wire) = <&[u8; HEADER_BYTES]>::try_from(bytes) else { return false };
    let Ok(header) = Header::decode(wire) else { return false };
    assert_eq!(header.encode(), *wire, "a header is written as it was read");
    let from = Party::new(PartyId::ALL[1], "b");
    if let Err(error) = header.expect(&from, SESSION, &Tag::new(1, 2, Label::new("open")), 16) {
        assert!(!error.to_string().chars().any(char::is_control), "an error is one printable line");
    }
    true
}

pub(crate) fn headers() -> Vec<Vec<u8>> {
    let tag = Tag::new(1, 2, Label::new("open"));
    [Header::message(SESSION, &tag, 16), Header::message(SESSION, &tag, u32::MAX), Header::goodbye(SESSION)]
        .map(|header| header.encode().to_vec())
        .to_vec()
}

/// The first byte says how the rest is cut into chunks.
pub(crate) fn stream(bytes: &[u8]) -> bool {
    let Some((cut, bytes)) = bytes.split_first() else { return false };
    let chunk = 1 + usize::from(*cut) * 7;
    let Ok(frames) = inspect::frames(bytes, chunk, SESSION, MAX_FRAME) else { return false };
    let mut again = Vec::new();
    for (header, payload) in frames {
        assert!(payload.len() <= MAX_FRAME && payload.len() == header.bytes as usize);
        again.extend_from_slice(&header.encode());
        again.extend_from_slice(&payload);
    }
    let (messages, goodbye) = bytes.split_at(again.len());
    assert_eq!(again, messages, "frames are written as they were read");
    assert_eq!(goodbye.len(), HEADER_BYTES, "nothing but a goodbye is left");
    true
}

pub(crate) fn streams() -> Vec<Vec<u8>> {
    let frame = |op: u64, payload: &[u8]| {
        let tag = Tag::new(3, op, Label::new("truncate.open"));
        [&Header::message(SESSION, &tag, payload.len() as u32).encode()[..], payload].concat()
    };
    let goodbye = Header::goodbye(SESSION).encode().to_vec();
    let messages = [frame(1, b"sixteen bytes ..."), frame(2, b""), frame(3, &[9; 300])];
    [0, 10, 255].map(|cut| [&[cut][..], &messages.concat(), &goodbye].concat()).to_vec()
}
