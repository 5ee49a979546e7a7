//! `tercet doctor`: everything about a run that one party can check alone.

use std::net::UdpSocket;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use super::say;
use crate::config::NodeConfig;
use crate::job::Job;
use crate::node;
use crate::process::close_memory;

pub(super) fn run(config: &Path, job: &Path) -> Result<()> {
    let config = NodeConfig::read(config)?;
    let job = Job::read(job)?;
    let party = job.party(&config.name)?;
    say(format_args!("job          {} ({}), sha256 {}", job.name, job.protocol.name(), job.hash()))?;
    say(format_args!("party        {} as {}", party.name, party.role.name()))?;
    close_memory().context("core files of this process cannot be turned off: turn them off for its user")?;
    say("memory       no core files, closed to debuggers")?;
    let roster = node::roster(&job, &config)?;
    let identity = node::identity(&config, party)?;
    if let Err(fault) = identity.check_dates(SystemTime::now()) {
        bail!(
            "{} holds {fault}, which peers refuse: make a new one with `tercet keygen` and agree on its fingerprint",
            config.certificate.display()
        );
    }
    say(format_args!("certificate  {}", identity.fingerprint()))?;
    for peer in roster.parties().iter().filter(|peer| peer.name() != party.name) {
        say(format_args!("peer         {peer} at {}", roster.address(peer.id())))?;
    }
    let socket = UdpSocket::bind(config.listen);
    socket.with_context(|| {
        format!("UDP {} cannot be listened on: stop what holds it or correct `listen`", config.listen)
    })?;
    say(format_args!("listen       {} is free", config.listen))?;
    match &config.material {
        Some(folder) if !folder.exists() => say("material     none yet: `tercet preprocess` makes it")?,
        Some(folder) => {
            node::check_material(&job, &config)?;
            say(format_args!("material     {} is unused and closed to others", folder.display()))?;
        }
        None => {}
    }
    node::read_rows(&job, &[(party, &config.data)])?;
    say(format_args!(
        "rows         {} training, {} test, all within the schema",
        party.rows.train, party.rows.test
    ))?;
    node::prepare_out(&config)?;
    say(format_args!("results      {} can be written", config.out.display()))?;
    say("ready        nothing stands in the way of a run on this side")
}
