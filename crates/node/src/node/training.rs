//! The training itself, the same program at every party, over the engine of this party's role.

use anyhow::{Context, Error, Result};
use tercet_engine::{Engine, OpeningRecord};
use tercet_helper::{Dealer, Evaluator, FromDealer, Role, Roles, join_session};
use tercet_net::quic::QuicTransport;
use tercet_net::{MeterSnapshot, PartyId, Transport};
use tercet_train::{DataSets, Outcome, Trainer};

use super::connect::Joined;
use crate::job::{Job, Protocol};
use crate::logging::Console;
use crate::progress::{Progress, Tick};

/// A training that reached its end.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    pub(super) accounts: Accounts,
    /// Still joined: the results come first, the goodbye after them.
    pub(super) transport: QuicTransport,
}

/// A training that stopped.
pub(super) struct Stopped {
    pub(super) error: Error,
    pub(super) accounts: Accounts,
}

/// What a training cost and what it opened.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) meter: MeterSnapshot,
    pub(super) openings: Vec<OpeningRecord>,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped { error, accounts: Accounts::default() }
    }
}

/// An engine that gives its transport back.
trait Session: Engine + 'static {
    fn transport(&self) -> &QuicTransport;
    fn into_transport(self) -> QuicTransport;
}

impl Session for Evaluator<QuicTransport, FromDealer> {
    fn transport(&self) -> &QuicTransport {
        self.transport()
    }

    fn into_transport(self) -> QuicTransport {
        self.into_transport()
    }
}

impl Session for Dealer<QuicTransport> {
    fn transport(&self) -> &QuicTransport {
        self.transport()
    }

    fn into_transport(self) -> QuicTransport {
        self.into_transport()
    }
}

/// Trains over `joined`. A training that stops drops the transport, which tells the peers.
pub(super) fn run(job: &Job, joined: Joined, rows: DataSets, console: &Console) -> Result<Ran, Stopped> {
    let Joined { transport, key, identities } = joined;
    let policy = job.training.release.policy();
    match job.protocol {
        Protocol::Helper => {
            // Parties are ordered by role.
            let [e0, e1, dealer] = PartyId::ALL;
            let roles = Roles::new(e0, e1, dealer).context("the three roles belong to three parties");
            let role = join_session(transport, roles?, key, identities, policy).map_err(Error::from)?;
            match role {
                Role::Evaluator(engine) => train(*engine, job, rows, console),
                Role::Dealer(engine) => train(*engine, job, rows, console),
            }
        }
    }
}

fn train<E: Session>(engine: E, job: &Job, rows: DataSets, console: &Console) -> Result<Ran, Stopped> {
    let mut trainer = Trainer::new(engine, &job.training, rows).map_err(Error::from)?;
    let mut progress = Progress::new(console);
    let result = trainer.run(&mut |now, engine| {
        let tick = Tick {
            step: now.step,
            steps: now.steps,
            epoch: now.epoch,
            epochs: now.epochs,
            loss: now.metric.and_then(|metric| metric.loss),
            accuracy: now.metric.and_then(|metric| metric.accuracy),
        };
        progress.show(tick, || Some(engine.measured().sent_by(engine.party())));
    });
    progress.finish();
    let engine = trainer.into_engine();
    let accounts =
        Accounts { meter: engine.transport().meter().snapshot(), openings: engine.openings().to_vec() };
    match result {
        Ok(outcome) => Ok(Ran { outcome, accounts, transport: engine.into_transport() }),
        Err(error) => Err(Stopped { error: error.into(), accounts }),
    }
}
