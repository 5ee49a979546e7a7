//! Secure three-party training. `tercet --help` lists the commands.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use tercet_node::cli::Cli;
use tercet_node::stop::{EXIT, Stopped};

fn main() -> ExitCode {
    tercet_share::allocation::keep_freed_memory();
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tercet_node::cli::complain(&error);
            match error.is::<Stopped>() {
                true => ExitCode::from(EXIT),
                false => ExitCode::FAILURE,
            }
        }
    }
}
