//! This party's rows, read and compared with what the job says of them.

use std::path::Path;

use anyhow::{Result, bail};
use tercet_data::{DataSpec, Dataset, Limits, Source, csv, load};
use tercet_train::{DataSets, RowValues, Rows, targets};

use crate::job::{Job, JobParty};
use crate::sources::PartySources;

/// The job's data sets with the values of `own`, the parties listed with their files. Parties without files are known by
/// their row counts alone.
pub(crate) fn read(job: &Job, own: &[(&JobParty, &PartySources)]) -> Result<DataSets> {
    let mut sets = DataSets::default();
    for party in &job.parties {
        let sources = own.iter().find(|(owner, _)| owner.name == party.name).map(|(_, sources)| *sources);
        let set =
            |kind: &str, count: u32, pick: fn(&PartySources) -> Option<&Source>| -> Result<Option<Rows>> {
                let values = match sources {
                    None => None,
                    Some(sources) => read_set(job, party, kind, count, pick(sources))?,
                };
                Ok((count > 0).then_some(Rows { owner: party.role.index(), rows: count as usize, values }))
            };
        sets.train.extend(set("training", party.rows.train, |sources| sources.train.as_ref())?);
        sets.test.extend(set("test", party.rows.test, |sources| sources.test.as_ref())?);
    }
    Ok(sets)
}

fn read_set(
    job: &Job,
    party: &JobParty,
    kind: &str,
    count: u32,
    source: Option<&Source>,
) -> Result<Option<RowValues>> {
    let key = if kind == "test" { "test" } else { "train" };
    let source = match (source, count) {
        (None, 0) => return Ok(None),
        (None, _) => bail!(
            "the job says that `{}` brings {count} {kind} rows, but no file is named for them: set `data.{key}`",
            party.name
        ),
        (Some(_), 0) => bail!(
            "a file of {kind} rows is named for `{}`, but the job takes no {kind} rows from it: remove `data.{key}` or correct the job",
            party.name
        ),
        (Some(source), _) => source,
    };
    let set = load(&job.data, source, Path::new(""), &Limits::default())?;
    if set.rows() != count as usize {
        bail!(
            "{} holds {} {kind} rows but the job says that `{}` brings {count}: correct the job, with all parties, or the file",
            name(source),
            set.rows(),
            party.name
        );
    }
    if kind == "training" {
        check_units(job, source)?;
    }
    Ok(Some(values(&set, job)?))
}

/// The guarantee for a unit of several rows holds if no owner brings more of them than the job says.
fn check_units(job: &Job, source: &Source) -> Result<()> {
    let Some(spec) = job.training.privacy.as_ref().map(|privacy| &privacy.spec) else { return Ok(()) };
    let (Some(column), Some(most)) = (spec.unit_column(), spec.unit_rows) else { return Ok(()) };
    // Images have no columns; the job is refused before.
    let (Source::Csv { file, rows }, DataSpec::Csv(columns)) = (source, &job.data) else { return Ok(()) };
    let found = csv::most_rows_of_one(file, columns, column, *rows, &Limits::default())?;
    if found > most as usize {
        bail!(
            "{} has {found} training rows of one `{column}`, but privacy.unit_rows is {most}: leave some of them out, or raise it in \
             the job, with all parties",
            file.display()
        );
    }
    Ok(())
}

fn values(set: &Dataset, job: &Job) -> Result<RowValues> {
    let targets = targets(set.labels(), set.classes(), &job.training.model)?;
    Ok(RowValues { features: set.features().to_owned(), targets })
}

fn name(source: &Source) -> String {
    match source {
        Source::Csv { file, .. } => file.display().to_string(),
        Source::Idx { images, .. } => images.display().to_string(),
    }
}
