//! The operator's view of a running node: metrics for Prometheus at `/metrics`, and a small live page at `/`.
//!
//! It shows counts and public progress: steps, rounds, bytes on each link, who is there, and the loss and accuracy that the
//! job opened to this party. No share, mask, key, row or weight comes near it: [`Live`] has no place for one. It listens on
//! loopback; any other address needs a second, explicit word, for what it shows is meant for this party's operators alone.

mod live;
mod page;
mod prometheus;
mod server;

use std::net::SocketAddr;

use serde::Deserialize;

pub use live::{Live, PeerState, RunState, Shown};
pub use prometheus::text;
pub use server::{Server, ServerError};

/// Where the operator's view is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// The TCP address, `127.0.0.1:9464` for instance.
    pub listen: SocketAddr,
    /// Whether it may be an address that other machines reach.
    #[serde(default)]
    pub open: bool,
}
