//! The relay as its user sees it.

use std::io::{self, PipeWriter};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::engine::{Engine, Outage, Shared, lock};
use crate::link::later;
use crate::socket::Port;
use crate::{Direction, Partition, Profile, RelayError, Stats};

/// Settings with which one rarely has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How long a client's mapping lives without a datagram in either direction. Default 120 s, longer than any
    /// connection here stays idle.
    pub idle: Duration,
    /// The most clients at one time; a newer one takes the place of the longest idle. Default 64.
    pub most_clients: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { idle: Duration::from_secs(120), most_clients: 64 }
    }
}

/// A running relay. It ends, and its thread with it, when this is stopped or dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    /// Held, not written to: the thread ends when this is closed.
    keep: Option<PipeWriter>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Relay {
    /// Listens on `listen` (port 0 lets the system choose) and passes datagrams to `target` and the answers back.
    /// Nobody needs to listen at the target yet.
    ///
    /// # Errors
    /// [`RelayError::Bind`] when the address cannot be used, [`RelayError::Start`] when the system gives no thread.
    pub fn start(listen: SocketAddr, target: SocketAddr, profile: Profile) -> Result<Relay, RelayError> {
        Self::start_with(listen, target, profile, Options::default())
    }

    /// [`Relay::start`] with other settings than the default.
    ///
    /// # Errors
    /// The same.
    pub fn start_with(
        listen: SocketAddr,
        target: SocketAddr,
        profile: Profile,
        options: Options,
    ) -> Result<Relay, RelayError> {
        let bound = Port::listening(listen).and_then(|port| port.local_addr().map(|address| (port, address)));
        let (port, address) = bound.map_err(|source| RelayError::Bind { address: listen, source })?;
        let (ended, keep) = io::pipe().map_err(RelayError::Start)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let clients = Clients::new(target, options.idle, options.most_clients);
        let engine = Engine::new(port, clients, &profile, ended, shared.clone());
        let mut relay = Relay { address, shared, keep: Some(keep), thread: None };
        for (direction, shape) in
            [(Direction::ToTarget, profile.to_target), (Direction::ToClient, profile.to_client)]
        {
            shape.partition.iter().for_each(|partition| relay.set_partition(&[direction], *partition));
        }
        let thread = std::thread::Builder::new()
            .name("tercet-relay".to_owned())
            .spawn(move || engine.run())
            .map_err(RelayError::Start)?;
        relay.thread = Some(thread);
        Ok(relay)
    }

    /// Where to dial.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The counts so far; what is being received this moment may be missing.
    pub fn stats(&self) -> Stats {
        lock(&self.shared).stats
    }

    /// Drops everything that arrives in a time that begins `partition.after` from now. What is on its way by then
    /// still arrives. Several partitions add up.
    pub fn set_partition(&self, directions: &[Direction], partition: Partition) {
        let from = later(Instant::now(), partition.after);
        let until = later(from, partition.lasting);
        let mut shared = lock(&self.shared);
        shared.outages.extend(directions.iter().map(|direction| Outage {
            direction: *direction,
            from,
            until,
        }));
    }

    /// Ends all partitions, those to come as well.
    pub fn heal(&self) {
        lock(&self.shared).outages.clear();
    }

    /// Whether the relay's thread is there. It ends by itself only when the system refuses to wait for its sockets.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the relay and its thread. What is still on its way is dropped.
    ///
    /// # Errors
    /// [`RelayError::Stopped`] when the thread had ended before.
    pub fn stop(mut self) -> Result<Stats, RelayError> {
        self.end().map_err(|reason| RelayError::Stopped { address: self.address, reason })?;
        Ok(self.stats())
    }

    fn end(&mut self) -> Result<(), String> {
        drop(self.keep.take());
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(error.to_string()),
            Some(Err(_)) => Err("its thread panicked".to_owned()),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Nobody is left to whom a failure could be told.
        let _ = self.end();
    }
}
