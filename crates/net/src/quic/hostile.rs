//! Tests with a party that has a pinned certificate and breaks every other rule.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use quinn::{ClientConfig, Connection, Endpoint, TokioRuntime};
use tokio::runtime::{Builder, Handle};

use super::join::{Joined, Local, join};
use super::ready::{Hello, PROTOCOL_VERSION, session};
use super::tls::{OwnKey, SERVER_NAME, Verifier, client, own_key, server};
use super::{Job, Options, QuicListener, QuicTransport, opening, tuning};
use crate::header::Header;
use crate::identity::{Identity, generate};
use crate::{Label, NetError, PartyId, Phase, Roster, RosterEntry, SessionId, Tag, Transport};

const A: PartyId = PartyId::ALL[0];
const B: PartyId = PartyId::ALL[1];
const C: PartyId = PartyId::ALL[2];

fn job() -> Job {
    Job { hash: [1; 32], text: None, step: 0, purpose: String::new(), key: Vec::new() }
}

fn options() -> Options {
    Options { deadline: Duration::from_secs(10), join_deadline: Duration::from_secs(5), ..Options::default() }
}

/// Listeners for A and B; the identity and the socket of C, who plays by hand.
struct Stage {
    a: QuicListener,
    b: QuicListener,
    c: QuicListener,
    roster: Roster,
}

fn stage() -> Stage {
    let identities = ["a", "b", "c"].map(|name| generate(name).unwrap());
    let fingerprints = identities.each_ref().map(Identity::fingerprint);
    let [a, b, c] = identities
        .map(|identity| QuicListener::bind(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap());
    let entry = |name: &str, listener: &QuicListener, index: usize| RosterEntry {
        name: name.to_owned(),
        address: listener.local_addr().to_string(),
        fingerprint: fingerprints[index],
    };
    let roster = Roster::new([entry("a", &a, 0), entry("b", &b, 1), entry("c", &c, 2)]).unwrap();
    Stage { a, b, c, roster }
}

fn spawn(
    listener: QuicListener,
    roster: &Roster,
    version: u32,
) -> thread::JoinHandle<Result<QuicTransport, NetError>> {
    let roster = roster.clone();
    thread::spawn(move || listener.connect_as(version, &roster, job(), options()))
}

/// A runtime that keeps the connections of C alive while the test does other things.
fn background() -> Handle {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

/// C joins by the rules with its own hands.
async fn join_as_c(listener: QuicListener, roster: &Roster) -> (Endpoint, [Joined; 2], Hello) {
    let ready = opening(PROTOCOL_VERSION, job()).unwrap();
    let hello = ready.hello.clone();
    let QuicListener { own, socket, .. } = listener;
    let local = Local { me: C, roster: roster.clone(), own, ready, options: options() };
    let endpoint = Endpoint::new(tuning::endpoint(&options()), None, socket, Arc::new(TokioRuntime)).unwrap();
    let verifier = Verifier::answering(roster, C);
    let crypto = server(&local.own, verifier.clone()).unwrap();
    endpoint.set_server_config(Some(tuning::server(crypto.clone())));
    let joined = join(&endpoint, &Arc::new(local), crypto, verifier).await.unwrap();
    let [a, b, _] = joined;
    (endpoint, [a.unwrap(), b.unwrap()], hello)
}

/// A mesh in which A and B are real and C has raw connections.
struct Intruder {
    a: QuicTransport,
    _b: QuicTransport,
    session: SessionId,
    to_a: Connection,
    runtime: Handle,
    _endpoint: Endpoint,
    _to_b: Connection,
}

fn intrude() -> Intruder {
    let stage = stage();
    let (a, b) =
        (spawn(stage.a, &stage.roster, PROTOCOL_VERSION), spawn(stage.b, &stage.roster, PROTOCOL_VERSION));
    let runtime = background();
    let (endpoint, [mut to_a, mut to_b], hello) = runtime.block_on(join_as_c(stage.c, &stage.roster));
    let session = session([&to_a.hello, &to_b.hello, &hello]);
    runtime.block_on(async {
        let (a, b) = (stage.roster.party(A), stage.roster.party(B));
        let confirmed = tokio::join!(to_a.control.confirm(a, session), to_b.control.confirm(b, session));
        assert!(confirmed.0.is_ok() && confirmed.1.is_ok());
    });
    Intruder {
        a: a.join().unwrap().unwrap(),
        _b: b.join().unwrap().unwrap(),
        session,
        to_a: to_a.connection,
        runtime,
        _endpoint: endpoint,
        _to_b: to_b.connection,
    }
}

fn tag() -> Tag {
    Tag::new(3, 4, Label::new("open"))
}

impl Intruder {
    /// Opens a stream to A, writes `bytes`, and leaves the stream open or finishes it.
    fn write(&self, bytes: &[u8], finish: bool) {
        self.runtime.block_on(async {
            let mut stream = self.to_a.open_uni().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            if finish {
                stream.finish().unwrap();
                // Dropping a finished stream changes nothing; the peer reads to its end.
            } else {
                // Dropping would finish it.
                std::mem::forget(stream);
            }
        });
    }

    /// What A says to an online stream of `bytes`, and how long it took.
    fn answer_to(mut self, bytes: &[u8], finish: bool) -> NetError {
        self.write(&[&[2], bytes].concat(), finish);
        let start = Instant::now();
        let error = self.a.recv(C, Phase::Online, &tag(), 16).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(3), "{error} came late");
        assert_eq!(error.party().map(|party| party.id()), Some(C), "{error}");
        error
    }
}

#[test]
fn a_header_that_is_none_is_an_error() {
    let error = intrude().answer_to(&[0xff; 200], false);
    assert!(
        matches!(&error, NetError::Malformed { what, .. } if what == "unknown frame kind 255"),
        "{error}"
    );
}

#[test]
fn an_announced_giant_is_refused_without_waiting_for_it() {
    let intruder = intrude();
    let header = Header::message(intruder.session, &tag(), u32::MAX);
    let error = intruder.answer_to(&header.encode(), false);
    assert!(
        matches!(error, NetError::FrameTooLarge { bytes, .. } if bytes == u64::from(u32::MAX)),
        "{error}"
    );
}

#[test]
fn a_mismatch_is_found_before_the_payload_arrives() {
    let intruder = intrude();
    let header = Header::message(intruder.session, &tag(), 1 << 20);
    let error = intruder.answer_to(&header.encode(), false);
    assert!(matches!(&error, NetError::Mismatch { theirs, .. } if theirs.bytes == 1 << 20), "{error}");
}

#[test]
fn a_message_of_another_session_is_refused() {
    let header = Header::message(SessionId::from_bytes([0; 16]), &tag(), 16);
    let error = intrude().answer_to(&[&header.encode()[..], &[0; 16]].concat(), false);
    assert!(matches!(error, NetError::SessionMismatch { .. }), "{error}");
}

#[test]
fn a_goodbye_of_another_session_is_no_goodbye() {
    let goodbye = Header::goodbye(SessionId::from_bytes([0; 16]));
    let error = intrude().answer_to(&goodbye.encode(), true);
    assert!(matches!(error, NetError::Malformed { .. }), "{error}");
}

#[test]
fn a_stream_that_ends_within_a_message_is_a_loss() {
    let intruder = intrude();
    let header = Header::message(intruder.session, &tag(), 16);
    let error = intruder.answer_to(&[&header.encode()[..], &[0; 15]].concat(), true);
    assert!(matches!(&error, NetError::PeerLost { reason, .. } if reason.contains("goodbye")), "{error}");
}

#[test]
fn a_stream_of_unknown_type_is_refused() {
    let mut intruder = intrude();
    intruder.write(&[9], false);
    let error = intruder.a.recv(C, Phase::Online, &tag(), 16).unwrap_err();
    assert!(matches!(&error, NetError::Malformed { what, .. } if what.contains("unknown")), "{error}");
}

#[test]
fn a_second_stream_of_one_phase_is_refused() {
    let mut intruder = intrude();
    let header = Header::message(intruder.session, &tag(), 16).encode();
    intruder.write(&[&[2], &header[..], &[5; 16]].concat(), false);
    assert_eq!(intruder.a.recv(C, Phase::Online, &tag(), 16).unwrap(), [5; 16]);
    intruder.write(&[&[2], &header[..], &[6; 16]].concat(), false);
    let error = intruder.a.recv(C, Phase::Online, &tag(), 16).unwrap_err();
    assert!(matches!(&error, NetError::Malformed { what, .. } if what.contains("repeated")), "{error}");
}

#[test]
fn what_a_broken_peer_does_leaves_the_other_link_alone() {
    let mut intruder = intrude();
    intruder.write(&[&[2_u8][..], &[0xff; 200]].concat(), false);
    intruder._b.send(A, Phase::Online, &tag(), vec![1; 16]).unwrap();
    assert_eq!(intruder.a.recv(B, Phase::Online, &tag(), 16).unwrap(), [1; 16]);
}

#[test]
fn another_protocol_version_is_named_on_both_sides() {
    let stage = stage();
    let [a, b, c] = [(stage.a, 1), (stage.b, 1), (stage.c, 2)]
        .map(|(listener, version)| spawn(listener, &stage.roster, version))
        .map(|thread| thread.join().unwrap().err().unwrap());
    assert!(matches!(c, NetError::VersionDiffers { ours: 2, theirs: 1, .. }), "{c}");
    let named = |error: &NetError| matches!(error, NetError::VersionDiffers { ours: 1, theirs: 2, .. });
    assert!(named(&a) || named(&b), "{a} / {b}");
}

#[test]
fn a_peer_that_computes_another_session_is_named() {
    let stage = stage();
    let (a, b) =
        (spawn(stage.a, &stage.roster, PROTOCOL_VERSION), spawn(stage.b, &stage.roster, PROTOCOL_VERSION));
    let runtime = background();
    let (_endpoint, mut joined, _) = runtime.block_on(join_as_c(stage.c, &stage.roster));
    let wrong = SessionId::from_bytes([0; 16]);
    let (party_a, party_b) = (stage.roster.party(A), stage.roster.party(B));
    runtime.block_on(async {
        let [to_a, to_b] = &mut joined;
        let _ = tokio::join!(to_a.control.confirm(party_a, wrong), to_b.control.confirm(party_b, wrong));
    });
    let errors = [a, b].map(|thread| thread.join().unwrap().err().unwrap());
    let named =
        |error: &NetError| matches!(error, NetError::SessionDiffers { theirs, .. } if *theirs == wrong);
    assert!(errors.iter().any(named), "{errors:?}");
}

#[test]
fn garbage_instead_of_ready_is_an_error_that_names_the_party() {
    let opened = |rest: &[u8]| [b"tercet\0\0", &PROTOCOL_VERSION.to_le_bytes()[..], rest].concat();
    for garbage in [vec![0xff; 300], opened(b"\xff\xff\xff\xff"), opened(b"\x04\0\0\0abcd")] {
        let Stage { a, b: _b, c, roster } = stage();
        let a = spawn(a, &roster, PROTOCOL_VERSION);
        let runtime = background();
        let _held = runtime.block_on(async {
            let (endpoint, connection) = dial_raw(&c.own, &roster).await;
            let (mut send, recv) = connection.open_bi().await.unwrap();
            send.write_all(&garbage).await.unwrap();
            (endpoint, connection, send, recv)
        });
        let error = a.join().unwrap().err().unwrap();
        assert!(matches!(&error, NetError::Malformed { party, .. } if party.id() == C), "{error}");
    }
}

/// A TLS connection to A and nothing more.
async fn dial_raw(own: &OwnKey, roster: &Roster) -> (Endpoint, Connection) {
    let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let config = ClientConfig::new(client(own, Verifier::dialling(roster, A)).unwrap());
    let address = roster.address(A).parse().unwrap();
    let connection = endpoint.connect_with(config, address, SERVER_NAME).unwrap().await.unwrap();
    (endpoint, connection)
}

#[test]
fn strangers_disturb_neither_the_start_nor_the_run() {
    let Stage { a, b, c, roster } = stage();
    let stranger = own_key(&generate("stranger").unwrap()).unwrap();
    let runtime = background();
    // Forty strangers before the others start; A listens already, because its socket is bound.
    let a = spawn(a, &roster, PROTOCOL_VERSION);
    let knock = |count: usize| {
        let (roster, stranger) = (&roster, &stranger);
        let endpoint =
            runtime.block_on(async { Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))) }).unwrap();
        let attempt = async || {
            let config = ClientConfig::new(client(stranger, Verifier::dialling(roster, A)).unwrap());
            let connecting =
                endpoint.connect_with(config, roster.address(A).parse().unwrap(), SERVER_NAME).unwrap();
            match connecting.await {
                Ok(connection) => connection.closed().await,
                Err(error) => error,
            }
        };
        runtime.block_on(async {
            let all = (0..count).map(|_| attempt());
            for refused in futures(all).await {
                let text = refused.to_string();
                assert!(text.contains("aborted by peer"), "{text}");
            }
        });
    };
    knock(40);
    let (b, c) = (spawn(b, &roster, PROTOCOL_VERSION), spawn(c, &roster, PROTOCOL_VERSION));
    let [mut a, mut b, _c] = [a, b, c].map(|thread| thread.join().unwrap().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| knock(40));
        for op in 0..500 {
            let tag = Tag::new(0, op, Label::new("open"));
            a.send(B, Phase::Online, &tag, vec![1; 100]).unwrap();
            b.recv(A, Phase::Online, &tag, 100).unwrap();
        }
    });
}

/// Drives futures at the same time, in order of completion of the slowest.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[test]
fn a_caller_without_a_certificate_is_refused() {
    let Stage { a, b: _b, c: _c, roster } = stage();
    let a = spawn(a, &roster, PROTOCOL_VERSION);
    let runtime = background();
    let error = runtime.block_on(async {
        let mut tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Verifier::dialling(&roster, A))
                .with_no_client_auth();
        tls.alpn_protocols = vec![b"tercet/1".to_vec()];
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
        let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = roster.address(A).parse().unwrap();
        let connecting =
            endpoint.connect_with(ClientConfig::new(Arc::new(crypto)), address, SERVER_NAME).unwrap();
        match connecting.await {
            Ok(connection) => connection.closed().await,
            Err(error) => error,
        }
    });
    assert!(error.to_string().starts_with("aborted by peer"), "{error}");
    drop(a);
}
