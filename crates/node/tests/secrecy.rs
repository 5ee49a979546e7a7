//! A whole run leaks no value of a party's rows: not to the others' files and logs, not to the network.

mod common;
#[path = "common/forwarder.rs"]
mod forwarder;

use std::fs;
use std::path::PathBuf;

use common::{NAMES, Net, files};
use forwarder::{Capture, Forwarder};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

/// Planted in the rows of `ben`, within the bounds of -4 to 4. Every digit counts.
const PLANTED: [&str; 3] = ["2.7182817", "-3.1415927", "1.4142135"];

#[test]
fn values_planted_in_one_party_s_rows_are_found_nowhere_else() {
    let net = Net::new(20);
    plant(&net, 1);
    // All traffic passes through forwarders: the job names their addresses, the nodes listen at their own.
    let capture = Capture::default();
    let mut forwarders = Vec::new();
    for (party, address) in net.addresses.iter().enumerate() {
        let forwarder = Forwarder::start(*address, &capture);
        net.edit_jobs(&format!("address = \"{address}\""), &format!("address = \"{}\"", forwarder.address()));
        forwarders.push(forwarder);
        assert!(fs::read_to_string(net.config(party)).unwrap().contains(&address.to_string()));
    }
    let ended: Vec<_> = (0..3).map(|party| net.start_loudly(party)).collect();
    let ended: Vec<_> = ended.into_iter().map(common::Running::wait).collect();
    drop(forwarders);

    let mut searched: Vec<(String, Vec<u8>)> = Vec::new();
    for (party, ended) in ended.into_iter().enumerate() {
        assert!(ended.succeeded(), "{}", ended.stderr());
        assert!(ended.stderr().contains("INFO"), "{}", ended.stderr());
        searched.push((format!("stderr of {}", NAMES[party]), ended.output.stderr));
        searched.push((format!("stdout of {}", NAMES[party]), ended.output.stdout));
    }
    let keys: Vec<_> = (0..3).map(|party| net.home(party).join("node.key")).collect();
    let secret_keys = key_needles(&keys);
    let own = net.train_file(1);
    let all: Vec<(PathBuf, Vec<u8>)> = files(net.root());
    assert!(all.iter().any(|(path, _)| path.ends_with("record.json")));
    assert!(all.iter().any(|(path, _)| path.ends_with("node.log")));
    searched.extend(
        all.into_iter()
            .filter(|(path, _)| *path != own && !keys.contains(path))
            .map(|(p, bytes)| (p.display().to_string(), bytes)),
    );
    let datagrams = capture.lock().unwrap();
    let bytes: usize = datagrams.iter().map(Vec::len).sum();
    let sent: u64 = (0..3).map(|party| common::record(&net, party)["bytes"]["sent"].as_u64().unwrap()).sum();
    assert!(bytes as u64 > sent, "the capture holds {bytes} bytes of at least {sent}");
    searched.extend(datagrams.iter().enumerate().map(|(i, d)| (format!("datagram {i}"), d.clone())));

    let needles = [needles(), secret_keys].concat();
    for (place, bytes) in &searched {
        for (what, needle) in &needles {
            assert!(!contains(bytes, needle), "{what} is in {place}");
        }
    }
}

#[test]
fn the_search_finds_each_form_of_a_planted_value() {
    let net = Net::new(20);
    plant(&net, 1);
    let own = fs::read(net.train_file(1)).unwrap();
    let text: Vec<_> = needles().into_iter().filter(|(what, _)| what.starts_with("text")).collect();
    assert_eq!(text.len(), PLANTED.len());
    assert!(text.iter().all(|(_, needle)| contains(&own, needle)));
    for value in PLANTED {
        let value: f64 = value.parse().unwrap();
        let scaled = ((value / 4.0) * 65536.0).round() as i64 as u64;
        for leak in [
            [&[7, 7][..], &value.to_le_bytes()].concat(),
            [&[7][..], &(value as f32).to_le_bytes(), &[9]].concat(),
            [&[1, 2, 3][..], &scaled.to_le_bytes()].concat(),
        ] {
            assert!(needles().iter().any(|(_, needle)| contains(&leak, needle)));
        }
    }
}

/// The private keys as they stand in their files, and as bytes.
fn key_needles(files: &[PathBuf]) -> Vec<(String, Vec<u8>)> {
    let mut needles = Vec::new();
    for (file, name) in files.iter().zip(NAMES) {
        let text = fs::read_to_string(file).unwrap();
        // An octet string of 32 bytes within one of 34: the seed of an Ed25519 key.
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).unwrap();
        let bytes = der.secret_der();
        let seed = bytes.windows(4).position(|window| window == [0x04, 0x22, 0x04, 0x20]).unwrap() + 4;
        needles.push((format!("the seed of {name}'s key"), bytes[seed..seed + 32].to_vec()));
        // Base64 of 48 bytes, most of them the seed.
        let line = text.lines().nth(1).unwrap();
        needles.push((format!("the key file of {name}"), line.as_bytes()[20..60].to_vec()));
    }
    needles
}

/// Puts the planted values into the first rows of a party.
fn plant(net: &Net, party: usize) {
    let text = fs::read_to_string(net.train_file(party)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (row, pair) in PLANTED.iter().zip(PLANTED.iter().cycle().skip(1)).enumerate() {
        lines[row + 1] = format!("{},{},warm", pair.0, pair.1);
    }
    fs::write(net.train_file(party), lines.join("\n") + "\n").unwrap();
}

/// Every form in which a value might show: text, floating point, fixed point; as it is in the file, and scaled by its bounds.
fn needles() -> Vec<(String, Vec<u8>)> {
    let mut needles = Vec::new();
    for text in PLANTED {
        let raw: f64 = text.parse().unwrap();
        needles.push((format!("text {text}"), text.trim_start_matches('-').as_bytes().to_vec()));
        for (form, value) in [("raw", raw), ("scaled", raw / 4.0)] {
            let shown = format!("{:.6}", value.abs());
            needles.push((format!("digits of {text} {form}"), shown.as_bytes()[..shown.len() - 1].to_vec()));
            needles.push((format!("f64 of {text} {form}"), value.to_le_bytes().to_vec()));
            needles.push((format!("f64 of {text} {form}, big endian"), value.to_be_bytes().to_vec()));
            needles.push((format!("f32 of {text} {form}"), (value as f32).to_le_bytes().to_vec()));
            needles
                .push((format!("f32 of {text} {form}, big endian"), (value as f32).to_be_bytes().to_vec()));
            for frac in 12..=24 {
                let scale = f64::from(1 << frac);
                for fixed in [(value * scale).round(), (value * scale).floor()] {
                    let fixed = (fixed as i64 as u64).to_le_bytes();
                    needles.push((format!("fixed point of {text} {form}, {frac} bits"), fixed.to_vec()));
                }
            }
        }
    }
    needles
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
