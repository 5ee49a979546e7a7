//! One party's run: its rows, the mesh, the training, the results, and what happens when a party is lost.

mod agree;
mod alive;
mod connect;
mod ending;
mod faults;
mod keeper;
mod kept;
mod material;
mod model;
pub mod record;
mod rows;
mod run;
mod training;

use std::path::Path;

use anyhow::{Context, Result};

pub use material::command as preprocess;

pub(crate) use connect::{identity, prepare_out, roster};
pub(crate) use material::check as check_material;
pub(crate) use rows::read as read_rows;

use crate::cli::sentence;
use crate::config::NodeConfig;
use crate::logging::{self, Console, FAILURE};
use crate::metrics::{MetricsConfig, Server};
use crate::placement;
use crate::process::close_memory_or_warn;
use crate::stop::StopFlag;

/// Name of the model's folder in a node's `out` folder.
pub(crate) const MODEL_FOLDER: &str = "model";

/// Runs the node of `config` in `job`; from the beginning if `restart`, whatever checkpoints there are. `metrics` goes before
/// the node file's.
///
/// # Errors
/// One sentence; it is in the log as well.
pub fn command(config: &Path, job: &Path, restart: bool, metrics: Option<MetricsConfig>) -> Result<()> {
    let mut config = NodeConfig::read(config)?;
    config.metrics = metrics.or(config.metrics);
    // Before any thread starts: threads inherit both.
    let yields = config.niceness.is_none_or(|niceness| rustix::process::nice(niceness.into()).is_ok());
    let kept = config.cpus.as_ref().is_none_or(|cpus| placement::keep_to(cpus).is_ok());
    let console = Console::default();
    logging::start(&console, config.log.as_deref())
        .with_context(|| format!("the log file of `{}` cannot be opened", config.name))?;
    if !yields {
        tracing::warn!("the system refused the `niceness` of the node file");
    }
    if !kept {
        tracing::warn!("the system refused the `cpus` of the node file: this node runs on any");
    }
    close_memory_or_warn();
    let stop = StopFlag::listen().context("the system lets this process not listen to signals")?;
    // Ends with this function.
    let _view = config.metrics.map(|metrics| Server::start(metrics, console.live().clone())).transpose()?;
    computing(&config, || run::whole(&config, job, restart, &stop, &console))
        .inspect_err(|error| tracing::error!(target: FAILURE, "{}", sentence(error)))
}

/// Runs `work` on one of the threads that compute, as many as the node file says. From there small pieces of work need not
/// wake another thread, which takes longer than they do.
fn computing<R: Send>(config: &NodeConfig, work: impl FnOnce() -> R + Send) -> R {
    if let Some(threads) = config.threads
        && rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().is_err()
    {
        tracing::warn!("this process computes already: `threads` of the node file is left out");
    }
    rayon::scope(|_| work())
}
