//! The operators' view of a running node: what it shows, to whom, and what it withstands.

mod common;

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::{NAMES, Net};
use tercet_node::metrics::{Live, MetricsConfig, PeerState, RunState, Server, text};

/// A TCP port that was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Reads the text format strictly: every sample follows the HELP and TYPE of its family, once, and is a number.
fn samples(text: &str) -> HashMap<String, f64> {
    assert!(text.ends_with('\n'));
    let is_name = |name: &str| {
        let letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
        name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
    };
    let (mut helped, mut families, mut found) = (HashSet::new(), HashSet::new(), HashMap::new());
    let mut family = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !words.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert!(helped.contains(name) && families.insert(name.to_owned()), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels));
            assert_eq!(name, family, "{line}");
            if !labels.is_empty() {
                let mut rest = labels.strip_suffix('}').unwrap();
                while !rest.is_empty() {
                    let (label, after) = rest.split_once("=\"").unwrap();
                    assert!(is_name(label), "{line}");
                    let end = closing_quote(after);
                    rest = after[end + 1..].strip_prefix(',').unwrap_or(&after[end + 1..]);
                }
            }
            assert!(
                found.insert(series.to_owned(), value.parse().unwrap()).is_none(),
                "{line} is there twice"
            );
        }
    }
    found
}

/// Where a label's value ends: at the first quote that no backslash escapes.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    panic!("no quote ends {text:?}");
}

#[test]
fn a_running_node_shows_its_progress_its_links_and_its_peers_in_prometheus_format() {
    let net = Net::new(20);
    net.edit_jobs("epochs = 8", "epochs = 20000");
    let address = free_port();
    net.edit(&net.config(0), "\n[data]", &format!("\n[metrics]\nlisten = \"{address}\"\n\n[data]"));
    let _running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
    let begun = Instant::now();
    let found = loop {
        assert!(begun.elapsed() < Duration::from_secs(30), "no step is shown");
        std::thread::sleep(Duration::from_millis(50));
        let Ok(answer) = get(address, "/metrics") else { continue };
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
        let found = samples(body(&answer));
        let sent = found.get("tercet_link_sent_bytes_total{peer=\"ben\",phase=\"online\"}");
        if found["tercet_steps_done_total"] > 0.0 && sent.is_some_and(|&sent| sent > 0.0) {
            break found;
        }
    };
    assert_eq!(found["tercet_run_state{state=\"training\"}"], 1.0);
    assert_eq!(found["tercet_steps"], 120_000.0);
    assert_eq!(found["tercet_info{job=\"small\",party=\"ada\",protocol=\"helper\"}"], 1.0);
    for peer in &NAMES[1..] {
        assert_eq!(found[&format!("tercet_peer_joined{{peer=\"{peer}\"}}")], 1.0);
    }
    // Nothing was opened yet, so that nothing is shown of it.
    assert!(!found.keys().any(|name| name.starts_with("tercet_accuracy") || name.starts_with("tercet_loss")));
    let page = get(address, "/").unwrap();
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(page.contains("<td>training</td>") && page.contains("peer ben"), "{page}");
}

#[test]
fn an_address_that_others_reach_needs_an_explicit_word() {
    let net = Net::new(2);
    net.edit(&net.config(0), "\n[data]", "\n[metrics]\nlisten = \"0.0.0.0:0\"\n\n[data]");
    net.refused(0, "can be reached from other machines");
    let open = MetricsConfig { listen: ([0, 0, 0, 0], 0).into(), open: true };
    let server = Server::start(open, Live::default()).unwrap();
    assert!(get(([127, 0, 0, 1], server.address().port()).into(), "/metrics").unwrap().contains(" 200 "));
}

#[test]
fn other_methods_paths_and_sites_are_refused_and_idle_callers_are_cut_off() {
    let config = MetricsConfig { listen: ([127, 0, 0, 1], 0).into(), open: false };
    let server = Server::start(config, Live::default()).unwrap();
    let address = server.address();
    for (request, status) in [
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405"),
        ("GET /secret HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", "404"),
        ("GET /metrics HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", "403"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "403"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(address, request).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {answer}");
    }
    // More idle callers than are served at a time: each is cut off, and who asks is answered.
    let idle: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    let begun = Instant::now();
    assert!(get(address, "/metrics").unwrap().contains("tercet_uptime_seconds"));
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    drop(idle);
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    // Either an answer that refuses it or a closed connection.
    let answer = ask(address, &long).unwrap_or_default();
    assert!(!answer.contains(" 200 "), "{answer}");
}

#[test]
fn hostile_names_do_not_break_the_format_and_opened_metrics_are_shown() {
    let mut shown = Live::default().shown();
    shown.state = RunState::Finished;
    shown.job = "a \"quoted\\ job\nwith lines\"".to_owned();
    shown.parties = vec!["a".into(), "b\"} 1\nevil 2".into(), "c".into()];
    shown.peers = vec![PeerState::Joined, PeerState::Lost, PeerState::Joined];
    shown.tick.loss = Some(0.25);
    shown.tick.accuracy = Some(0.5);
    let found = samples(&text(&shown));
    assert_eq!((found["tercet_loss"], found["tercet_accuracy"]), (0.25, 0.5));
    assert!(!found.keys().any(|name| name.starts_with("evil")));
    let joined: f64 =
        found.iter().filter(|(name, _)| name.starts_with("tercet_peer_joined")).map(|(_, v)| v).sum();
    assert_eq!(joined, 1.0);
}
