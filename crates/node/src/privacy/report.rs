//! The privacy report of a run: what is claimed, under which assumptions, and every number that it follows from.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use tercet_data::atomic::{Mode, atomic_write};
use tercet_engine::{OpeningRecord, Reason};
use tercet_privacy::accountant::Epsilons;
use tercet_privacy::accountant::view::Views;
use tercet_privacy::banded::Banded;
use tercet_privacy::sensitivity::Sensitivity;
use tercet_train::privacy::{KAPPA, LayerBounds, PrivacyPlan};
use tercet_train::spec::{BoundMode, NoiseKind, PrivacySpec};

use super::budget::LedgerEntry;
use crate::job::{Job, JobParty};

/// Names of the two files in a node's `out` folder.
pub const JSON: &str = "privacy.json";
/// See [`JSON`].
pub const PAGE: &str = "privacy.md";

/// First field of the file; the number changes when the format does.
const FORMAT: &str = "tercet-privacy-1";

/// One party's privacy report of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    format: &'static str,
    job: String,
    job_hash: String,
    session: String,
    party: String,
    claim: Claim,
    assumptions: Vec<String>,
    mechanism: Mechanism,
    noise: Noise,
    sensitivity: Delta,
    views: Views,
    openings: Vec<Opened>,
    ledger: Option<LedgerEntry>,
}

#[derive(Debug, Serialize)]
struct Claim {
    epsilon: f64,
    delta: f64,
    unit: String,
    /// Most rows of one unit, all owners together.
    rows_of_a_unit: u32,
    neighbours: String,
    statement: String,
    /// Largest ε of the job's targets, if it states one.
    target_epsilon: Option<f64>,
    /// Whether the job's own ε is within it.
    met_epsilon: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Mechanism {
    name: &'static str,
    /// Steps over which noise is correlated; 1 for none.
    bands: usize,
    mode: BoundMode,
    clip: f64,
    gamma: Option<f64>,
    /// Slack of the enforced bound.
    kappa: f64,
    rows: usize,
    batch: usize,
    batches: &'static str,
    steps_planned: u64,
    steps_taken: u64,
    participations: u64,
    amplification: &'static str,
}

#[derive(Debug, Serialize)]
struct Noise {
    law: &'static str,
    /// Of the honest parties together, over `sensitivity_units`.
    multiplier: f64,
    /// What it is a multiple of, in units: Δ, or for banded noise the sensitivity of the whole training.
    sensitivity_units: f64,
    /// Of one party's draws, in units.
    share_deviation_units: f64,
    parties: u32,
    corrupt: u32,
    /// One unit is 2^−fraction_bits of a gradient that is bounded to norm 1.
    fraction_bits: u32,
    source: &'static str,
}

#[derive(Debug, Serialize)]
struct Delta {
    #[serde(flatten)]
    parts: Sensitivity,
    formula: &'static str,
    layers: Vec<LayerBounds>,
    /// Probability, within δ, that noise carries weights out of the range for which the bounds hold.
    range_probability: f64,
}

#[derive(Debug, Serialize)]
struct Opened {
    #[serde(flatten)]
    record: OpeningRecord,
    covered: bool,
    why: &'static str,
}

impl Report {
    /// The report of a run that took `steps` steps.
    pub(crate) fn new(
        job: &Job,
        party: &JobParty,
        session: &str,
        plan: &PrivacyPlan,
        steps: u64,
        openings: &[OpeningRecord],
        ledger: Option<LedgerEntry>,
    ) -> Report {
        let spec = &plan.spec;
        let full = plan.steps_per_epoch == 1;
        Report {
            format: FORMAT,
            job: job.name.clone(),
            job_hash: job.hash().to_string(),
            session: session.to_owned(),
            party: party.name.clone(),
            claim: Claim {
                epsilon: spec.epsilon,
                delta: spec.delta,
                unit: spec.unit.clone(),
                rows_of_a_unit: spec.rows_of_a_unit(),
                neighbours: neighbours(spec),
                statement: format!(
                    "Everything that this run opened of the training rows is ({}, {})-differentially private towards any {} of \
                     the three parties, and more so towards everyone else, for every single {}.",
                    spec.epsilon,
                    spec.delta,
                    counted(plan.corrupt),
                    spec.unit
                ),
                target_epsilon: job.training.targets.epsilon,
                met_epsilon: job.training.met_epsilon(),
            },
            assumptions: assumptions(job, plan),
            mechanism: Mechanism {
                name: match spec.noise {
                    NoiseKind::Independent => "noisy gradient descent",
                    NoiseKind::Banded { .. } => "noisy gradient descent with banded noise (DP-FTRL)",
                },
                bands: plan.strategy.as_ref().map_or(1, Banded::bands),
                mode: spec.mode,
                clip: spec.clip,
                gamma: (spec.mode == BoundMode::Normalise).then(|| spec.gamma()),
                kappa: KAPPA,
                rows: job.train_rows(),
                batch: job.training.training.batch,
                batches: match (full, plan.same_order()) {
                    (true, _) => "all rows in every step",
                    (false, false) => "public, each row once an epoch",
                    (false, true) => "public, the same in every epoch, each row once",
                },
                steps_planned: plan.steps,
                steps_taken: steps,
                participations: plan.participations,
                amplification: "none is claimed: the parties know the batches",
            },
            noise: Noise {
                law: "discrete Gaussian",
                multiplier: plan.sigma,
                sensitivity_units: plan.noise_sensitivity,
                share_deviation_units: plan.share_deviation(),
                parties: plan.parties,
                corrupt: plan.corrupt,
                fraction_bits: plan.fraction_bits,
                source: "each party's own operating system",
            },
            sensitivity: Delta {
                parts: plan.sensitivity,
                formula: "2^f·(1 + κ) + √(Σ (2·2^f_x·A)²·outputs) + √coordinates, for gradients bounded to 1; times the rows of a \
                          unit",
                layers: plan.layers.clone(),
                range_probability: plan.range_probability,
            },
            views: plan.views,
            openings: openings.iter().map(opened).collect(),
            ledger,
        }
    }

    /// Writes both files, each whole or not at all.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) fn write(&self, out: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        atomic_write(&out.join(JSON), text.as_bytes(), Mode::Private)?;
        Ok(atomic_write(&out.join(PAGE), self.page()?.as_bytes(), Mode::Private)?)
    }

    /// The report as one page.
    fn page(&self) -> Result<String> {
        let mut page = String::new();
        writeln!(page, "# Privacy of job {}, as `{}` saw it\n", self.job, self.party)?;
        writeln!(page, "Job `{}`, session `{}`.\n", self.job_hash, self.session)?;
        writeln!(
            page,
            "## Claim\n{}\n\nNeighbouring data sets: {}.\n",
            self.claim.statement, self.claim.neighbours
        )?;
        if let (Some(most), Some(false)) = (self.claim.target_epsilon, self.claim.met_epsilon) {
            writeln!(
                page,
                "This is above the job's own target of {most}; it ran all the same, as it says.\n"
            )?;
        }
        writeln!(page, "## Assumptions")?;
        for assumption in &self.assumptions {
            writeln!(page, "- {assumption}")?;
        }
        let (m, n, d) = (&self.mechanism, &self.noise, &self.sensitivity.parts);
        writeln!(page, "\n## Mechanism\n| | |\n|---|---|")?;
        let gamma = m.gamma.map_or(String::new(), |gamma| format!(", gamma {gamma}"));
        let mode = match m.mode {
            BoundMode::Normalise => "normalised",
            BoundMode::Clip => "clipped",
        };
        for (key, value) in [
            ("gradient of one record", format!("{mode} to {}{gamma}, slack {}", m.clip, m.kappa)),
            ("rows, batch", format!("{}, {} ({})", m.rows, m.batch, m.batches)),
            ("steps planned, taken", format!("{}, {}", m.steps_planned, m.steps_taken)),
            ("steps with one record", m.participations.to_string()),
            ("amplification by sampling", m.amplification.to_owned()),
            ("noise multiplier of the honest parties", format!("{:.6}", n.multiplier)),
            ("noise of each party", format!("{}, {:.1} units", n.law, n.share_deviation_units)),
            ("unit", format!("2^-{} of a gradient of norm 1", n.fraction_bits)),
            ("noise is a multiple of", format!("{:.1} units", n.sensitivity_units)),
            ("bands of noise", m.bands.to_string()),
            ("sensitivity of a step", format!("{:.1} units", d.total)),
            ("of it, the bound", format!("{:.1}", d.clipped)),
            ("of it, rounding of gradients", format!("{:.1}", d.backward_rounding)),
            ("of it, rounding of coordinates", format!("{:.1} ({})", d.coordinate_rounding, d.coordinates)),
        ] {
            writeln!(page, "| {key} | {value} |")?;
        }
        writeln!(
            page,
            "\n## Cost\n| observer | multiplier | Rényi | loss distribution | exact |\n|---|---|---|---|---|"
        )?;
        let v = &self.views;
        cost(&mut page, "anyone outside", v.outsider_sigma, &v.outsider)?;
        if let (Some(sigma), Some(epsilons)) = (v.corrupt_sigma, &v.corrupt_party) {
            let who = format!("{} of the parties, with its own noise", counted(self.noise.corrupt));
            cost(&mut page, &who, sigma, epsilons)?;
        }
        writeln!(page, "\n## Opened\n| what | why | to | covered |\n|---|---|---|---|")?;
        for Opened { record, covered, why } in &self.openings {
            let (what, to) = (&record.opening.what, &record.opening.to);
            let covered = if *covered { "yes" } else { "in part" };
            writeln!(page, "| {what} | {:?} | parties {to:?} | {covered}: {why} |", record.opening.reason)?;
        }
        writeln!(page, "\n## Ledger")?;
        match &self.ledger {
            None => writeln!(page, "This party keeps no budget for its rows in this job.")?,
            Some(entry) => writeln!(
                page,
                "Entry {} of `{}`, data set `{}`: {:.6} of {} spent at delta {}. Head `{}`.",
                entry.entry,
                entry.ledger,
                entry.data_set,
                entry.spent_epsilon,
                entry.budget_epsilon,
                entry.budget_delta,
                entry.head
            )?,
        }
        Ok(page)
    }
}

fn cost(page: &mut String, who: &str, sigma: f64, epsilons: &Epsilons) -> std::fmt::Result {
    let shown = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.6}"));
    let Epsilons { rdp, pld, exact, .. } = epsilons;
    writeln!(page, "| {who} | {sigma:.4} | {} | {} | {} |", shown(*rdp), shown(*pld), shown(*exact))
}

fn counted(parties: u32) -> &'static str {
    if parties == 1 { "one" } else { "two" }
}

fn assumptions(job: &Job, plan: &PrivacyPlan) -> Vec<String> {
    let norm = plan.spec.row_norm(job.training.model.input.len());
    vec![
        format!(
            "At most {} of the three parties pools what it knows with others; all follow the protocol ({}).",
            counted(plan.corrupt),
            job.protocol.name()
        ),
        format!("Each owner shortens its rows to norm {norm} before it shares them, as this program does."),
        unit_assumption(&plan.spec),
        "Column bounds, classes and numbers of rows in the job were chosen without looking at the rows, or are public."
            .to_owned(),
        "Each operating system's random numbers are unpredictable to the others.".to_owned(),
        "Choosing settings by repeated runs costs every run: each is a job of its own in the ledgers.".to_owned(),
    ]
}

fn neighbours(spec: &PrivacySpec) -> String {
    let (taken, replaced) = match spec.unit_column() {
        None => (
            "one record is taken out: its place in the batches stays and counts for nothing".to_owned(),
            "one record by another".to_owned(),
        ),
        Some(column) => (
            format!(
                "all rows of one {column} are taken out: their places in the batches stay and count for nothing"
            ),
            format!("the rows of one {column} by others"),
        ),
    };
    format!(
        "{taken}, and all other rows and batches are the same; replacing {replaced} moves sums by up to twice the sensitivity, \
         which no number here is for"
    )
}

fn unit_assumption(spec: &PrivacySpec) -> String {
    match (spec.unit_column(), spec.unit_rows) {
        (Some(column), Some(rows)) => format!(
            "No {column} has more than {rows} training rows at one owner, as each owner's program counted in its own file, or rows \
             at more owners than {}.",
            spec.rows_of_a_unit() / rows.max(1)
        ),
        _ => "One row is one record. A person with several rows has a guarantee for each of them alone."
            .to_owned(),
    }
}

/// Whether the claim covers an opening. Everything opened is computed from weights that carry noise, and from test rows.
fn opened(record: &OpeningRecord) -> Opened {
    let (covered, why) = match record.opening.reason {
        Reason::Model => (true, "computed from noisy sums alone"),
        Reason::Accuracy | Reason::Loss | Reason::Target => {
            (false, "covered for the training rows; the test rows enter it without noise")
        }
        Reason::Statistics | Reason::RangeGuard => (false, "computed from rows without noise"),
    };
    Opened { record: record.clone(), covered, why }
}
