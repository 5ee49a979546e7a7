//! A party's checkpoint: the file, the key that opens it, and the state behind the seal.

use hkdf::Hkdf;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use tercet_node::checkpoint::{Binding, Folder, format};

use crate::scratch;
use crate::state;

const BINDING: Binding = Binding { job: [1; 32], party: 0 };
const KEY: [u8; 32] = [5; 32];
const SALT: [u8; 32] = [6; 32];
const STEP: u64 = 50;

/// Most bytes of a state here.
const MOST: u64 = 1 << 16;

/// The first byte chooses: the bytes are the whole file; or the state in it, sealed as a party would, so that what is behind the
/// seal is reached; or the key file, beside a good checkpoint.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((choice, bytes)) = bytes.split_first() else { return false };
    let (key, file) = match choice % 3 {
        0 => (&KEY[..], bytes.to_vec()),
        1 => (&KEY[..], sealed(bytes)),
        _ => (bytes, sealed(&state::bytes(1))),
    };
    scratch::kept("checkpoint");
    scratch::kept("checkpoint/0101010101010101");
    scratch::file("checkpoint/checkpoint.key", key);
    let name = format!("step-{STEP:020}.tck");
    let path = scratch::file(&format!("checkpoint/0101010101010101/{name}"), &file);
    let Ok(folder) = Folder::open(&scratch::path("checkpoint"), BINDING, MOST) else {
        assert!(choice % 3 == 2 && bytes.len() != KEY.len(), "a key of 32 bytes is a key");
        return false;
    };
    assert_eq!(folder.file(STEP), path);
    let found = folder.find().expect("the folder can be read");
    let Some(place) = found.held.first() else {
        assert_eq!(found.damaged.len(), 1, "what is not held is named");
        let said = found.damaged[0].1.to_string();
        assert!(!said.contains('\n'), "an error is one line: {said:?}");
        return false;
    };
    assert!(found.damaged.is_empty() && place.step == STEP);
    let checkpoint = folder.read(STEP).expect("what is held can be read");
    let again = format::encode(&checkpoint.snapshot, checkpoint.reservation);
    let header = file.len() - again.len() - TAG;
    assert_eq!(header, self::header().len(), "nothing is left over");
    if choice % 3 == 1 {
        assert_eq!(&again[..], bytes, "a state has one spelling");
    }
    true
}

const TAG: usize = 16;

fn header() -> Vec<u8> {
    let (run, session) = ([2; 16], [3; 16]);
    [&b"tercet-check-01\0"[..], &BINDING.job, &[BINDING.party], &run, &session, &STEP.to_le_bytes(), &SALT]
        .concat()
}

fn sealed(state: &[u8]) -> Vec<u8> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(&SALT), &KEY)
        .expand(b"tercet checkpoint key v1", &mut key)
        .expect("32 bytes are a length of HKDF");
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).expect("32 bytes are a key"));
    let mut body = state.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::from(header()), &mut body)
        .expect("a short state can be sealed");
    [header(), body].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let state = state::bytes(1);
    vec![
        [&[0][..], &sealed(&state)].concat(),
        [&[1][..], &state].concat(),
        [&[1][..], &state::bytes(0)].concat(),
        [&[2][..], &KEY].concat(),
    ]
}
