//! Oblivious transfer and its extension; Beaver triples without a dealer.

pub mod base;
pub mod channel;
mod error;
pub mod extension;
mod fold;
mod hash;
mod kernel;
mod pprf;
mod prg;
pub mod dabit;
pub mod link;
pub mod product;
mod secret;
mod session;
pub mod triples;

pub use error::{ChannelError, OtError};
pub use secret::{Secret, fresh_rng};
pub use session::Context;
