//! Who receives what. Nothing else leaves the protocol.

use serde::Deserialize;
use tercet_train::Release;

use super::{JobError, JobParty};

/// The section as it stands in the file: names of parties.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelease {
    #[serde(default)]
    model: Vec<String>,
    #[serde(default)]
    accuracy: Vec<String>,
    #[serde(default)]
    loss: Vec<String>,
}

pub(super) fn check(raw: &RawRelease, parties: &[JobParty; 3]) -> Result<Release, JobError> {
    let release = Release {
        model: indices("model", &raw.model, parties)?,
        accuracy: indices("accuracy", &raw.accuracy, parties)?,
        loss: indices("loss", &raw.loss, parties)?,
    };
    if release.model.is_empty() && release.accuracy.is_empty() && release.loss.is_empty() {
        return Err(JobError::meaning(
            "[release] gives nothing to anybody: name the recipients of the model, the accuracy or the loss",
        ));
    }
    if (!release.accuracy.is_empty() || !release.loss.is_empty())
        && parties.iter().all(|party| party.rows.test == 0)
    {
        return Err(JobError::meaning(
            "[release] opens the accuracy or the loss on test rows, but no party brings any: give `rows = { test = … }` to one",
        ));
    }
    Ok(release)
}

fn indices(what: &str, names: &[String], parties: &[JobParty; 3]) -> Result<Vec<usize>, JobError> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let Some(index) = parties.iter().position(|party| party.name == *name) else {
            return Err(JobError::meaning(format!(
                "[release] gives the {what} to `{name}`, which is not a party of the job: use a party's name"
            )));
        };
        if found.contains(&index) {
            return Err(JobError::meaning(format!(
                "[release] names `{name}` twice for the {what}: name it once"
            )));
        }
        found.push(index);
    }
    found.sort_unstable();
    Ok(found)
}
