//! What a relay does to datagrams, seen from the two sockets around it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::{Duration, Instant};

use tercet_relay::{Direction, Options, Partition, Profile, Relay, RelayError, Stats};

const MS: Duration = Duration::from_millis(1);

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(loopback()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// A client, the relay and its target.
struct Path {
    client: UdpSocket,
    relay: Relay,
    target: UdpSocket,
    /// Numbers of the datagrams that arrived at the target so far, in order of arrival.
    arrived: Vec<u32>,
}

impl Path {
    fn new(profile: &str) -> Self {
        Self::with(profile, Options::default())
    }

    fn with(profile: &str, options: Options) -> Self {
        let (client, target) = (socket(), socket());
        let profile: Profile = profile.parse().unwrap();
        let relay = Relay::start_with(loopback(), target.local_addr().unwrap(), profile, options).unwrap();
        client.connect(relay.local_addr()).unwrap();
        Self { client, relay, target, arrived: Vec::new() }
    }

    /// Sends numbered datagrams to the target and waits until the relay has counted them.
    fn send(&self, numbers: Range<u32>, length: usize) {
        for number in numbers.clone() {
            self.client.send(&datagram(number, length)).unwrap();
        }
        self.wait_for(|stats| stats.to_target.received >= u64::from(numbers.end));
    }

    /// Sends numbered datagrams, and returns the numbers of all that arrive. Few are on their way at one time: the
    /// target's socket holds no more.
    fn pass(mut self, count: u32, length: usize) -> (Vec<u32>, Stats) {
        for start in (0..count).step_by(50) {
            self.send(start..start + 50, length);
            self.settle();
        }
        (self.arrived, self.relay.stats())
    }

    /// Waits until nothing is on its way.
    fn settle(&mut self) {
        self.wait_for(|stats| {
            let way = stats.to_target;
            let gone = way.delivered + way.undelivered + way.lost + way.overflowed + way.partitioned;
            way.received + way.duplicated == gone
        });
        self.take_delivered();
    }

    /// Reads what the relay has delivered.
    fn take_delivered(&mut self) {
        while (self.arrived.len() as u64) < self.relay.stats().to_target.delivered {
            self.arrived.push(number(&receive(&self.target).0));
        }
    }

    fn wait_for(&self, happened: impl Fn(&Stats) -> bool) {
        let start = Instant::now();
        while !happened(&self.relay.stats()) {
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", self.relay.stats());
            std::thread::sleep(MS / 2);
        }
    }
}

fn datagram(number: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; length];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn number(datagram: &[u8]) -> u32 {
    u32::from_le_bytes(datagram[..4].try_into().unwrap())
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    (buffer, from)
}

#[test]
fn datagrams_of_every_length_pass_whole_in_both_directions() {
    let path = Path::new("none");
    for length in [0, 1, 1200, 1452, 4000, 6400, 65_507] {
        let sent = vec![length as u8; length];
        path.client.send(&sent).unwrap();
        let (there, from) = receive(&path.target);
        assert!(there == sent, "{length} bytes to the target");
        path.target.send_to(&there, from).unwrap();
        assert!(receive(&path.client).0 == sent, "{length} bytes back");
    }
    path.wait_for(|stats| stats.to_client.delivered == 7);
    let Stats { to_target, to_client, clients, .. } = path.relay.stop().unwrap();
    assert_eq!((to_target.delivered, to_target.delivered_bytes, clients), (7, 78_560, 1));
    assert_eq!(to_target.received_bytes, to_client.delivered_bytes);
}

/// Mixed lengths in one burst: they travel in trains of one length, and come out as they went in.
#[test]
fn a_burst_arrives_in_order_with_its_lengths() {
    let path = Path::new("lan");
    let length = |number: u32| [1452, 1452, 1452, 700, 1452, 40][number as usize % 6];
    for start in (0..600).step_by(60) {
        for number in start..start + 60 {
            path.client.send(&datagram(number, length(number))).unwrap();
        }
        for expected in start..start + 60 {
            let (bytes, _) = receive(&path.target);
            assert!(bytes == datagram(expected, length(expected)), "{expected}");
        }
    }
}

#[test]
fn nothing_arrives_before_its_delay() {
    let path = Path::new("delay=30ms / delay=50ms");
    let start = Instant::now();
    path.client.send(&[1; 100]).unwrap();
    let (bytes, from) = receive(&path.target);
    assert!(start.elapsed() >= 30 * MS, "{:?}", start.elapsed());
    let answered = Instant::now();
    path.target.send_to(&bytes, from).unwrap();
    receive(&path.client);
    assert!(answered.elapsed() >= 50 * MS, "{:?}", answered.elapsed());
    // Generous, because the machine may be busy: the point is that delays do not pile up.
    assert!(start.elapsed() < 1000 * MS, "{:?}", start.elapsed());
}

/// At 800 kbit/s a second lets 100 datagrams of 1000 bytes through. The queue holds 50. The bounds leave room for a
/// busy machine where lateness can break them, and none where it cannot.
#[test]
fn the_rate_is_kept_over_a_second() {
    const LENGTH: usize = 972;
    const PER_SECOND: f64 = 100.0;
    let mut path = Path::new("rate=800kbit,buffer=50kb");
    let start = Instant::now();
    let mut number = 0;
    // Twice the rate, in small steps.
    while start.elapsed() < 1500 * MS {
        let due = (start.elapsed().as_secs_f64() * 2.0 * PER_SECOND) as u32;
        while number < due {
            path.client.send(&datagram(number, LENGTH)).unwrap();
            number += 1;
        }
        path.take_delivered();
        std::thread::sleep(MS);
    }
    let delivered = path.relay.stats().to_target.delivered as f64;
    let expected = PER_SECOND * start.elapsed().as_secs_f64();
    assert!(delivered <= expected + 1.0, "{delivered} datagrams instead of {expected}");
    assert!(delivered >= expected * 0.8, "{delivered} datagrams instead of {expected}");
    path.wait_for(|stats| stats.to_target.received == u64::from(number));
    path.settle();
    assert!(path.arrived.is_sorted());
    // 150 of the 300 sent were more than the rate, and the queue took 50 of them.
    let dropped = path.relay.stats().to_target.overflowed;
    assert!((60..=140).contains(&dropped), "{dropped} dropped of {number}");
    assert_eq!(path.arrived.len() as u64 + dropped, u64::from(number));
}

#[test]
fn the_seed_fixes_which_datagrams_are_lost() {
    let arrivals = |seed: u32| Path::new(&format!("loss=10%,seed={seed}")).pass(2000, 100).0;
    let first = arrivals(1);
    assert_eq!(first, arrivals(1));
    assert_ne!(first, arrivals(2));
    // Mean 1800, standard deviation 13.
    assert!((1733..=1867).contains(&first.len()), "{} of 2000 arrived", first.len());
}

#[test]
fn a_partition_drops_everything_and_then_lets_all_pass() {
    let mut path = Path::new("none");
    path.send(0..10, 50);
    let cut = Partition { after: Duration::ZERO, lasting: Duration::from_secs(3600) };
    path.relay.set_partition(&[Direction::ToTarget], cut);
    path.send(10..20, 50);
    // The way back is open.
    let (_, from) = receive(&path.target);
    path.target.send_to(&[1; 50], from).unwrap();
    receive(&path.client);
    path.relay.heal();
    path.send(20..30, 50);
    // The first was read above.
    path.arrived.push(0);
    path.settle();
    assert_eq!(path.arrived, (0..10).chain(20..30).collect::<Vec<u32>>());
    assert_eq!(path.relay.stats().to_target.partitioned, 10);
}

#[test]
fn a_partition_begins_and_ends_by_itself() {
    // The relay's clock starts between these two.
    let early = Instant::now();
    let path = Path::new("partition=200ms+200ms");
    let late = Instant::now();
    let mut seen = Vec::new();
    for number in 0.. {
        let (dropped, from) = (path.relay.stats().to_target.partitioned, Instant::now());
        path.send(number..number + 1, 50);
        seen.push((from, Instant::now(), path.relay.stats().to_target.partitioned > dropped));
        if from > late + 500 * MS {
            break;
        }
        std::thread::sleep(5 * MS);
    }
    for (from, until, dropped) in &seen {
        if *until < early + 200 * MS || *from > late + 400 * MS {
            assert!(!dropped, "{:?} after the start", *from - late);
        } else if *from > late + 200 * MS && *until < early + 400 * MS {
            assert!(dropped, "{:?} after the start", *from - late);
        }
    }
    assert!(seen.iter().any(|(_, _, dropped)| *dropped) && !seen[0].2 && !seen[seen.len() - 1].2);
}

#[test]
fn jitter_reorders_only_when_asked_to() {
    let order = |profile: &str| Path::new(profile).pass(200, 100).0;
    assert!(order("delay=10ms,jitter=10ms").is_sorted());
    let mut mixed = order("delay=10ms,jitter=10ms,reorder");
    assert!(mixed.windows(2).filter(|pair| pair[0] > pair[1]).count() > 20, "{mixed:?}");
    mixed.sort_unstable();
    assert_eq!(mixed, (0..200).collect::<Vec<u32>>(), "nothing is lost");
}

#[test]
fn duplicates_arrive_twice() {
    let (arrived, stats) = Path::new("delay=1ms,duplicate=50%").pass(200, 100);
    let copies = arrived.len() - 200;
    assert!((50..150).contains(&copies), "{copies} copies");
    assert_eq!(stats.to_target.duplicated, copies as u64);
    assert!((0..200).all(|number| arrived.iter().filter(|arrived| **arrived == number).count() <= 2));
}

#[test]
fn corruption_flips_exactly_one_bit() {
    let path = Path::new("corrupt=100%");
    for length in [1, 100, 1452] {
        path.client.send(&vec![0; length]).unwrap();
        let (bytes, _) = receive(&path.target);
        assert_eq!(bytes.len(), length);
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }
    path.client.send(&[]).unwrap();
    assert!(receive(&path.target).0.is_empty());
}

#[test]
fn each_client_gets_its_own_answers() {
    let path = Path::new("lan");
    let others: Vec<UdpSocket> = (0..5).map(|_| socket()).collect();
    for (name, client) in others.iter().enumerate() {
        client.send_to(&[name as u8], path.relay.local_addr()).unwrap();
    }
    let mut sources = Vec::new();
    for _ in &others {
        let (bytes, from) = receive(&path.target);
        assert!(!sources.contains(&from), "each client has its own address at the target");
        sources.push(from);
        path.target.send_to(&[bytes[0] + 100], from).unwrap();
    }
    for (name, client) in others.iter().enumerate() {
        let (bytes, from) = receive(client);
        assert_eq!((bytes, from), (vec![name as u8 + 100], path.relay.local_addr()));
    }
}

#[test]
fn an_idle_mapping_ends_and_a_busy_one_stays() {
    let path = Path::with("none", Options { idle: 300 * MS, ..Options::default() });
    let quiet = socket();
    quiet.send_to(&[0; 4], path.relay.local_addr()).unwrap();
    receive(&path.target);
    let start = Instant::now();
    let mut sources = Vec::new();
    while start.elapsed() < 600 * MS {
        path.client.send(&[1; 4]).unwrap();
        sources.push(receive(&path.target).1);
        std::thread::sleep(20 * MS);
    }
    sources.dedup();
    assert_eq!(sources.len(), 1);
    path.wait_for(|stats| stats.expired == 1);
    quiet.send_to(&[0; 4], path.relay.local_addr()).unwrap();
    assert_ne!(receive(&path.target).1, sources[0]);
    path.wait_for(|stats| stats.clients == 3);
}

#[test]
fn a_target_that_starts_late_or_stops_does_not_end_the_relay() {
    let path = Path::new("none");
    let address = path.target.local_addr().unwrap();
    let Path { client, relay, target, .. } = path;
    drop(target);
    for _ in 0..20 {
        client.send(&[1; 100]).unwrap();
        std::thread::sleep(MS);
    }
    assert!(relay.is_running());
    let target = UdpSocket::bind(address).unwrap();
    target.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.send(&[2; 100]).unwrap();
    let (bytes, from) = receive(&target);
    assert_eq!(bytes, [2; 100], "the first datagram after the last refusal passes");
    // A client that has gone refuses as well.
    drop(client);
    for _ in 0..20 {
        target.send_to(&[3; 100], from).unwrap();
        std::thread::sleep(MS);
    }
    let client = socket();
    client.send_to(&[4; 100], relay.local_addr()).unwrap();
    assert_eq!(receive(&target).0, [4; 100]);
    relay.stop().unwrap();
}

#[test]
fn a_stopped_or_dropped_relay_frees_its_thread_and_address() {
    let path = Path::new("delay=1s");
    path.send(0..10, 100);
    let address = path.relay.local_addr();
    let start = Instant::now();
    let stats = path.relay.stop().unwrap();
    // It does not wait for what is on its way.
    assert!(start.elapsed() < 500 * MS, "{:?}", start.elapsed());
    assert_eq!((stats.to_target.received, stats.to_target.delivered), (10, 0));
    let again = Relay::start(address, path.target.local_addr().unwrap(), Profile::NONE).unwrap();
    drop(again);
    UdpSocket::bind(address).unwrap();
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = socket();
    let address = taken.local_addr().unwrap();
    let error = Relay::start(address, address, Profile::LAN).err().unwrap();
    assert!(matches!(error, RelayError::Bind { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}
