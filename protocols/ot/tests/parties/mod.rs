//! Runs the same closure as two or three parties, each in a thread, over counted in-memory channels.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::Barrier;
use tercet_ot::OtError;
use tercet_ot::channel::memory::{self, MemoryChannel};
use tercet_ot::extension::FieldBits;
use tercet_ot::link::{self, Link};

/// One party's view of a run.
pub struct Party {
    pub me: u8,
    pub links: Vec<Link<MemoryChannel>>,
    pub rng: ChaCha20Rng,
    bytes: u64,
    rounds: u64,
}

impl Party {
    fn totals(&self) -> (u64, u64) {
        let bytes = self.links.iter().map(|link| link.channel().bytes_sent()).sum();
        (bytes, self.links.iter().map(|link| link.channel().rounds()).max().unwrap_or(0))
    }

    /// Bytes sent to all peers together, and rounds, since the set-up.
    pub fn traffic(&self) -> (u64, u64) {
        let (bytes, rounds) = self.totals();
        (bytes - self.bytes, rounds - self.rounds)
    }
}

/// Sets up links with field parameter `k` and runs `protocol` as every party; outputs by party number.
pub fn run<T: Send>(
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
