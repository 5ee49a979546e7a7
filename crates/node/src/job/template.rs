//! A job template: a job whose addresses and fingerprints are still empty. Filling it in changes those strings and leaves
//! every other byte, comments included, as it is.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::JobError;
use crate::toml_fault;

/// Where a party is, and who it is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The party's name in the template.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// `sha256:…`.
    pub fingerprint: String,
}

/// The strings of a job that filling in replaces. Other keys are left to [`super::Job::parse`].
#[derive(Deserialize)]
struct Slots {
    protocol: Spanned<String>,
    party: Vec<PartySlots>,
    training: TrainingSlots,
    checkpoint: Option<CheckpointSlots>,
}

#[derive(Deserialize)]
struct TrainingSlots {
    epochs: Spanned<u32>,
}

#[derive(Deserialize)]
struct CheckpointSlots {
    every: Spanned<u64>,
}

#[derive(Deserialize)]
struct PartySlots {
    name: String,
    address: Spanned<String>,
    fingerprint: Spanned<String>,
}

/// `text` with its protocol replaced.
///
/// # Errors
/// [`JobError::Form`] if the text is not a job.
pub fn with_protocol(text: &str, protocol: &str) -> Result<String, JobError> {
    let slots = slots(text)?;
    Ok(replace(text, vec![(slots.protocol.span(), quoted(protocol))]))
}

/// `text` with another number of epochs.
///
/// # Errors
/// [`JobError::Form`] if the text is not a job.
pub fn with_epochs(text: &str, epochs: u32) -> Result<String, JobError> {
    let slots = slots(text)?;
    Ok(replace(text, vec![(slots.training.epochs.span(), epochs.to_string())]))
}

/// `text` with a checkpoint after every so many steps: the section is replaced or added.
///
/// # Errors
/// [`JobError::Form`] if the text is not a job.
pub fn with_checkpoints(text: &str, every: u64) -> Result<String, JobError> {
    match slots(text)?.checkpoint {
        Some(slots) => Ok(replace(text, vec![(slots.every.span(), every.to_string())])),
        None => Ok(format!("{}\n\n[checkpoint]\nevery = {every}\n", text.trim_end())),
    }
}

/// `text` with each party's address and fingerprint replaced by those of `places`.
///
/// # Errors
/// [`JobError::Form`] if the text is not a job, [`JobError::Meaning`] if a party has no place.
pub fn fill(text: &str, places: &[Place]) -> Result<String, JobError> {
    let mut edits = Vec::new();
    for party in &slots(text)?.party {
        let place = places.iter().find(|place| place.name == party.name).ok_or_else(|| {
            JobError::meaning(format!("party `{}` has no address to fill in: check its name", party.name))
        })?;
        edits.push((party.address.span(), quoted(&place.address)));
        edits.push((party.fingerprint.span(), quoted(&place.fingerprint)));
    }
    Ok(replace(text, edits))
}

fn slots(text: &str) -> Result<Slots, JobError> {
    toml::from_str(text).map_err(|error| {
        let (line, message) = toml_fault::describe(text, &error);
        JobError::Form { line, message }
    })
}

fn replace(text: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    // From the end, so that earlier spans stay valid.
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut edited = text.to_owned();
    for (span, value) in edits {
        edited.replace_range(span, &value);
    }
    edited
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
