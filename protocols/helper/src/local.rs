//! Three parties as threads of one process over the in-memory transport: for tests, benches and experiments.

use std::thread;

use tercet_engine::{EngineError, Policy};
use tercet_net::{
    NetError, PartyId,
    memory::{self, MemoryTransport},
};
use tercet_share::EphemeralKey;

use crate::{Role, Roles, join_session};

pub use tercet_online::Program;

/// Runs `program` as three parties (E0, E1, H are parties 0, 1, 2) with fresh keys; returns what each ends with.
pub fn run<P: Program>(program: &P, policy: &Policy) -> Result<[P::Output; 3], EngineError> {
    run_with(program, policy, memory::Options::default())
}

/// As [`run`], with settings of the mesh (its keys are replaced by fresh ones).
pub fn run_with<P: Program>(
    program: &P,
    policy: &Policy,
    mut options: memory::Options,
) -> Result<[P::Output; 3], EngineError> {
    let keys = [EphemeralKey::generate()?, EphemeralKey::generate()?, EphemeralKey::generate()?];
    options.keys = std::array::from_fn(|i| keys[i].public().to_vec());
    let [e0, e1, h] = PartyId::ALL;
    let roles = Roles { evaluators: [e0, e1], dealer: h };
    let network = |e: NetError| EngineError::Network(Box::new(e));
    let mesh = memory::mesh_with(["E0", "E1", "H"], options).map_err(network)?;
    let party = |transport: MemoryTransport, key: EphemeralKey| -> Result<P::Output, EngineError> {
        let identities = [[1; 32], [2; 32], [3; 32]];
        match join_session(transport, roles, key, identities, policy.clone())? {
            Role::Evaluator(mut e) => {
                let out = program.run(&mut *e)?;
                close(e.into_transport())?;
                Ok(out)
            }
            Role::Dealer(mut d) => {
                let out = program.run(&mut *d)?;
                close(d.into_transport())?;
                Ok(out)
            }
        }
    };
    let party = &party;
    thread::scope(|scope| {
        let threads: Vec<_> =
            mesh.into_iter().zip(keys).map(|(t, k)| scope.spawn(move || party(t, k))).collect();
        let mut outputs = Vec::with_capacity(3);
        let mut first_error = None;
        for thread in threads {
            match thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
                Ok(out) => outputs.push(out),
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        match (first_error, <[P::Output; 3]>::try_from(outputs)) {
            (Some(e), _) => Err(e),
            (None, Ok(out)) => Ok(out),
            (None, Err(_)) => unreachable!("three threads end with three results"),
        }
    })
}

fn close(transport: MemoryTransport) -> Result<(), EngineError> {
    use tercet_net::Transport;
    Box::new(transport).close().map_err(|e| EngineError::Network(Box::new(e)))
}
