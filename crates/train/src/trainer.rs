//! The training loop. Every party runs it over its own engine; what it does depends on public values only.

use std::num::NonZeroU64;
use std::time::Instant;

use tercet_engine::{Engine, EngineError, Meta, Opening, Party, Reason};

use crate::architecture::{Architecture, Node};
use crate::guard::{self, Guard, Watch};
use crate::job::{Release, TrainingJob};
use crate::layers::batch_norm::{self, fold::Purpose};
use crate::layers::{Context, Network, TrainingStep, Weights};
use crate::losses;
use crate::optimiser::State;
use crate::outcome::{Metric, Outcome, Progress, TrainedLayer, TrainedModel};
use crate::privacy::noise::Noise;
use crate::privacy::{self, PrivacyPlan, clipping};
use crate::rows::DataSets;
use crate::scales::NumericPlan;
use crate::sharing::{self, SharedRows};
use crate::snapshot::{Custodian, CustodianError, Looking, Snapshot};
use crate::spec::{TargetsSpec, TrainingSpec};
use crate::standardise::{self, SharedStandards};
use crate::{TrainError, fold, init, shuffle, targets};

/// Numbers in the widest layer that an evaluation holds at a time: bounds its memory. A protocol holds some hundred bytes
/// per number.
const EVALUATION_NUMBERS: usize = 1 << 20;

/// A training on shares.
///
/// `Trainer::new` shares the rows; [`Trainer::run`] trains, evaluates and reveals. The engine's policy must allow what the
/// job releases, see [`Release::policy`].
pub struct Trainer<E: Engine> {
    engine: E,
    plan: NumericPlan,
    architecture: Architecture,
    training: TrainingSpec,
    release: Release,
    targets: TargetsSpec,
    /// Set by the last evaluation, if the job asks for an accuracy.
    met_target: Option<bool>,
    network: Network<E>,
    state: State<E>,
    privacy: Option<(PrivacyPlan, Noise)>,
    guard: Option<Guard>,
    train: SharedRows<E>,
    test: SharedRows<E>,
    /// Means and scale factors, if features are standardised on shares and the model is released.
    standards: Option<SharedStandards<E>>,
    metrics: Vec<Metric>,
    /// Batches of the epoch of the next step.
    order: Option<(u32, Vec<Vec<usize>>)>,
    began: Option<Instant>,
    /// Seconds of training before the snapshot that this one went on from.
    earlier: f64,
    /// Steps between two states that are kept.
    keep_every: Option<NonZeroU64>,
}

impl<E: Engine + 'static> Trainer<E> {
    /// Checks the job, shares the rows of all owners and sets the initial weights. All parties call it with the same job
    /// and the same numbers of rows.
    ///
    /// # Errors
    /// A job or rows that do not fit; whatever the engine meets while it shares the rows.
    pub fn new(engine: E, job: &TrainingJob, data: DataSets) -> Result<Trainer<E>, TrainError> {
        let me = Some(engine.party());
        Trainer::with_rows_of(me, engine, job, data)
    }

    /// As [`Trainer::new`], with numbers of rows alone: for an engine that counts what a training costs. An engine that
    /// computes refuses it, for lack of its own party's values.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn without_values(engine: E, job: &TrainingJob, data: DataSets) -> Result<Trainer<E>, TrainError> {
        Trainer::with_rows_of(None, engine, job, data)
    }

    fn with_rows_of(
        me: Option<Party>,
        mut engine: E,
        job: &TrainingJob,
        mut data: DataSets,
    ) -> Result<Trainer<E>, TrainError> {
        let mut plan = privacy::numeric(job)?;
        let architecture = Architecture::new(&job.model)?;
        fold::check(job, &architecture)?;
        job.check_guard()?;
        check_data(job, &architecture, &data)?;
        let privacy = match PrivacyPlan::new(job, data.train_rows())? {
            Some(plan) => Some((plan.clone(), Noise::new(&plan)?)),
            None => None,
        };
        if let Some((privacy, _)) = &privacy {
            privacy.widen(&mut plan);
        }
        tracing::info!("numeric plan\n{plan}");
        if let Some(privacy) = &job.privacy {
            privacy::rows::bound(&mut data, privacy)?;
        }
        engine.set_step(0);
        let scale = standardise::input_scale(&plan, job.standardise, data.train_rows());
        let (mut train, mut test) = sharing::share(&mut engine, me, &plan, &architecture, scale, &data)?;
        drop(data);
        let mut standards = None;
        if job.standardise {
            standards = standardise::apply(&mut engine, &plan, &mut train, &mut test)?;
        }
        let weights = init::weights(&architecture, job.training.seed, plan.weight);
        let state = State::initial(&mut engine, &plan, &weights)?;
        Ok(Trainer {
            network: Network::new(&architecture),
            engine,
            plan,
            architecture,
            training: job.training.clone(),
            release: job.release.clone(),
            targets: job.targets,
            met_target: None,
            state,
            privacy,
            guard: job.fixed_point.guard_every.map(|every| Guard::new(every, &job.model)),
            train,
            test,
            standards,
            metrics: Vec::new(),
            order: None,
            began: None,
            earlier: 0.0,
            keep_every: None,
        })
    }

    /// The values mean nothing, as when only the shapes of a training are played through: the range guard does not judge.
    pub fn rehearse(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.rehearsal = true;
        }
    }

    /// Chooses the guarded steps, to count what they cost; nothing happens without a guard.
    pub fn watch(&mut self, watch: Watch) {
        if let Some(guard) = &mut self.guard {
            guard.watch = watch;
        }
    }

    /// Guarded steps of the whole training, and how many of them end an epoch.
    pub fn guarded_steps(&self) -> (u64, u64) {
        let Some(guard) = &self.guard else { return (0, 0) };
        let (steps, per_epoch) = (self.steps(), self.batches_per_epoch());
        let ends = (1..=steps / per_epoch).filter(|epoch| guard.due(epoch * per_epoch)).count();
        (guard.count(steps), ends as u64)
    }

    /// Scales and rings of this training.
    pub fn plan(&self) -> &NumericPlan {
        &self.plan
    }

    /// The privacy of this training, if the job asks for it.
    pub fn privacy(&self) -> Option<&PrivacyPlan> {
        self.privacy.as_ref().map(|(plan, _)| plan)
    }

    /// Shapes of the layers.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The engine, for its accounts.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Ends the training and gives the engine back.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// What a checkpoint must hold.
    pub fn state(&self) -> &State<E> {
        &self.state
    }

    /// Keeps the state after every so many steps, before every opening, and at the end: [`Trainer::run_kept`] hands it to
    /// its custodian. The same at all parties.
    pub fn keep_every(&mut self, steps: NonZeroU64) {
        self.keep_every = Some(steps);
    }

    /// How often the state is kept in the whole training.
    pub fn snapshots(&self) -> u64 {
        (1..=self.steps()).filter(|&step| self.keeps(step)).count() as u64
    }

    /// This party's part of the state: one re-masking of all weights where a dealer takes part, else no message.
    ///
    /// # Errors
    /// Whatever the engine meets, with the step.
    pub fn snapshot(&mut self) -> Result<Snapshot, TrainError> {
        let step = self.state.step;
        let summands = self.state.export(&mut self.engine).map_err(|e| TrainError::from(e).at(step))?;
        let seconds = self.earlier + self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        Ok(Snapshot { step, metas: self.state.metas(), summands, metrics: self.metrics.clone(), seconds })
    }

    /// Goes on from a snapshot, of an earlier session of the same parties, instead of the current state. All parties must
    /// take the same step of the same session. Batches, dropout masks and the learning rate follow from the step.
    ///
    /// # Errors
    /// As [`Trainer::restore`].
    pub fn resume(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        self.check_restored(&snapshot.metas, snapshot.step)?;
        let Snapshot { step, summands, metrics, seconds, .. } = snapshot;
        self.state = State::import(&mut self.engine, &self.state, step, summands)?;
        (self.metrics, self.earlier) = (metrics, seconds);
        Ok(())
    }

    /// Goes on from `state` instead of the current one. All parties must restore the same step. Batches and dropout masks
    /// follow from the step.
    ///
    /// # Errors
    /// A state of another model or plan, or of a step beyond the end.
    pub fn restore(&mut self, state: State<E>) -> Result<(), TrainError> {
        self.check_restored(&state.metas(), state.step)?;
        self.state = state;
        Ok(())
    }

    fn check_restored(&self, metas: &[Meta], step: u64) -> Result<(), TrainError> {
        let bad = |found: String, expected: String| {
            Err(TrainError::Rows { what: "the state to restore".into(), found, expected })
        };
        if metas != self.state.metas() {
            return bad(
                "its parameters have other shapes or scales".into(),
                "restore a state of this job".into(),
            );
        }
        if step > self.steps() {
            return bad(format!("it is of step {step}"), format!("this job ends at step {}", self.steps()));
        }
        Ok(())
    }

    /// Steps of the whole training.
    pub fn steps(&self) -> u64 {
        let all = self.batches_per_epoch() * u64::from(self.training.epochs);
        self.training.max_steps.map_or(all, |most| all.min(most))
    }

    /// Steps of an epoch; the last of them may have fewer rows.
    pub fn batches_per_epoch(&self) -> u64 {
        shuffle::batches_per_epoch(self.train.rows(), self.training.batch)
    }

    /// Evaluations of the whole training.
    pub fn evaluations(&self) -> u64 {
        let (steps, every) = (self.steps(), u64::from(self.training.evaluate_every));
        let regular = (steps / self.batches_per_epoch()).checked_div(every).unwrap_or(0);
        let last = u64::from(!self.evaluation_due(steps));
        if self.test.blocks.is_empty() { 0 } else { regular + last }
    }

    /// Whether the state after `step` is kept: now and then, before anything of it is opened, and at the end.
    fn keeps(&self, step: u64) -> bool {
        let opens = self.evaluates_after(step) && self.opens_metrics();
        self.keep_every.is_some_and(|every| step.is_multiple_of(every.get()) || opens || step == self.steps())
    }

    fn opens_metrics(&self) -> bool {
        let silent = self.release.accuracy.is_empty() && self.release.loss.is_empty();
        !silent || self.targets.accuracy.is_some()
    }

    fn evaluates_after(&self, step: u64) -> bool {
        step > 0 && !self.test.blocks.is_empty() && (step == self.steps() || self.evaluation_due(step))
    }

    /// Whether `evaluate_every` asks for an evaluation after `step`.
    fn evaluation_due(&self, step: u64) -> bool {
        let (per_epoch, every) = (self.batches_per_epoch(), u64::from(self.training.evaluate_every));
        every > 0 && step.is_multiple_of(per_epoch) && (step / per_epoch).is_multiple_of(every)
    }

    /// Trains to the end, evaluates as the job says, and reveals the model to its receivers. `on_progress` is called after
    /// every step and every evaluation.
    ///
    /// # Errors
    /// Whatever the engine meets, with the step.
    pub fn run(&mut self, on_progress: &mut dyn FnMut(&Progress, &E)) -> Result<Outcome, TrainError> {
        self.run_kept(&mut Looking(on_progress))
    }

    /// As [`Trainer::run`], and tells `custodian` where it stands and what to keep.
    ///
    /// # Errors
    /// As [`Trainer::run`], and what the custodian says.
    pub fn run_kept(&mut self, custodian: &mut dyn Custodian<E>) -> Result<Outcome, TrainError> {
        let began = *self.began.get_or_insert_with(Instant::now);
        let (steps, per_epoch) = (self.steps(), self.batches_per_epoch());
        loop {
            let step = self.state.step;
            let stopped = |source: CustodianError| TrainError::Stopped { step, source };
            if self.evaluates_after(step) {
                if self.opens_metrics() {
                    custodian.before_opening(step).map_err(stopped)?;
                }
                let metric = self.evaluate()?;
                if metric.accuracy.is_some() || metric.loss.is_some() {
                    custodian.progress(&self.progress(began, Some(metric)), &self.engine);
                }
            }
            if step >= steps {
                break;
            }
            custodian.before_step(step + 1).map_err(stopped)?;
            self.step()?;
            custodian.progress(&self.progress(began, None), &self.engine);
            if self.keeps(self.state.step) {
                let snapshot = self.snapshot()?;
                custodian.keep(snapshot).map_err(stopped)?;
            }
        }
        if !self.release.model.is_empty() {
            custodian.before_opening(steps).map_err(|source| TrainError::Stopped { step: steps, source })?;
        }
        let missed = self.met_target == Some(false) && !self.targets.open_anyway;
        let model = if missed { None } else { self.reveal_model()? };
        let seconds = self.earlier + began.elapsed().as_secs_f64();
        Ok(Outcome {
            steps,
            epochs: steps.div_ceil(per_epoch) as u32,
            seconds,
            metrics: self.metrics.clone(),
            met_target: self.met_target,
            model,
        })
    }

    /// One mini-batch: truncated weights, forward pass, gradients, update.
    ///
    /// # Errors
    /// Whatever the engine meets, with the step.
    pub fn step(&mut self) -> Result<(), TrainError> {
        let step = self.state.step + 1;
        self.engine.set_step(step);
        self.step_at(step).map_err(|e| e.at(step))
    }

    fn step_at(&mut self, step: u64) -> Result<(), TrainError> {
        let per_epoch = self.batches_per_epoch();
        let (epoch, place) = (((step - 1) / per_epoch) as u32, ((step - 1) % per_epoch) as usize);
        let (rows, batch, seed) = (self.train.rows(), self.training.batch, self.training.seed);
        let shuffled =
            if self.privacy.as_ref().is_some_and(|(plan, _)| plan.same_order()) { 0 } else { epoch };
        let order = match &mut self.order {
            Some((at, order)) if *at == shuffled => order,
            other => &mut other.insert((shuffled, shuffle::batches(rows, batch, seed, shuffled))).1,
        };
        let (x, targets) = self.train.gather(&mut self.engine, &order[place])?;

        let weights = self.state.begin(&mut self.engine, &self.plan)?;
        let guard = self.guard.as_ref().filter(|guard| guard.due(step));
        if let Some(guard) = guard {
            self.network.watch(guard.weights(&self.state));
        }
        let mut cx = Context {
            engine: &mut self.engine,
            plan: &self.plan,
            training: Some(TrainingStep { seed, step }),
        };
        let outputs = self.network.forward(&mut cx, x, &weights)?;
        for (parameter, running) in self.state.parameters.iter_mut().zip(self.network.running()) {
            parameter.running = running.or(parameter.running.take());
        }
        let delta = losses::gradient(&mut cx, self.architecture.loss(), outputs, &targets)?;
        let of_loss = match guard {
            Some(_) => Some(guard::gradient(cx.engine, self.architecture.layers().len() - 1, &delta)?),
            None => None,
        };
        let factors = self.network.backward(&mut cx, delta, &weights)?;
        if let (Some(guard), Some(mut watched)) = (guard, self.network.watched()) {
            watched.extend(of_loss);
            if let Some(breach) = guard.check(cx.engine, cx.plan, &watched, step)? {
                let guard::Breach { layer, quantity, bits } = breach;
                return Err(TrainError::OutOfRange { step, layer, quantity, bits });
            }
        }
        let factors = match &self.privacy {
            Some((plan, _)) => clipping::bounded(cx.engine, cx.plan, plan, factors)?,
            None => factors,
        };
        let mut gradients = self.network.gradients(&mut cx, &factors)?;
        if let Some((_, noise)) = &mut self.privacy {
            noise.add(cx.engine, &mut gradients)?;
        }
        self.state.descend(&mut self.engine, &self.plan, (epoch, step), gradients, &weights)?;
        self.state.step = step;
        Ok(())
    }

    /// Evaluates the test rows; opens what the job releases, and after the last step whether the model meets the job's
    /// accuracy.
    ///
    /// # Errors
    /// Whatever the engine meets, with the step.
    pub fn evaluate(&mut self) -> Result<Metric, TrainError> {
        let step = self.state.step;
        let metric = self.evaluate_now().map_err(|e| TrainError::from(e).at(step))?;
        if metric.accuracy.is_some() || metric.loss.is_some() {
            self.metrics.push(metric);
        }
        Ok(metric)
    }

    fn evaluate_now(&mut self) -> Result<Metric, EngineError> {
        let rows = self.test.rows();
        let epoch = self.state.step.div_ceil(self.batches_per_epoch().max(1)) as u32;
        let mut metric = Metric { step: self.state.step, epoch, rows, accuracy: None, loss: None };
        let (opened, total) = (!self.release.accuracy.is_empty(), !self.release.loss.is_empty());
        let needed = self.targets.needed(rows).filter(|_| self.state.step == self.steps());
        let count = opened || needed.is_some();
        if rows == 0 || !(count || total) {
            return Ok(metric);
        }
        let mut weights = self.state.truncated(&mut self.engine, &self.plan)?;
        self.fold_norms(&mut weights, (Purpose::Evaluation, None))?;
        let loss = self.architecture.loss();
        let (mut correct, mut losses) = (None, None);
        let chunk = (EVALUATION_NUMBERS / self.architecture.widest()).clamp(16, 4096);
        for first in (0..rows).step_by(chunk) {
            let (x, targets) = self.test.range(&mut self.engine, first..rows.min(first + chunk))?;
            let mut cx = Context { engine: &mut self.engine, plan: &self.plan, training: None };
            let outputs = self.network.forward(&mut cx, x, &weights)?;
            let outputs = losses::outputs(&mut cx, outputs)?;
            if count {
                let part = losses::correct(&mut cx, loss, &outputs, &targets)?;
                add_up(cx.engine, &mut correct, part)?;
            }
            if total {
                let part = losses::total(&mut cx, loss, &outputs, &targets)?;
                add_up(cx.engine, &mut losses, part)?;
            }
        }
        let (to_accuracy, to_loss) = (self.release.accuracy.clone(), self.release.loss.clone());
        if let Some((sum, needed)) = correct.as_ref().zip(needed) {
            self.met_target = Some(targets::met(&mut self.engine, sum, needed, rows, self.state.step)?);
        }
        if let Some(sum) = correct.filter(|_| opened) {
            metric.accuracy = self.open_sum(sum, Reason::Accuracy, to_accuracy)?.map(|v| v / rows as f64);
        }
        if let Some(sum) = losses {
            metric.loss = self.open_sum(sum, Reason::Loss, to_loss)?.map(|v| v / rows as f64);
        }
        Ok(metric)
    }

    fn open_sum(
        &mut self,
        sum: E::Offset,
        reason: Reason,
        to: Vec<usize>,
    ) -> Result<Option<f64>, EngineError> {
        let name = if reason == Reason::Accuracy { "correct predictions" } else { "sum of losses" };
        let what = format!("{name} on the test rows after step {}", self.state.step);
        let values = self.engine.remask(&[&sum])?;
        let opened = self.engine.reveal(&values.iter().collect::<Vec<_>>(), Opening { reason, what, to })?;
        Ok(opened.and_then(|v| v.first().and_then(|a| a.first().copied())))
    }

    /// Reveals weights and biases to the receivers of the model; `None` elsewhere, or if nobody receives it.
    ///
    /// # Errors
    /// Whatever the engine meets, with the step.
    pub fn reveal_model(&mut self) -> Result<Option<TrainedModel>, TrainError> {
        if self.release.model.is_empty() {
            return Ok(None);
        }
        let step = self.state.step;
        self.open_model().map_err(|e| TrainError::from(e).at(step))
    }

    fn open_model(&mut self) -> Result<Option<TrainedModel>, EngineError> {
        let mut weights = self.state.truncated(&mut self.engine, &self.plan)?;
        if let Some((standards, first)) = self.standards.as_ref().zip(self.state.parameters.first()) {
            let (engine, plan) = (&mut self.engine, &self.plan);
            weights[0] = fold::fold(engine, plan, &self.architecture, standards, first)?;
        }
        let given = self.standards.as_ref().map(|_| 0);
        self.fold_norms(&mut weights, (Purpose::Release, given))?;
        let nodes = self.architecture.layers().iter().enumerate().filter(|(_, l)| l.weight().is_some());
        let open = |node: &Node| !matches!(node, Node::BatchNorm { .. });
        let (indices, weights): (Vec<usize>, Vec<_>) =
            nodes.zip(weights).filter(|((_, l), _)| open(&l.node)).map(|((i, _), w)| (i, w)).unzip();
        let names: Vec<String> =
            indices.iter().map(|i| format!("layers.{i}.weight, layers.{i}.bias")).collect();
        let opening =
            Opening { reason: Reason::Model, what: names.join(", "), to: self.release.model.clone() };
        let values: Vec<&E::Masked> = weights.iter().flat_map(|w| [&w.weight, &w.bias]).collect();
        let Some(opened) = self.engine.reveal(&values, opening)? else { return Ok(None) };
        let layers = indices.iter().zip(opened.chunks_exact(2)).map(|(&index, pair)| {
            let keep = self.architecture.keep_before(index) as f32;
            TrainedLayer {
                index,
                weight: pair[0].mapv(|v| v as f32 * keep),
                bias: pair[1].row(0).mapv(|v| v as f32),
            }
        });
        Ok(Some(TrainedModel { layers: layers.collect() }))
    }

    /// Weights for an evaluation or a release: those before a batch normalisation hold it.
    fn fold_norms(
        &mut self,
        weights: &mut [Weights<E>],
        how: (Purpose, Option<usize>),
    ) -> Result<(), EngineError> {
        batch_norm::fold::into(&mut self.engine, &self.plan, &self.architecture, &self.state, weights, how)
    }

    fn progress(&self, began: Instant, metric: Option<Metric>) -> Progress {
        Progress {
            step: self.state.step,
            steps: self.steps(),
            epoch: self.state.step.div_ceil(self.batches_per_epoch()) as u32,
            epochs: self.training.epochs,
            seconds: began.elapsed().as_secs_f64(),
            metric,
        }
    }
}

fn add_up<E: Engine>(
    engine: &mut E,
    sum: &mut Option<E::Offset>,
    part: E::Offset,
) -> Result<(), EngineError> {
    match sum {
        Some(sum) => engine.accumulate(sum, &part, 1, 0),
        None => {
            *sum = Some(part);
            Ok(())
        }
    }
}

/// What can be said about the data before any of it is shared.
pub(crate) fn check_data(
    job: &TrainingJob,
    architecture: &Architecture,
    data: &DataSets,
) -> Result<(), TrainError> {
    check_batches(job, architecture, data.train_rows())?;
    let bad = |what: &str, found: &str, expected: &str| {
        Err(TrainError::Rows { what: what.into(), found: found.into(), expected: expected.into() })
    };
    if data.train_rows() == 0 {
        return bad("the training rows", "there are none", "list at least one owner with rows");
    }
    if job.standardise && data.train_rows() > standardise::MOST_ROWS {
        return bad("the training rows", "there are more than 2^20", "standardise them by public bounds");
    }
    if data.test_rows() == 0 && job.targets.accuracy.is_some() {
        return bad(
            "the test rows",
            "there are none, but the job has a target accuracy",
            "list an owner with test rows, or remove targets.accuracy",
        );
    }
    if data.test_rows() == 0 && !(job.release.accuracy.is_empty() && job.release.loss.is_empty()) {
        return bad(
            "the test rows",
            "there are none, but the job releases accuracy or loss",
            "list an owner with test rows, or release neither",
        );
    }
    Ok(())
}

/// A batch normalisation needs more than one number of a channel in every batch.
pub(crate) fn check_batches(
    job: &TrainingJob,
    architecture: &Architecture,
    rows: usize,
) -> Result<(), TrainError> {
    let batch = job.training.batch;
    let last = if rows.is_multiple_of(batch) { batch } else { rows % batch };
    if !architecture.too_few(last) {
        return Ok(());
    }
    Err(TrainError::Rows {
        what: "the training rows".into(),
        found: format!(
            "there are {rows}, so that the last batch of {batch} has one row, which batch-norm cannot normalise"
        ),
        expected: "use another training.batch, or one row more or less".into(),
    })
}
