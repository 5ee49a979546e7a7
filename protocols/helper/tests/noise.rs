//! Noise of every party: each adds its own, exactly once, with the right sign, and nothing travels for it.

mod support;

use support::{declared, half_finished, open_all, opening};
use tercet_engine::{Engine, EngineError, Truncate};
use tercet_helper::local::{self, Program};
use tercet_share::Ring;

/// What each party adds to an element; told apart by their digits.
const OWN: [u64; 3] = [1, 10, 100u64.wrapping_neg()];

/// Adds noise to a half-finished value with a non-trivial offset, then finishes it in two ways.
struct Noisy {
    values: Vec<i64>,
    ring: u32,
    noise: bool,
}

impl Program for Noisy {
    type Output = Option<(Vec<i64>, Vec<i64>)>;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, EngineError> {
        let mut z = half_finished(e, &self.values, 8, self.ring)?;
        if self.noise {
            let own = OWN[e.party()];
            let mut calls = 0;
            e.noise(&mut z, &mut |elements| {
                calls += 1;
                assert_eq!(elements.len(), self.values.len());
                elements.iter_mut().for_each(|v| *v = v.wrapping_add(own));
            })?;
            assert!(calls <= 1, "a party adds its noise once");
        }
        let exact = e.remask(&[&z])?.swap_remove(0);
        let short =
            e.truncate(&[Truncate { value: &z, shift: 4, out: Ring::new(self.ring)? }])?.swap_remove(0);
        let opened = e.reveal(&[&exact, &short], opening(&[0]))?;
        Ok(opened.map(|t| (support::integers(&t[0], 8), support::integers(&t[1], 4))))
    }
}

fn values() -> Vec<i64> {
    (-50..50).map(|i| i * 1_234_567).collect()
}

#[test]
fn a_value_gains_the_noise_of_all_three_parties_and_no_other() {
    for ring in [64, 44] {
        let program = Noisy { values: values(), ring, noise: true };
        let [opened, ..] = local::run(&program, &open_all()).unwrap();
        let (exact, short) = opened.unwrap();
        let sum: i64 = OWN.iter().map(|&v| v as i64).sum();
        for ((v, exact), short) in values().iter().zip(exact).zip(short) {
            assert_eq!(exact, v + sum, "{ring}");
            let difference = short as f64 - (v + sum) as f64 / 16.0;
            assert!(difference.abs() < 1.5, "{ring}: {difference}");
        }
    }
}

#[test]
fn noise_takes_no_round_and_no_byte() {
    let [quiet, noisy] = [false, true].map(|noise| declared(&Noisy { values: values(), ring: 64, noise }));
    assert_eq!(quiet, noisy);
}

#[test]
fn the_meter_agrees_that_noise_takes_no_byte() {
    struct Metered(Noisy);
    impl Program for Metered {
        type Output = tercet_engine::Cost;
        fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, EngineError> {
            self.0.run(e)?;
            Ok(e.measured())
        }
    }
    let expected = declared(&Noisy { values: values(), ring: 64, noise: true });
    let metered = Metered(Noisy { values: values(), ring: 64, noise: true });
    for (party, cost) in local::run(&metered, &open_all()).unwrap().into_iter().enumerate() {
        assert_eq!(cost.online[party], expected.online[party], "party {party}");
        assert_eq!(cost.offline[party], expected.offline[party], "party {party}");
    }
}
