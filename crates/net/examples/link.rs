//! Measures the QUIC link on this machine: microseconds for a round trip, megabytes in a second.
//!
//! `cargo run --release -p tercet-net --example link` runs three processes on loopback, as a job does.
//! With the argument `threads` the three parties are threads of one process. Party 2 only joins.
//! A round is what a protocol does: both evaluators send, then both receive.

use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use tercet_net::identity::generate;
use tercet_net::quic::{Job, Options, QuicListener, QuicTransport};
use tercet_net::{Identity, Label, PartyId, Phase, Roster, RosterEntry, Tag, Transport};

type Failure = Box<dyn Error + Send + Sync>;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("party") => child(&arguments[1..]),
        Some("threads") => threads(),
        _ => processes(),
    }
}

fn job() -> Job {
    Job { hash: [0; 32], text: None, step: 0, purpose: String::new(), key: Vec::new() }
}

/// Two sockets of one party in one process each: bound here, so that the roster knows the ports.
fn threads() -> Result<(), Failure> {
    let mut entries = Vec::new();
    let mut listeners = Vec::new();
    for name in NAMES {
        let identity = generate(name)?;
        let fingerprint = identity.fingerprint();
        let listener = QuicListener::bind(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr().to_string();
        entries.push(RosterEntry { name: name.to_owned(), address, fingerprint });
        listeners.push(listener);
    }
    let roster = Roster::new(entries.try_into().map_err(|_| "three entries")?)?;
    let roles: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let roster = roster.clone();
            std::thread::spawn(move || play(listener.connect(&roster, job(), Options::default())?))
        })
        .collect();
    for role in roles {
        role.join().map_err(|_| "a party panicked")??;
    }
    Ok(())
}

fn processes() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("tercet-link-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let mut plan = vec!["party".to_owned()];
    for name in NAMES {
        let identity = generate(name)?;
        identity.save(&folder.join(format!("{name}.pem")), &folder.join(format!("{name}.key")))?;
        // A port that is free now; the example gives it up before the child takes it.
        let port = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        plan.extend([format!("127.0.0.1:{port}"), identity.fingerprint().to_string()]);
    }
    let start = |name: &&str| -> Result<Child, Failure> {
        let stem = folder.join(name).display().to_string();
        Ok(Command::new(std::env::current_exe()?).args(&plan).args([stem, (*name).to_owned()]).spawn()?)
    };
    let children: Vec<_> = NAMES.iter().map(start).collect::<Result<_, _>>()?;
    for mut child in children {
        child.wait()?;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn child(plan: &[String]) -> Result<(), Failure> {
    let [a, fa, b, fb, c, fc, stem, name] = plan else { return Err("eight arguments".into()) };
    let me = NAMES.iter().position(|known| known == name).ok_or("a name")?;
    let entry = |name: &str, address: &String, print: &String| -> Result<RosterEntry, Failure> {
        Ok(RosterEntry { name: name.to_owned(), address: address.clone(), fingerprint: print.parse()? })
    };
    let roster = Roster::new([entry("a", a, fa)?, entry("b", b, fb)?, entry("c", c, fc)?])?;
    let identity = Identity::load(Path::new(&format!("{stem}.pem")), Path::new(&format!("{stem}.key")))?;
    let listener = QuicListener::bind(identity, [a, b, c][me].parse()?)?;
    play(listener.connect(&roster, job(), Options::default())?)
}

fn play(mut party: QuicTransport) -> Result<(), Failure> {
    let [a, b, c] = PartyId::ALL;
    if party.me() != c {
        let peer = if party.me() == a { b } else { a };
        for bytes in [64, 16 << 10, 256 << 10] {
            rounds(&mut party, peer, bytes)?;
        }
        stream(&mut party, peer)?;
        if party.me() == a
            && let Some(stats) = party.wire_stats(b)
        {
            writeln!(std::io::stdout(), "{stats:?}")?;
        }
    }
    Ok(Box::new(party).close()?)
}

fn rounds(party: &mut QuicTransport, peer: PartyId, bytes: usize) -> Result<(), Failure> {
    const WARM: u64 = 200;
    const COUNT: u64 = 2000;
    let label = Label::new("round").with(&[bytes as u64]);
    let mut times = Vec::new();
    for op in 0..WARM + COUNT {
        let start = Instant::now();
        let tag = Tag::new(0, op, label);
        party.send(peer, Phase::Online, &tag, vec![1; bytes])?;
        party.recv(peer, Phase::Online, &tag, bytes)?;
        if op >= WARM {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    let (mean, last) = (times.iter().sum::<f64>() / times.len() as f64, times.len() - 1);
    if party.me() < peer {
        writeln!(
            std::io::stdout(),
            "round of {bytes} bytes each way: mean {mean:.0} us, median {:.0} us, 99th percentile {:.0} us",
            times[last / 2],
            times[last * 99 / 100],
        )?;
    }
    Ok(())
}

fn stream(party: &mut QuicTransport, peer: PartyId) -> Result<(), Failure> {
    const COUNT: u64 = 100;
    const BYTES: usize = 10 << 20;
    let label = Label::new("stream");
    let start = Instant::now();
    if party.me() < peer {
        for op in 0..COUNT {
            party.send(peer, Phase::Offline, &Tag::new(1, op, label), vec![1; BYTES])?;
        }
        party.recv(peer, Phase::Online, &Tag::new(1, 0, label), 0)?;
        let rate = COUNT as f64 * BYTES as f64 / start.elapsed().as_secs_f64() / 1e6;
        writeln!(std::io::stdout(), "one way: {rate:.0} MB/s")?;
    } else {
        for op in 0..COUNT {
            party.recv(peer, Phase::Offline, &Tag::new(1, op, label), BYTES)?;
        }
        party.send(peer, Phase::Online, &Tag::new(1, 0, label), Vec::new())?;
    }
    Ok(())
}
