//! The measurement of one network at one batch size.
//!
//! The variants take turns: a block of steps each, then again. Other work on the machine disturbs all of them alike, and a ratio
//! is taken between blocks of one turn. Reported are medians over the turns.

use anyhow::Result;
use tercet_benches::{
    Clear, Link, Network, Plaintext, Session, Threads, Training, check_traffic, declared_step,
    process_seconds, synthetic,
};
use tercet_engine::Cost;
use tercet_train::Architecture;

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Turns of all variants.
    pub(crate) turns: usize,
    /// Seconds that a block should take at least.
    seconds: f64,
}

impl Effort {
    pub(crate) const FULL: Effort = Effort { turns: 7, seconds: 0.5 };
    pub(crate) const QUICK: Effort = Effort { turns: 3, seconds: 0.15 };
}

/// Steps of a block. One step would show a dealer that starts when its evaluators do; in a training it is ahead.
const FEWEST_STEPS: u64 = 3;
const MOST_STEPS: u64 = 2000;

/// Steps before anything is timed.
const WARM_UP: u64 = 2;

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
    pub(crate) memory: Step,
    pub(crate) quic: Step,
    /// Wall time over QUIC against plaintext, in the same turn.
    pub(crate) ratio: f64,
    /// Declared for one step, and equal to what every party's meter saw.
    pub(crate) cost: Cost,
}

/// Measures `network` with mini-batches of `batch` rows.
pub(crate) fn measure(network: &Network, batch: usize, threads: Threads, effort: Effort) -> Result<Row> {
    let job = network.job(batch);
    let architecture = Architecture::new(&network.model)?;
    let data = synthetic(architecture.inputs(), architecture.outputs(), batch);
    let cost = declared_step(&job, &data)?;

    let mut plaintext = Plaintext::new(&job, &data)?;
    let mut clear = Clear::new(&job, &data)?;
    let mut memory = Session::start(Link::Memory, threads, &job, &data)?;
    let mut quic = Session::start(Link::Quic, threads, &job, &data)?;

    let mut variants: [&mut dyn Training; 4] = [&mut plaintext, &mut clear, &mut memory, &mut quic];
    let mut blocks = [FEWEST_STEPS; 4];
    for (variant, block) in variants.iter_mut().zip(&mut blocks) {
        variant.steps(1)?;
        let step = variant.steps(WARM_UP)?.as_secs_f64() / WARM_UP as f64;
        *block = ((effort.seconds / step.max(1e-9)).ceil() as u64).clamp(FEWEST_STEPS, MOST_STEPS);
    }
    let mut taken: [Vec<Step>; 4] = Default::default();
    for _ in 0..effort.turns {
        for ((variant, block), taken) in variants.iter_mut().zip(blocks).zip(&mut taken) {
            let before = process_seconds();
            let wall = variant.steps(block)?;
            let processor = process_seconds().zip(before).map(|(after, before)| after - before);
            let each = |seconds: f64| seconds * 1e3 / block as f64;
            taken.push(Step { wall: each(wall.as_secs_f64()), processor: processor.map(each) });
        }
    }
    for session in [memory, quic] {
        check_traffic(&session, &cost)?;
        session.finish()?;
    }

    let ratios = taken[3].iter().zip(&taken[0]).map(|(quic, plaintext)| quic.wall / plaintext.wall).collect();
    let [plaintext, clear, memory, quic] = taken.map(|steps| median_step(&steps));
    Ok(Row {
        network: network.name,
        layers: network.layers,
        parameters: network.parameters()?,
        batch,
        plaintext,
        clear,
        memory,
        quic,
        ratio: median(ratios),
        cost,
    })
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

    #[test]
    fn a_measured_row_has_times_a_cost_and_the_ratio_of_its_times() {
        let effort = Effort { turns: 1, seconds: 0.0 };
        let row = measure(&Network::breast_cancer(), 8, Threads::Each(1), effort).unwrap();
        assert_eq!((row.batch, row.parameters), (8, 30 * 16 + 16 + 16 * 2 + 2));
        assert!(row.cost.rounds > 0 && row.cost.total_bytes() > 0);
        for step in [row.plaintext, row.clear, row.memory, row.quic] {
            assert!(step.wall > 0.0);
        }
        assert!((row.ratio - row.quic.wall / row.plaintext.wall).abs() < 1e-9);
    }
}
