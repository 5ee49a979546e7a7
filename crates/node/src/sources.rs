//! Which files hold a party's rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tercet_data::Source;

use crate::config::ConfigError;
use crate::job::{Job, JobParty};

/// One party's own rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartySources {
    /// Training rows, if the job gives this party any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Source>,
    /// Test rows, if the job gives this party any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Source>,
}

impl PartySources {
    /// The same files with absolute paths; relative ones start at `base`.
    pub fn absolute(&self, base: &Path) -> std::io::Result<PartySources> {
        let one = |path: &PathBuf| std::path::absolute(base.join(path));
        let source = |source: &Option<Source>| -> std::io::Result<Option<Source>> {
            Ok(match source {
                None => None,
                Some(Source::Csv { file, rows }) => Some(Source::Csv { file: one(file)?, rows: *rows }),
                Some(Source::Idx { images, labels, rows }) => {
                    Some(Source::Idx { images: one(images)?, labels: one(labels)?, rows: *rows })
                }
            })
        };
        Ok(PartySources { train: source(&self.train)?, test: source(&self.test)? })
    }
}

/// Files of all parties, by name: what the local testnet and the plaintext baseline need, and no real party has.
pub type AllSources = BTreeMap<String, PartySources>;

/// The file that goes with a job: `mnist.toml` → `mnist.data.toml`.
pub fn beside_job(job: &Path) -> PathBuf {
    job.with_extension("data.toml")
}

/// Reads a sources file. Paths in it are relative to its folder; they come back absolute.
///
/// # Errors
/// [`ConfigError`], with the line where the form is wrong.
pub fn read(path: &Path) -> Result<AllSources, ConfigError> {
    let all: AllSources = crate::config::read_toml(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    let absolute = all.iter().map(|(name, sources)| Ok((name.clone(), sources.absolute(base)?)));
    absolute
        .collect::<std::io::Result<_>>()
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// The files of each party of `job`, ordered by role. `path` names the file that `all` was read from.
///
/// # Errors
/// [`ConfigError::Meaning`] when the file names a party that the job does not have.
pub fn of_parties<'a>(
    job: &'a Job,
    all: &'a AllSources,
    path: &Path,
) -> Result<Vec<(&'a JobParty, &'a PartySources)>, ConfigError> {
    if let Some(name) = all.keys().find(|name| job.party(name).is_err()) {
        let message =
            format!("it names files for `{name}`, which is not a party of the job; use a party's name");
        return Err(ConfigError::Meaning { path: path.to_owned(), message });
    }
    static NOTHING: PartySources = PartySources { train: None, test: None };
    Ok(job.parties.iter().map(|party| (party, all.get(&party.name).unwrap_or(&NOTHING))).collect())
}
