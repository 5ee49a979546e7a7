//! What this program is built from: licences and sources as `.deny.toml` allows them, and locked builds everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All packages of the locked build for Linux, as cargo describes them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn policy() -> toml::Table {
    fs::read_to_string(repository().join(".deny.toml")).unwrap().parse().unwrap()
}

fn strings(value: &toml::Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// Whether an SPDX expression can be met with `allowed`. Old manifests write `/` for OR.
fn met(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut rest = expression.replace('(', " ( ").replace(')', " ) ");
    rest = rest.replace(" WITH ", "_WITH_");
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (result, used) = either(&words, 0, allowed);
    assert_eq!(used, words.len(), "{expression:?} is not understood");
    result
}

fn either(words: &[&str], start: usize, allowed: &[&str]) -> (bool, usize) {
    let (mut result, mut at) = both(words, start, allowed);
    while words.get(at) == Some(&"OR") {
        let (other, next) = both(words, at + 1, allowed);
        (result, at) = (result | other, next);
    }
    (result, at)
}

fn both(words: &[&str], start: usize, allowed: &[&str]) -> (bool, usize) {
    let (mut result, mut at) = one(words, start, allowed);
    while words.get(at) == Some(&"AND") {
        let (other, next) = one(words, at + 1, allowed);
        (result, at) = (result & other, next);
    }
    (result, at)
}

fn one(words: &[&str], at: usize, allowed: &[&str]) -> (bool, usize) {
    if words[at] == "(" {
        let (result, end) = either(words, at + 1, allowed);
        assert_eq!(words[end], ")");
        return (result, end + 1);
    }
    (allowed.contains(&words[at].replace('_', " ").as_str()), at + 1)
}

#[test]
fn every_licence_and_every_source_is_allowed_and_nothing_banned_is_there() {
    let policy = policy();
    let allowed = strings(&policy["licenses"]["allow"]);
    let registries = strings(&policy["sources"]["allow-registry"]);
    let banned: Vec<String> = policy["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["crate"].as_str().unwrap().replace('@', " "))
        .collect();
    let packages = packages();
    assert!(packages.len() > 50);
    for package in &packages {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(met(licence, &allowed), "{name} {version} has the licence {licence}");
        match package["source"].as_str() {
            // A folder of this repository.
            None => assert!(name.starts_with("tercet-"), "{name} is no crate of this workspace"),
            Some(source) => {
                let known = registries.iter().any(|registry| source == format!("registry+{registry}"));
                assert!(known, "{name} {version} comes from {source}");
            }
        }
        let bans = [name.to_owned(), format!("{name} {version}")];
        assert!(!bans.iter().any(|package| banned.contains(package)), "{name} {version} is banned");
    }
}

#[test]
fn expressions_of_licences_are_read_as_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "ISC AND MIT", "(GPL-3.0 OR ISC) AND MIT"] {
        assert!(met(good, &allowed), "{good}");
    }
    assert!(met("Apache-2.0 WITH LLVM-exception OR GPL-3.0", &allowed));
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT OR ISC) AND GPL-3.0", "none"] {
        assert!(!met(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_build_of_the_scripts_is_locked() {
    for (script, least) in [(".ci/run", 3), ("testnet/run.sh", 1)] {
        let mut builds = 0;
        let text = fs::read_to_string(repository().join(script)).unwrap();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((_, command)) = line.split_once("cargo ") else { continue };
            if ["build", "test", "clippy", "doc", "bench", "run"].iter().any(|verb| command.starts_with(verb))
            {
                builds += 1;
                assert!(command.contains("--locked"), "{script}: {line}");
            }
        }
        assert!(builds >= least, "{script}: {builds}");
    }
}
