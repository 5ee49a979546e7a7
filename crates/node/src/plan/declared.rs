//! Rounds and bytes of a job, exact: the training loop itself runs on shapes, over an engine that adds up what the
//! protocol declares. One step, one shorter last step of an epoch and one evaluation are counted and multiplied out.

use anyhow::Result;
use serde::Serialize;
use tercet_data::DataSpec;
use tercet_data::schema::Standardise;
use tercet_engine::{Cost, Engine};
use tercet_helper::Roles;
use tercet_net::PartyId;
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing;
use tercet_train::{DataSets, LayerRange, Rows, Trainer, Watch, ranges};

use crate::job::{Job, Protocol};

/// How often each part of a training happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Steps of the whole training.
    pub steps: u64,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// How many of all steps have fewer rows, because they end an epoch.
    pub short_steps: u64,
    /// Evaluations of the whole training.
    pub evaluations: u64,
    /// Steps at which the range guard looks.
    pub guards: u64,
    /// How many of them are shorter steps.
    pub short_guards: u64,
    /// Checkpoints of the whole training, if the job has any.
    pub checkpoints: u64,
}

/// What each part of a job declares to cost. Bytes are payload, from each party to each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Declared {
    /// How often the parts happen.
    pub counts: Counts,
    /// Everything that happens once before the steps: sharing all rows, standardising them if the job asks for it, and what
    /// a protocol sets up for its first operation.
    pub setup: Cost,
    /// A step of a whole batch.
    pub step: Cost,
    /// The last step of an epoch, if its batch is smaller.
    pub short_step: Cost,
    /// One evaluation of the test rows.
    pub evaluation: Cost,
    /// What the range guard adds to a guarded step of a whole batch.
    pub guard: Cost,
    /// What it adds to a shorter one.
    pub short_guard: Cost,
    /// One checkpoint.
    pub checkpoint: Cost,
    /// Opening the model.
    pub reveal: Cost,
    /// What the bounds of the job guarantee of its layers with weights.
    #[serde(skip)]
    pub ranges: Vec<LayerRange>,
}

impl Declared {
    /// The declared cost of `job`, without anybody's rows.
    ///
    /// # Errors
    /// A job that cannot be trained.
    pub fn of(job: &Job) -> Result<Declared> {
        match job.protocol {
            Protocol::Helper => {
                let [e0, e1, dealer] = PartyId::ALL;
                count(tercet_helper::CostEngine::new(Roles { evaluators: [e0, e1], dealer }), job)
            }
            Protocol::Ot => count(preprocessing::CostEngine::new(FieldBits::default()), job),
        }
    }

    /// Everything together.
    pub fn total(&self) -> Cost {
        let Counts { steps, short_steps, evaluations, guards, short_guards, checkpoints, .. } = self.counts;
        self.setup
            + self.step * (steps - short_steps)
            + self.short_step * short_steps
            + self.evaluation * evaluations
            + self.guard * (guards - short_guards)
            + self.short_guard * short_guards
            + self.checkpoint * checkpoints
            + self.reveal
    }

    /// The steps of one whole epoch, without a guard's.
    pub fn epoch(&self) -> Cost {
        let Counts { steps_per_epoch, .. } = self.counts;
        match self.short_step == Cost::default() {
            true => self.step * steps_per_epoch,
            false => self.step * (steps_per_epoch - 1) + self.short_step,
        }
    }
}

fn count<E: Engine + 'static>(engine: E, job: &Job) -> Result<Declared> {
    let mut trainer = Trainer::without_values(engine, &job.training, rows(job))?;
    let mut before = Cost::default();
    let mut part = |trainer: &Trainer<E>| {
        let all = trainer.engine().measured();
        let part = all - before;
        before = all;
        part
    };
    let mut setup = part(&trainer);
    let (steps, steps_per_epoch) = (trainer.steps(), trainer.batches_per_epoch());
    let short = !job.train_rows().is_multiple_of(job.training.training.batch);
    let (guards, guarded_ends) = trainer.guarded_steps();
    let evaluations = trainer.evaluations();
    let mut counts = Counts {
        steps,
        steps_per_epoch,
        short_steps: 0,
        evaluations,
        guards,
        short_guards: 0,
        checkpoints: 0,
    };

    trainer.watch(Watch::Never);
    let start = trainer.state().clone();
    trainer.step()?;
    let first = part(&trainer);
    trainer.restore(start.clone())?;
    trainer.step()?;
    let step = part(&trainer);
    setup += first - step;
    trainer.restore(start.clone())?;
    trainer.watch(Watch::Always);
    trainer.step()?;
    let guard = part(&trainer) - step;
    let (mut short_step, mut short_guard) = (Cost::default(), Cost::default());
    if short && steps >= steps_per_epoch {
        counts.short_steps = steps / steps_per_epoch;
        let mut last = start;
        last.step = steps_per_epoch - 1;
        trainer.restore(last.clone())?;
        trainer.watch(Watch::Never);
        trainer.step()?;
        short_step = part(&trainer);
        counts.short_guards = guarded_ends;
        trainer.restore(last)?;
        trainer.watch(Watch::Always);
        trainer.step()?;
        short_guard = part(&trainer) - short_step;
    }
    let mut checkpoint = Cost::default();
    if let Some(spec) = job.checkpoint {
        trainer.keep_every(spec.every);
        counts.checkpoints = trainer.snapshots();
        trainer.snapshot()?;
        checkpoint = part(&trainer);
    }
    trainer.evaluate()?;
    let evaluation = part(&trainer);
    trainer.reveal_model()?;
    let reveal = part(&trainer);
    let ranges = ranges(
        &job.training.model,
        &job.training.fixed_point,
        job.training.training.batch,
        largest_feature(job),
    )?;
    Ok(Declared {
        counts,
        setup,
        step,
        short_step,
        evaluation,
        guard,
        short_guard,
        checkpoint,
        reveal,
        ranges,
    })
}

/// The largest number that the schema lets a row hold. Features standardised on shares are below the square root of the
/// number of rows; that bound is reached by a single row far from all others.
fn largest_feature(job: &Job) -> f64 {
    match &job.data {
        DataSpec::Csv(spec) => match spec.standardise() {
            Standardise::Bounds => 1.0,
            Standardise::Shares => (job.train_rows() as f64).sqrt(),
            Standardise::None => {
                spec.features().iter().map(|f| f.min.abs().max(f.max.abs())).fold(0.0, f64::max)
            }
        },
        DataSpec::Idx(spec) => f64::from(spec.scale(0).abs().max(spec.scale(255).abs())),
    }
}

/// The owners and numbers of rows that the job states.
fn rows(job: &Job) -> DataSets {
    let mut sets = DataSets::default();
    for party in &job.parties {
        let set = |rows: u32| Rows { owner: party.role.index(), rows: rows as usize, values: None };
        sets.train.extend((party.rows.train > 0).then(|| set(party.rows.train)));
        sets.test.extend((party.rows.test > 0).then(|| set(party.rows.test)));
    }
    sets
}
