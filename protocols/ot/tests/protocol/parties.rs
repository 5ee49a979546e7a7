//! Runs the same closure as two or three parties, each in a thread, over counted in-memory channels.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::Barrier;
use tercet_ot::OtError;
use tercet_ot::channel::memory::{self, MemoryChannel};
use tercet_ot::extension::FieldBits;
use tercet_ot::link::{self, Cost, Link};
use tercet_ot::product::Ring;

/// One party's view of a run.
pub(crate) struct Party {
    pub(crate) me: u8,
    pub(crate) links: Vec<Link<MemoryChannel>>,
    pub(crate) rng: ChaCha20Rng,
    bytes: u64,
    rounds: u64,
}

impl Party {
    fn totals(&self) -> (u64, u64) {
        let bytes = self.links.iter().map(|link| link.channel().bytes_sent()).sum();
        (bytes, self.links.iter().map(|link| link.channel().rounds()).max().unwrap_or(0))
    }

    /// Bytes sent to all peers together, and rounds, since the set-up.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        let (bytes, rounds) = self.totals();
        (bytes - self.bytes, rounds - self.rounds)
    }
}

/// Sets up links with field parameter `k` and runs `protocol` as every party; outputs by party number.
pub(crate) fn run<T: Send>(
    parties: u8,
    k: u8,
    seed: u64,
    protocol: impl Fn(&mut Party) -> Result<T, OtError> + Sync,
) -> Vec<T> {
    let field = FieldBits::new(k).unwrap();
    let ready = Barrier::new(usize::from(parties));
    let (protocol, ready) = (&protocol, &ready);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0u8..)
            .zip(memory::mesh(parties))
            .map(|(me, channels)| {
                scope.spawn(move || {
                    let mut rng = ChaCha20Rng::seed_from_u64(seed * 256 + u64::from(me));
                    let links = link::connect(channels, &[seed as u8; 32], me, field, &mut rng).unwrap();
                    let mut party = Party { me, links, rng, bytes: 0, rounds: 0 };
                    (party.bytes, party.rounds) = party.totals();
                    let declared = link::setup_cost(field);
                    assert_eq!(party.bytes, declared.bytes_per_peer * party.links.len() as u64);
                    assert_eq!(party.rounds, declared.rounds);
                    ready.wait();
                    protocol(&mut party).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Σ over parties of a share, value by value.
pub(crate) fn sum<'a>(ring: Ring, shares: impl IntoIterator<Item = &'a [u64]>) -> Vec<u64> {
    let mut shares = shares.into_iter();
    let first = shares.next().unwrap().to_vec();
    shares.fold(first, |total, share| {
        assert_eq!(total.len(), share.len());
        total.iter().zip(share).map(|(a, b)| ring.reduce(a.wrapping_add(*b))).collect()
    })
}

/// XOR over parties of a share, word by word.
pub(crate) fn xor<'a>(shares: impl IntoIterator<Item = &'a [u64]>) -> Vec<u64> {
    let mut shares = shares.into_iter();
    let first = shares.next().unwrap().to_vec();
    shares.fold(first, |total, share| total.iter().zip(share).map(|(a, b)| a ^ b).collect())
}

/// Compares bytes to all peers and rounds with a declaration.
pub(crate) fn assert_traffic(measured: (u64, u64), declared: Cost, peers: usize) {
    assert_eq!(measured, (declared.bytes_per_peer * peers as u64, declared.rounds));
}
