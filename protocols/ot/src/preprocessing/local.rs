//! Three parties as threads of one process over the in-memory transport: for tests, benches and experiments.

use std::thread;

use tercet_engine::{EngineError, Policy};
use tercet_net::memory::{self, MemoryTransport};
use tercet_net::{NetError, PartyId, Transport};
use tercet_share::EphemeralKey;

pub use tercet_online::Program;

use super::setup::join_session;
use crate::extension::FieldBits;

/// Runs `program` as three parties with fresh keys; returns what each ends with.
///
/// # Errors
/// The first error of any party.
pub fn run<P: Program>(program: &P, policy: &Policy) -> Result<[P::Output; 3], EngineError> {
    run_with(program, policy, FieldBits::default(), memory::Options::default())
}

/// As [`run`], with settings of the mesh (its keys are replaced by fresh ones) and of the extension.
///
/// # Errors
/// The first error of any party.
pub fn run_with<P: Program>(
    program: &P,
    policy: &Policy,
    field: FieldBits,
    mut options: memory::Options,
) -> Result<[P::Output; 3], EngineError> {
    let keys = [EphemeralKey::generate()?, EphemeralKey::generate()?, EphemeralKey::generate()?];
    options.keys = std::array::from_fn(|i| keys[i].public().to_vec());
    let network = |e: NetError| EngineError::Network(Box::new(e));
    let mesh = memory::mesh_with(["P0", "P1", "P2"], options).map_err(network)?;
    let party = |transport: MemoryTransport, key: EphemeralKey| -> Result<P::Output, EngineError> {
        let mut engine = join_session(transport, field, key, [[1; 32], [2; 32], [3; 32]], policy.clone())?;
        let out = program.run(&mut engine)?;
        Box::new(engine.into_transport()).close().map_err(network)?;
        Ok(out)
    };
    let party = &party;
    let results: Vec<Result<P::Output, EngineError>> = thread::scope(|scope| {
        let threads: Vec<_> =
            mesh.into_iter().zip(keys).map(|(t, k)| scope.spawn(move || party(t, k))).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let outputs = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    debug_assert_eq!(outputs.len(), PartyId::COUNT);
    match <[P::Output; 3]>::try_from(outputs) {
        Ok(outputs) => Ok(outputs),
        Err(_) => unreachable!("three threads end with three results"),
    }
}
