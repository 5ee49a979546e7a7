//! Whom to kill, and when: everything follows from the seed, but for how fast the machine is.

use std::time::Duration;

use crate::testnet::Chaos;

/// The moment of a kill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// When the victim has done this step.
    Step(u64),
    /// When the victim writes its first checkpoint after this step.
    Checkpoint(u64),
    /// So long after the last victim was started again: while the parties join, agree or share rows, or soon after.
    Soon(Duration),
}

/// One kill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kill {
    /// The victim's index.
    pub(super) party: usize,
    pub(super) moment: Moment,
    /// Between its end and its new start.
    pub(super) pause: Duration,
}

/// All kills in order.
pub(super) struct Schedule(pub(super) Vec<Kill>);

impl Schedule {
    /// Kills spread evenly over the three parties, the kinds of moments, and `steps` steps.
    pub(super) fn new(chaos: Chaos, steps: u64) -> Schedule {
        let mut random = Random(chaos.seed);
        let count = u64::from(chaos.kills);
        let mut victims: Vec<usize> = (0..chaos.kills as usize).map(|i| i % 3).collect();
        for i in (1..victims.len()).rev() {
            victims.swap(i, random.below(i as u64 + 1) as usize);
        }
        let kill = |(i, party): (u64, usize)| {
            // Of the first nine tenths: the last kill is survived too.
            let room = (steps * 9 / 10 / count.max(1)).max(1);
            let step = i * room + random.below(room);
            let moment = match i % 3 {
                0 => Moment::Step(step),
                1 => Moment::Soon(Duration::from_millis(random.below(1500))),
                _ => Moment::Checkpoint(step),
            };
            Kill { party, moment, pause: Duration::from_millis(random.below(500)) }
        };
        Schedule((0..count).zip(victims).map(kill).collect())
    }
}

/// SplitMix64: no secret depends on it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_fall_on_every_role_and_kind_of_moment_and_follow_from_the_seed() {
        let of = |seed| Schedule::new(Chaos { kills: 30, seed }, 9000).0;
        let kills = of(7);
        for party in 0..3 {
            let own: Vec<_> = kills.iter().filter(|kill| kill.party == party).collect();
            assert_eq!(own.len(), 10);
            let joining = own.iter().any(|kill| matches!(kill.moment, Moment::Soon(_)));
            assert!(joining && own.iter().any(|kill| !matches!(kill.moment, Moment::Soon(_))));
        }
        assert_eq!(kills, of(7));
        assert_ne!(kills, of(8));
    }
}
