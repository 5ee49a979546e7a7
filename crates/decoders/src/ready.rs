//! One side's half of the READY exchange.

use tercet_net::quic::inspect::{Then, ready};
use tercet_net::quic::{MAX_JOB_TEXT, MAX_KEY, MAX_PURPOSE, PROTOCOL_VERSION};

const JOB: [u8; 32] = [1; 32];

pub(crate) fn run(bytes: &[u8]) -> bool {
    match ready(bytes, &JOB) {
        Ok(opening) => {
            assert!(opening.key.len() <= MAX_KEY && opening.purpose.len() <= MAX_PURPOSE);
            match opening.then {
                Then::JobText(text) => {
                    assert!(
                        opening.job_hash != JOB && text.is_none_or(|text| text.len() <= MAX_JOB_TEXT + 64)
                    );
                }
                Then::Session(_) => assert_eq!(opening.job_hash, JOB),
                Then::Nothing => {}
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().chars().any(char::is_control), "an error is one printable line");
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let message = |bytes: Vec<u8>| [&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat();
    let hello = |job: [u8; 32]| {
        let length = |bytes: &[u8]| (bytes.len() as u64).to_le_bytes();
        let (step, purpose, contribution, key) = (5_u64.to_le_bytes(), b"training", [3; 32], [4; 32]);
        let hello = [&job[..], &step, &length(purpose), purpose, &contribution, &length(&key), &key].concat();
        [&b"tercet\0\0"[..], &PROTOCOL_VERSION.to_le_bytes(), &message(hello)].concat()
    };
    let text = b"name = \"other\"\n";
    let job_text = message([&[1][..], &(text.len() as u64).to_le_bytes(), text].concat());
    vec![
        hello(JOB),
        [hello(JOB), message(vec![8; 16])].concat(),
        [hello([2; 32]), job_text].concat(),
        [hello([2; 32]), message(vec![0])].concat(),
    ]
}
