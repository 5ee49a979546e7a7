//! The budget ledger and its head.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tercet_privacy::ledger::{Ledger, LedgerError, Reservation};

use crate::scratch;

/// The first byte chooses: the bytes are the file and its head; or each line is the content of an entry, and the chain
/// around it is made right, so that what is behind the hashes is reached.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some((choice, bytes)) = bytes.split_first() else { return false };
    let (text, head) = if choice & 1 == 0 {
        let (head, text) = scratch::parts(bytes);
        (text.to_vec(), head.to_vec())
    } else {
        chained(bytes)
    };
    let path = scratch::file("rows.ledger", &text);
    scratch::file("rows.ledger.head", &head);
    let Ok(ledger) = Ledger::open(&path) else { return false };
    let entries = ledger.entries().expect("what was opened can be read");
    let complete = text.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(entries.len(), complete, "every complete line is an entry");
    // A settlement composes nothing: it is checked against everything before it.
    let settled = ledger.settle(&Reservation { entry: u64::from(choice >> 1) }, &[1]);
    assert!(!matches!(settled, Err(LedgerError::Io { .. })), "the file can be written");
    let after =
        Ledger::open(&path).and_then(|ledger| ledger.entries()).expect("a settlement leaves a good ledger");
    assert_eq!(after.len(), entries.len() + usize::from(settled.is_ok()));
    true
}

/// The lines as contents of a good chain, and its head. Lines that are not JSON are left out.
fn chained(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut text = Vec::new();
    let (mut previous, mut count) = ("0".repeat(64), 0_u64);
    for line in bytes.split(|&byte| byte == b'\n') {
        let Ok(content) = serde_json::from_slice::<&RawValue>(line) else { continue };
        let entry = format!(
            "{{\"index\":{count},\"previous\":\"{previous}\",\"time\":1,\"content\":{}}}",
            content.get()
        );
        let mut digest = Sha256::new_with_prefix(b"tercet privacy ledger, version 1");
        digest.update(previous.as_bytes());
        digest.update(entry.as_bytes());
        previous = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        text.extend_from_slice(format!("{{\"hash\":\"{previous}\",\"entry\":{entry}}}\n").as_bytes());
        count += 1;
    }
    (text, format!("{{\"entries\":{count},\"hash\":\"{previous}\"}}").into_bytes())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let contents = br#"{"action":"budget","data_set":"ward","unit":"patient","epsilon":3.0,"delta":1e-5}
{"action":"reserve","data_set":"ward","unit":"patient","job":"00","purpose":"p","recipient":"r","cost":{"mechanisms":[[{"mechanism":"gaussian","sigma":4.0},3]]},"epsilon":1.0,"delta":1e-5,"rho":null}
{"action":"reserve","data_set":"ward","unit":"patient","job":"00","purpose":"p","recipient":"r","cost":{"stated":{"epsilon":0.5,"delta":0.0}},"epsilon":0.5,"delta":0.0,"rho":0.1}
{"action":"settle","reservation":1,"steps":[2]}
"#;
    let (text, head) = chained(contents);
    vec![
        [&[0b101][..], contents].concat(),
        [&[1][..], contents].concat(),
        [&[0b100][..], &scratch::join(&head, &text)].concat(),
    ]
}
