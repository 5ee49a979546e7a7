//! The certificate and the key file of a party.

use std::time::SystemTime;

use tercet_net::{Identity, identity};

use crate::scratch::{self, join, parts};

pub(crate) fn run(bytes: &[u8]) -> bool {
    let (certificate, key) = parts(bytes);
    let (certificate, key) = (scratch::file("a.crt", certificate), scratch::file("a.key", key));
    let Ok(identity) = Identity::load(&certificate, &key) else { return false };
    let _ = identity.check_dates(SystemTime::now());
    let _ = tercet_net::quic::QuicListener::bind(identity, ([127, 0, 0, 1], 0).into());
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (certificate, key) = (scratch::path("seed.crt"), scratch::path("seed.key"));
    identity::generate("seed").and_then(|identity| identity.save(&certificate, &key)).expect("an identity");
    let read = |path: &std::path::Path| std::fs::read(path).expect("it was written");
    let seed = join(&read(&certificate), &read(&key));
    std::fs::remove_file(certificate).and_then(|()| std::fs::remove_file(key)).expect("they were there");
    vec![seed]
}
