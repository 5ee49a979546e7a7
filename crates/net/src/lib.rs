//! Three parties joined over QUIC: transport, framing, metering, deadlines.
//!
//! The protocols are written against [`Transport`]. It has two implementations with one behaviour:
//! [`memory`] joins three threads of one process, [`quic`] joins three processes with mutually
//! authenticated TLS 1.3. This crate knows nothing of shares: a payload is a vector of bytes.
//!
//! What every transport promises:
//! * Messages of one (sender, receiver, phase) arrive in the order of sending, or not at all.
//! * [`Transport::recv`] compares session, step, operation, label and length with what the receiver
//!   expects, and names both sides' position when they differ.
//! * Nothing waits for ever: a silent peer, a lost peer and a peer that finished early are three
//!   different errors, each with the party, the step and the time waited.
//! * The offline phase and the online phase never wait for each other.

pub mod codec;
pub mod error;
pub mod fault;
pub mod fingerprint;
pub mod header;
pub mod identity;
mod links;
pub mod memory;
pub mod meter;
pub mod party;
pub mod phase;
mod queue;
pub mod quic;
pub mod roster;
pub mod session;
pub mod tag;
pub mod transport;

pub use error::{CertificateFault, NetError, Position};
pub use fingerprint::Fingerprint;
pub use header::Header;
pub use identity::Identity;
pub use meter::{Meter, MeterRow, MeterSnapshot, Traffic};
pub use party::{Party, PartyId};
pub use phase::{PerPhase, Phase};
pub use roster::{Roster, RosterEntry};
pub use session::SessionId;
pub use tag::{Label, Tag};
pub use transport::Transport;
