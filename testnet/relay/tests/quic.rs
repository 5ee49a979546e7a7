//! Three real parties over QUIC, with a relay in front of each party that is dialled.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tercet_net::quic::{Job, Options, Path, QuicListener, QuicTransport};
use tercet_net::{Identity, Label, NetError, PartyId, Phase, Roster, RosterEntry, Tag, Transport, identity};
use tercet_relay::{Direction, Partition, Profile, Relay, WayStats};

const NAMES: [&str; 3] = ["a", "b", "c"];
const A: PartyId = PartyId::ALL[0];

/// Every pair of parties.
const PAIRS: [[usize; 2]; 3] = [[0, 1], [1, 2], [2, 0]];

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn files(folder: &TempDir, name: &str) -> [PathBuf; 2] {
    ["pem", "key"].map(|kind| folder.path().join(format!("{name}.{kind}")))
}

/// The relays in front of A and B. Nobody dials C.
struct Network {
    relays: [Relay; 2],
    /// With the keys of the parties.
    folder: TempDir,
    roster: Roster,
    /// Where the parties really are.
    addresses: [SocketAddr; 3],
}

impl Network {
    fn new(profile: &str) -> (Self, [QuicListener; 3]) {
        let profile: Profile = profile.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let identities = NAMES.map(|name| identity::generate(name).unwrap());
        let fingerprints = identities.each_ref().map(Identity::fingerprint);
        for (name, identity) in NAMES.iter().zip(&identities) {
            let [certificate, key] = files(&folder, name);
            identity.save(&certificate, &key).unwrap();
        }
        let listeners = identities.map(|own| QuicListener::bind(own, loopback()).unwrap());
        let addresses = listeners.each_ref().map(QuicListener::local_addr);
        let relays = [addresses[0], addresses[1]].map(|at| Relay::start(loopback(), at, profile).unwrap());
        let entry = |party: usize, address: SocketAddr| RosterEntry {
            name: NAMES[party].to_owned(),
            address: address.to_string(),
            fingerprint: fingerprints[party],
        };
        let [a, b] = relays.each_ref().map(Relay::local_addr);
        let roster = Roster::new([entry(0, a), entry(1, b), entry(2, addresses[2])]).unwrap();
        (Self { relays, folder, roster, addresses }, listeners)
    }

    fn join(&self, listeners: [QuicListener; 3], deadline: Duration) -> [QuicTransport; 3] {
        let options = Options { deadline, path: Path::Network, ..Options::default() };
        let job = || Job { hash: [1; 32], text: None, step: 0, purpose: String::new(), key: Vec::new() };
        let threads = listeners.map(|listener| {
            let (roster, options) = (self.roster.clone(), options.clone());
            thread::spawn(move || listener.connect(&roster, job(), options))
        });
        threads.map(|thread| thread.join().unwrap().unwrap())
    }
}

fn tag(op: u64) -> Tag {
    Tag::new(0, op, Label::new("relayed"))
}

/// The way there and back between two parties.
fn round_trip(one: &mut QuicTransport, other: &mut QuicTransport, op: u64) -> Duration {
    let start = Instant::now();
    one.send(other.me(), Phase::Online, &tag(op), vec![1; 64]).unwrap();
    let there = other.recv(one.me(), Phase::Online, &tag(op), 64).unwrap();
    other.send(one.me(), Phase::Online, &tag(op), there).unwrap();
    one.recv(other.me(), Phase::Online, &tag(op), 64).unwrap();
    start.elapsed()
}

#[test]
fn every_pair_has_the_round_trip_of_the_profile() {
    let (network, listeners) = Network::new("wan");
    let mut parties = network.join(listeners, Duration::from_secs(20));
    for pair in PAIRS {
        let [one, other] = parties.get_disjoint_mut(pair).unwrap();
        // The quickest of several, because the machine may be busy.
        let took = (0..5).map(|op| round_trip(one, other, op)).min().unwrap();
        assert!((40..200).contains(&took.as_millis()), "{took:?}");
    }
}

#[test]
fn messages_survive_loss_reordering_duplicates_and_corruption() {
    const LENGTH: usize = 300_000;
    let (network, listeners) =
        Network::new("delay=1ms,jitter=1ms,reorder,loss=2%,duplicate=2%,corrupt=2%,seed=3");
    let mut parties = network.join(listeners, Duration::from_secs(20));
    for op in 0..4 {
        for pair in PAIRS {
            let payload: Vec<u8> = (0..LENGTH).map(|at| (at * 31 + pair[0] + op as usize) as u8).collect();
            let [one, other] = parties.get_disjoint_mut(pair).unwrap();
            one.send(other.me(), Phase::Online, &tag(op), payload.clone()).unwrap();
            assert!(other.recv(one.me(), Phase::Online, &tag(op), LENGTH).unwrap() == payload);
        }
    }
    // About 1500 datagrams, so each of the three happens some thirty times.
    let stats = network.relays.each_ref().map(Relay::stats);
    let sum = |count: fn(&WayStats) -> u64| {
        stats.iter().map(|stats| count(&stats.to_target) + count(&stats.to_client)).sum::<u64>()
    };
    assert!(sum(|way| way.lost) > 0 && sum(|way| way.duplicated) > 0 && sum(|way| way.corrupted) > 0);
}

#[test]
fn a_partition_shorter_than_the_deadline_is_survived() {
    let (network, listeners) = Network::new("lan");
    let [mut a, mut b, _c] = network.join(listeners, Duration::from_secs(20));
    round_trip(&mut a, &mut b, 0);
    let lasting = Duration::from_millis(1000);
    let start = Instant::now();
    network.relays[0].set_partition(&Direction::BOTH, Partition { after: Duration::ZERO, lasting });
    round_trip(&mut a, &mut b, 1);
    assert!(start.elapsed() >= lasting, "{:?}", start.elapsed());
}

#[test]
fn a_party_behind_a_longer_partition_is_named_within_the_deadline() {
    let deadline = Duration::from_secs(2);
    let (network, listeners) = Network::new("lan");
    let [mut a, mut b, mut c] = network.join(listeners, deadline);
    round_trip(&mut a, &mut b, 0);
    let lasting = Duration::from_secs(3600);
    network.relays[0].set_partition(&Direction::BOTH, Partition { after: Duration::ZERO, lasting });
    let start = Instant::now();
    let error = b.recv(A, Phase::Online, &tag(1), 64).unwrap_err();
    assert!(start.elapsed() < 2 * deadline, "{:?}", start.elapsed());
    assert_eq!(error.party().map(|party| party.id()), Some(A), "{error}");
    assert!(matches!(error, NetError::PeerLost { .. } | NetError::PeerSilent { .. }), "{error}");
    // The relay in front of B is another one: B and C go on.
    round_trip(&mut b, &mut c, 1);
}

#[test]
fn parties_that_restart_meet_through_the_same_relays() {
    let (network, listeners) = Network::new("lan");
    let [mut a, mut b, c] = network.join(listeners, Duration::from_secs(20));
    round_trip(&mut a, &mut b, 0);
    drop((a, b, c));
    let listeners = [0, 1, 2].map(|party| {
        let [certificate, key] = files(&network.folder, NAMES[party]);
        QuicListener::bind(Identity::load(&certificate, &key).unwrap(), network.addresses[party]).unwrap()
    });
    let [mut a, mut b, mut c] = network.join(listeners, Duration::from_secs(20));
    round_trip(&mut a, &mut b, 0);
    round_trip(&mut c, &mut b, 0);
}
