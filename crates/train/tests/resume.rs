//! A training that is interrupted goes on under a new session: it ends where the uninterrupted one does, nobody's part says
//! anything alone, and no mask of any session is drawn twice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread;

use ndarray::Array2;
use sha2::{Digest, Sha256};
use tercet_engine::{Engine, EngineError};
use tercet_helper::{CostEngine, Role, Roles, join_session};
use tercet_net::memory::{self, MemoryTransport};
use tercet_net::{Label, PartyId, Transport};
use tercet_online::plan::{Part, TruncPlan};
use tercet_online::wire::Wire;
use tercet_online::{Dealt, Recipe, Source};
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing;
use tercet_share::{Bilinear, EphemeralKey, PackedBits, Ring, Tensor, kernel};
use tercet_train::spec::{
    Adam, FixedPointSpec, InputSpec, LayerSpec, Loss, ModelSpec, Optimiser, Schedule, TrainingSpec,
};
use tercet_train::{
    Custodian, CustodianError, DataSets, Outcome, Progress, Release, RowValues, Rows, Snapshot, TrainError,
    Trainer, TrainingJob,
};

/// Steps between two snapshots.
const EVERY: u64 = 3;

fn job(epochs: u32) -> TrainingJob {
    let layers = vec![LayerSpec::Dense { units: 10 }, LayerSpec::Relu {}, LayerSpec::Dense { units: 3 }];
    let training = TrainingSpec {
        epochs,
        batch: 16,
        learning_rate: 0.25,
        momentum: 0.5,
        weight_decay: 0.01,
        seed: 3,
        schedule: Schedule::Step { every: 2, factor: 0.5, warm_up: 0 },
        optimiser: Optimiser::Sgd,
        max_steps: None,
        evaluate_every: 1,
    };
    TrainingJob {
        model: ModelSpec { input: InputSpec::Features(6), layers, loss: Loss::SoftmaxCrossEntropy },
        training,
        fixed_point: FixedPointSpec {
            activations: Some(12),
            gradients: Some(14),
            range_bits: 5,
            ..FixedPointSpec::default()
        },
        targets: tercet_train::spec::TargetsSpec::default(),
        standardise: false,
        privacy: None,
        release: Release { model: vec![0], accuracy: vec![0], loss: vec![] },
    }
}

fn rows(owner: usize, count: usize, salt: usize, me: usize) -> Rows {
    let features = Array2::from_shape_fn((count, 6), |(r, c)| {
        let noise = ((r * 31 + c * 17 + owner * 7 + salt) * 2654435761 % 1000) as f32 / 1000.0 - 0.5;
        noise + if c % 3 == r % 3 { 0.8 } else { -0.2 }
    });
    let targets = Array2::from_shape_fn((count, 3), |(r, k)| f32::from(u8::from(r % 3 == k)));
    Rows { owner, rows: count, values: (owner == me).then_some(RowValues { features, targets }) }
}

/// The data as party `me` has it.
fn data(me: usize) -> DataSets {
    let train = vec![rows(0, 20, 1, me), rows(1, 13, 2, me), rows(2, 15, 3, me)];
    DataSets { train, test: vec![rows(1, 30, 4, me)] }
}

/// Hashes of everything that was drawn or dealt to mask something, over all sessions and parties of a test.
#[derive(Clone, Default)]
struct Masks(Arc<Mutex<HashSet<[u8; 32]>>>);

impl Masks {
    /// Notes a pad, which no other pad of any party may equal. Short ones repeat by chance and prove nothing; nor does what is
    /// zero by construction, as the excess of a mask is where no dealer is.
    fn note(&self, words: &[u64], bits: u32) {
        self.insert(None, words, bits);
    }

    /// Notes what `party` holds of something dealt. The other holders' shares of it may be equal: two shares of a product of
    /// many bits are, where all 160 products of a step are zero.
    fn note_share(&self, party: PartyId, words: &[u64], bits: u32) {
        self.insert(Some(party), words, bits);
    }

    fn insert(&self, holder: Option<PartyId>, words: &[u64], bits: u32) {
        if words.len() as u64 * u64::from(bits) < 128 || words.iter().all(|word| *word == 0) {
            return;
        }
        let mut hash = Sha256::new();
        hash.update([holder.map_or(u8::MAX, |party| party.index() as u8)]);
        words.iter().for_each(|word| hash.update(word.to_le_bytes()));
        let new = self.0.lock().unwrap().insert(hash.finalize().into());
        assert!(new, "a mask of {} x {bits} bits was drawn twice", words.len());
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A source whose pads are noted.
struct Noting<S> {
    inner: S,
    masks: Masks,
}

impl<T: Transport, S: Source<T>> Source<T> for Noting<S> {
    fn pad(&mut self, op: u64, purpose: u64, n: usize, bits: u32) -> Result<Vec<u64>, EngineError> {
        let pad = self.inner.pad(op, purpose, n, bits)?;
        self.masks.note(&pad, bits);
        Ok(pad)
    }

    fn pad_bits(&mut self, op: u64, purpose: u64, n: usize) -> Result<PackedBits, EngineError> {
        let pad = self.inner.pad_bits(op, purpose, n)?;
        self.masks.note(&pad.expand(), 1);
        Ok(pad)
    }

    fn truncation_pad(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        plan: &TruncPlan,
    ) -> Result<Vec<u64>, EngineError> {
        let pad = self.inner.truncation_pad(wire, op, purpose, plan)?;
        self.masks.note(&pad, plan.l);
        Ok(pad)
    }

    fn dropped_halves(&self) -> u64 {
        self.inner.dropped_halves()
    }

    fn deal<'a, F: FnOnce() -> Vec<Recipe<'a>>>(
        &mut self,
        wire: &mut Wire<T>,
        op: u64,
        purpose: u64,
        label: Label,
        parts: &[Part],
        recipes: F,
    ) -> Result<Vec<Dealt>, EngineError> {
        let me = wire.transport().me();
        let dealt = self.inner.deal(wire, op, purpose, label, parts, recipes)?;
        for (dealt, part) in dealt.iter().zip(parts) {
            match (dealt, part) {
                (Dealt::Elements(v), Part::Elements { bits, .. }) => self.masks.note_share(me, v, *bits),
                (Dealt::Bits(b), _) => self.masks.note_share(me, &b.expand(), 1),
                (Dealt::OneHot(w), _) => {
                    let words: Vec<_> = w.iter().map(|w| u64::from(*w)).collect();
                    self.masks.note_share(me, &words, 16);
                }
                _ => {}
            }
        }
        Ok(dealt)
    }

    fn dealer_holds(&self) -> bool {
        self.inner.dealer_holds()
    }

    fn mask_product(
        &mut self,
        wire: &mut Wire<T>,
        map: &Bilinear,
        x: &Tensor,
        owners: Option<&[u8]>,
        y: &Tensor,
        ring: Ring,
    ) -> Result<Option<Tensor>, EngineError> {
        let product = self.inner.mask_product(wire, map, x, owners, y, ring)?;
        if let Some(z) = &product {
            self.masks.note(z.data(), 64);
        }
        Ok(product)
    }

    fn zero_share(
        &mut self,
        op: u64,
        purpose: u64,
        n: usize,
        bits: u32,
    ) -> Result<Option<Vec<u64>>, EngineError> {
        let zeros = self.inner.zero_share(op, purpose, n, bits)?;
        if let Some(zeros) = &zeros {
            self.masks.note(zeros, bits);
        }
        Ok(zeros)
    }
}

/// Keeps snapshots, and dies before a step.
struct Dying {
    before: u64,
    kept: Vec<Snapshot>,
    steps: Vec<u64>,
}

impl<E: Engine> Custodian<E> for Dying {
    fn progress(&mut self, now: &Progress, _: &E) {
        if now.metric.is_none() {
            self.steps.push(now.step);
        }
    }

    fn before_step(&mut self, step: u64) -> Result<(), CustodianError> {
        if step >= self.before { Err("killed".into()) } else { Ok(()) }
    }

    fn keep(&mut self, snapshot: Snapshot) -> Result<(), CustodianError> {
        self.kept.push(snapshot);
        Ok(())
    }

    fn before_opening(&mut self, step: u64) -> Result<(), CustodianError> {
        assert_eq!(self.kept.last().map(|s| s.step), Some(step), "kept before it is opened");
        Ok(())
    }
}

/// What a session leaves at one party.
struct Left {
    outcome: Option<Outcome>,
    kept: Vec<Snapshot>,
    steps: Vec<u64>,
}

fn train<E: Engine + 'static>(engine: E, job: &TrainingJob, from: Option<Snapshot>, before: u64) -> Left {
    let me = engine.party();
    let mut trainer = Trainer::new(engine, job, data(me)).unwrap();
    trainer.keep_every(EVERY.try_into().unwrap());
    let mut watch = Dying { before, kept: Vec::new(), steps: Vec::new() };
    if let Some(snapshot) = from {
        watch.kept.push(copy(&snapshot));
        trainer.resume(snapshot).unwrap();
    }
    let outcome = match trainer.run_kept(&mut watch) {
        Ok(outcome) => Some(outcome),
        Err(TrainError::Stopped { step, .. }) if step + 1 == before => None,
        Err(error) => panic!("{error}"),
    };
    Left { outcome, kept: watch.kept, steps: watch.steps }
}

fn copy(of: &Snapshot) -> Snapshot {
    Snapshot {
        step: of.step,
        metas: of.metas.clone(),
        summands: of.summands.clone(),
        metrics: of.metrics.clone(),
        seconds: of.seconds,
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Helper,
    Ot,
}

/// One session of three parties from the snapshots given, which dies before step `before`.
fn session(
    protocol: Protocol,
    job: &TrainingJob,
    masks: &Masks,
    from: [Option<Snapshot>; 3],
    before: u64,
) -> [Left; 3] {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let keys_sent = std::array::from_fn(|i| keys[i].public().to_vec());
    let options = memory::Options { keys: keys_sent, ..memory::Options::default() };
    let mesh = memory::mesh_with(["P0", "P1", "P2"], options).unwrap();
    let party = |transport: MemoryTransport, key: EphemeralKey, from: Option<Snapshot>| -> Left {
        let (policy, masks) = (job.release.policy(), masks.clone());
        let identities = [[1; 32], [2; 32], [3; 32]];
        match protocol {
            Protocol::Ot => {
                let engine =
                    preprocessing::join_session(transport, FieldBits::default(), key, identities, policy);
                let engine = engine.unwrap().map_source(|inner| Noting { inner, masks });
                train(engine, job, from, before)
            }
            Protocol::Helper => match join_session(transport, roles(), key, identities, policy).unwrap() {
                Role::Evaluator(e) => {
                    train((*e).map_source(|inner| Noting { inner, masks }), job, from, before)
                }
                Role::Dealer(d) => train(*d, job, from, before),
            },
        }
    };
    let left: Vec<Left> = thread::scope(|scope| {
        let party = &party;
        let parties = mesh.into_iter().zip(keys).zip(from);
        let threads: Vec<_> =
            parties.map(|((t, key), from)| scope.spawn(move || party(t, key, from))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    left.try_into().ok().unwrap()
}

fn roles() -> Roles {
    let [e0, e1, h] = PartyId::ALL;
    Roles { evaluators: [e0, e1], dealer: h }
}

fn nowhere() -> [Option<Snapshot>; 3] {
    [None, None, None]
}

/// Each party's snapshot of `step`.
fn at(left: &[Left; 3], step: u64) -> [Option<Snapshot>; 3] {
    std::array::from_fn(|i| left[i].kept.iter().find(|s| s.step == step).map(copy))
}

fn largest_difference(a: &Outcome, b: &Outcome) -> f32 {
    let (a, b) = (a.model.as_ref().unwrap(), b.model.as_ref().unwrap());
    let layers = a.layers.iter().zip(&b.layers);
    layers
        .flat_map(|(a, b)| a.weight.iter().zip(&b.weight).chain(a.bias.iter().zip(&b.bias)))
        .fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

/// Crash, resume, crash again, resume, and a replay of a resume: everything that could draw a mask twice.
fn survives(protocol: Protocol, job: TrainingJob) {
    let epochs = job.training.epochs;
    let steps = 3 * u64::from(epochs);
    let masks = Masks::default();
    let whole = session(protocol, &job, &masks, nowhere(), u64::MAX);
    let first = session(protocol, &job, &masks, nowhere(), 6);
    let from = || at(&first, 3);
    let second = session(protocol, &job, &masks, from(), steps);
    assert!(second[0].outcome.is_none());
    let replay = session(protocol, &job, &masks, from(), steps);
    let third = session(protocol, &job, &masks, at(&second, steps - 3), u64::MAX);
    // The sum of what was kept is the state: the model is the uninterrupted one's, but for the rounding of truncations.
    let (a, b) = (whole[0].outcome.as_ref().unwrap(), third[0].outcome.as_ref().unwrap());
    let worst = largest_difference(a, b);
    assert!(worst < 0.01, "weights differ by {worst}");
    assert_eq!((b.steps, b.metrics.len()), (steps, epochs as usize), "evaluations of all sessions");
    // Every step of the last lineage once: 1 to 3, then on.
    assert_eq!(first[0].steps, [1, 2, 3, 4, 5]);
    assert_eq!(second[0].steps.first(), Some(&4));
    assert_eq!(third[0].steps, (steps - 2..=steps).collect::<Vec<_>>());
    assert!(masks.count() > 1000, "{}", masks.count());

    // What one party keeps is uniform, and another session keeps something else of the same state.
    let holders = if matches!(protocol, Protocol::Helper) { 2 } else { 3 };
    for party in 0..3 {
        let (one, other) = (&second[party].kept[1], &replay[party].kept[1]);
        assert_eq!(one.step, other.step);
        let (mut top, mut all) = (0, 0);
        for ((meta, one), other) in one.metas.iter().zip(&one.summands).zip(&other.summands) {
            assert_eq!(one.is_some(), party < holders, "the dealer keeps no number");
            let (Some(one), Some(other)) = (one, other) else { continue };
            let equal = one.data().iter().zip(other.data()).filter(|(a, b)| a == b).count();
            assert_eq!(equal, 0, "party {party}");
            top += one.data().iter().filter(|v| *v >> (meta.ring.bits() - 1) & 1 == 1).count();
            all += one.len();
        }
        // Of uniform bits, one such sum in two million is five deviations away from half.
        let deviations = (2.0 * top as f64 - all as f64) / (all as f64).sqrt().max(1.0);
        assert!(deviations.abs() < 5.0, "party {party}: {top} of {all}");
    }
    // All together are the weights: small numbers at their scale.
    let parts: Vec<&Snapshot> = (0..holders).map(|party| &second[party].kept[1]).collect();
    let meta = parts[0].metas[0];
    let mut sum = parts[0].summands[0].clone().unwrap();
    for part in &parts[1..] {
        kernel::add_assign(sum.data_mut(), part.summands[0].as_ref().unwrap().data());
    }
    let unit = f64::from(meta.frac).exp2();
    assert!(sum.data().iter().all(|&v| (meta.ring.signed(v) as f64 / unit).abs() < 4.0));
}

#[test]
fn resume_never_reuses_a_mask_and_ends_as_the_uninterrupted_training() {
    survives(Protocol::Helper, job(4));
}

#[test]
fn the_averages_of_adam_survive_too() {
    let mut job = job(3);
    (job.training.momentum, job.training.learning_rate) = (0.0, 0.02);
    job.training.optimiser = Optimiser::Adam(Adam::default());
    survives(Protocol::Helper, job);
}

#[test]
fn the_running_averages_of_a_batch_normalisation_survive_too() {
    let mut job = job(4);
    job.model.layers.insert(1, LayerSpec::BatchNorm { momentum: 0.1, epsilon: 0.001 });
    survives(Protocol::Helper, job);
}

#[test]
fn without_a_dealer_resume_never_reuses_a_mask_either() {
    survives(Protocol::Ot, job(3));
}

#[test]
fn snapshots_cost_what_is_declared() {
    let job = job(2);
    let mut counter = Trainer::new(CostEngine::new(roles()), &job, data(0)).unwrap();
    let start = counter.engine().measured();
    counter.snapshot().unwrap();
    let declared = counter.engine().measured() - start;
    // 103 weights and biases and as many velocities, in one round; H deals to E1.
    let bits = u64::from(counter.plan().ring.bits());
    let at_least = 2 * 103 * bits / 8;
    assert_eq!(declared.rounds, 1);
    for bytes in [declared.online[0][1], declared.online[1][0], declared.offline[2][1]] {
        assert!((at_least..at_least + 16).contains(&bytes), "{bytes} against {at_least}");
    }
    let mut without =
        Trainer::new(preprocessing::CostEngine::new(FieldBits::default()), &job, data(0)).unwrap();
    let start = without.engine().measured();
    without.snapshot().unwrap();
    assert_eq!(without.engine().measured() - start, Default::default());
}

#[test]
fn a_snapshot_of_another_job_is_refused() {
    let masks = Masks::default();
    let left = session(Protocol::Helper, &job(1), &masks, nowhere(), u64::MAX);
    let mut other = job(1);
    other.training.momentum = 0.0;
    let mut trainer = Trainer::new(CostEngine::new(roles()), &other, data(0)).unwrap();
    let error = trainer.resume(copy(&left[0].kept[0])).unwrap_err().to_string();
    assert!(error.contains("the state to restore"), "{error}");
}
