//! Programs that run as three parties, and the values that tests feed them.
#![allow(dead_code, unused_imports)]

use tercet_engine::Cost;
use tercet_engine::Engine;
use tercet_helper::{CostEngine, Roles, local::Program};
use tercet_net::PartyId;

#[path = "../../../online/tests/shared/support.rs"]
mod shared;

pub use shared::*;

/// What a program declares, and what the meters of the three parties measured.
pub fn declared<P: Program>(program: &P) -> Cost {
    let [e0, e1, h] = PartyId::ALL;
    let mut engine = CostEngine::new(Roles { evaluators: [e0, e1], dealer: h });
    program.run(&mut engine).unwrap_or_else(|e| panic!("the cost engine runs the same program: {e}"));
    engine.measured()
}
