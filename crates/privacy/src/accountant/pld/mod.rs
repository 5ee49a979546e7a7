//! Privacy loss distributions: numerical composition, rounded so that ε is never understated.
//!
//! Sources: Koskela–Jälkö–Honkela 2020 and Gopi–Lee–Wutschitz 2021 (composition by Fourier transform),
//! Doroshenko et al. 2022 (rounding), Zhu–Dong–Wang 2022 (dominating pairs, both directions). Unlike those, the
//! transform is tilted (see [`compose`]) and the grid adapts to the spread of one step's loss.

mod compose;
mod pair;
mod pmf;

use super::mechanism::Event;
use compose::{Aim, Composed, MAX_LENGTH, compose};
use pair::{Pair, extent, pairs};
use pmf::Directions;

/// Grid interval where nothing asks for another one.
const INTERVAL: f64 = 1e-4;

/// Fewest and, for losses without atoms, most grid points per standard deviation of one step's loss. Rounding adds
/// at most about a quarter of the squared interval to the variance: one part in a million at the finer end.
const FEWEST_PER_SPREAD: f64 = 16.0;
const MOST_PER_SPREAD: f64 = 512.0;

/// Most grid points of one step.
const MAX_POINTS: f64 = (1 << 20) as f64;

/// Attempts at a grid that fits.
const MAX_ROUNDS: u32 = 60;

/// Share of δ that may be cut off as infinite loss, over all steps.
const CUT: f64 = 1e-9;

/// ε at `delta` by composition of loss distributions; `None` if a mechanism has none here (zCDP, fixed-size batches).
/// The events must have passed [`check_events`](super::check_events). The larger of removing and adding a record.
pub fn epsilon(events: &[Event], delta: f64) -> Option<f64> {
    let both = composed(events, Aim::Delta(delta), delta)?;
    Some(both.iter().map(|direction| direction.epsilon(delta)).fold(0.0, f64::max))
}

/// δ at `epsilon`, the larger of removing and adding a record; accurate down to about 1e-15.
pub fn delta(events: &[Event], epsilon: f64) -> Option<f64> {
    let both = composed(events, Aim::Epsilon(epsilon), 1e-15)?;
    Some(both.iter().map(|direction| direction.delta(epsilon)).fold(0.0, f64::max))
}

fn composed(events: &[Event], aim: Aim, delta: f64) -> Option<[Composed; 2]> {
    let list: Vec<(Vec<(f64, Pair)>, u64)> = merged(events)
        .iter()
        .map(|(mechanism, steps)| Some((pairs(mechanism)?, *steps)))
        .collect::<Option<_>>()?;
    let steps: f64 = list.iter().map(|(_, steps)| *steps as f64).sum();
    let tail = (delta * CUT / steps).max(1e-280);
    let mut h = interval(&list, tail);
    // Every round makes the grid coarser by at least a fifth; one or two suffice.
    for _ in 0..MAX_ROUNDS {
        let parts: Vec<(Directions, u64)> =
            list.iter().map(|(pairs, steps)| (Directions::of(pairs, h, tail), *steps)).collect();
        let remove: Vec<_> = parts.iter().map(|(both, steps)| (&both.remove, *steps)).collect();
        let add: Vec<_> = parts.iter().map(|(both, steps)| (&both.add, *steps)).collect();
        match (compose(&remove, aim), compose(&add, aim)) {
            (Ok(remove), Ok(add)) => return Some([remove, add]),
            (Err(coarser), _) | (_, Err(coarser)) => h *= coarser.0.max(1.0) * 1.2,
        }
    }
    None
}

/// Equal mechanisms joined, so that each is rounded and transformed once.
fn merged(events: &[Event]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for (mechanism, steps) in events {
        match joined.iter_mut().find(|(other, _)| other == mechanism) {
            Some((_, count)) => *count = count.saturating_add(*steps),
            None => joined.push((*mechanism, *steps)),
        }
    }
    joined
}

/// The grid interval: fine against one step's loss, coarse enough for the grid and the transform to fit.
fn interval(list: &[(Vec<(f64, Pair)>, u64)], tail: f64) -> f64 {
    let (mut spread, mut range, mut variance) = (f64::INFINITY, 0.0f64, 0.0);
    for (pairs, steps) in list {
        let (width, deviation) = extent(pairs, tail);
        spread = spread.min(deviation);
        range = range.max(width);
        variance += *steps as f64 * deviation * deviation;
    }
    let smooth = list.iter().flat_map(|(pairs, _)| pairs).all(|(_, pair)| pair.smooth());
    let most = if smooth { spread / MOST_PER_SPREAD } else { 0.0 };
    let fine = INTERVAL.min(spread / FEWEST_PER_SPREAD).max(most);
    let window = 24.0 * variance.sqrt() + range;
    fine.max(range / MAX_POINTS).max(window / (MAX_LENGTH / 2) as f64)
}
