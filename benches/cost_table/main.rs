//! What secure training costs against plaintext training, measured on this machine in one run.
//!
//! `cargo run --release -p tercet-benches --bin cost-table` prints one Markdown table: milliseconds for a training step in plaintext,
//! in fixed point in the open, by `helper` in memory and over QUIC, and by `ot` over QUIC; declared bytes and rounds of a step.
//! The totals of all steps that were made are compared with the parties' meters. A step of `ot` that declares more than 5 GB, or
//! 1.5 GB with `--quick`, is not made: its row has the declared bytes alone. `--quick` measures fewer steps, `--protocols helper`
//! leaves `ot` out, `--plot FILE` draws the same figures as SVG.
#![allow(clippy::print_stdout, reason = "a report for a person")]

mod measure;
mod plot;
mod table;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use tercet_benches::{Machine, Network, Protocol, Threads, load};

use measure::{Effort, measure};

/// Batch sizes of network A; the other networks are measured at one of them.
const BATCHES: [usize; 4] = [32, 128, 512, 1024];

/// The batch size at which networks are compared.
const COMMON_BATCH: usize = 128;

/// Cost of secure training against plaintext training, as a Markdown table.
#[derive(Parser)]
struct Arguments {
    /// Measure fewer steps, and none of `ot` that sends more than 1.5 GB: a rough answer sooner.
    #[arg(long)]
    quick: bool,
    /// Draw the table as SVG into this file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Kernel threads of each of the three parties, or `shared` for one pool of all cores for the three.
    #[arg(long, default_value = "1")]
    threads: Threads,
    /// Measure only these protocols: `helper`, `ot`.
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "helper,ot")]
    protocols: Vec<Protocol>,
    /// Measure only these networks, by name.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    networks: Vec<String>,
    /// Measure only these batch sizes.
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    batches: Vec<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let all = [Network::breast_cancer(), Network::a(), Network::small_conv(), Network::c()];
    for name in &arguments.networks {
        ensure!(
            all.iter().any(|network| network.name == name),
            "there is no network `{name}`: use {}",
            all.each_ref().map(|network| format!("`{}`", network.name)).join(", ")
        );
    }
    let wanted = |network: &Network, batch: usize| {
        (arguments.networks.is_empty() || arguments.networks.iter().any(|name| name == network.name))
            && (arguments.batches.is_empty() || arguments.batches.contains(&batch))
    };
    let cells: Vec<(&Network, usize)> = all
        .iter()
        .flat_map(|network| BATCHES.map(|batch| (network, batch)))
        .filter(|(network, batch)| network.name == "A" || *batch == COMMON_BATCH)
        .filter(|(network, batch)| wanted(network, *batch))
        .collect();
    ensure!(
        !cells.is_empty(),
        "nothing is left to measure: network A has batches of {BATCHES:?}, the others of {COMMON_BATCH}"
    );

    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let before = load();
    let mut rows = Vec::with_capacity(cells.len());
    for (network, batch) in cells {
        eprintln!("measuring {} with batches of {batch}", network.name);
        rows.push(measure(network, batch, &arguments.protocols, arguments.threads, effort)?);
    }
    print!("{}", table::markdown(&rows, &Machine::this(), (before, load()), arguments.threads, effort));
    if let Some(file) = &arguments.plot {
        plot::draw(file, &rows, &Machine::this())?;
        eprintln!("drew {}", file.display());
    }
    Ok(())
}
