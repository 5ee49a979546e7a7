//! The testnet's folder: one job, and per party a key, a node file, a log and results.
//!
//! ```text
//! DIR/job.toml  job.data.toml  summary.json
//! DIR/<party>/node.toml  <party>.key  <party>.crt  node.log  out/
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tercet_data::atomic::{Mode, atomic_write};
use tercet_net::identity;

use super::places;
use super::relays::Relays;
use crate::config::CongestionConfig;
use crate::job::{Job, JobParty, Protocol, Role, template};
use crate::sources::{AllSources, PartySources};

/// Marks a folder that a testnet made, and that the next one may replace.
const MARK: &str = ".tercet-testnet";

/// The folder of a testnet that is ready to start.
pub(super) struct Folder {
    root: PathBuf,
}

/// A node file, as this command writes it.
#[derive(Serialize)]
struct NodeFile<'a> {
    name: &'a str,
    listen: String,
    key: String,
    certificate: String,
    out: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejoin_seconds: Option<u64>,
    threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    niceness: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<Vec<usize>>,
    peers: BTreeMap<&'a str, String>,
    data: &'a PartySources,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
}

/// The transport of nodes that are joined by relays.
#[derive(Serialize)]
struct Transport {
    path: &'static str,
    max_datagram: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    congestion: Option<CongestionConfig>,
}

/// What a datagram on a path with the usual 1500 bytes carries.
const NETWORK_DATAGRAM: u16 = 1452;

/// The dealer runs ahead and can wait; on one machine it would take the cores from evaluators that others wait for. On two cores
/// the MNIST job ran 14 % faster for it.
const BESIDE_EVALUATORS: u8 = 10;

/// How the three nodes run.
pub(super) struct Nodes<'a> {
    /// Where each listens, by role.
    pub(super) addresses: [SocketAddr; 3],
    /// What joins them.
    pub(super) relays: &'a Relays,
    /// Threads that compute in each, if not as many as the places give.
    pub(super) threads: Option<usize>,
    /// Seconds of silence after which a peer counts as lost, if not the job's.
    pub(super) deadline: Option<u64>,
    /// Seconds for which a lost peer is waited for, if not the job's.
    pub(super) rejoin: Option<u64>,
    /// What sets the pace on links, if not the default.
    pub(super) congestion: Option<CongestionConfig>,
}

impl Folder {
    /// Replaces an earlier testnet in `root`, makes keys, and writes the job with addresses and fingerprints filled in.
    ///
    /// # Errors
    /// When `root` holds anything else than an earlier testnet, or cannot be written.
    pub(super) fn prepare(
        root: &Path,
        text: &str,
        job: &Job,
        own: &[(&JobParty, &PartySources)],
        nodes: &Nodes<'_>,
    ) -> Result<Folder> {
        let root = std::path::absolute(root)?;
        clear(&root)?;
        let unwritable = || format!("the folder {} cannot be made", root.display());
        fs::create_dir_all(&root).with_context(unwritable)?;
        let folder = Folder { root };
        atomic_write(&folder.root.join(MARK), b"", Mode::Public)?;

        let deals = |party: &JobParty| party.role == Role::Dealer && job.protocol == Protocol::Helper;
        let mut places = Vec::with_capacity(3);
        for (party, address) in job.parties.iter().zip(nodes.addresses) {
            let place = places::of(job.protocol, party.role);
            let home = folder.home(party);
            fs::create_dir_all(&home)
                .with_context(|| format!("the folder {} cannot be made", home.display()))?;
            let (key, certificate) = (format!("{}.key", party.name), format!("{}.crt", party.name));
            let identity = identity::generate(&party.name)?;
            identity.save(&home.join(&certificate), &home.join(&key))?;
            let nothing = PartySources::default();
            let data =
                own.iter().find(|(owner, _)| owner.name == party.name).map_or(&nothing, |(_, data)| data);
            let node = NodeFile {
                name: &party.name,
                listen: address.to_string(),
                key,
                certificate,
                out: "out",
                deadline_seconds: nodes.deadline,
                rejoin_seconds: nodes.rejoin,
                threads: nodes.threads.unwrap_or(place.threads),
                niceness: deals(party).then_some(BESIDE_EVALUATORS),
                cpus: place.cpus,
                peers: nodes.relays.peers_of(party, job),
                data,
                transport: nodes.relays.shape().then_some(Transport {
                    path: "network",
                    max_datagram: NETWORK_DATAGRAM,
                    congestion: nodes.congestion,
                }),
            };
            atomic_write(&folder.config(party), toml::to_string(&node)?.as_bytes(), Mode::Public)?;
            places.push(template::Place {
                name: party.name.clone(),
                address: address.to_string(),
                fingerprint: identity.fingerprint().to_string(),
            });
        }
        let filled = template::fill(text, &places)?;
        atomic_write(&folder.job(), filled.as_bytes(), Mode::Public)?;
        let all: AllSources = own.iter().map(|(party, data)| (party.name.clone(), (*data).clone())).collect();
        let data = crate::sources::beside_job(&folder.job());
        atomic_write(&data, toml::to_string(&all)?.as_bytes(), Mode::Public)?;
        Ok(folder)
    }

    /// The job with every address and fingerprint.
    pub(super) fn job(&self) -> PathBuf {
        self.root.join("job.toml")
    }

    /// What the testnet writes at the end.
    pub(super) fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// A party's own folder.
    fn home(&self, party: &JobParty) -> PathBuf {
        self.root.join(&party.name)
    }

    /// A party's node file.
    pub(super) fn config(&self, party: &JobParty) -> PathBuf {
        self.home(party).join("node.toml")
    }

    /// Everything that a party's process says.
    pub(super) fn log(&self, party: &JobParty) -> PathBuf {
        self.home(party).join("node.log")
    }

    /// A party's checkpoints and status.
    pub(super) fn state(&self, party: &JobParty) -> PathBuf {
        self.home(party).join("out-state")
    }

    /// A party's results.
    pub(super) fn out(&self, party: &JobParty) -> PathBuf {
        self.home(party).join("out")
    }
}

/// Removes an earlier testnet; leaves anything else alone.
fn clear(root: &Path) -> Result<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("the folder {} cannot be read ({error}): choose another", root.display()),
    };
    if entries.count() == 0 {
        return Ok(());
    }
    if !root.join(MARK).is_file() {
        bail!("the folder {} is not empty and not of an earlier testnet: choose another", root.display());
    }
    fs::remove_dir_all(root)
        .with_context(|| format!("the earlier testnet in {} cannot be removed", root.display()))
}
