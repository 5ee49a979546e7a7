//! The store of material made ahead of time.

use std::fs;

use hkdf::Hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use tercet_net::Label;
use tercet_net::memory::{self, MemoryTransport};
use tercet_online::Source;
use tercet_online::plan::Part;
use tercet_online::wire::Wire;
use tercet_ot::preprocessing::store::{Binding, Stored, inspect};

use crate::scratch;

const BINDING: Binding = Binding { job: [1; 32], party: 0 };
const SESSION: [u8; 16] = [2; 16];
const OWN: &[u8] = b"the key file";
const UNUSED: [u8; 32] = [3; 32];

/// Most plaintext of a frame.
const FRAME: usize = 1 << 18;

/// The parts of the one dealt operation that is asked for here.
const PARTS: [Part; 3] =
    [Part::Elements { n: 3, bits: 20 }, Part::Bits { n: 5 }, Part::OneHot { n: 2, width: 2 }];

/// The first byte chooses: the bytes are the whole file; or they are what its frames hold, sealed as a store would, in
/// frames as long as the second byte says, so that what is behind the seals is reached.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((choice, bytes)) = bytes.split_first() else { return false };
    let material = if choice & 1 == 0 { bytes.to_vec() } else { sealed(bytes) };
    let folder = scratch::folder("material");
    scratch::file("material/material", &material);
    scratch::file("material/unused", &UNUSED);
    let inspected = inspect(&folder, &BINDING);
    let stored = Stored::take(&folder, OWN, &BINDING);
    assert!(stored.is_err() || inspected.is_ok_and(|session| session == SESSION));
    let Ok(mut stored) = stored else { return false };
    assert!(!fs::exists(folder.join("unused")).expect("the folder can be read"), "a store is taken once");
    use_up(&mut stored)
}

/// Asks for a few records, as a program would.
fn use_up(stored: &mut Stored) -> bool {
    let [transport, ..] = memory::mesh(["a", "b", "c"]).expect("a mesh");
    let mut wire = Wire::new(transport);
    let zeros = Source::<MemoryTransport>::zero_share(stored, 1, 2, 5, 20);
    let Ok(Some(zeros)) = zeros else { return false };
    assert!(zeros.len() == 5 && zeros.iter().all(|&zero| zero < 1 << 20));
    let dealt = stored.deal(&mut wire, 2, 0, Label::new("deal"), &PARTS, Vec::new);
    dealt.is_ok_and(|dealt| dealt.len() == PARTS.len())
}

fn header() -> Vec<u8> {
    [&b"tercet-material1"[..], &BINDING.job, &[BINDING.party], &SESSION].concat()
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    let (&cut, plain) = bytes.split_first().unwrap_or((&255, &[]));
    let frame = if cut == 255 { FRAME } else { usize::from(cut) + 1 };
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(&SESSION), &[&UNUSED[..], OWN].concat())
        .expand(b"tercet material key v1", &mut key)
        .expect("32 bytes are a length of HKDF");
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).expect("32 bytes are a key"));
    let mut file = header();
    let frames: Vec<&[u8]> = if plain.is_empty() { vec![plain] } else { plain.chunks(frame).collect() };
    for (place, frame) in frames.iter().enumerate() {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&(place as u64).to_le_bytes());
        let mut associated = header();
        associated.push(u8::from(place + 1 == frames.len()));
        let mut frame = frame.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut frame)
            .expect("a short frame can be sealed");
        file.extend_from_slice(&(frame.len() as u32).to_le_bytes());
        file.extend_from_slice(&frame);
    }
    file
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let record = |kind: u8, op: u64, purpose: u64, data: &[u8]| {
        let (op, purpose, len) = (op.to_le_bytes(), purpose.to_le_bytes(), (data.len() as u64).to_le_bytes());
        [&[kind][..], &op, &purpose, &len, data].concat()
    };
    let dealt: usize = PARTS.iter().map(Part::bytes).sum();
    let parts = vec![0x01; dealt];
    let plain = [record(1, 0, 0, &[9; 32]), record(5, 1, 2, &[0x0a; 13]), record(3, 2, 0, &parts)].concat();
    let cut = |cut: u8| [&[cut][..], &plain].concat();
    vec![
        [vec![1], cut(255)].concat(),
        [vec![1], cut(6)].concat(),
        [vec![0], sealed(&cut(255))].concat(),
        [vec![0], sealed(&cut(40))].concat(),
    ]
}
