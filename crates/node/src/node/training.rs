//! The training itself, the same program at every party, over the engine of this party's role.

use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use tercet_engine::{Engine, OpeningRecord};
use tercet_helper::{Dealer, Evaluator, FromDealer, Role, Roles, join_session};
use tercet_net::quic::QuicTransport;
use tercet_net::{MeterSnapshot, PartyId, Transport};
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::store::{self, Stored};
use tercet_ot::preprocessing::{self, OtSource};
use tercet_train::{DataSets, Outcome, TrainError, Trainer};

use super::alive::{Attended, Duty};
use super::connect::Joined;
use super::keeper::{Keeper, Keeping};
use super::material::Material;
use crate::job::{Job, Protocol};
use crate::logging::Console;
use crate::status::{Doing, Status};
use crate::stop::{self, StopFlag};

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
    /// From the handshake's end to the shares of all rows.
    pub(super) sharing: Duration,
    /// What preprocessing took of the training, evaluations and the opening of the model included.
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

/// What a session runs with.
pub(super) struct Surroundings<'a> {
    pub(super) console: &'a Console,
    pub(super) status: &'a Status,
    pub(super) stop: &'a StopFlag,
    /// With checkpoints only.
    pub(super) keeping: Option<&'a mut Keeping>,
}

/// Trains over `joined`. A training that stops tells the peers why.
pub(super) fn run(
    job: &Job,
    joined: Joined,
    rows: DataSets,
    material: Option<&Material>,
    with: Surroundings<'_>,
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
                Role::Evaluator(engine) => train(*engine, job, rows, with),
                Role::Dealer(engine) => train(*engine, job, rows, with),
            }
        }
        Protocol::Ot => {
            let transport = Attended::new(transport, Duty::Nothing);
            if let Some(Material { folder, secret, binding }) = material {
                let engine = store::join_stored_session(transport, folder, secret, binding, policy)
                    .map_err(Error::from)?;
                return train(engine, job, rows, with);
            }
            let engine =
                preprocessing::join_session(transport, FieldBits::default(), key, identities, policy)
                    .map_err(Error::from)?;
            train(engine, job, rows, with)
        }
    }
}

fn train<E: Session>(engine: E, job: &Job, rows: DataSets, with: Surroundings<'_>) -> Result<Ran, Stopped> {
    let Surroundings { console, status, stop, mut keeping } = with;
    status.set(|state| state.doing = Doing::Sharing);
    let begun = Instant::now();
    let mut trainer = Trainer::new(engine, &job.training, rows).map_err(Error::from)?;
    let sharing = begun.elapsed();
    let before = trainer.engine().preprocessing();
    status.tick(|state| state.steps = trainer.steps());
    if let Some(keeping) = &mut keeping {
        trainer.keep_every(keeping.every);
        if let Some(mut snapshot) = keeping.from.take() {
            if snapshot.metas.is_empty() {
                // A dealer's, which holds nothing but the step; an evaluator's own part would be missed at once.
                snapshot.metas = trainer.state().metas();
                snapshot.summands = snapshot.metas.iter().map(|_| None).collect();
            }
            trainer.resume(snapshot).map_err(Error::from)?;
        }
    }
    let mut keeper = Keeper::new(console, status, stop, keeping).map_err(Error::from)?;
    let result = trainer.run_kept(&mut keeper);
    let engine = trainer.into_engine();
    let ended = keeper.end(&engine);
    let accounts = Accounts {
        meter: engine.transport().meter().snapshot(),
        openings: engine.openings().to_vec(),
        sharing,
        preprocessing: engine.preprocessing().saturating_sub(before),
    };
    let ended = ended.map_err(|source| TrainError::Stopped { step: status.now().step, source });
    let outcome = match result.and_then(|outcome| ended.map(|()| outcome)) {
        Ok(outcome) => outcome,
        Err(error) => {
            // A reason of this party's own is news to the peers; of the network they know as much.
            if let TrainError::Stopped { step, source } = &error {
                let asked = source.is::<stop::Stopped>();
                let what = if asked { "its operator stopped it" } else { "it could not keep a checkpoint" };
                engine.into_transport().into_inner().leave(&format!("{what} at step {step}"));
            }
            return Err(Stopped { error: error.into(), accounts });
        }
    };
    match engine.into_transport().finish() {
        Ok(transport) => Ok(Ran { outcome, accounts, transport }),
        Err(error) => Err(Stopped { error: error.into(), accounts }),
    }
}
