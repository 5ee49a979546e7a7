//! Declared costs of the whole protocol, and the online phase beside that of the helper protocol.

use tercet_engine::{Cost, Engine, EngineError};
use tercet_helper::Roles;
use tercet_net::PartyId;
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::CostEngine;

use crate::costs::{Metered, all};
use crate::local::Program;

/// What a program declares.
pub fn declared<P: Program>(program: &P) -> Cost {
    let mut engine = CostEngine::new(FieldBits::default());
    program.run(&mut engine).unwrap_or_else(|e| panic!("the cost engine runs the same program: {e}"));
    engine.measured()
}

struct Alone(Metered);

impl Program for Alone {
    type Output = Cost;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Cost, EngineError> {
        let (before, after) = self.0.run(e)?;
        Ok(after - before)
    }
}

#[test]
fn the_online_phase_takes_the_rounds_of_the_helper_protocol_and_at_most_three_and_a_half_times_its_bytes() {
    let [e0, e1, h] = PartyId::ALL;
    for op in all() {
        let program = Alone(Metered { op, n: 1000 });
        let ot = program.run(&mut CostEngine::new(FieldBits::default())).unwrap();
        let roles = Roles { evaluators: [e0, e1], dealer: h };
        let helper = program.run(&mut tercet_helper::CostEngine::new(roles)).unwrap();
        // An input of the dealer costs no round, since its message is dealt; an evaluator's takes one.
        let dealt =
            helper.rounds == 0 && helper.offline_bytes() > 0 && helper.online_bytes() == 0 && ot.rounds == 1;
        if dealt {
            assert!(ot.online_bytes() <= 2 * helper.offline_bytes(), "{op:?}");
            continue;
        }
        assert_eq!(ot.rounds, helper.rounds, "{op:?}");
        assert!(2 * ot.online_bytes() <= 7 * helper.online_bytes(), "{op:?}: {ot:?} beside {helper:?}");
    }
}
