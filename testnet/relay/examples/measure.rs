//! Measures the relay on this machine: how exact the delays are, how much it carries, and at what cost.
//!
//! `cargo run --release -p tercet-relay --example measure`. For every link: round trips of single datagrams, then as
//! much as fits for two seconds, in datagrams of the sizes that QUIC uses here, sent by hand with a bounded number on
//! the way. The processor time is that of the relay's thread alone, where /proc tells it.

use std::error::Error;
use std::io::{IoSliceMut, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tercet_relay::{Profile, Relay};

type Failure = Box<dyn Error + Send + Sync>;

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn main() -> Result<(), Failure> {
    for link in ["none", "lan", "delay=1ms", "wan"] {
        round_trips(link)?;
    }
    for (link, bytes, segments) in
        [("lan", 1452, 1), ("lan", 1452, 10), ("lan", 4000, 1), ("lan", 4000, 10), ("wan", 1452, 10)]
    {
        throughput(link, bytes, segments)?;
    }
    Ok(())
}

fn round_trips(link: &str) -> Result<(), Failure> {
    let (client, target) = (UdpSocket::bind(loopback())?, UdpSocket::bind(loopback())?);
    let relay = Relay::start(loopback(), target.local_addr()?, link.parse::<Profile>()?)?;
    client.connect(relay.local_addr())?;
    let direct = UdpSocket::bind(loopback())?;
    direct.connect(target.local_addr()?)?;
    target.set_read_timeout(Some(Duration::from_millis(500)))?;
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = target.recv_from(&mut buffer) {
            let _ = target.send_to(&buffer[..length], from);
        }
    });
    let mut out = std::io::stdout();
    for (name, socket) in [("without the relay", &direct), (link, &client)] {
        let mut buffer = [0; 2048];
        let mut times = Vec::new();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(1) {
            let sent = Instant::now();
            socket.send(&[1; 200])?;
            socket.recv(&mut buffer)?;
            times.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let (median, slow) = (at(0.5), at(0.95));
        writeln!(out, "round trip, {name}: median {median:.0} us, 95 of 100 below {slow:.0} us")?;
    }
    let way = relay.stop()?.to_target;
    let mean = way.lateness.as_secs_f64() * 1e6 / way.delivered.max(1) as f64;
    writeln!(out, "  deliveries of {link}: {mean:.1} us late on average")?;
    echo.join().map_err(|_| "the echo panicked")?;
    Ok(())
}

/// The sender keeps at most this much on the way, as a QUIC window does.
const WINDOW: u64 = 2 << 20;

fn throughput(link: &str, bytes: usize, segments: usize) -> Result<(), Failure> {
    let (client, target) = (UdpSocket::bind(loopback())?, UdpSocket::bind(loopback())?);
    let relay = Relay::start(loopback(), target.local_addr()?, link.parse::<Profile>()?)?;
    let to = relay.local_addr();
    let (sending, receiving) =
        (UdpSocketState::new((&client).into())?, UdpSocketState::new((&target).into())?);
    receiving.set_recv_buffer_size((&target).into(), 8 << 20)?;
    target.set_nonblocking(false)?;
    target.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (arrived, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let (start, before) = (Instant::now(), relay_seconds());
    let mut sent = 0;
    std::thread::scope(|scope| -> Result<(), Failure> {
        scope.spawn(|| {
            let mut buffer = vec![0; 64 << 10];
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            while !ended.load(Ordering::Relaxed) {
                let mut one = [IoSliceMut::new(&mut buffer)];
                if receiving.recv((&target).into(), &mut one, &mut metas).is_ok() {
                    arrived.fetch_add(metas[0].len as u64, Ordering::Relaxed);
                }
            }
        });
        let contents = vec![7; bytes * segments];
        let segment_size = (segments > 1).then_some(bytes);
        let (mut seen, mut moved) = (0, Instant::now());
        while start.elapsed() < Duration::from_secs(2) {
            let there = arrived.load(Ordering::Relaxed);
            if there != seen {
                (seen, moved) = (there, Instant::now());
            }
            // What does not move any more was lost.
            if sent > there + WINDOW && moved.elapsed() < Duration::from_millis(50) {
                std::thread::sleep(Duration::from_micros(50));
                continue;
            }
            let transmit =
                Transmit { destination: to, ecn: None, contents: &contents, segment_size, src_ip: None };
            if sending.try_send((&client).into(), &transmit).is_ok() {
                sent += contents.len() as u64;
            }
        }
        ended.store(true, Ordering::Relaxed);
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let busy = relay_seconds() - before;
    let stats = relay.stats().to_target;
    let rate = stats.delivered_bytes as f64 / seconds / 1e6;
    let mean = stats.lateness.as_secs_f64() * 1e6 / stats.delivered.max(1) as f64;
    writeln!(
        std::io::stdout(),
        "{link}, {bytes} bytes, {segments} to a call: {rate:.0} MB/s, {:.0} % of a core in the relay, {:.2} us each, \
         {mean:.0} us late on average, {:.2} % lost on the way",
        100.0 * busy / seconds,
        1e6 * busy / stats.delivered.max(1) as f64,
        100.0 * (1.0 - arrived.load(Ordering::Relaxed) as f64 / sent as f64),
    )?;
    relay.stop()?;
    Ok(())
}

/// Processor time of the relay's thread so far, from /proc; zero elsewhere and before the thread has its name.
fn relay_seconds() -> f64 {
    let read = || -> Option<f64> {
        for task in std::fs::read_dir("/proc/self/task").ok()? {
            let folder = task.ok()?.path();
            if std::fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim() == "tercet-relay") {
                let spent = std::fs::read_to_string(folder.join("schedstat")).ok()?;
                return Some(spent.split(' ').next()?.parse::<f64>().ok()? / 1e9);
            }
        }
        None
    };
    read().unwrap_or(0.0)
}
