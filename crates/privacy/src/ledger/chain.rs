//! The hash chain: lines to entries, every entry bound to all before it.
//!
//! A line is `{"hash":"…","entry":{…}}`; the hash is SHA-256 over a label, the previous hash and the exact bytes of the
//! entry. An edit, a removal or a swap in the middle breaks the chain at a named entry. Removal at the end, and a
//! rewriting of the whole chain, show only against a [`Head`] kept elsewhere.

use super::entry::{Action, Entry};
use super::error::LedgerError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Binds the hashes to this use and version.
const LABEL: &[u8] = b"tercet privacy ledger, version 1";

/// The end of a chain: how many entries, and the last one's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last one, hexadecimal.
    pub hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    hash: String,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// A verified chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) entries: Vec<Entry>,
    hashes: Vec<String>,
    /// Bytes of the complete lines; what follows is the rest of a write that a crash cut off.
    pub(super) bytes: u64,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hexadecimal form of a job hash.
pub(super) fn job_hex(job: &[u8; 32]) -> String {
    hex(job)
}

fn hash(previous: &str, entry: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(LABEL);
    digest.update(previous.as_bytes());
    digest.update(entry.as_bytes());
    hex(&digest.finalize())
}

impl Chain {
    /// A chain without entries.
    pub(super) fn empty() -> Self {
        Self { entries: Vec::new(), hashes: Vec::new(), bytes: 0 }
    }

    /// Reads and verifies the complete lines of `text`.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Self, LedgerError> {
        let mut chain = Self::empty();
        let end = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for line in text[..end].split_inclusive(|&byte| byte == b'\n') {
            chain.push_line(path, &line[..line.len() - 1])?;
            chain.bytes += line.len() as u64;
        }
        Ok(chain)
    }

    fn push_line(&mut self, path: &Path, line: &[u8]) -> Result<(), LedgerError> {
        let index = self.entries.len() as u64;
        let unreadable = |error: serde_json::Error| LedgerError::Unreadable {
            path: path.to_owned(),
            entry: index,
            reason: error.to_string(),
        };
        let line: Line<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        let entry: Entry = serde_json::from_str(line.entry.get()).map_err(unreadable)?;
        if entry.index != index || entry.previous != self.last_hash() {
            // A changed hash of the entry before shows here too, but was then reported there.
            return Err(LedgerError::Broken { path: path.to_owned(), entry: index });
        }
        if line.hash != hash(&entry.previous, line.entry.get()) {
            return Err(LedgerError::Edited { path: path.to_owned(), entry: index });
        }
        if matches!(entry.content, Action::Budget(_)) != (index == 0) {
            return Err(LedgerError::Broken { path: path.to_owned(), entry: index });
        }
        self.entries.push(entry);
        self.hashes.push(line.hash);
        Ok(())
    }

    fn last_hash(&self) -> String {
        self.hashes.last().cloned().unwrap_or_else(|| "0".repeat(64))
    }

    /// The head of the chain as it stands.
    pub(super) fn head(&self) -> Head {
        Head { entries: self.entries.len() as u64, hash: self.last_hash() }
    }

    /// Whether an entry has this hash.
    pub(super) fn contains(&self, hash: &str) -> bool {
        self.hashes.iter().any(|found| found == hash)
    }

    /// Checks that the chain contains `head`.
    pub(super) fn passes_through(&self, path: &Path, head: &Head) -> Result<(), LedgerError> {
        let found = self.entries.len() as u64;
        if found < head.entries {
            return Err(LedgerError::Truncated { path: path.to_owned(), found, expected: head.entries });
        }
        match head.entries.checked_sub(1) {
            Some(last) if self.hashes[last as usize] != head.hash => {
                Err(LedgerError::OtherChain { path: path.to_owned(), entry: last })
            }
            _ => Ok(()),
        }
    }

    /// Appends an entry and returns its line, newline included.
    pub(super) fn append(&mut self, time: u64, content: Action) -> Result<String, serde_json::Error> {
        let entry = Entry { index: self.entries.len() as u64, previous: self.last_hash(), time, content };
        let body = serde_json::value::to_raw_value(&entry)?;
        let hash = hash(&entry.previous, body.get());
        let line = serde_json::to_string(&Line { hash: hash.clone(), entry: &body })? + "\n";
        self.entries.push(entry);
        self.hashes.push(hash);
        self.bytes += line.len() as u64;
        Ok(line)
    }
}
