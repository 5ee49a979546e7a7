//! The parties of a job: names, roles, where they are, and how many rows they bring.

use serde::{Deserialize, Serialize};
use tercet_net::Fingerprint;

use super::JobError;

/// What a party does in the protocol. The role is also the party's index: every node orders the parties by role, whatever
/// their order in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// E0: computes on masked values.
    #[serde(rename = "evaluator-0")]
    Evaluator0,
    /// E1: computes on masked values.
    #[serde(rename = "evaluator-1")]
    Evaluator1,
    /// H: deals correlated randomness, ahead of the evaluators, and never sees an opened value of theirs.
    Dealer,
}

impl Role {
    /// All roles, in index order.
    pub const ALL: [Role; 3] = [Role::Evaluator0, Role::Evaluator1, Role::Dealer];

    /// The party index that goes with the role: 0, 1 or 2.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word in the job file.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Evaluator0 => "evaluator-0",
            Role::Evaluator1 => "evaluator-1",
            Role::Dealer => "dealer",
        }
    }
}

/// How many rows a party brings. Row counts are public: they fix the shapes of every message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCounts {
    /// Training rows.
    #[serde(default)]
    pub train: u32,
    /// Test rows. At most one party has any.
    #[serde(default)]
    pub test: u32,
}

/// One party of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobParty {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its role, and with it its index.
    pub role: Role,
    /// Rows that it brings.
    pub rows: RowCounts,
    address: String,
    fingerprint: Option<Fingerprint>,
}

impl JobParty {
    /// `host:port`, where the others reach it.
    ///
    /// # Errors
    /// [`JobError::Unfilled`] in a template.
    pub fn address(&self) -> Result<&str, JobError> {
        match self.address.is_empty() {
            false => Ok(&self.address),
            true => Err(JobError::Unfilled { what: "address", party: self.name.clone() }),
        }
    }

    /// The hash of its certificate.
    ///
    /// # Errors
    /// [`JobError::Unfilled`] in a template.
    pub fn fingerprint(&self) -> Result<Fingerprint, JobError> {
        self.fingerprint.ok_or_else(|| JobError::Unfilled { what: "fingerprint", party: self.name.clone() })
    }
}

/// A party as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawParty {
    name: String,
    role: Role,
    address: String,
    fingerprint: String,
    #[serde(default)]
    rows: RowCounts,
}

/// Three parties, one of each role, ordered by role.
pub(super) fn check(raw: Vec<RawParty>) -> Result<[JobParty; 3], JobError> {
    let count = raw.len();
    let mut parties = raw.into_iter().map(check_one).collect::<Result<Vec<_>, _>>()?;
    parties.sort_by_key(|party| party.role);
    let parties: [JobParty; 3] = parties
        .try_into()
        .map_err(|_| JobError::meaning(format!("it names {count} parties, and a run has exactly 3")))?;
    for (party, role) in parties.iter().zip(Role::ALL) {
        if party.role != role {
            let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
            return Err(JobError::meaning(format!(
                "no party has the role {}: give each of {} to one party",
                role.name(),
                names.join(", ")
            )));
        }
    }
    for (i, party) in parties.iter().enumerate() {
        for other in &parties[i + 1..] {
            let shared = [
                ("name", party.name == other.name),
                ("address", party.address == other.address && !party.address.is_empty()),
                ("fingerprint", party.fingerprint == other.fingerprint && party.fingerprint.is_some()),
            ];
            let shared = shared.into_iter().find_map(|(what, same)| same.then_some(what));
            if let Some(what) = shared {
                return Err(JobError::meaning(format!(
                    "parties `{}` and `{}` have the same {what}: each party has its own",
                    party.name, other.name
                )));
            }
        }
    }
    if parties.iter().all(|party| party.rows.train == 0) {
        return Err(JobError::meaning(
            "no party brings training rows: give `rows = { train = … }` to at least one",
        ));
    }
    if parties.iter().filter(|party| party.rows.test > 0).count() > 1 {
        return Err(JobError::meaning(
            "more than one party brings test rows: the test set is held by one party",
        ));
    }
    Ok(parties)
}

fn check_one(raw: RawParty) -> Result<JobParty, JobError> {
    let RawParty { name, role, address, fingerprint, rows } = raw;
    if !is_party_name(&name) {
        return Err(JobError::meaning(format!(
            "the party name {name:?} is not 1 to 64 letters, digits, `-`, `_` or `.`, not starting with `.`: choose another"
        )));
    }
    let port =
        address.rsplit_once(':').and_then(|(host, port)| port.parse().ok().filter(|_| !host.is_empty()));
    if !address.is_empty() && port.is_none_or(|port: u16| port == 0) {
        return Err(JobError::meaning(format!(
            "the address {address:?} of party `{name}` is not `host:port` with a port from 1 to 65535: correct it"
        )));
    }
    let fingerprint = match fingerprint.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error| {
            JobError::meaning(format!("party `{name}` has no usable fingerprint, for {error}"))
        })?),
    };
    Ok(JobParty { name, role, rows, address, fingerprint })
}

/// Whether a name can be a party's: it becomes part of file names.
pub(crate) fn is_party_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.')
}
