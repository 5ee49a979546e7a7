//! Secure three-party training. `tercet --help` lists the commands.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use tercet_node::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tercet_node::cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}
