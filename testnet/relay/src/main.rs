//! `tercet-relay --listen A --target B --link wan`: a shaped link between two parties on one machine.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use tercet_relay::{Profile, Relay, WayStats};

/// Passes UDP datagrams on like a real network: with delay, a bounded rate, loss and partitions.
///
/// A party dials the address of the relay instead of its peer's. One relay serves one target and any number of
/// parties that dial it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen: the address that parties dial. Port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where to pass datagrams on to.
    #[arg(long, value_name = "ADDRESS")]
    target: SocketAddr,
    /// `lan` (round trip 0.2 ms, 10 Gbit/s), `wan` (40 ms, 100 Mbit/s), `none`, or a list such as
    /// `delay=10ms,rate=50mbit,loss=1%,jitter=5ms,reorder`. Further settings: buffer=500kb, duplicate=1%,
    /// corrupt=100ppm, partition=5s+2s (from 5 s after the start, for 2 s), seed=7. `X / Y` shapes the way to the
    /// target as X and the way back as Y.
    #[arg(long, default_value = "lan", value_name = "LINK")]
    link: Profile,
    /// End after this time, for instance `90s`, and print counts. Without it the relay runs until it is killed.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    lasting: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, String> {
    tercet_relay::duration(text).ok_or_else(|| "write for instance `90s` or `1500ms`".to_owned())
}

/// How often the relay's thread is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(200);

fn main() -> anyhow::Result<()> {
    let Arguments { listen, target, link, lasting } = Arguments::parse();
    let start = Instant::now();
    let relay = Relay::start(listen, target, link)?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}, passing on to {target}, link {link}", relay.local_addr())?;
    while relay.is_running() {
        let left = lasting.map_or(LOOK_EVERY, |lasting| lasting.saturating_sub(start.elapsed()));
        if left.is_zero() {
            break;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
    let stats = relay.stop()?;
    line(&mut out, "to the target", &stats.to_target).context("cannot print the counts")?;
    line(&mut out, "to the client", &stats.to_client).context("cannot print the counts")
}

fn line(out: &mut impl Write, name: &str, way: &WayStats) -> std::io::Result<()> {
    let mean = way.lateness.as_secs_f64() * 1e6 / way.delivered.max(1) as f64;
    writeln!(
        out,
        "{name}: {} datagrams in, {} out ({} bytes), {} lost, {} over the queue, {} partitioned, {} duplicated, \
         {} corrupted, {} undeliverable; {mean:.0} us late on average, {} us at most",
        way.received,
        way.delivered,
        way.delivered_bytes,
        way.lost,
        way.overflowed,
        way.partitioned,
        way.duplicated,
        way.corrupted,
        way.undelivered,
        way.latest.as_micros(),
    )
}
