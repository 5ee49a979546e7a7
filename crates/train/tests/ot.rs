//! Training by three parties without a dealer, in one process.

mod common;

use common::train;
use tercet_engine::Cost;
use tercet_net::memory::MemoryTransport;
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::{CostEngine, join_session};
use tercet_share::EphemeralKey;
use tercet_train::{DataSets, Outcome, TrainError, TrainingJob};

/// Parties that may collude: the noise of the others must do.
const CORRUPT: u32 = 2;

/// Its index, where there is one.
const DEALER: Option<usize> = None;

fn party(
    transport: MemoryTransport,
    key: EphemeralKey,
    identities: [[u8; 32]; 3],
    job: &TrainingJob,
    data: DataSets,
) -> Result<(Outcome, Cost), TrainError> {
    let engine = join_session(transport, FieldBits::default(), key, identities, job.policy())?;
    train(engine, job, data).map(|(o, c, _)| (o, c))
}

fn declared(job: &TrainingJob, data: DataSets) -> Cost {
    train(CostEngine::new(FieldBits::default()), job, data).unwrap().1
}
