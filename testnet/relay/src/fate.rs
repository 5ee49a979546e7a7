//! The random choices about each datagram.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::{Direction, PartsPerMillion, Shape};

/// What chance decides about one datagram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Fate {
    pub(crate) lost: bool,
    pub(crate) duplicated: bool,
    /// Where to flip a bit: a number to be reduced modulo the bits of the payload.
    pub(crate) flip: Option<u64>,
    /// Share of the jitter to add to the delay of the datagram and of its copy, in -1..1.
    pub(crate) jitter: [f64; 2],
}

impl Fate {
    /// The fate on a link without chance.
    const CERTAIN: Fate = Fate { lost: false, duplicated: false, flip: None, jitter: [0.0; 2] };
}

/// The sequence of fates of one direction. Every datagram takes as many numbers from the generator, so that the n-th
/// number decides about the n-th datagram, whatever the other settings are.
pub(crate) struct Fates {
    /// `None` where nothing is left to chance.
    rng: Option<ChaCha8Rng>,
    loss: PartsPerMillion,
    duplicate: PartsPerMillion,
    corrupt: PartsPerMillion,
}

impl Fates {
    pub(crate) fn new(shape: &Shape, direction: Direction) -> Self {
        let chances = [shape.loss, shape.duplicate, shape.corrupt];
        let chance = chances.iter().any(|chance| chance.parts() > 0) || !shape.jitter.is_zero();
        let rng = chance.then(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(shape.seed);
            rng.set_stream(direction as u64);
            rng
        });
        Self { rng, loss: shape.loss, duplicate: shape.duplicate, corrupt: shape.corrupt }
    }

    pub(crate) fn next(&mut self) -> Fate {
        let Some(rng) = &mut self.rng else { return Fate::CERTAIN };
        let numbers: [u64; 6] = std::array::from_fn(|_| rng.next_u64());
        let [lost, duplicated, corrupted, flip, first, second] = numbers;
        Fate {
            lost: hit(lost, self.loss),
            duplicated: hit(duplicated, self.duplicate),
            flip: hit(corrupted, self.corrupt).then_some(flip),
            jitter: [first, second].map(signed_unit),
        }
    }
}

/// Whether an evenly drawn number falls on a probability.
fn hit(number: u64, probability: PartsPerMillion) -> bool {
    let millionth = (u128::from(number) * u128::from(PartsPerMillion::ONE.parts())) >> 64;
    millionth < u128::from(probability.parts())
}

/// An evenly drawn number as a fraction in -1..1.
fn signed_unit(number: u64) -> f64 {
    const HALF: f64 = (1_u64 << 52) as f64;
    (number >> 11) as f64 / HALF - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(loss: u32, seed: u64) -> Shape {
        Shape { loss: PartsPerMillion::new(loss).unwrap(), seed, ..Shape::NONE }
    }

    fn losses(shape: &Shape, direction: Direction) -> Vec<bool> {
        let mut fates = Fates::new(shape, direction);
        (0..10_000).map(|_| fates.next().lost).collect()
    }

    #[test]
    fn the_seed_and_the_direction_fix_the_losses() {
        let first = losses(&shape(20_000, 7), Direction::ToTarget);
        assert_eq!(first, losses(&shape(20_000, 7), Direction::ToTarget));
        assert_ne!(first, losses(&shape(20_000, 8), Direction::ToTarget));
        assert_ne!(first, losses(&shape(20_000, 7), Direction::ToClient));
    }

    #[test]
    fn other_settings_leave_the_losses_as_they_are() {
        let plain = shape(20_000, 7);
        let more = Shape { duplicate: PartsPerMillion::new(500_000).unwrap(), ..plain };
        assert_eq!(losses(&plain, Direction::ToTarget), losses(&more, Direction::ToTarget));
    }

    /// 10 000 draws at 2 %: mean 200, standard deviation 14. Five of them on either side, for three fixed seeds.
    #[test]
    fn losses_are_as_frequent_as_the_profile_says() {
        for seed in 1..=3 {
            let lost = losses(&shape(20_000, seed), Direction::ToTarget).iter().filter(|lost| **lost).count();
            assert!((130..=270).contains(&lost), "{lost} of 10 000");
        }
        assert!(losses(&shape(1_000_000, 1), Direction::ToTarget).iter().all(|lost| *lost));
        assert!(losses(&shape(0, 1), Direction::ToTarget).iter().all(|lost| !lost));
    }

    #[test]
    fn jitter_covers_its_range_evenly() {
        let jitter = Shape { jitter: std::time::Duration::from_millis(1), ..Shape::NONE };
        let mut fates = Fates::new(&jitter, Direction::ToTarget);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let value = fates.next().jitter[0];
            assert!((-1.0..1.0).contains(&value));
            tenths[((value + 1.0) * 5.0) as usize] += 1;
        }
        // Mean 1000, standard deviation 30.
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }
}
