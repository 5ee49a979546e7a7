//! One party's run: its rows, the mesh, the training, the results.

mod alive;
mod connect;
mod material;
mod model;
pub mod record;
mod rows;
mod training;

use std::path::Path;
use std::time::{Instant, SystemTime};

use anyhow::{Context, Result};
use tercet_net::Transport;

pub use material::command as preprocess;

pub(crate) use connect::{identity, prepare_out, roster};
pub(crate) use rows::read as read_rows;

use crate::cli::sentence;
use crate::config::NodeConfig;
use crate::job::{Job, JobParty};
use crate::logging::{self, Console, FAILURE};
use crate::privacy::Accounted;
use record::{Record, RunOutcome};

/// Name of the model's folder in a node's `out` folder.
pub(crate) const MODEL_FOLDER: &str = "model";

/// Runs the node of `config` in `job`.
///
/// # Errors
/// One sentence; it is in the log as well.
pub fn command(config: &Path, job: &Path) -> Result<()> {
    let config = NodeConfig::read(config)?;
    let console = Console::default();
    logging::start(&console, config.log.as_deref())
        .with_context(|| format!("the log file of `{}` cannot be opened", config.name))?;
    if let Some(threads) = config.threads
        && rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().is_err()
    {
        tracing::warn!("this process computes already: `threads` of the node file is left out");
    }
    run(&config, job, &console).inspect_err(|error| tracing::error!(target: FAILURE, "{}", sentence(error)))
}

fn run(config: &NodeConfig, job: &Path, console: &Console) -> Result<()> {
    let begun = Instant::now();
    let job = Job::read(job)?;
    let party = job.party(&config.name)?;
    tracing::info!("job {} ({}), sha256 {}", job.name, job.protocol.name(), job.hash());
    tracing::info!("party {} as {}", party.name, job.protocol.title(party.role));
    // Everything that this party alone can get wrong comes before the others are made to wait.
    let roster = roster(&job, config)?;
    let identity = identity(config, party)?;
    let rows = rows::read(&job, &[(party, &config.data)])?;
    let material = material::Material::of(&job, config)?;
    prepare_out(config)?;
    let accounted = Accounted::begin(config, &job, party)?;

    let mut record = Record::new(&job, party);
    record.started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let joined = match connect::join(&job, config, roster, identity) {
        Ok(joined) => joined,
        Err(error) => {
            accounted.never_began();
            return Err(error);
        }
    };
    record.seconds.joining = begun.elapsed().as_secs_f64();
    record.session = joined.transport.session().to_string();

    let ran = match training::run(&job, joined, rows, material.as_ref(), console) {
        Ok(ran) => ran,
        Err(stopped) => {
            // What was opened before the end must be on record all the same.
            record.outcome = RunOutcome::Failed { reason: sentence(&stopped.error) };
            record.account(&stopped.accounts);
            record.seconds.total = begun.elapsed().as_secs_f64();
            accounted.stopped(&job, &stopped.error);
            record.write(&config.out)?;
            return Err(stopped.error);
        }
    };
    let outcome = &ran.outcome;
    if let Some(trained) = &outcome.model {
        let folder = config.out.join(MODEL_FOLDER);
        model::write(&folder, &job, trained, outcome)?;
        record.model = Some(folder.display().to_string());
        tracing::info!("model written to {}", folder.display());
    }
    record.steps = outcome.steps;
    record.epochs = outcome.epochs;
    record.metrics = outcome.metrics.clone();
    record.seconds.training = outcome.seconds;
    record.account(&ran.accounts);
    record.seconds.total = begun.elapsed().as_secs_f64();
    record.write(&config.out)?;
    accounted.end(&job, party, &record.session, outcome.steps, &record.openings, &config.out)?;
    tell(&record, party, outcome.seconds);
    // The results are whole and written: a peer that is lost now has its own log to say why.
    if let Err(error) = Box::new(ran.transport).close() {
        tracing::warn!("the results are written, but the goodbye failed: {error}");
    }
    Ok(())
}

fn tell(record: &Record, party: &JobParty, seconds: f64) {
    tracing::info!(
        "`{}` finished {} steps in {seconds:.2} s, {} sent, {} rounds, {} openings",
        party.name,
        record.steps,
        crate::text::bytes(record.bytes.sent),
        record.rounds.total,
        record.openings.len()
    );
}
