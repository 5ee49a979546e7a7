//! A UDP relay that gives a loopback link the delay, rate and faults of a real network, without root.
//!
//! A party dials the relay's address instead of its peer's. The relay passes datagrams on in both directions and shapes
//! each direction by its own [`Shape`]: delay, rate with a bounded queue, jitter, loss, duplication, corruption and
//! partitions. The random choices of a direction follow from its seed and the order of arrival alone.
//!
//! ```
//! use tercet_relay::{Profile, Relay};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let profile: Profile = "delay=10ms,rate=50mbit,loss=1%,jitter=5ms,reorder".parse()?;
//! let relay = Relay::start("127.0.0.1:0".parse()?, "127.0.0.1:9001".parse()?, profile)?;
//! println!("dial {}", relay.local_addr());
//! let stats = relay.stop()?;
//! assert_eq!(stats.to_target.received, 0);
//! # Ok(())
//! # }
//! ```
//!
//! One thread does everything: it waits in one `ppoll` for a datagram or for the time of the next delivery. It reads
//! and writes several datagrams per system call. The model is netem's, as far as both go: a datagram waits for the
//! ones before it (rate), then travels (delay and jitter).

mod clients;
mod direction;
mod engine;
mod error;
mod fate;
mod link;
mod parse;
mod relay;
mod schedule;
mod shape;
mod socket;
mod stats;

pub use direction::Direction;
pub use error::{ProfileError, RelayError};
pub use parse::duration;
pub use relay::{Options, Relay};
pub use shape::{Partition, PartsPerMillion, Profile, Shape};
pub use stats::{Stats, WayStats};
