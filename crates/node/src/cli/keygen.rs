//! `tercet keygen`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tercet_net::identity;

use super::say;
use crate::process::close_memory_or_warn;

pub(super) fn run(name: &str, out: &Path) -> Result<()> {
    if !crate::job::is_party_name(name) {
        bail!(
            "the name {name:?} is not 1 to 64 letters, digits, `-`, `_` or `.`, not starting with `.`: choose another"
        );
    }
    close_memory_or_warn();
    fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    let (certificate, key) = (out.join(format!("{name}.crt")), out.join(format!("{name}.key")));
    let identity = identity::generate(name)?;
    identity.save(&certificate, &key)?;
    say(format_args!("key          {} (keep it secret)", key.display()))?;
    say(format_args!("certificate  {}", certificate.display()))?;
    say(format_args!("fingerprint  {}", identity.fingerprint()))
}
