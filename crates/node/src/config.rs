//! The node file: what one party keeps to itself. Where its key, its data and its results are, and where it listens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::metrics::MetricsConfig;
use crate::placement;
use crate::privacy::budget::BudgetConfig;
use crate::sources::PartySources;
use crate::toml_fault;

/// A file of this party cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("{} cannot be read ({source}): check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// TOML does not parse, a key is unknown, a value has the wrong form.
    #[error("line {line} of {}: {message}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The parser's words, on one line.
        message: String,
    },
    /// A value out of range.
    #[error("{} cannot be used: {message}", path.display())]
    Meaning {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
}

/// A checked node file. Paths are absolute; relative ones in the file start at the file's folder.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// This party's name in the job.
    pub name: String,
    /// The address to listen at.
    pub listen: SocketAddr,
    /// The private key, PEM.
    pub key: PathBuf,
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The folder for results and records; created if absent.
    pub out: PathBuf,
    /// The folder for checkpoints, their key and the status; that of the results with `-state` added if not given.
    pub state: PathBuf,
    /// How long this party waits for a lost one, in place of the job's time.
    pub rejoin: Option<Duration>,
    /// A folder of material made ahead of time, for a job without a dealer.
    pub material: Option<PathBuf>,
    /// A file for the log, besides stderr.
    pub log: Option<PathBuf>,
    /// A deadline in place of the job's.
    pub deadline: Option<Duration>,
    /// Threads that compute; all cores if not given.
    pub threads: Option<usize>,
    /// How far this process yields to others on its machine, 0 to 19, as `nice` does.
    pub niceness: Option<u8>,
    /// The processors that its threads run on; all that the system allows if not given.
    pub cpus: Option<Vec<usize>>,
    /// Addresses at which this party reaches others, in place of the job's, by name.
    pub peers: BTreeMap<String, String>,
    /// This party's rows.
    pub data: PartySources,
    /// What all jobs together may learn of them.
    pub budget: Option<BudgetConfig>,
    /// Transport tuning.
    pub transport: TransportConfig,
    /// Where the operators' view is served, if it is.
    pub metrics: Option<MetricsConfig>,
}

/// Transport tuning. Both ends of a link work with any setting; the defaults suit a fast network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportConfig {
    /// What joins the parties; found from their addresses if not given.
    pub path: Option<PathConfig>,
    /// Largest UDP payload, bytes, at least 1200: used at once on loopback, found by probing elsewhere.
    pub max_datagram: Option<u16>,
    /// What sets the pace on a network; BBR if not given.
    pub congestion: Option<CongestionConfig>,
    /// Bytes received from a peer ahead of the protocol, online phase.
    pub read_ahead_online: Option<usize>,
    /// Bytes received from a peer ahead of the protocol, offline phase.
    pub read_ahead_offline: Option<usize>,
}

/// What sets the pace on a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CongestionConfig {
    /// The measured rate and round trip.
    Bbr,
    /// Loss.
    Cubic,
}

/// What joins the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathConfig {
    /// One machine.
    Loopback,
    /// A real network, or a relay on one machine that behaves like one.
    Network,
}

/// Most threads that a node file may ask for.
const MOST_THREADS: usize = 1024;

/// The file's form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    name: String,
    listen: SocketAddr,
    key: PathBuf,
    certificate: PathBuf,
    out: PathBuf,
    state: Option<PathBuf>,
    material: Option<PathBuf>,
    log: Option<PathBuf>,
    deadline_seconds: Option<u64>,
    rejoin_seconds: Option<u64>,
    threads: Option<usize>,
    niceness: Option<u8>,
    cpus: Option<Vec<usize>>,
    #[serde(default)]
    peers: BTreeMap<String, String>,
    #[serde(default)]
    data: PartySources,
    budget: Option<BudgetConfig>,
    #[serde(default)]
    transport: TransportConfig,
    metrics: Option<MetricsConfig>,
}

impl NodeConfig {
    /// Reads and checks a node file.
    ///
    /// # Errors
    /// [`ConfigError`], with the line where the form is wrong.
    pub fn read(path: &Path) -> Result<NodeConfig, ConfigError> {
        let raw: RawConfig = read_toml(path)?;
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let base = path.parent().unwrap_or(Path::new("."));
        let absolute = |file: PathBuf| std::path::absolute(base.join(file)).map_err(unreadable);
        if raw.deadline_seconds.is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
            let message = "`deadline_seconds` must be from 1 to 86400".to_owned();
            return Err(ConfigError::Meaning { path: path.to_owned(), message });
        }
        if raw.rejoin_seconds.is_some_and(|seconds| !(1..=604_800).contains(&seconds)) {
            let message = "`rejoin_seconds` must be from 1 to 604800, a week".to_owned();
            return Err(ConfigError::Meaning { path: path.to_owned(), message });
        }
        if raw.niceness.is_some_and(|niceness| niceness > 19) {
            let message = "`niceness` must be from 0 to 19".to_owned();
            return Err(ConfigError::Meaning { path: path.to_owned(), message });
        }
        if raw
            .cpus
            .as_ref()
            .is_some_and(|cpus| cpus.is_empty() || cpus.iter().any(|cpu| *cpu >= placement::MOST))
        {
            let message =
                format!("`cpus` must list one or more numbers of processors, below {}", placement::MOST);
            return Err(ConfigError::Meaning { path: path.to_owned(), message });
        }
        if raw.threads.is_some_and(|threads| !(1..=MOST_THREADS).contains(&threads)) {
            let message = format!("`threads` must be from 1 to {MOST_THREADS}");
            return Err(ConfigError::Meaning { path: path.to_owned(), message });
        }
        let TransportConfig { max_datagram, read_ahead_online, read_ahead_offline, .. } = raw.transport;
        let small = |window: Option<usize>| window.is_some_and(|bytes| bytes < 1 << 20);
        if max_datagram.is_some_and(|bytes| bytes < 1200)
            || small(read_ahead_online)
            || small(read_ahead_offline)
        {
            let message =
                "in [transport], `max_datagram` must be at least 1200 and the windows at least 1048576 bytes";
            return Err(ConfigError::Meaning { path: path.to_owned(), message: message.to_owned() });
        }
        let state = raw.state.unwrap_or_else(|| beside(&raw.out));
        Ok(NodeConfig {
            name: raw.name,
            listen: raw.listen,
            key: absolute(raw.key)?,
            certificate: absolute(raw.certificate)?,
            out: absolute(raw.out)?,
            state: absolute(state)?,
            rejoin: raw.rejoin_seconds.map(Duration::from_secs),
            material: raw.material.map(absolute).transpose()?,
            log: raw.log.map(absolute).transpose()?,
            deadline: raw.deadline_seconds.map(Duration::from_secs),
            threads: raw.threads,
            niceness: raw.niceness,
            cpus: raw.cpus,
            peers: raw.peers,
            data: raw.data.absolute(base).map_err(unreadable)?,
            budget: raw
                .budget
                .map(|budget| Ok(BudgetConfig { ledger: absolute(budget.ledger)?, ..budget }))
                .transpose()?,
            transport: raw.transport,
            metrics: raw.metrics,
        })
    }
}

/// Most bytes of a file of this party's own settings.
const MAX_BYTES: u64 = 1 << 20;

/// `out` → `out-state`. Beside the results and not among them: results are given away, checkpoints are not.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push("-state");
    out.with_file_name(name)
}

/// A TOML file as a value.
pub(crate) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        let message = format!("it holds more than {MAX_BYTES} bytes, and settings are a short text");
        return Err(ConfigError::Meaning { path: path.to_owned(), message });
    }
    toml::from_str(&text).map_err(|error| {
        let (line, message) = toml_fault::describe(&text, &error);
        ConfigError::Form { path: path.to_owned(), line, message }
    })
}
