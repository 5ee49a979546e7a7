//! Material made ahead of time: `tercet preprocess`, and what a run needs to use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use tercet_net::{Phase, Transport};
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::join_session;
use tercet_ot::preprocessing::store::{Binding, Recorder, Unspoken, inspect};
use tercet_train::{Architecture, DataSets, RowValues, Rows, Trainer};
use zeroize::Zeroizing;

use super::connect::{self, Joined, Purpose};
use super::{computing, identity, roster};
use crate::cli::sentence;
use crate::config::NodeConfig;
use crate::job::{Job, Protocol};
use crate::logging::{self, Console, FAILURE};
use crate::process::close_memory_or_warn;
use crate::progress::{Progress, Tick};
use crate::text;

/// The store of one party, and what opens it.
pub(super) struct Material {
    pub(super) folder: PathBuf,
    /// The private key file: a store without it is of no use.
    pub(super) secret: Zeroizing<Vec<u8>>,
    pub(super) binding: Binding,
}

impl Material {
    /// What the node file names, if the job can use it; it must be there, unused, and made for this job and party.
    pub(super) fn of(job: &Job, config: &NodeConfig) -> Result<Option<Material>> {
        let Some(material) = Material::named(job, config)? else { return Ok(None) };
        inspect(&material.folder, &material.binding)?;
        Ok(Some(material))
    }

    fn named(job: &Job, config: &NodeConfig) -> Result<Option<Material>> {
        let Some(folder) = &config.material else { return Ok(None) };
        if job.protocol != Protocol::Ot {
            bail!(
                "the node file names `material`, but the protocol `{}` has a dealer: remove it from the node file",
                job.protocol.name()
            );
        }
        let secret =
            fs::read(&config.key).with_context(|| format!("{} cannot be read", config.key.display()))?;
        let party = job.party(&config.name)?.role.index() as u8;
        let binding = Binding { job: *job.hash().as_bytes(), party };
        Ok(Some(Material { folder: folder.clone(), secret: Zeroizing::new(secret), binding }))
    }
}

/// Whether the material that the node file names, if any, is there, closed to others, unused, and made for this job and party.
///
/// # Errors
/// One sentence.
pub(crate) fn check(job: &Job, config: &NodeConfig) -> Result<()> {
    Material::of(job, config).map(drop)
}

/// Makes the material of the job, with the two other parties.
///
/// # Errors
/// One sentence; it is in the log as well.
pub fn command(config: &Path, job: &Path) -> Result<()> {
    let config = NodeConfig::read(config)?;
    let console = Console::default();
    logging::start(&console, config.log.as_deref())
        .with_context(|| format!("the log file of `{}` cannot be opened", config.name))?;
    close_memory_or_warn();
    computing(&config, || make(&config, job, &console))
        .inspect_err(|error| tracing::error!(target: FAILURE, "{}", sentence(error)))
}

fn make(config: &NodeConfig, job: &Path, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let job = Job::read(job)?;
    let party = job.party(&config.name)?;
    let Some(material) = Material::named(&job, config)? else {
        bail!("the node file names no folder for the material: set `material`");
    };
    let roster = roster(&job, config)?;
    let identity = identity(config, party)?;
    let rows = zeros(&job, party.role.index())?;
    let longest = config.deadline.unwrap_or(job.deadline);
    let wait = connect::Waiting { longest, stop: None, arrivals: None };
    let Joined { transport, key, identities } =
        connect::join(&job, Purpose::Preprocessing, config, roster, identity, wait)?;
    let policy = job.training.policy();
    let engine = join_session(Unspoken::new(transport), FieldBits::default(), key, identities, policy)?;
    let engine = Recorder::begin(engine, &material.folder, &material.secret, &material.binding)?;
    // The training itself, with the online phase left out, asks for all that the real one will ask for.
    let mut trainer = Trainer::new(engine, &job.training, rows)?;
    trainer.rehearse();
    let mut progress = Progress::new(console);
    let outcome = trainer.run(&mut |now, engine| {
        let (loss, accuracy) = (None, None);
        let tick =
            Tick { step: now.step, steps: now.steps, epoch: now.epoch, epochs: now.epochs, loss, accuracy };
        progress.show(tick, || Some(sent(engine.transport())));
    });
    progress.finish();
    outcome?;
    let (transport, recorder) = trainer.into_engine().into_parts();
    let (transport, bytes) = recorder.finish(transport)?;
    let transport = transport.into_inner();
    let sent = sent(&transport);
    Box::new(transport).close()?;
    tracing::info!(
        "`{}` holds {} of material in {}, made in {:.2} s, {} sent",
        party.name,
        text::bytes(bytes),
        material.folder.display(),
        begun.elapsed().as_secs_f64(),
        text::bytes(sent)
    );
    Ok(())
}

/// Bytes that this party sent.
fn sent(transport: &impl Transport) -> u64 {
    transport.meter().snapshot().sent(Phase::Offline).total_bytes()
}

/// Rows of the sizes that the job states, all zero: masks do not depend on them.
fn zeros(job: &Job, me: usize) -> Result<DataSets> {
    let inputs = job.training.model.input.len();
    let outputs = Architecture::new(&job.training.model)?.outputs();
    let mut sets = DataSets::default();
    for party in &job.parties {
        let owner = party.role.index();
        let set = |rows: u32| {
            let rows = rows as usize;
            let values = || RowValues {
                features: Array2::zeros((rows, inputs)),
                targets: Array2::zeros((rows, outputs)),
            };
            (rows > 0).then(|| Rows { owner, rows, values: (owner == me).then(values) })
        };
        sets.train.extend(set(party.rows.train));
        sets.test.extend(set(party.rows.test));
    }
    Ok(sets)
}
