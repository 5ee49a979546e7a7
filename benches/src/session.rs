//! Three parties in one process, each in its own thread, that make training steps on command.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tercet_engine::{Cost, Engine, Policy};
use tercet_helper::{Evaluator, Role, Roles};
use tercet_net::quic::{self, QuicListener};
use tercet_net::{PartyId, Roster, RosterEntry, Transport, identity, memory};
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::OtSource;
use tercet_share::EphemeralKey;
use tercet_train::{DataSets, Trainer, TrainingJob};

use crate::Training;
use crate::rows::seen_by;

/// Who makes the correlated randomness of the online phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// A dealer, for two evaluators.
    Helper,
    /// Three evaluators, by oblivious transfer with the default field parameter.
    Ot,
}

impl Protocol {
    /// Names of the parties.
    fn names(self) -> [&'static str; PartyId::COUNT] {
        match self {
            Protocol::Helper => ["E0", "E1", "H"],
            Protocol::Ot => ["P0", "P1", "P2"],
        }
    }

    /// Whether `party` evaluates, and so counts rounds.
    pub(crate) fn evaluates(self, party: usize) -> bool {
        match self {
            Protocol::Helper => roles().evaluators.iter().any(|e| e.index() == party),
            Protocol::Ot => true,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Helper => "helper",
            Protocol::Ot => "ot",
        })
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Protocol, String> {
        match text {
            "helper" => Ok(Protocol::Helper),
            "ot" => Ok(Protocol::Ot),
            _ => Err(format!("there is no protocol `{text}`: use `helper` or `ot`")),
        }
    }
}

/// What joins the parties.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// Queues in memory.
    Memory,
    /// QUIC with mutual TLS over loopback.
    Quic,
}

/// Where the parties run their parallel kernels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// All three in one pool of one thread a core.
    Shared,
    /// Each in a pool of its own of so many threads.
    Each(usize),
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Threads::Shared => f.write_str("one pool of all cores for the three parties"),
            Threads::Each(1) => f.write_str("one thread for each party"),
            Threads::Each(n) => write!(f, "{n} threads for each party"),
        }
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Threads, String> {
        match (text, text.parse()) {
            ("shared", _) => Ok(Threads::Shared),
            (_, Ok(n @ 1..=1024)) => Ok(Threads::Each(n)),
            _ => Err(format!("`{text}` is neither `shared` nor a number of threads from 1 to 1024")),
        }
    }
}

/// The roles of the parties of the helper protocol: E0, E1 and H are parties 0, 1 and 2.
pub(crate) fn roles() -> Roles {
    let [e0, e1, dealer] = PartyId::ALL;
    Roles { evaluators: [e0, e1], dealer }
}

/// A training by three parties that have joined and whose rows are shared already. With [`Protocol::Ot`] the base transfers
/// are done, too.
///
/// Between two calls of [`Training::steps`] all parties are at the same step, so that what a dealer runs ahead is paid
/// for in the call that uses it.
pub struct Session {
    protocol: Protocol,
    parties: Vec<Party>,
    /// Traffic that each party saw so far.
    traffic: [Cost; PartyId::COUNT],
    steps: u64,
}

struct Party {
    name: &'static str,
    orders: Sender<u64>,
    /// All traffic so far, after every order.
    answers: Receiver<Result<Cost>>,
    thread: JoinHandle<Result<()>>,
}

impl Session {
    /// Joins three parties with fresh keys over `link` and shares the rows of `data`, each party those that it owns.
    ///
    /// # Errors
    /// A job or rows that do not fit, or parties that cannot join.
    pub fn start(
        protocol: Protocol,
        link: Link,
        threads: Threads,
        job: &TrainingJob,
        data: &DataSets,
    ) -> Result<Session> {
        // As the node does at its start.
        tercet_share::allocation::keep_freed_memory();
        let keys = [EphemeralKey::generate()?, EphemeralKey::generate()?, EphemeralKey::generate()?];
        let cast = Cast { protocol, threads, job, data };
        let parties = match link {
            Link::Memory => in_memory(cast, keys)?,
            Link::Quic => over_quic(cast, keys)?,
        };
        let mut session = Session { protocol, parties, traffic: Default::default(), steps: 0 };
        session.traffic = session.answers()?;
        Ok(session)
    }

    /// What the parties speak.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Steps so far.
    pub fn steps_done(&self) -> u64 {
        self.steps
    }

    /// Rounds and bytes so far, from the joining of the parties on, as each party's meter saw them: its own links only.
    pub fn traffic(&self) -> [Cost; PartyId::COUNT] {
        self.traffic
    }

    /// Ends the session in good order.
    ///
    /// # Errors
    /// What a party met while it left.
    pub fn finish(self) -> Result<()> {
        let threads = self.parties.into_iter().map(|Party { name, orders, thread, .. }| {
            drop(orders);
            (name, thread)
        });
        // All are told to end before one is waited for.
        for (name, thread) in threads.collect::<Vec<_>>() {
            match thread.join() {
                Ok(ended) => ended.with_context(|| format!("party {name} did not leave in good order"))?,
                Err(_) => bail!("party {name} panicked"),
            }
        }
        Ok(())
    }

    fn answers(&self) -> Result<[Cost; PartyId::COUNT]> {
        let mut costs = [Cost::default(); PartyId::COUNT];
        for (cost, party) in costs.iter_mut().zip(&self.parties) {
            *cost = party
                .answers
                .recv()
                .map_err(|_| anyhow!("party {} ended early", party.name))?
                .with_context(|| format!("party {} failed", party.name))?;
        }
        Ok(costs)
    }
}

impl Training for Session {
    fn steps(&mut self, steps: u64) -> Result<Duration> {
        let began = Instant::now();
        for party in &self.parties {
            party.orders.send(steps).map_err(|_| anyhow!("party {} ended early", party.name))?;
        }
        self.traffic = self.answers()?;
        let taken = began.elapsed();
        self.steps += steps;
        Ok(taken)
    }
}

/// What all parties are given.
#[derive(Clone, Copy)]
struct Cast<'a> {
    protocol: Protocol,
    threads: Threads,
    job: &'a TrainingJob,
    data: &'a DataSets,
}

fn in_memory(cast: Cast<'_>, keys: [EphemeralKey; PartyId::COUNT]) -> Result<Vec<Party>> {
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        ..memory::Options::default()
    };
    // Nobody checks certificates in memory: any three different identities do.
    let identities = [[1; 32], [2; 32], [3; 32]];
    let mesh = memory::mesh_with(cast.protocol.names(), options)?;
    let joins = mesh.map(|transport| move || Ok(transport));
    spawn(cast, keys, identities, joins)
}

fn over_quic(cast: Cast<'_>, keys: [EphemeralKey; PartyId::COUNT]) -> Result<Vec<Party>> {
    let mut entries = Vec::with_capacity(PartyId::COUNT);
    let mut listeners = Vec::with_capacity(PartyId::COUNT);
    for name in cast.protocol.names() {
        let identity = identity::generate(name)?;
        let fingerprint = identity.fingerprint();
        let listener = QuicListener::bind(identity, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr().to_string();
        entries.push(RosterEntry { name: name.to_owned(), address, fingerprint });
        listeners.push(listener);
    }
    let entries: [RosterEntry; PartyId::COUNT] =
        entries.try_into().map_err(|_| anyhow!("three names make three entries"))?;
    let roster = Roster::new(entries)?;
    let identities = PartyId::ALL.map(|id| *roster.fingerprint(id).as_bytes());
    let joins = listeners.into_iter().zip(&keys).map(|(listener, key)| {
        let opening = quic::Job {
            hash: [7; 32],
            text: None,
            step: 0,
            purpose: String::new(),
            key: key.public().to_vec(),
        };
        let roster = roster.clone();
        move || Ok(listener.connect(&roster, opening, quic::Options::default())?)
    });
    let joins = joins.collect::<Vec<_>>();
    spawn(cast, keys, identities, joins)
}

/// One thread a party; `joins` give each its transport, in its own thread.
fn spawn<T: Transport + 'static>(
    cast: Cast<'_>,
    keys: [EphemeralKey; PartyId::COUNT],
    identities: [[u8; 32]; PartyId::COUNT],
    joins: impl IntoIterator<Item = impl FnOnce() -> Result<T> + Send + 'static>,
) -> Result<Vec<Party>> {
    let named = joins.into_iter().zip(keys).zip(cast.protocol.names());
    let parties = named.enumerate().map(|(index, ((join, key), name))| {
        let (orders, ordered) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let (protocol, job, data) = (cast.protocol, cast.job.clone(), seen_by(cast.data, index));
        let pool = match cast.threads {
            Threads::Shared => None,
            Threads::Each(n) => {
                let named = move |i| format!("{name}-{i}");
                Some(rayon::ThreadPoolBuilder::new().num_threads(n).thread_name(named).build()?)
            }
        };
        let play = move || {
            let joined = join().and_then(|transport| Joined::new(protocol, transport, key, identities));
            match joined {
                Ok(Joined::Helper(Role::Evaluator(engine))) => {
                    train(*engine, &job, data, &ordered, &answer).map(|e| e.map(|e| e.into_transport()))
                }
                Ok(Joined::Helper(Role::Dealer(engine))) => {
                    train(*engine, &job, data, &ordered, &answer).map(|e| e.map(|e| e.into_transport()))
                }
                Ok(Joined::Ot(engine)) => {
                    train(*engine, &job, data, &ordered, &answer).map(|e| e.map(|e| e.into_transport()))
                }
                Err(error) => {
                    // A session that is gone does not want to know.
                    let _ = answer.send(Err(error));
                    Ok(None)
                }
            }
            .and_then(|transport| match transport {
                Some(transport) => Ok(Box::new(transport).close()?),
                None => Ok(()),
            })
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || match pool {
            Some(pool) => pool.install(play),
            None => play(),
        })?;
        Ok(Party { name, orders, answers, thread })
    });
    parties.collect()
}

/// The engine of a party.
enum Joined<T> {
    Helper(Role<T>),
    Ot(Box<Evaluator<T, OtSource>>),
}

impl<T: Transport> Joined<T> {
    fn new(
        protocol: Protocol,
        transport: T,
        key: EphemeralKey,
        identities: [[u8; 32]; PartyId::COUNT],
    ) -> Result<Joined<T>> {
        let policy = Policy::default();
        Ok(match protocol {
            Protocol::Helper => {
                Joined::Helper(tercet_helper::join_session(transport, roles(), key, identities, policy)?)
            }
            Protocol::Ot => {
                let field = FieldBits::default();
                let engine =
                    tercet_ot::preprocessing::join_session(transport, field, key, identities, policy)?;
                Joined::Ot(Box::new(engine))
            }
        })
    }
}

/// Makes the ordered steps until there are no more orders; `None` after an error, which went to the session.
fn train<E: Engine + 'static>(
    engine: E,
    job: &TrainingJob,
    data: DataSets,
    orders: &Receiver<u64>,
    answers: &Sender<Result<Cost>>,
) -> Result<Option<E>> {
    let gone = || anyhow!("the session ended without its parties");
    let mut trainer = match Trainer::new(engine, job, data) {
        Ok(trainer) => trainer,
        Err(error) => {
            answers.send(Err(error.into())).map_err(|_| gone())?;
            return Ok(None);
        }
    };
    answers.send(Ok(trainer.engine().measured())).map_err(|_| gone())?;
    for steps in orders {
        if let Err(error) = (0..steps).try_for_each(|_| trainer.step()) {
            answers.send(Err(error.into())).map_err(|_| gone())?;
            return Ok(None);
        }
        answers.send(Ok(trainer.engine().measured())).map_err(|_| gone())?;
    }
    Ok(Some(trainer.into_engine()))
}
