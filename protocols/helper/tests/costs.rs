//! Every operation sends exactly the rounds and bytes that it declares.

mod support;

use costs::{Metered, Operation};
use support::{declared, open_all};
use tercet_engine::{Cost, Engine, EngineError};
use tercet_helper::local::{self, Program};

#[path = "../../online/tests/shared/costs.rs"]
mod costs;

/// Bits per element of the operation alone: E0 to E1, E1 to E0, H to E1, and rounds.
fn per_element(op: Operation) -> [u64; 4] {
    struct Alone(Metered);
    impl Program for Alone {
        type Output = Cost;
        fn run<E: Engine>(&self, e: &mut E) -> Result<Cost, EngineError> {
            let (before, after) = self.0.run(e)?;
            Ok(after - before)
        }
    }
    let n = 64_000;
    let [c, ..] = local::run(&Alone(Metered { op, n }), &open_all()).unwrap();
    let mut offline = c.offline[2][1];
    if offline == 0 {
        // E0 does not see the dealer's link to E1: the declared cost has it.
        let program = Metered { op, n };
        let all = declared(&program);
        struct Before(Metered);
        impl Program for Before {
            type Output = Cost;
            fn run<E: Engine>(&self, e: &mut E) -> Result<Cost, EngineError> {
                Ok(self.0.run(e)?.0)
            }
        }
        let [_, e1, _] = local::run(&Before(Metered { op, n }), &open_all()).unwrap();
        offline = all.offline[2][1] - e1.offline[2][1];
    }
    let bits = |bytes: u64| (bytes * 8).div_ceil(n as u64);
    [bits(c.online[0][1]), bits(c.online[1][0]), bits(offline), c.rounds]
}

#[test]
fn costs_per_element_are_those_of_the_protocol_page() {
    assert_eq!(per_element(Operation::Product), [0, 0, 0, 0]);
    assert_eq!(per_element(Operation::Remask), [64, 64, 64, 1]);
    assert_eq!(per_element(Operation::Truncate), [108, 108, 84, 2]);
    assert_eq!(per_element(Operation::TruncateShrunk), [44, 44, 44, 1]);
    assert_eq!(per_element(Operation::TruncateOffset), [44, 44, 84, 1]);
    assert_eq!(per_element(Operation::Gate), [108, 108, 168, 2]);
    assert_eq!(per_element(Operation::Relu(32)), [124, 124, 398, 5]);
    assert_eq!(per_element(Operation::InputH), [0, 0, 64, 0]);
    assert_eq!(per_element(Operation::InputE0), [64, 0, 0, 1]);
}
