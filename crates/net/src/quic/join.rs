//! Bringing the three parties together: the party with the higher index dials, the lower answers.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{ClientConfig, Connecting, Connection, ConnectionError, Endpoint, Incoming, ServerConfig};
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::certificate::fingerprint;
use super::fault::{ABORT, Fault, UNWANTED, abort, describe, refusal};
use super::options::{Arrivals, Options};
use super::ready::{Control, Hello, Ready};
use super::tls::{OwnKey, SERVER_NAME, Verifier, client};
use super::tuning;
use crate::{NetError, Party, PartyId, Roster};

/// Handshakes served at the same time. One more ends the oldest: who stalls gives way, and a peer needs two round trips.
const HANDSHAKES: usize = 32;

/// How long an answered TLS handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Between two log lines about callers that are no peers, so that they cannot fill a disk.
const GRUMBLE_EVERY: Duration = Duration::from_secs(1);

/// How long a failed party stays to tell the peers why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Between two looks at whether this party should stop.
const LOOK: Duration = Duration::from_millis(100);

/// Between two attempts to dial: doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Everything this party needs to join.
pub(super) struct Local {
    pub(super) me: PartyId,
    pub(super) roster: Roster,
    pub(super) own: OwnKey,
    pub(super) ready: Ready,
    pub(super) options: Options,
}

/// A peer that is authenticated and agrees on the job.
pub(super) struct Joined {
    pub(super) connection: Connection,
    pub(super) control: Control,
    pub(super) hello: Hello,
}

enum Event {
    Joined(PartyId, Box<Joined>),
    Left(PartyId, usize),
    Failed(PartyId, NetError),
    /// The peer knows that this party has failed.
    Told(PartyId),
}

/// Shared by the tasks of one join.
struct Meeting {
    local: Arc<Local>,
    events: mpsc::Sender<Event>,
    /// Why this party has failed: what every peer is told that arrives from now on.
    verdict: OnceLock<String>,
    /// The last thing seen of each peer, for the error when it stays absent.
    seen: Mutex<[Option<String>; PartyId::COUNT]>,
}

/// Waits until both peers are there. Dials, answers, retries and compares until the deadline to join.
pub(super) async fn join(
    endpoint: &Endpoint,
    local: &Arc<Local>,
    server: Arc<QuicServerConfig>,
    verifier: Arc<Verifier>,
) -> Result<[Option<Joined>; PartyId::COUNT], NetError> {
    let deadline = Instant::now() + local.options.join_deadline;
    let (events, mut inbox) = mpsc::channel(16);
    let meeting =
        Arc::new(Meeting { local: local.clone(), events, verdict: OnceLock::new(), seen: Mutex::default() });
    // Dropped at the end of this function, which ends every task of the meeting.
    let mut tasks = JoinSet::new();
    for peer in local.me.others().into_iter().filter(|peer| *peer < local.me) {
        tasks.spawn(dial(endpoint.clone(), meeting.clone(), peer));
    }
    tasks.spawn(answer(endpoint.clone(), meeting.clone(), server, verifier));

    let mut joined: [Option<Joined>; PartyId::COUNT] = Default::default();
    let here = |peer: PartyId, here: bool| {
        if let Some(Arrivals(told)) = &local.options.arrivals {
            told(peer, here);
        }
    };
    while local.me.others().iter().any(|peer| joined[peer.index()].is_none()) {
        if local.options.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(NetError::Stopped);
        }
        match timeout_at(deadline.min(Instant::now() + LOOK), inbox.recv()).await {
            Ok(Some(Event::Joined(peer, arrived))) => {
                joined[peer.index()] = Some(*arrived);
                here(peer, true);
            }
            Ok(Some(Event::Left(peer, id))) => {
                let slot = &mut joined[peer.index()];
                if slot.take_if(|joined| joined.connection.stable_id() == id).is_some() {
                    here(peer, false);
                }
            }
            Ok(Some(Event::Failed(from, error))) => {
                let known = local.me.others().map(|peer| peer == from || joined[peer.index()].is_some());
                meeting.tell(&error, known, &mut inbox).await;
                return Err(error);
            }
            Ok(Some(Event::Told(_))) => {}
            Err(_) if Instant::now() < deadline => {}
            // The meeting holds a sender, so the channel cannot end before its deadline.
            Ok(None) | Err(_) => return Err(meeting.absent(&joined)),
        }
    }
    Ok(joined)
}

/// Refuses every later connection without touching TLS, for as long as the job runs.
pub(super) async fn refuse_all(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        incoming.refuse();
    }
}

impl Meeting {
    fn see(&self, peer: PartyId, what: String) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)[peer.index()] = Some(what);
    }

    fn absent(&self, joined: &[Option<Joined>; PartyId::COUNT]) -> NetError {
        let local = &self.local;
        let missing = local.me.others().into_iter().find(|peer| joined[peer.index()].is_none());
        let peer = missing.unwrap_or(local.me);
        NetError::PeerAbsent {
            party: local.roster.party(peer).clone(),
            address: local.roster.address(peer).to_owned(),
            waited: local.options.join_deadline,
            last: self.seen.lock().unwrap_or_else(PoisonError::into_inner)[peer.index()].clone(),
        }
    }

    /// Stays for a moment after a failure, so that a peer on its way here learns the reason too instead of
    /// waiting for its deadline. Peers that have joined are told when the endpoint closes.
    async fn tell(&self, error: &NetError, mut known: [bool; 2], inbox: &mut mpsc::Receiver<Event>) {
        let _ = self.verdict.set(words(error));
        let end = Instant::now() + FAREWELL;
        while known.contains(&false) {
            let Ok(Some(event)) = timeout_at(end, inbox.recv()).await else { return };
            let (Event::Joined(peer, _) | Event::Failed(peer, _) | Event::Told(peer) | Event::Left(peer, _)) =
                event;
            for (known, other) in known.iter_mut().zip(self.local.me.others()) {
                *known |= other == peer;
            }
        }
    }

    /// Runs READY on a fresh connection, then watches it until it ends or the meeting does.
    async fn meet(&self, peer: &Party, connection: Connection) -> Result<(), Fault> {
        if let Some(verdict) = self.verdict.get() {
            connection.close(ABORT, verdict.as_bytes());
            let _ = self.events.send(Event::Told(peer.id())).await;
            return Ok(());
        }
        // The party that dialled opens the control stream.
        let (send, recv) = if peer.id() < self.local.me {
            connection.open_bi().await?
        } else {
            connection.accept_bi().await?
        };
        let mut control = Control { send, recv };
        let hello = match control.ready(peer, &self.local.ready).await {
            Ok(hello) => hello,
            Err(Fault::Fatal(error)) => {
                connection.close(ABORT, words(&error).as_bytes());
                return Err(error.into());
            }
            Err(fault) => return Err(fault),
        };
        let arrived = Box::new(Joined { connection: connection.clone(), control, hello });
        // The receiver lives as long as the task does.
        let _ = self.events.send(Event::Joined(peer.id(), arrived)).await;
        let error = connection.closed().await;
        let _ = self.events.send(Event::Left(peer.id(), connection.stable_id())).await;
        Err(error.into())
    }

    /// Reports what cannot be mended, and notes the rest.
    async fn judge(&self, peer: &Party, fault: Fault) {
        let address = self.local.roster.address(peer.id()).to_owned();
        let fatal = match fault {
            Fault::Fatal(error) => Some(error),
            Fault::Passing(what) => {
                self.see(peer.id(), what);
                None
            }
            Fault::Connection(error) => {
                self.see(peer.id(), describe(&error, self.local.options.deadline / 2));
                let refused = |reason| NetError::RefusedByPeer { party: peer.clone(), address, reason };
                let left = |reason| NetError::PeerLost {
                    party: peer.clone(),
                    step: self.local.ready.hello.step,
                    after: Duration::ZERO,
                    reason,
                };
                refusal(&error).map(refused).or_else(|| abort(&error).map(left))
            }
        };
        if let Some(error) = fatal {
            let _ = self.events.send(Event::Failed(peer.id(), error)).await;
        }
    }
}

/// Dials one peer until the meeting ends.
async fn dial(endpoint: Endpoint, meeting: Arc<Meeting>, peer: PartyId) {
    let party = meeting.local.roster.party(peer).clone();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Err(fault) = dial_once(&endpoint, &meeting, &party).await {
            meeting.judge(&party, fault).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn dial_once(endpoint: &Endpoint, meeting: &Meeting, peer: &Party) -> Result<(), Fault> {
    let Local { roster, own, options, .. } = &*meeting.local;
    let name = roster.address(peer.id());
    let address = resolve(name).await?;
    let verifier = Verifier::dialling(roster, peer.id());
    let mut config = ClientConfig::new(client(own, verifier.clone())?);
    config.transport_config(tuning::transport(options, address));
    let connecting = endpoint
        .connect_with(config, address, SERVER_NAME)
        .map_err(|error| Fault::Passing(error.to_string()))?;
    // A first packet lost to a party that is not up yet is sent again at growing intervals;
    // a new attempt is quicker than the later ones.
    let patience = Duration::from_secs(if tuning::is_loopback(options, address) { 1 } else { 4 });
    let connection = match timeout(patience, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            let wrong = |fault| NetError::Certificate {
                party: peer.clone(),
                address: name.to_owned(),
                fault: Box::new(fault),
            };
            return Err(verifier.fault().map_or_else(|| error.into(), |fault| wrong(fault).into()));
        }
        Err(_) => return Err(Fault::Passing("no answer".to_owned())),
    };
    meeting.meet(peer, connection).await
}

async fn resolve(name: &str) -> Result<SocketAddr, Fault> {
    let failed = |what: String| Fault::Passing(format!("its address does not resolve: {what}"));
    let mut addresses = tokio::net::lookup_host(name).await.map_err(|error| failed(error.to_string()))?;
    addresses.next().ok_or_else(|| failed("no address".to_owned()))
}

/// Answers connections until the meeting ends. A caller first proves its address, which costs it a round trip and this side
/// no memory.
async fn answer(
    endpoint: Endpoint,
    meeting: Arc<Meeting>,
    server: Arc<QuicServerConfig>,
    verifier: Arc<Verifier>,
) {
    let strangers = Arc::new(Strangers::default());
    // Dropping a sender ends its handshake; one that has ended has dropped its receiver.
    let mut served: VecDeque<oneshot::Sender<()>> = VecDeque::new();
    let mut tasks = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while tasks.try_join_next().is_some() {}
        if !incoming.remote_address_validated() {
            // Fails only for an address that is validated.
            let _ = incoming.retry();
            continue;
        }
        let from = incoming.remote_address();
        let Ok(connecting) = accept(incoming, server.clone(), &meeting.local.options) else { continue };
        served.retain(|handshake| !handshake.is_closed());
        if served.len() >= HANDSHAKES {
            served.pop_front();
        }
        let (keep, evicted) = oneshot::channel();
        served.push_back(keep);
        let (meeting, verifier, strangers) = (meeting.clone(), verifier.clone(), strangers.clone());
        tasks.spawn(async move {
            match answer_one(connecting, &meeting.local, evicted).await {
                Ok((peer, connection)) => {
                    if let Err(fault) = meeting.meet(&peer, connection).await {
                        meeting.judge(&peer, fault).await;
                    }
                }
                // Whoever this was, it did not prove to be a peer, so it must not end the meeting.
                Err(what) => {
                    let what = verifier.fault().map_or(what, |fault| fault.to_string());
                    strangers.refused(from, &what);
                    let local = &meeting.local;
                    for peer in local.me.others().into_iter().filter(|peer| *peer > local.me) {
                        meeting.see(peer, format!("a connection from {from} with {what}"));
                    }
                }
            }
        });
    }
}

/// Callers that proved to be no peers.
#[derive(Default)]
struct Strangers(Mutex<(Option<Instant>, u64)>);

impl Strangers {
    /// Says so, now and then.
    fn refused(&self, from: SocketAddr, what: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unsaid) = &mut *said;
        if last.is_some_and(|last| last.elapsed() < GRUMBLE_EVERY) {
            *unsaid += 1;
            return;
        }
        match std::mem::take(unsaid) {
            0 => tracing::warn!(%from, "refused a connection that presented {what}"),
            more => {
                tracing::warn!(%from, "refused a connection that presented {what}, and {more} others before it")
            }
        }
        *last = Some(Instant::now());
    }
}

fn accept(
    incoming: Incoming,
    server: Arc<QuicServerConfig>,
    options: &Options,
) -> Result<Connecting, ConnectionError> {
    let mut config = ServerConfig::with_crypto(server);
    config.transport_config(tuning::transport(options, incoming.remote_address()));
    config.migration(false);
    incoming.accept_with(Arc::new(config))
}

/// One handshake, until it has taken too long or gives way to a newer one. The error is in words.
async fn answer_one(
    connecting: Connecting,
    local: &Local,
    evicted: oneshot::Receiver<()>,
) -> Result<(Party, Connection), String> {
    tokio::select! {
        opened = timeout(HANDSHAKE_TIME, open(connecting, local)) => match opened {
            Ok(opened) => opened.map_err(|error| describe(&error, local.options.deadline / 2)),
            Err(_) => Err("a handshake that did not end in time".to_owned()),
        },
        _ = evicted => Err("a handshake that gave way to newer ones".to_owned()),
    }
}

/// From the first packet to an authenticated peer.
async fn open(connecting: Connecting, local: &Local) -> Result<(Party, Connection), ConnectionError> {
    let connection = connecting.await?;
    let identity = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
    let print = identity.as_ref().and_then(|chain| chain.first()).map(|first| fingerprint(first));
    let owner = print.and_then(|print| local.roster.owner(&print).cloned());
    let Some(peer) = owner.filter(|peer| peer.id() > local.me) else {
        connection.close(UNWANTED, b"the party with the lower index answers, the higher dials");
        return Err(ConnectionError::LocallyClosed);
    };
    Ok((peer, connection))
}

/// An error as far as a close frame carries it.
pub(super) fn words(error: &NetError) -> String {
    format!("it stopped because of: {error}")
}
