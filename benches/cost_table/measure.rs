//! The measurement of one network at one batch size.
//!
//! The variants take turns: a block of steps each, then again. Other work on the machine disturbs all of them alike, and a ratio
//! is taken between blocks of one turn. Reported are medians over the turns. Steps of `ot` send too much for that: they are
//! measured in one block after the turns, without a warm-up, where they declare little enough.

use anyhow::{Result, ensure};
use tercet_benches::{
    Clear, Link, Network, Plaintext, Protocol, Session, Threads, Training, check_traffic, declared,
    declared_step, process_seconds, synthetic,
};
use tercet_engine::Cost;
use tercet_train::{Architecture, DataSets, TrainingJob};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Turns of all variants.
    pub(crate) turns: usize,
    /// Seconds that a block should take at least.
    seconds: f64,
    /// Bytes of a step of `ot` above which none is made.
    pub(crate) ot_bytes: u64,
}

impl Effort {
    pub(crate) const FULL: Effort = Effort { turns: 7, seconds: 0.5, ot_bytes: 5_000_000_000 };
    pub(crate) const QUICK: Effort = Effort { turns: 3, seconds: 0.15, ot_bytes: 1_500_000_000 };
}

/// Steps of a block. One step would show a dealer that starts when its evaluators do; in a training it is ahead.
const FEWEST_STEPS: u64 = 3;
const MOST_STEPS: u64 = 2000;

/// Steps before anything is timed.
const WARM_UP: u64 = 2;

/// Bytes that a block of `ot` should send, and its most steps. Its fewest is one.
const OT_BLOCK_BYTES: u64 = 200_000_000;
const MOST_OT_STEPS: u64 = 20;

/// Milliseconds of a step.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Wall time.
    pub(crate) wall: f64,
    /// Processor time of all threads, where the system tells.
    pub(crate) processor: Option<f64>,
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) network: &'static str,
    pub(crate) layers: &'static str,
    pub(crate) parameters: usize,
    pub(crate) batch: usize,
    pub(crate) plaintext: Step,
    pub(crate) clear: Step,
    /// Where it is asked for, as `ot`.
    pub(crate) helper: Option<Secure>,
    pub(crate) ot: Option<Secure>,
}

/// A step of one of the protocols.
pub(crate) struct Secure {
    pub(crate) memory: Option<Step>,
    pub(crate) quic: Option<Step>,
    /// Wall time over QUIC against plaintext.
    pub(crate) ratio: Option<f64>,
    /// Declared for one step, of `ot` for the second. What was compared with every party's meter, where steps were made, is what all
    /// of them declare together, with the joining of the parties and the sharing of the rows.
    pub(crate) cost: Cost,
}

/// Measures `network` with mini-batches of `batch` rows by each of `protocols`.
pub(crate) fn measure(
    network: &Network,
    batch: usize,
    protocols: &[Protocol],
    threads: Threads,
    effort: Effort,
) -> Result<Row> {
    let job = network.job(batch);
    let architecture = Architecture::new(&network.model)?;
    let data = synthetic(architecture.inputs(), architecture.outputs(), batch);
    let cost_of = |protocol: Protocol| {
        protocols.contains(&protocol).then(|| declared_step(protocol, &job, &data)).transpose()
    };
    let (helper_cost, ot_cost) = (cost_of(Protocol::Helper)?, cost_of(Protocol::Ot)?);
    if let Some((helper, ot)) = helper_cost.zip(ot_cost) {
        ensure!(
            helper.rounds == ot.rounds,
            "a step declares {} rounds by `helper` and {} by `ot`",
            helper.rounds,
            ot.rounds
        );
    }

    let mut plaintext = Plaintext::new(&job, &data)?;
    let mut clear = Clear::new(&job, &data)?;
    let mut sessions = match helper_cost {
        Some(_) => [Link::Memory, Link::Quic]
            .map(|link| Session::start(Protocol::Helper, link, threads, &job, &data))
            .into_iter()
            .collect::<Result<Vec<_>>>()?,
        None => Vec::new(),
    };
    let mut variants: Vec<&mut dyn Training> = vec![&mut plaintext, &mut clear];
    variants.extend(sessions.iter_mut().map(|session| session as &mut dyn Training));
    let taken = in_turns(&mut variants, effort)?;
    for session in sessions {
        check_traffic(&session, &declared(Protocol::Helper, &job, &data, session.steps_done())?)?;
        session.finish()?;
    }

    let [plaintext, clear] = [&taken[0], &taken[1]].map(|steps| median_step(steps));
    let helper = helper_cost.map(|cost| {
        let ratios = taken[3].iter().zip(&taken[0]).map(|(quic, plaintext)| quic.wall / plaintext.wall);
        Secure {
            memory: Some(median_step(&taken[2])),
            quic: Some(median_step(&taken[3])),
            ratio: Some(median(ratios.collect())),
            cost,
        }
    });
    let ot = match ot_cost {
        Some(cost) => {
            let made = cost.total_bytes() <= effort.ot_bytes;
            let quic = made.then(|| by_ot(&job, &data, threads, &cost)).transpose()?;
            Some(Secure { memory: None, quic, ratio: quic.map(|quic| quic.wall / plaintext.wall), cost })
        }
        None => None,
    };
    let parameters = network.parameters()?;
    Ok(Row { network: network.name, layers: network.layers, parameters, batch, plaintext, clear, helper, ot })
}

/// The steps of each of `variants`, one a turn.
fn in_turns(variants: &mut [&mut dyn Training], effort: Effort) -> Result<Vec<Vec<Step>>> {
    let mut blocks = Vec::with_capacity(variants.len());
    for variant in variants.iter_mut() {
        variant.steps(1)?;
        let step = variant.steps(WARM_UP)?.as_secs_f64() / WARM_UP as f64;
        blocks.push(((effort.seconds / step.max(1e-9)).ceil() as u64).clamp(FEWEST_STEPS, MOST_STEPS));
    }
    let mut taken: Vec<Vec<Step>> = blocks.iter().map(|_| Vec::with_capacity(effort.turns)).collect();
    for _ in 0..effort.turns {
        for ((variant, block), taken) in variants.iter_mut().zip(&blocks).zip(&mut taken) {
            taken.push(timed(*variant, *block)?);
        }
    }
    Ok(taken)
}

/// Makes a block of `steps` steps.
fn timed(training: &mut dyn Training, steps: u64) -> Result<Step> {
    let before = process_seconds();
    let wall = training.steps(steps)?;
    let processor = process_seconds().zip(before).map(|(after, before)| after - before);
    let each = |seconds: f64| seconds * 1e3 / steps as f64;
    Ok(Step { wall: each(wall.as_secs_f64()), processor: processor.map(each) })
}

/// A step of `ot` over QUIC, from its first steps.
fn by_ot(job: &TrainingJob, data: &DataSets, threads: Threads, step: &Cost) -> Result<Step> {
    let mut session = Session::start(Protocol::Ot, Link::Quic, threads, job, data)?;
    let steps = OT_BLOCK_BYTES.div_ceil(step.total_bytes().max(1)).clamp(1, MOST_OT_STEPS);
    let taken = timed(&mut session, steps)?;
    check_traffic(&session, &declared(Protocol::Ot, job, data, session.steps_done())?)?;
    session.finish()?;
    Ok(taken)
}

fn median_step(steps: &[Step]) -> Step {
    let processor: Option<Vec<f64>> = steps.iter().map(|s| s.processor).collect();
    Step { wall: median(steps.iter().map(|s| s.wall).collect()), processor: processor.map(median) }
}

/// The middle of at least one number; of an even count the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
    (values[low] + values[high]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }

    const BOTH: [Protocol; 2] = [Protocol::Helper, Protocol::Ot];
    const LITTLE: Effort = Effort { turns: 1, seconds: 0.0, ot_bytes: 100_000_000 };

    fn row(protocols: &[Protocol], effort: Effort) -> Row {
        measure(&Network::breast_cancer(), 8, protocols, Threads::Each(1), effort).unwrap()
    }

    #[test]
    fn a_measured_row_has_times_a_cost_and_the_ratio_of_its_times() {
        let row = row(&BOTH, LITTLE);
        assert_eq!((row.batch, row.parameters), (8, 30 * 16 + 16 + 16 * 2 + 2));
        let (helper, ot) = (row.helper.unwrap(), row.ot.unwrap());
        for step in [Some(row.plaintext), Some(row.clear), helper.memory, helper.quic, ot.quic] {
            assert!(step.unwrap().wall > 0.0);
        }
        assert!(ot.memory.is_none());
        for secure in [helper, ot] {
            assert!(secure.cost.rounds > 0 && secure.cost.total_bytes() > 0);
            let ratio = secure.quic.unwrap().wall / row.plaintext.wall;
            assert!((secure.ratio.unwrap() - ratio).abs() < 1e-9);
        }
    }

    #[test]
    fn a_step_of_ot_above_the_bound_is_declared_and_not_made() {
        let ot = row(&BOTH, Effort { ot_bytes: 1000, ..LITTLE }).ot.unwrap();
        assert!(ot.cost.offline_bytes() > 1000 && ot.quic.is_none() && ot.ratio.is_none());
    }

    #[test]
    fn a_protocol_that_is_not_asked_for_is_left_out() {
        let alone = row(&[Protocol::Helper], LITTLE);
        assert!(alone.helper.is_some() && alone.ot.is_none());
        let alone = row(&[Protocol::Ot], LITTLE);
        assert!(alone.helper.is_none() && alone.ot.is_some());
    }
}
