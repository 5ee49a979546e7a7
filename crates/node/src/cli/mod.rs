//! The command line.

mod calibrate;
mod doctor;
mod epsilon;
mod keygen;
mod mechanism;
mod status;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::CongestionConfig;
use crate::link::{self, Link};
use crate::metrics::MetricsConfig;
use crate::{baseline, node, plan, testnet};

/// The text above the list of commands in `tercet --help`.
const ABOUT: &str = "\
Train a neural network on data that nobody may see.

Three parties each run one node. Rows enter as secret shares, training runs on shares, and only what the job file \
releases comes out: the model, the accuracy, the loss, each to the parties named there.

The job file is the agreement. All three hold the same bytes; the nodes compare them before anything else and stop at \
the first line that differs. The node file is each party's own: its key, its data files, its folder for results.";

/// The text below it.
const EXAMPLES: &str = "\
A first run, three nodes on this machine:
  tercet testnet --job testnet/jobs/breast-cancer.toml

A real run, on each of three machines:
  tercet keygen --name hospital-a       # once; send the fingerprint to the others
  tercet doctor --config node.toml --job job.toml
  tercet node --config node.toml --job job.toml

Exit status: 0 done, 1 failed (one sentence on stderr says why), 2 wrong usage, 3 stopped by SIGTERM or SIGINT before the end.
TERCET_LOG=debug shows more on stderr.";

/// The text below the options in `tercet node --help`.
const NODE_FILE: &str = r#"A node file (relative paths start at its folder):
  name = "hospital-a"                  # one of the job's parties
  listen = "0.0.0.0:9000"              # UDP
  key = "hospital-a.key"               # both from `tercet keygen`
  certificate = "hospital-a.crt"
  out = "out"                          # results; must hold none yet
  state = "out-state"                  # optional: checkpoints, their key, the status; keep it to yourself
  material = "material"                # optional: made by `tercet preprocess`, for jobs with protocol = "ot"
  log = "node.log"                     # optional, besides stderr
  deadline_seconds = 30                # optional, in place of the job's
  rejoin_seconds = 600                 # optional, in place of the job's: how long a lost party is waited for
  threads = 8                          # optional: threads that compute; default all cores
  cpus = [0, 1]                        # optional: the processors it runs on; default all
  niceness = 10                        # optional: 0 to 19, how far it yields to other processes

  [data]                               # what the job says that this party brings
  train = { file = "rows.csv" }        # or { images = "…", labels = "…", rows = { first = 0, count = 100 } }
  test = { file = "test.csv" }

  [budget]                             # optional: the most that all private jobs together may learn of the rows
  ledger = "rows.ledger"               # made by the first job; keep it, and its .head file
  epsilon = 3.0
  delta = 1e-5
  head = "9f86…"                       # optional: the head of an earlier run's report; a ledger without it is refused

  [peers]                              # optional: where this party reaches others, in place of the job's addresses
  hospital-b = "10.0.0.7:9000"

  [metrics]                            # optional: for Prometheus at /metrics, and a live page at /
  listen = "127.0.0.1:9464"            # TCP
  open = false                         # true lets it be an address that other machines reach

  [transport]                          # optional, as are all of its keys
  path = "network"                     # or "loopback"; found from the addresses if not given
  max_datagram = 6000                  # bytes
  congestion = "bbr"                   # or "cubic", which takes every lost datagram for a full queue
  read_ahead_online = 67108864         # bytes for each peer
  read_ahead_offline = 268435456"#;

/// The command line of `tercet`.
#[derive(Debug, Parser)]
#[command(
    name = "tercet",
    version,
    about = "Train a neural network on data that nobody may see",
    long_about = ABOUT,
    after_long_help = EXAMPLES,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and a certificate for one party, and print the fingerprint that the job file pins.
    ///
    /// Writes NAME.key (readable by its owner only; keep it secret) and NAME.crt. Existing files are never replaced.
    Keygen(KeygenArgs),
    /// Run one party of a job.
    #[command(after_long_help = NODE_FILE)]
    ///
    /// Waits for the two others up to the deadline, trains, and writes to the node file's `out` folder: record.json (what
    /// was run, how long, how many bytes and rounds, everything that was opened and why), and the model, if the job
    /// releases it to this party. A failed run writes no model.
    ///
    /// If the job has a [checkpoint] section, the node waits for a party that is lost, and goes on with it from the newest
    /// checkpoint that all hold; started again after a crash, it joins the others by itself.
    Node(RunArgs),
    /// Where this party's node stands: role, step, last checkpoint, and the others, since when.
    ///
    /// Reads what the node keeps in its state folder; asks nobody.
    Status(StatusArgs),
    /// Make the correlated randomness of a job without a dealer ahead of time, together with the two other parties.
    ///
    /// Writes to the folder `material` of the node file, which must hold none. `tercet node` then uses it, once, and the run
    /// itself is left with the online phase. No party's rows are read. All three run this with the same job, or none.
    #[command(after_long_help = NODE_FILE)]
    Preprocess(NodeArgs),
    /// Check one party's files, key, ports and rows before a run, without the other parties.
    Doctor(NodeArgs),
    /// What a job will cost: rounds and bytes, exact; time, energy and memory, estimated. Nothing is run or sent.
    ///
    /// Rounds and bytes are what the protocol declares for every operation of the training. Time is estimated from them, from
    /// a measurement of this machine in about a second, and from the link.
    Plan(PlanArgs),
    /// Train the same job in floating point, on rows that lie in one place: the baseline for accuracy and time.
    ///
    /// Uses the same initial weights and the same batches as the secure run. Works with a job template as well.
    Plaintext(PlaintextArgs),
    /// Run all three parties of a job on this machine, as three processes joined over QUIC.
    ///
    /// Makes keys, fills the addresses and fingerprints of a job template in, starts three `tercet node` processes, waits
    /// for them, trains the floating-point baseline, prints one table and writes it to summary.json. With --link, each two
    /// of them are joined by a relay that delays, limits and loses datagrams like a network.
    Testnet(TestnetArgs),
    /// What a differentially private mechanism costs: epsilon at one delta, by every method that covers it.
    ///
    /// For instance `tercet epsilon --mechanism gaussian --sigma 4 --delta 1e-5`, or
    /// `tercet epsilon --mechanism poisson-gaussian --q 0.01 --sigma 1 --steps 1000 --delta 1e-5 --json`.
    Epsilon(epsilon::EpsilonArgs),
    /// The least noise with which a mechanism meets an epsilon and a delta.
    Calibrate(calibrate::CalibrateArgs),
}

/// Arguments of `keygen`.
#[derive(Debug, Args)]
struct KeygenArgs {
    /// The party's name; it becomes the certificate's common name and the files' names.
    #[arg(long)]
    name: String,
    /// The folder for the two files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// Arguments of `preprocess` and `doctor`, and the first of `node`.
#[derive(Debug, Args)]
struct NodeArgs {
    /// This party's own file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The job that all parties agreed on.
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
}

/// Arguments of `node`.
#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Train from the beginning, whatever checkpoints there are. All parties that hold some must say so.
    #[arg(long)]
    restart: bool,
    /// Serve metrics for Prometheus and a live page at this TCP address, 127.0.0.1:9464 for instance.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Let --metrics be an address that other machines reach.
    #[arg(long, requires = "metrics")]
    metrics_open: bool,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
struct StatusArgs {
    /// This party's own file.
    #[arg(long, alias = "node", value_name = "FILE")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
struct PlanArgs {
    /// The job or job template.
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
    #[arg(long, value_name = "LINK", default_value = "local", help = link::LINK_HELP)]
    link: Link,
    /// Power that one machine is assumed to draw while it takes part, in watts.
    #[arg(long, value_name = "WATTS", default_value_t = 100.0, value_parser = watts)]
    watts: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn watts(text: &str) -> Result<f64, String> {
    let watts = text.parse().ok().filter(|watts| (0.0..=1e6).contains(watts));
    watts.ok_or_else(|| "write a number of watts, such as 100".to_owned())
}

/// Arguments of `plaintext`.
#[derive(Debug, Args)]
struct PlaintextArgs {
    /// The job or job template.
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
    /// The data files of all parties [default: JOB with the ending .data.toml].
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

/// Arguments of `testnet`.
#[derive(Debug, Args)]
struct TestnetArgs {
    /// The job or job template.
    #[arg(long, value_name = "FILE", default_value = "testnet/jobs/breast-cancer.toml")]
    job: PathBuf,
    /// The data files of all parties [default: JOB with the ending .data.toml].
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// A protocol in place of the job's.
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    #[arg(long, value_name = "LINK", default_value = "local", help = link::LINK_HELP)]
    link: Link,
    /// What sets the pace of nodes that are joined by links: bbr or cubic [default: bbr].
    #[arg(long, value_name = "NAME", value_parser = congestion)]
    congestion: Option<CongestionConfig>,
    /// Threads that compute, for each node [default: as many as its share of the processors].
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
    /// Epochs in place of the job's.
    #[arg(long, value_name = "COUNT")]
    epochs: Option<u32>,
    /// Kill nodes (SIGKILL) so many times at random moments, start them again, and compare the run with an undisturbed one.
    #[arg(long, value_name = "COUNT")]
    kills: Option<u32>,
    /// The seed of the kills.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "kills")]
    seed: u64,
    /// The folder for keys, logs, results and summary.json; an earlier testnet there is replaced.
    #[arg(long, value_name = "DIR", default_value = "target/testnet")]
    out: PathBuf,
}

fn congestion(text: &str) -> Result<CongestionConfig, String> {
    match text {
        "bbr" => Ok(CongestionConfig::Bbr),
        "cubic" => Ok(CongestionConfig::Cubic),
        _ => Err("write bbr or cubic".to_owned()),
    }
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// One sentence for stderr.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Keygen(args) => keygen::run(&args.name, &args.out),
            Command::Node(RunArgs { node: files, restart, metrics, metrics_open }) => {
                let metrics = metrics.map(|listen| MetricsConfig { listen, open: metrics_open });
                node::command(&files.config, &files.job, restart, metrics)
            }
            Command::Status(args) => status::run(&args.config, args.json),
            Command::Preprocess(args) => node::preprocess(&args.config, &args.job),
            Command::Doctor(args) => doctor::run(&args.config, &args.job),
            Command::Plan(args) => plan::command(&plan::Options {
                job: args.job,
                link: args.link,
                watts: args.watts,
                json: args.json,
            }),
            Command::Plaintext(args) => baseline::command(&args.job, args.data.as_deref()),
            Command::Epsilon(args) => epsilon::run(&args),
            Command::Calibrate(args) => calibrate::run(&args),
            Command::Testnet(args) => testnet::command(&testnet::Options {
                job: args.job,
                data: args.data,
                protocol: args.protocol,
                link: args.link,
                threads: args.threads,
                congestion: args.congestion,
                epochs: args.epochs,
                chaos: args.kills.map(|kills| testnet::Chaos { kills, seed: args.seed }),
                out: args.out,
            }),
        }
    }
}

/// An error as one line on stderr.
pub fn complain(error: &anyhow::Error) {
    // Nothing is left to do if stderr is closed.
    let _ = writeln!(io::stderr(), "error: {}", sentence(error));
}

/// An error and its causes in one sentence. Many errors name their cause themselves; it is not said twice.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .reduce(|said, cause| match said.contains(&cause) {
            true => said,
            false => format!("{said}: {cause}"),
        })
        .unwrap_or_default()
}

/// A line on stdout; a closed pipe ends the program quietly, as with other tools.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn a_cause_is_said_once() {
        let cause = std::io::Error::other("no such file");
        let named = crate::job::JobError::Unreadable { path: "job.toml".into(), source: cause };
        let error = anyhow::Error::from(named).context("job.toml");
        let sentence = super::sentence(&error);
        assert_eq!(sentence.matches("no such file").count(), 1, "{sentence}");
        assert!(sentence.starts_with("job.toml: the job file job.toml cannot be read"), "{sentence}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
