//! From three offers to one decision. Every party computes it from the same offers.

use crate::checkpoint::Place;
use crate::job::Protocol;

use super::Offer;

/// What the three do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A run from step 0.
    Fresh,
    /// They go on from here.
    Resume(Place),
    /// All three have their results.
    Done,
}

/// Why they cannot go on together. One sentence, the same at all parties.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// A party has nothing, others have progress.
    #[error(
        "`{without}` holds no checkpoint of this job, but `{with}` holds one of step {step}: put back the state folder of \
         `{without}`, or start all three with --restart to train from the beginning"
    )]
    Missing {
        /// Who has none.
        without: String,
        /// Who has one.
        with: String,
        /// Its step.
        step: u64,
    },
    /// Not all who hold something were told to start over.
    #[error(
        "`{by}` was started with --restart, but `{with}` holds a checkpoint of step {step} and was not: start all three with \
         --restart, or none"
    )]
    Restart {
        /// Who was told.
        by: String,
        /// Who was not.
        with: String,
        /// What that one would lose.
        step: u64,
    },
    /// Checkpoints of different runs.
    #[error(
        "`{one}` and `{other}` hold checkpoints of different runs of this job: put back state folders of one run, or start all \
         three with --restart"
    )]
    Runs {
        /// One party.
        one: String,
        /// Another.
        other: String,
    },
    /// No step is at all of them.
    #[error(
        "there is no step of which all hold a checkpoint ({held}): put back what is missing, or start all three with --restart"
    )]
    NoCommon {
        /// What each holds.
        held: String,
    },
    /// Something may have been opened after the newest common step of a private job.
    #[error(
        "a checkpoint of step {damaged} at `{party}` is damaged, and something may have been opened after the newest common \
         step, {common}: going on would open a private model twice with other noise, so put the file back, or start all three \
         with --restart"
    )]
    Opened {
        /// Whose file.
        party: String,
        /// Its step.
        damaged: u64,
        /// The newest step that all hold.
        common: u64,
    },
    /// A party knows of an opening after the newest common step of a private job.
    #[error(
        "something of step {opened} may have been opened, as `{party}` has on record, but {common} is the newest step of which \
         all hold a checkpoint: going on would open a private model twice with other noise, so put newer checkpoints back, or \
         start all three with --restart, which the budget pays again"
    )]
    Reopened {
        /// Who knows.
        party: String,
        /// The step.
        opened: u64,
        /// The newest step that all hold.
        common: u64,
    },
    /// A party said different things to the two others, or one of them says so wrongly.
    #[error(
        "`{of}` did not offer `{to}` what it offered this party, or `{to}` says so wrongly: nothing was changed; find out which of \
         the two runs a program that is not this version of tercet, and start all three again"
    )]
    TwoOffers {
        /// Whose offer.
        of: String,
        /// To whom, besides this party.
        to: String,
    },
    /// Material made ahead of time at some and not at others.
    #[error(
        "`{with}` holds material made ahead of time and `{without}` holds none: run `tercet preprocess` at all three, or remove `material` from all node files"
    )]
    Material {
        /// Who has some.
        with: String,
        /// Who has none.
        without: String,
    },
}

/// What the three do, by party index. `private` if the job adds noise.
///
/// Who keeps the state decides: the two evaluators, or all three where all evaluate. A dealer keeps no number and goes on
/// from wherever the evaluators are, with or without a file of its own; what it says that it holds moves nobody.
///
/// An offer can be wrong: an old folder was put back, or its sender lies. No party is made to forget its progress by what
/// another says, and a private job does not go on from before an opening that any party remembers.
///
/// # Errors
/// [`Disagreement`].
pub fn agree(
    offers: &[Offer; 3],
    names: [&str; 3],
    protocol: Protocol,
    private: bool,
) -> Result<Decision, Disagreement> {
    let keepers: &[usize] = match protocol {
        Protocol::Helper => &[0, 1],
        Protocol::Ot => &[0, 1, 2],
    };
    let name = |party: usize| names[party].to_owned();
    let furthest = *keepers.iter().max_by_key(|&&party| offers[party].newest()).unwrap_or(&0);
    let progress = offers[furthest].newest();

    if let Some(by) = (0..3).find(|&party| offers[party].restart) {
        // A file that does not open is not to be lost either: its key may only be misplaced.
        let not_told = (0..3).filter(|&party| !offers[party].restart).max_by_key(|&p| offers[p].reached());
        return match not_told.filter(|&party| offers[party].reached() > 0) {
            Some(with) => {
                Err(Disagreement::Restart { by: name(by), with: name(with), step: offers[with].reached() })
            }
            None => fresh(offers, names),
        };
    }
    if progress == 0 && !offers.iter().any(|offer| offer.damaged > 0) {
        // Nobody who keeps the state has made a step that is kept.
        return fresh(offers, names);
    }
    let holders = || (0..3).filter(|&party| offers[party].run.is_some());
    let without = keepers.iter().find(|&&party| offers[party].run.is_none());
    if let Some(&without) = without.filter(|_| progress > 0) {
        let (with, step) = (name(furthest), progress);
        return Err(Disagreement::Missing { without: name(without), with, step });
    }
    if let Some(other) = holders().find(|&party| offers[party].run != offers[furthest].run) {
        return Err(Disagreement::Runs { one: name(other), other: name(furthest) });
    }
    if offers.iter().all(|offer| offer.finished) {
        return Ok(Decision::Done);
    }
    let first = &offers[keepers[0]];
    let common = first
        .held
        .iter()
        .rev()
        .find(|place| keepers.iter().all(|&party| offers[party].held.contains(place)))
        .and_then(|&(step, session)| first.place(step, session));
    let Some(common) = common else {
        let steps = |party: &usize| {
            let steps: Vec<String> = offers[*party].held.iter().map(|(step, _)| step.to_string()).collect();
            format!(
                "`{}`: {}",
                names[*party],
                if steps.is_empty() { "none".into() } else { steps.join(", ") }
            )
        };
        let held = keepers.iter().map(steps).collect::<Vec<_>>().join("; ");
        return Err(Disagreement::NoCommon { held });
    };
    if let Some(&party) = keepers.iter().find(|&&party| private && offers[party].damaged > common.step) {
        let damaged = offers[party].damaged;
        return Err(Disagreement::Opened { party: name(party), damaged, common: common.step });
    }
    // Whatever the others say that they hold: who took part in an opening knows. It also took place if all were ready for it.
    let knows = (0..3).max_by_key(|&party| offers[party].opened).unwrap_or(0);
    let ready = *keepers.iter().min_by_key(|&&party| offers[party].opening).unwrap_or(&0);
    let opened = [(knows, offers[knows].opened), (ready, offers[ready].opening)];
    if let Some(&(party, opened)) = opened.iter().find(|(_, step)| private && *step > common.step) {
        return Err(Disagreement::Reopened { party: name(party), opened, common: common.step });
    }
    Ok(Decision::Resume(common))
}

fn fresh(offers: &[Offer; 3], names: [&str; 3]) -> Result<Decision, Disagreement> {
    let (with, without) = (offers.iter().position(|o| o.material), offers.iter().position(|o| !o.material));
    match (with, without) {
        (Some(with), Some(without)) => {
            Err(Disagreement::Material { with: names[with].into(), without: names[without].into() })
        }
        _ => Ok(Decision::Fresh),
    }
}

#[cfg(test)]
mod tests;
