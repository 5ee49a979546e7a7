//! Three joined parties on either transport, for tests that must hold on both.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use tercet_net::identity::{self, Identity};
use tercet_net::quic::{Job, Options, QuicListener, QuicTransport};
use tercet_net::{Label, NetError, PartyId, PerPhase, Roster, RosterEntry, Tag, Transport, memory};

pub(crate) const NAMES: [&str; 3] = ["hospital-a", "hospital-b", "hospital-c"];
pub(crate) const A: PartyId = PartyId::ALL[0];
pub(crate) const B: PartyId = PartyId::ALL[1];
pub(crate) const C: PartyId = PartyId::ALL[2];

/// Bounds that tests choose; the same for both transports.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) deadline: Duration,
    pub(crate) capacity: usize,
    pub(crate) max_frame: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(20), capacity: 64 << 20, max_frame: 64 << 20 }
    }
}

pub(crate) type Party = Box<dyn Transport>;

pub(crate) trait Mesh {
    fn build(bounds: Bounds) -> [Party; 3];
}

pub(crate) struct Memory;
pub(crate) struct Quic;

impl Mesh for Memory {
    fn build(bounds: Bounds) -> [Party; 3] {
        let options = memory::Options {
            deadline: bounds.deadline,
            capacity: PerPhase { offline: bounds.capacity, online: bounds.capacity },
            max_frame: bounds.max_frame,
            keys: keys(),
            ..memory::Options::default()
        };
        memory::mesh_with(NAMES, options).unwrap().map(|party| Box::new(party) as Party)
    }
}

impl Mesh for Quic {
    fn build(bounds: Bounds) -> [Party; 3] {
        let setup = Setup::new();
        let joined = setup.connect_all(|_, options| {
            options.deadline = bounds.deadline;
            options.send_ahead = PerPhase { offline: bounds.capacity, online: bounds.capacity };
            options.read_ahead = PerPhase { offline: bounds.capacity, online: bounds.capacity };
            options.max_frame = bounds.max_frame;
        });
        joined.map(|party| Box::new(party.unwrap()) as Party)
    }
}

pub(crate) fn keys() -> [Vec<u8>; 3] {
    [vec![1; 32], vec![2; 64], vec![]]
}

pub(crate) const JOB: &str = "[job]\nmodel = \"mlp\"\nsteps = 100\n";

pub(crate) fn job(me: PartyId) -> Job {
    Job {
        hash: [7; 32],
        text: Some(JOB.to_owned()),
        step: 0,
        purpose: "training".to_owned(),
        key: keys()[me.index()].clone(),
    }
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Three listeners on ports that the system chose, and the roster that joins them.
pub(crate) struct Setup {
    pub(crate) listeners: [Option<QuicListener>; 3],
    pub(crate) entries: [RosterEntry; 3],
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(NAMES.map(|name| identity::generate(name).unwrap()))
    }

    pub(crate) fn with(identities: [Identity; 3]) -> Self {
        let mut names = NAMES.iter();
        let mut entries = Vec::new();
        let listeners = identities.map(|identity| {
            let fingerprint = identity.fingerprint();
            let listener = QuicListener::bind(identity, loopback()).unwrap();
            let address = listener.local_addr().to_string();
            entries.push(RosterEntry { name: (*names.next().unwrap()).to_owned(), address, fingerprint });
            Some(listener)
        });
        Self { listeners, entries: entries.try_into().unwrap() }
    }

    pub(crate) fn roster(&self) -> Roster {
        Roster::new(self.entries.clone()).unwrap()
    }

    /// Connects all three at once, each with its own change to job and options.
    pub(crate) fn connect_all(
        self,
        change: impl Fn(&mut Job, &mut Options),
    ) -> [Result<QuicTransport, NetError>; 3] {
        self.connect_each(|_, job, options| change(job, options))
    }

    pub(crate) fn connect_each(
        mut self,
        change: impl Fn(PartyId, &mut Job, &mut Options),
    ) -> [Result<QuicTransport, NetError>; 3] {
        let roster = self.roster();
        let threads = PartyId::ALL.map(|me| {
            let listener = self.listeners[me.index()].take().unwrap();
            let (roster, mut job, mut options) = (roster.clone(), job(me), Options::default());
            options.join_deadline = Duration::from_secs(10);
            change(me, &mut job, &mut options);
            thread::spawn(move || listener.connect(&roster, job, options))
        });
        threads.map(|thread| thread.join().unwrap())
    }
}

/// A tag for tests.
pub(crate) fn tag(step: u64, op: u64) -> Tag {
    Tag::new(step, op, Label::new("test.open").with(&[64]))
}

/// Runs three closures as three parties.
pub(crate) fn play<X: Send>(
    parties: [Party; 3],
    roles: [Box<dyn FnOnce(Party) -> X + Send + '_>; 3],
) -> [X; 3] {
    thread::scope(|scope| {
        let mut parties = parties.into_iter();
        let threads = roles.map(|role| {
            let party = parties.next().unwrap();
            scope.spawn(move || role(party))
        });
        threads.map(|thread| thread.join().unwrap())
    })
}
