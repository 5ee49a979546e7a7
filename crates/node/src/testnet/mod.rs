//! `tercet testnet`: the three parties of a job as three processes of this program on loopback.
//!
//! The processes are ordinary nodes with ordinary files: everything they read and write stays in the testnet's folder and
//! can be run again by hand.

mod chaos;
mod folder;
mod places;
pub mod ports;
mod processes;
mod relays;
mod summary;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cli::say;
use crate::config::CongestionConfig;
use crate::job::{self, Job, Protocol};
use crate::link::Link;
use crate::{baseline, sources};
use folder::{Folder, Nodes};
use relays::Relays;
use summary::Summary;

/// What `tercet testnet` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The job or job template.
    pub job: PathBuf,
    /// The data files of all parties, if not beside the job.
    pub data: Option<PathBuf>,
    /// A protocol in place of the job's.
    pub protocol: Option<String>,
    /// What joins each two nodes.
    pub link: Link,
    /// Threads of each node, if not a third of the cores.
    pub threads: Option<NonZeroUsize>,
    /// What sets the pace on links.
    pub congestion: Option<CongestionConfig>,
    /// Epochs in place of the job's.
    pub epochs: Option<u32>,
    /// Kill nodes, and compare with a run in which nobody is killed.
    pub chaos: Option<Chaos>,
    /// The folder for everything.
    pub out: PathBuf,
}

/// A run in which nodes are killed.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    /// How often.
    pub kills: u32,
    /// Of everything that is left to chance.
    pub seed: u64,
}

/// What nodes of a testnet know besides the job's own settings.
#[derive(Clone, Copy, Debug, Default)]
struct Patience {
    deadline: Option<u64>,
    rejoin: Option<u64>,
}

/// Runs the testnet and prints its table.
///
/// # Errors
/// One sentence: a fault in the job or the data, or what stopped a node.
pub fn command(options: &Options) -> Result<()> {
    let mut text = job::read_text(&options.job)?;
    let mut job = parse(&text, &options.job)?;
    if let Some(protocol) = &options.protocol {
        if Protocol::parse(protocol).is_none() {
            let names = Protocol::ALL.map(Protocol::name);
            bail!("there is no protocol `{protocol}`: choose one of {}", names.join(", "));
        }
        text = job::template::with_protocol(&text, protocol)?;
        job = parse(&text, &options.job)?;
    }
    if let Some(epochs) = options.epochs {
        text = job::template::with_epochs(&text, epochs)?;
        job = parse(&text, &options.job)?;
    }
    if options.chaos.is_some() && job.checkpoint.is_none() {
        text = job::template::with_checkpoints(&text, chaos::EVERY)?;
        job = parse(&text, &options.job)?;
    }
    let data = options.data.clone().unwrap_or_else(|| sources::beside_job(&options.job));
    let sources = sources::read(&data)?;
    let own = sources::of_parties(&job, &sources, &data)?;
    // Read before anything is written, so that a fault in the data leaves nothing behind.
    let rows = crate::node::read_rows(&job, &own)?;

    let prepare = |out: &Path, patience: Patience| -> Result<(Folder, Job, Relays)> {
        let addresses = ports::free::<3>().context("no free port was found on loopback")?;
        let relays = Relays::start(options.link, &addresses)?;
        let threads = options.threads.map(NonZeroUsize::get);
        let Patience { deadline, rejoin } = patience;
        let congestion = options.congestion;
        let nodes = Nodes { addresses, relays: &relays, threads, deadline, rejoin, congestion };
        let folder = Folder::prepare(out, &text, &job, &own, &nodes)?;
        let job = Job::read(&folder.job())?;
        Ok((folder, job, relays))
    };
    if let Some(chaos) = options.chaos {
        return chaos::run(chaos, &options.out, &prepare);
    }
    let (folder, job, relays) = prepare(&options.out, Patience::default())?;
    let ran = processes::run(&folder, &job)?;
    let wire = relays.stop()?;
    let float = baseline::train(&job, &rows)?;
    let summary = Summary::new(&folder, &job, &ran, &float, options.link, wire)?;
    summary.write(&folder)?;
    say(&summary)
}

fn parse(text: &str, path: &Path) -> Result<Job> {
    Job::parse(text).with_context(|| path.display().to_string())
}
