//! Settings of a QUIC mesh, and what the parties must agree on before the first message.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::{PartyId, PerPhase};

/// Settings that each party chooses for itself. All have defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a send or a receive waits without any progress. Default 30 s. A killed peer is noticed
    /// after half of it, because the connection itself then counts as idle.
    pub deadline: Duration,
    /// How long [`QuicListener::connect`](super::QuicListener::connect) waits for the two peers. Default 30 s.
    pub join_deadline: Duration,
    /// Bytes queued for one peer before `send` blocks. Default 64 MiB for each phase.
    pub send_ahead: PerPhase<usize>,
    /// Bytes received from one peer ahead of the protocol. Default 256 MiB offline, 64 MiB online.
    pub read_ahead: PerPhase<usize>,
    /// The longest payload in bytes, sent or accepted. Default 64 MiB.
    pub max_frame: usize,
    /// The largest UDP payload in bytes: used at once on loopback, found by probing elsewhere.
    /// Default 6000; values outside 1200..=6400 count as the nearest of the two.
    pub max_datagram: u16,
    /// How to tune the connections. Default [`Path::Detect`].
    pub path: Path,
    /// What sets the pace on a real network; loopback has [`Congestion::Cubic`]. Default [`Congestion::Bbr`].
    pub congestion: Congestion,
    /// Set to true by anybody to end the waiting for peers. Default none.
    pub stop: Option<Arc<AtomicBool>>,
    /// Told of peers that come and go while this party joins. Default none.
    pub arrivals: Option<Arrivals>,
}

/// What sets the pace of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Congestion {
    /// BBR: by the rate and the round trip that it measures. Loss by chance does not slow it down.
    #[default]
    Bbr,
    /// Cubic: by loss, which it takes for a full queue.
    Cubic,
}

/// Called on the network thread with a peer, and whether it is there.
#[derive(Clone)]
pub struct Arrivals(pub Arc<dyn Fn(PartyId, bool) + Send + Sync>);

impl fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arrivals")
    }
}

/// What kind of path joins the parties.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Path {
    /// [`Path::Loopback`] for a peer at a loopback address, else [`Path::Network`].
    #[default]
    Detect,
    /// One machine: large datagrams and a large congestion window at once, in-flight data below the
    /// socket buffers.
    Loopback,
    /// A real network, or a relay on loopback that behaves like one.
    Network,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            join_deadline: Duration::from_secs(30),
            send_ahead: PerPhase { offline: 64 << 20, online: 64 << 20 },
            read_ahead: PerPhase { offline: 256 << 20, online: 64 << 20 },
            max_frame: 64 << 20,
            max_datagram: 6000,
            path: Path::Detect,
            congestion: Congestion::default(),
            stop: None,
            arrivals: None,
        }
    }
}

/// The longest job text in bytes.
pub const MAX_JOB_TEXT: usize = 256 * 1024;

/// The longest public key blob in bytes.
pub const MAX_KEY: usize = 64;

/// The longest purpose in bytes.
pub const MAX_PURPOSE: usize = 64;

/// What this party says about the job before the first message. All but the key must agree.
#[derive(Clone, Debug)]
pub struct Job {
    /// Digest of the job that all parties agreed on.
    pub hash: [u8; 32],
    /// The job's text, to show the first differing line when the digests differ. At most 256 KiB.
    pub text: Option<String>,
    /// The step to start at: 0, or the checkpoint's.
    pub step: u64,
    /// What this party is about to do, in words for people, such as `training`. At most 64 bytes.
    pub purpose: String,
    /// This party's fresh public key for key agreement between pairs, opaque here. At most 64 bytes.
    pub key: Vec<u8>,
}
