//! The command line.

mod doctor;
mod keygen;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{baseline, node, testnet};

/// Train a neural network on data that nobody may see.
///
/// Three parties each run one node. Rows enter as secret shares, training runs on shares, and only what the job file
/// releases comes out: the model, the accuracy, the loss, each to the parties named there.
///
/// The job file is the agreement. All three hold the same bytes; the nodes compare them before anything else and stop at
/// the first line that differs. The node file is each party's own: its key, its data files, its folder for results.
///
/// A first run, three nodes on this machine:
///
///     tercet testnet --job testnet/jobs/breast-cancer.toml
///
/// A real run, on each of three machines:
///
///     tercet keygen --name hospital-a           # once; send the fingerprint to the others
///     tercet doctor --config node.toml --job job.toml
///     tercet node --config node.toml --job job.toml
///
/// Exit status: 0 done, 1 failed (one sentence on stderr says why), 2 wrong usage.
/// TERCET_LOG=debug shows more on stderr.
#[derive(Debug, Parser)]
#[command(name = "tercet", version, verbatim_doc_comment, propagate_version = true, arg_required_else_help = true)]
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
    ///
    /// Waits for the two others up to the deadline, trains, and writes to the node file's `out` folder: record.json (what
    /// was run, how long, how many bytes and rounds, everything that was opened and why), and the model, if the job
    /// releases it to this party. A failed run writes no model.
    Node(NodeArgs),
    /// Check one party's files, key, ports and rows before a run, without the other parties.
    Doctor(NodeArgs),
    /// Train the same job in floating point, on rows that lie in one place: the baseline for accuracy and time.
    ///
    /// Uses the same initial weights and the same batches as the secure run. Works with a job template as well.
    Plaintext(PlaintextArgs),
    /// Run all three parties of a job on this machine, as three processes joined over QUIC.
    ///
    /// Makes keys, fills the addresses and fingerprints of a job template in, starts three `tercet node` processes, waits
    /// for them, trains the floating-point baseline, prints one table and writes it to summary.json.
    Testnet(TestnetArgs),
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

/// Arguments of `node` and `doctor`.
#[derive(Debug, Args)]
struct NodeArgs {
    /// This party's own file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The job that all parties agreed on.
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
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
    /// The folder for keys, logs, results and summary.json; an earlier testnet there is replaced.
    #[arg(long, value_name = "DIR", default_value = "target/testnet")]
    out: PathBuf,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// One sentence for stderr.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Keygen(args) => keygen::run(&args.name, &args.out),
            Command::Node(args) => node::command(&args.config, &args.job),
            Command::Doctor(args) => doctor::run(&args.config, &args.job),
            Command::Plaintext(args) => baseline::command(&args.job, args.data.as_deref()),
            Command::Testnet(args) => testnet::command(&testnet::Options {
                job: args.job,
                data: args.data,
                protocol: args.protocol,
                out: args.out,
            }),
        }
    }
}

/// An error as one line on stderr.
pub fn complain(error: &anyhow::Error) {
    // Nothing is left to do if stderr is closed.
    let _ = writeln!(io::stderr(), "error: {error:#}");
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
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
