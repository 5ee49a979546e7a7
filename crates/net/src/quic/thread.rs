//! The network thread: one current-thread runtime that joins the mesh, moves frames, and says goodbye.

use std::net::UdpSocket;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use quinn::{Connection, Endpoint, TokioRuntime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::fault::{ABORT, Fault, GOODBYE, describe, end};
use super::join::{Joined, Local, join, refuse_all, words};
use super::options::Options;
use super::ready;
use super::stream::{Inbound, malformed, read_frames, read_phase, write_frames};
use super::tls::{Verifier, server};
use super::tuning;
use crate::links::{Agreed, Link, Queues};
use crate::queue::{End, FrameQueue};
use crate::{NetError, PartyId, PerPhase, Phase, SessionId};

/// How long the thread stays after its last word, so that the close packets leave.
const LINGER: Duration = Duration::from_millis(300);

/// Between two looks at the progress of a closing transport.
const TICK: Duration = Duration::from_millis(50);

/// The protocol thread's last word to the network thread. Its absence, too, is an abort.
pub(super) enum Leave {
    /// Flush, say goodbye, answer.
    Close(mpsc::Sender<Result<(), Undelivered>>),
    /// Tell the peers this reason and go.
    Abort(String),
}

/// What a closing transport could not deliver.
pub(super) enum Undelivered {
    /// The peer was lost before it had everything.
    Lost { peer: PartyId, after: Duration, reason: String },
    /// The peer took nothing for the whole deadline.
    Stalled { peer: PartyId, waited: Duration, queued: usize },
    /// A task of the network thread failed.
    Thread(String),
}

/// What the protocol thread gets when all three have joined.
pub(super) struct Mesh {
    pub(super) agreed: Agreed,
    pub(super) links: [Option<Link>; PartyId::COUNT],
    pub(super) connections: [Option<Connection>; PartyId::COUNT],
}

/// The whole life of the network thread, inside its runtime.
pub(super) async fn run(
    local: Local,
    socket: UdpSocket,
    ready: mpsc::Sender<Result<Mesh, NetError>>,
    leave: oneshot::Receiver<Leave>,
) {
    let local = Arc::new(local);
    let endpoint = match Endpoint::new(tuning::endpoint(&local.options), None, socket, Arc::new(TokioRuntime))
    {
        Ok(endpoint) => endpoint,
        Err(error) => {
            // The receiver waits in `connect` for exactly this message.
            let _ = ready.send(Err(NetError::Thread { reason: error.to_string() }));
            return;
        }
    };
    match assemble(&endpoint, &local).await {
        Ok((mesh, links)) => {
            if ready.send(Ok(mesh)).is_ok() {
                links.serve(leave, local.options.deadline).await;
            }
        }
        Err(error) => {
            endpoint.close(ABORT, words(&error).as_bytes());
            let _ = ready.send(Err(error));
        }
    }
    endpoint.close(ABORT, b"");
    let _ = timeout(LINGER, endpoint.wait_idle()).await;
}

/// Joins, agrees on the session and starts the streams.
async fn assemble(endpoint: &Endpoint, local: &Arc<Local>) -> Result<(Mesh, Streams), NetError> {
    let verifier = Verifier::answering(&local.roster, local.me);
    let crypto = server(&local.own, verifier.clone())?;
    endpoint.set_server_config(Some(tuning::server(crypto.clone())));
    let mut joined = join(endpoint, local, crypto, verifier).await?;

    let hellos = PartyId::ALL.map(|id| joined[id.index()].as_ref().map_or(&local.ready.hello, |j| &j.hello));
    let session = ready::session(hellos);
    let keys = hellos.map(|hello| hello.key.clone());
    confirm(local, &mut joined, session).await?;

    let agreed = Agreed { me: local.me, parties: local.roster.parties().clone(), session, keys };
    let mut streams = Streams::new(endpoint.clone(), local.options.deadline / 2);
    let links = PartyId::ALL.map(|peer| {
        let joined = joined[peer.index()].as_ref()?;
        Some(streams.start(&agreed, peer, &joined.connection, &local.options))
    });
    let connections = joined.map(|joined| joined.map(|joined| joined.connection));
    Ok((Mesh { agreed, links, connections }, streams))
}

/// Both peers must have computed the same session.
async fn confirm(
    local: &Local,
    joined: &mut [Option<Joined>; PartyId::COUNT],
    session: SessionId,
) -> Result<(), NetError> {
    let check = async |peer: PartyId, joined: &mut Option<Joined>| {
        let Some(joined) = joined else { return Ok(()) };
        let party = local.roster.party(peer);
        let lost = |reason| NetError::PeerLost {
            party: party.clone(),
            step: local.ready.hello.step,
            after: Duration::ZERO,
            reason,
        };
        match timeout(local.options.join_deadline, joined.control.confirm(party, session)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Fault::Fatal(error))) => Err(error),
            Ok(Err(Fault::Connection(error))) => Err(lost(describe(&error, local.options.deadline / 2))),
            Ok(Err(Fault::Passing(what))) => Err(lost(what)),
            Err(_) => Err(lost("it did not confirm the session in time".to_owned())),
        }
    };
    let [first, second, third] = joined;
    let [a, b, c] = PartyId::ALL;
    tokio::try_join!(check(a, first), check(b, second), check(c, third))?;
    Ok(())
}

/// The tasks that move frames between queues and streams.
struct Streams {
    endpoint: Endpoint,
    idle: Duration,
    peers: Vec<Peer>,
    writers: JoinSet<(PartyId, Result<(), End>)>,
    /// Readers and watchers. They end with the thread.
    others: JoinSet<()>,
}

struct Peer {
    id: PartyId,
    connection: Connection,
    incoming: Queues,
    outgoing: Queues,
}

impl Streams {
    fn new(endpoint: Endpoint, idle: Duration) -> Self {
        let mut others = JoinSet::new();
        others.spawn(refuse_all(endpoint.clone()));
        Self { endpoint, idle, peers: Vec::new(), writers: JoinSet::new(), others }
    }

    fn start(&mut self, agreed: &Agreed, id: PartyId, connection: &Connection, options: &Options) -> Link {
        let queue = |bytes: &PerPhase<usize>, phase| Arc::new(FrameQueue::new(*bytes.of(phase)));
        let both =
            |bytes| PerPhase { offline: queue(bytes, Phase::Offline), online: queue(bytes, Phase::Online) };
        let (outgoing, incoming) = (both(&options.send_ahead), both(&options.read_ahead));
        let (session, idle) = (agreed.session, self.idle);
        for phase in Phase::ALL {
            let (connection, queue) = (connection.clone(), outgoing.of(phase).clone());
            self.writers.spawn(async move {
                let written = write_frames(connection, phase, session, queue.clone(), idle).await;
                if let Err(end) = &written {
                    queue.refuse(end.clone());
                }
                (id, written)
            });
        }
        let inbound = Phase::ALL.map(|phase| Inbound {
            party: agreed.parties[id.index()].clone(),
            session,
            queue: incoming.of(phase).clone(),
            max_frame: options.max_frame,
            idle,
        });
        self.others.spawn(read_streams(connection.clone(), inbound));
        self.others.spawn(watch(connection.clone(), outgoing.clone(), idle));
        self.peers.push(Peer {
            id,
            connection: connection.clone(),
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
        });
        Link { outgoing, incoming }
    }

    async fn serve(mut self, leave: oneshot::Receiver<Leave>, deadline: Duration) {
        match leave.await {
            Ok(Leave::Close(answer)) => {
                let flushed = self.flush(deadline).await;
                match &flushed {
                    Ok(()) => self.endpoint.close(GOODBYE, b""),
                    Err(_) => self.endpoint.close(ABORT, b"it could not deliver its last messages"),
                }
                let _ = timeout(LINGER, self.endpoint.wait_idle()).await;
                let _ = answer.send(flushed);
            }
            Ok(Leave::Abort(reason)) => self.endpoint.close(ABORT, reason.as_bytes()),
            Err(_) => self.endpoint.close(ABORT, b"it left without saying goodbye"),
        }
    }

    /// Waits until both peers have everything, as long as something moves.
    async fn flush(&mut self, deadline: Duration) -> Result<(), Undelivered> {
        let mut moved = Instant::now();
        let mut seen = self.stream_frames_sent();
        let mut first_failure = None;
        loop {
            tokio::select! {
                finished = self.writers.join_next() => {
                    let failure = match finished {
                        None => return first_failure.map_or(Ok(()), Err),
                        Some(Ok((id, Err(End::Lost(reason))))) if !self.said_goodbye(id) => {
                            Some(Undelivered::Lost { peer: id, after: moved.elapsed(), reason })
                        }
                        // A peer that finished first wants nothing more.
                        Some(Ok(_)) => None,
                        Some(Err(panic)) => Some(Undelivered::Thread(panic.to_string())),
                    };
                    // The other peer still gets everything.
                    first_failure = first_failure.or(failure);
                    moved = Instant::now();
                },
                () = sleep(TICK) => {
                    let sent = self.stream_frames_sent();
                    if sent != seen {
                        (seen, moved) = (sent, Instant::now());
                    } else if moved.elapsed() >= deadline {
                        return Err(self.stalled(moved.elapsed()));
                    }
                }
            }
        }
    }

    fn said_goodbye(&self, id: PartyId) -> bool {
        let mut peers = self.peers.iter().filter(|peer| peer.id == id);
        peers.any(|peer| Phase::ALL.iter().all(|phase| peer.incoming.of(*phase).finished()))
    }

    /// Grows as long as the peers' flow control and the network let data out.
    fn stream_frames_sent(&self) -> u64 {
        self.peers.iter().map(|peer| peer.connection.stats().frame_tx.stream).sum()
    }

    fn stalled(&self, waited: Duration) -> Undelivered {
        let queued = |peer: &Peer| Phase::ALL.iter().map(|phase| peer.outgoing.of(*phase).bytes()).sum();
        let worst = self
            .peers
            .iter()
            .map(|peer| (queued(peer), peer.id))
            .max_by_key(|(queued, _): &(usize, _)| *queued);
        match worst {
            Some((queued, peer)) => Undelivered::Stalled { peer, waited, queued },
            None => Undelivered::Thread("no peer is joined".to_owned()),
        }
    }
}

/// Accepts the peer's two streams and reads them to their end.
async fn read_streams(connection: Connection, inbound: [Inbound; Phase::COUNT]) {
    let idle = inbound[0].idle;
    let mut readers = JoinSet::new();
    let mut waiting = inbound.clone().map(Some);
    while waiting.iter().any(Option::is_some) {
        let mut stream = match connection.accept_uni().await {
            Ok(stream) => stream,
            Err(error) => {
                waiting.iter().flatten().for_each(|inbound| inbound.queue.end(end(&error, idle)));
                break;
            }
        };
        match read_phase(&mut stream).await.and_then(|phase| waiting[phase.index()].take()) {
            Some(inbound) => {
                readers.spawn(read_frames(stream, inbound));
            }
            None => {
                for inbound in &inbound {
                    inbound.queue.end(malformed(inbound, "a stream of unknown or repeated type"));
                }
                break;
            }
        }
    }
    while readers.join_next().await.is_some() {}
}

/// Tells the sending queues when the connection ends, even if no writer is busy.
async fn watch(connection: Connection, outgoing: Queues, idle: Duration) {
    let end = end(&connection.closed().await, idle);
    for phase in Phase::ALL {
        outgoing.of(phase).refuse(end.clone());
    }
}
