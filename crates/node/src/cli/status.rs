//! `tercet status`: what a node's own file says of it.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::say;
use crate::config::NodeConfig;
use crate::recovery::journal::now;
use crate::status;

pub(super) fn run(config: &Path, json: bool) -> Result<()> {
    let config = NodeConfig::read(config)?;
    let file = config.state.join(status::FILE);
    let state = status::read(&config.state).with_context(|| format!("{} cannot be read", file.display()))?;
    let Some(state) = state else {
        bail!(
            "there is no {}: this party's node has not run yet, or keeps its state elsewhere",
            file.display()
        );
    };
    if json {
        return say(serde_json::to_string_pretty(&state)?);
    }
    say(status::describe(&state, now(), alive(state.pid)))
}

/// Whether the process that wrote the status is there; `true` where the system does not say.
fn alive(pid: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new(&format!("/proc/{pid}")).exists()
}
