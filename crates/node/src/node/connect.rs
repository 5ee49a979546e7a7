//! From files to a transport: who this party is, where it listens, and that all three hold the same job.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tercet_net::quic::{self, Arrivals, Congestion, Options, QuicListener, QuicTransport};
use tercet_net::{Identity, PartyId, Roster, RosterEntry, Transport};
use tercet_share::EphemeralKey;

use super::record;
use crate::config::{CongestionConfig, NodeConfig, PathConfig};
use crate::job::{Job, JobParty};

/// The roster of a job, with the addresses that this party's node file gives in place of the job's.
///
/// # Errors
/// When the job leaves an address or a fingerprint empty, or the node file names a party that is not a peer.
pub(crate) fn roster(job: &Job, config: &NodeConfig) -> Result<Roster> {
    if let Some(name) = config.peers.keys().find(|name| **name == config.name || job.party(name).is_err()) {
        bail!(
            "[peers] of the node file gives an address for `{name}`, which is not another party of the job: use a peer's name"
        );
    }
    let mut entries = Vec::with_capacity(PartyId::COUNT);
    for party in &job.parties {
        entries.push(RosterEntry {
            name: party.name.clone(),
            address: config.peers.get(&party.name).map_or(party.address(), |address| Ok(address))?.to_owned(),
            fingerprint: party.fingerprint()?,
        });
    }
    let entries: [RosterEntry; PartyId::COUNT] =
        entries.try_into().map_err(|_| anyhow::anyhow!("a job has exactly three parties"))?;
    Ok(Roster::new(entries)?)
}

/// This party's key and certificate, if the job pins it.
///
/// # Errors
/// When the files cannot be used, or the job pins another certificate for this party.
pub(crate) fn identity(config: &NodeConfig, party: &JobParty) -> Result<Identity> {
    let identity = Identity::load(&config.certificate, &config.key)?;
    let (own, pinned) = (identity.fingerprint(), party.fingerprint()?);
    if own != pinned {
        bail!(
            "the certificate {} has the fingerprint {own} but the job pins {pinned} for `{}`: \
             name the right certificate, or agree on the fingerprint",
            config.certificate.display(),
            party.name
        );
    }
    Ok(identity)
}

/// A transport to two peers with the same job, and what is needed to agree on secret keys with each of them.
pub(super) struct Joined {
    pub(super) transport: QuicTransport,
    pub(super) key: EphemeralKey,
    /// SHA-256 of the three certificates.
    pub(super) identities: [[u8; 32]; PartyId::COUNT],
}

/// What a node came for: the same at all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `tercet preprocess`.
    Preprocessing,
    /// `tercet node` on material made ahead.
    TrainingOnMaterial,
    /// `tercet node`.
    Training,
}

impl Purpose {
    /// In words, for the peers as well.
    const fn name(self) -> &'static str {
        match self {
            Purpose::Preprocessing => "preprocessing",
            Purpose::TrainingOnMaterial => "training on stored material",
            Purpose::Training => "training",
        }
    }
}

/// How this party waits for its peers.
pub(super) struct Waiting {
    /// The longest time.
    pub(super) longest: Duration,
    /// Ends it when raised.
    pub(super) stop: Option<Arc<AtomicBool>>,
    /// Told who comes and goes.
    pub(super) arrivals: Option<Arrivals>,
}

/// Listens, waits for the two peers, and compares job and purpose with theirs.
pub(super) fn join(
    job: &Job,
    purpose: Purpose,
    config: &NodeConfig,
    roster: Roster,
    identity: Identity,
    wait: Waiting,
) -> Result<Joined> {
    let deadline = config.deadline.unwrap_or(job.deadline);
    let listener = QuicListener::bind(identity, config.listen)?;
    tracing::info!(
        "listening at {}, waiting up to {} s for the others",
        listener.local_addr(),
        wait.longest.as_secs_f64().ceil()
    );
    let key = EphemeralKey::generate()?;
    let opening = quic::Job {
        hash: *job.hash().as_bytes(),
        text: Some(job.text().to_owned()),
        step: 0,
        purpose: purpose.name().to_owned(),
        key: key.public().to_vec(),
    };
    let Waiting { longest, stop, arrivals } = wait;
    let mut options = Options { deadline, join_deadline: longest, stop, arrivals, ..Options::default() };
    let tuning = config.transport;
    options.max_datagram = tuning.max_datagram.unwrap_or(options.max_datagram);
    options.path = match tuning.path {
        None => quic::Path::Detect,
        Some(PathConfig::Loopback) => quic::Path::Loopback,
        Some(PathConfig::Network) => quic::Path::Network,
    };
    options.congestion = match tuning.congestion {
        None => options.congestion,
        Some(CongestionConfig::Bbr) => Congestion::Bbr,
        Some(CongestionConfig::Cubic) => Congestion::Cubic,
    };
    options.read_ahead.online = tuning.read_ahead_online.unwrap_or(options.read_ahead.online);
    options.read_ahead.offline = tuning.read_ahead_offline.unwrap_or(options.read_ahead.offline);
    let transport = listener.connect(&roster, opening, options)?;
    tracing::info!("session {} with the same job at all three parties", transport.session());
    let identities = PartyId::ALL.map(|party| *roster.fingerprint(party).as_bytes());
    Ok(Joined { transport, key, identities })
}

/// Makes the folder for results, which must not hold any yet.
///
/// # Errors
/// When the folder cannot be written, or holds the results of an earlier run.
pub(crate) fn prepare_out(config: &NodeConfig) -> Result<()> {
    let out = &config.out;
    let earlier = record::holds_results(out) || out.join(super::MODEL_FOLDER).symlink_metadata().is_ok();
    if earlier {
        bail!(
            "{} holds the results of an earlier run: name another `out` folder, or move them away",
            out.display()
        );
    }
    make_out(config)
}

/// Makes the folder for results, whatever it holds.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn make_out(config: &NodeConfig) -> Result<()> {
    let out = &config.out;
    fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    // Tried now: a full training should not end at a folder that cannot be written.
    tempfile::tempfile_in(out).with_context(|| format!("the folder {} cannot be written", out.display()))?;
    Ok(())
}
