//! `tercet plan`: what a job will cost, before anything runs.
//!
//! * [`declared`]: rounds and bytes, exact, from the costs that the protocol declares for every operation;
//! * `machine`: how fast this machine is, measured in about a second;
//! * `estimate`: from the two, an estimate of time, energy and memory;
//! * `report`: the table and the JSON.

pub mod declared;
mod estimate;
mod machine;
mod report;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::say;
use crate::job::Job;
use crate::link::Link;

/// What `tercet plan` was asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The job or job template.
    pub job: PathBuf,
    /// The link to assume.
    pub link: Link,
    /// Power that one machine draws while it takes part, in watts.
    pub watts: f64,
    /// JSON instead of the table.
    pub json: bool,
}

/// Plans a job and prints the plan.
///
/// # Errors
/// A fault in the job; a machine on which nothing can be measured.
pub fn command(options: &Options) -> Result<()> {
    let job = read(&options.job)?;
    let declared = declared::Declared::of(&job)?;
    let machine = machine::Machine::measure(&job)?;
    let estimate = estimate::Estimate::new(&job, &declared, &machine, options.link, options.watts);
    let report = report::Report::new(&job, &declared, &machine, &estimate, options.link);
    match options.json {
        true => say(serde_json::to_string_pretty(&report)?),
        false => say(&report),
    }
}

fn read(path: &Path) -> Result<Job> {
    Job::read(path).with_context(|| path.display().to_string())
}
