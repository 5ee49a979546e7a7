//! The `tercet` program: everything between the command line and the engine.
//!
//! * [`job`]: what the three parties agreed on; [`config`] and [`sources`]: what one party keeps to itself.
//! * [`node`]: one party's run, from its rows to the model, the record and the goodbye.
//! * [`checkpoint`]: what a party keeps for the day that it is interrupted; [`recovery`]: how three parties go on together.
//! * [`status`]: where a node stands, for its people; [`stop`]: how they end it.
//! * [`baseline`]: the same job in floating point on rows in one place.
//! * [`testnet`]: three node processes of this program on loopback.
//! * [`plan`]: what a job will cost, before anything runs; [`link`]: the network that it assumes.
//! * [`privacy`]: the budget of a party's rows, and the report of what a run spent of it.
//! * [`metrics`]: what its operators may watch of a running node.
//! * [`process`]: what a node keeps from the rest of its machine.
//! * [`cli`]: the commands; [`logging`] and [`progress`]: what a person sees meanwhile.

#![forbid(unsafe_code)]

pub mod baseline;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod job;
pub mod link;
pub mod logging;
pub mod metrics;
pub mod node;
mod placement;
pub mod plan;
pub mod privacy;
pub mod process;
pub mod progress;
pub mod recovery;
pub mod sources;
pub mod status;
pub mod stop;
pub mod testnet;
mod text;
mod toml_fault;
