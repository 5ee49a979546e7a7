//! The training itself, the same program at every party, over the engine of this party's role.

use std::time::Duration;

use anyhow::{Context, Error, Result};
use tercet_engine::{Engine, OpeningRecord};
use tercet_helper::{Dealer, Evaluator, FromDealer, Role, Roles, join_session};
use tercet_net::quic::QuicTransport;
use tercet_net::{MeterSnapshot, PartyId, Transport};
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::store::{self, Stored};
use tercet_ot::preprocessing::{self, OtSource};
use tercet_train::{DataSets, Outcome, Trainer};

use super::alive::{Attended, Duty};
use super::connect::Joined;
use super::material::Material;
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
    /// What this party waited for preprocessing while it was online.
    pub(super) preprocessing: Duration,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped { error, accounts: Accounts::default() }
    }
}

/// What the engines send over.
type Link = Attended<QuicTransport>;

/// An engine that gives its transport back.
trait Session: Engine + 'static {
    fn transport(&self) -> &Link;
    fn into_transport(self) -> Link;

    fn preprocessing(&self) -> Duration {
        Duration::ZERO
    }
}

impl Session for Evaluator<Link, FromDealer> {
    fn transport(&self) -> &Link {
        self.transport()
    }

    fn into_transport(self) -> Link {
        self.into_transport()
    }
}

impl Session for Evaluator<Link, OtSource> {
    fn transport(&self) -> &Link {
        self.transport()
    }

    fn into_transport(self) -> Link {
        self.into_transport()
    }

    fn preprocessing(&self) -> Duration {
        self.source().spent()
    }
}

impl Session for Evaluator<Link, Stored> {
    fn transport(&self) -> &Link {
        self.transport()
    }

    fn into_transport(self) -> Link {
        self.into_transport()
    }
}

impl Session for Dealer<Link> {
    fn transport(&self) -> &Link {
        self.transport()
    }

    fn into_transport(self) -> Link {
        self.into_transport()
    }
}

/// Trains over `joined`. A training that stops drops the transport, which tells the peers.
pub(super) fn run(
    job: &Job,
    joined: Joined,
    rows: DataSets,
    material: Option<&Material>,
    console: &Console,
) -> Result<Ran, Stopped> {
    let Joined { transport, key, identities } = joined;
    let policy = job.training.policy();
    match job.protocol {
        Protocol::Helper => {
            // Parties are ordered by role.
            let [e0, e1, dealer] = PartyId::ALL;
            let roles = Roles::new(e0, e1, dealer).context("the three roles belong to three parties")?;
            let duty =
                if transport.me() == dealer { Duty::StayFor([e0, e1]) } else { Duty::ReportTo(dealer) };
            let role = join_session(Attended::new(transport, duty), roles, key, identities, policy)
                .map_err(Error::from)?;
            match role {
                Role::Evaluator(engine) => train(*engine, job, rows, console),
                Role::Dealer(engine) => train(*engine, job, rows, console),
            }
        }
        Protocol::Ot => {
            let transport = Attended::new(transport, Duty::Nothing);
            if let Some(Material { folder, secret, binding }) = material {
                let engine = store::join_stored_session(transport, folder, secret, binding, policy)
                    .map_err(Error::from)?;
                return train(engine, job, rows, console);
            }
            let engine =
                preprocessing::join_session(transport, FieldBits::default(), key, identities, policy)
                    .map_err(Error::from)?;
            train(engine, job, rows, console)
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
    let accounts = Accounts {
        meter: engine.transport().meter().snapshot(),
        openings: engine.openings().to_vec(),
        preprocessing: engine.preprocessing(),
    };
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => return Err(Stopped { error: error.into(), accounts }),
    };
    match engine.into_transport().finish() {
        Ok(transport) => Ok(Ran { outcome, accounts, transport }),
        Err(error) => Err(Stopped { error: error.into(), accounts }),
    }
}
