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

/// What both protocols declare for each operation on 1000 elements.
fn both() -> Vec<(String, Cost, Cost)> {
    let [e0, e1, h] = PartyId::ALL;
    let of = |op| {
        let program = Alone(Metered { op, n: 1000 });
        let ot = program.run(&mut CostEngine::new(FieldBits::default())).unwrap();
        let roles = Roles { evaluators: [e0, e1], dealer: h };
        let helper = program.run(&mut tercet_helper::CostEngine::new(roles)).unwrap();
        (format!("{op:?}"), helper, ot)
    };
    all().into_iter().map(of).collect()
}

/// An input of the dealer costs no round, since its message is dealt; an evaluator's takes one.
fn dealt(helper: &Cost, ot: &Cost) -> bool {
    helper.rounds == 0 && helper.offline_bytes() > 0 && helper.online_bytes() == 0 && ot.rounds == 1
}

#[test]
fn the_online_phase_takes_the_rounds_of_the_helper_protocol_and_at_most_three_and_a_half_times_its_bytes() {
    for (op, helper, ot) in both() {
        if dealt(&helper, &ot) {
            assert!(ot.online_bytes() <= 2 * helper.offline_bytes(), "{op}");
            continue;
        }
        assert_eq!(ot.rounds, helper.rounds, "{op}");
        assert!(2 * ot.online_bytes() <= 7 * helper.online_bytes(), "{op}: {ot:?} beside {helper:?}");
    }
}

#[test]
fn the_table_of_the_protocol_page_is_what_is_declared() {
    let row = |(op, helper, ot): (String, Cost, Cost)| {
        let [h, o] = [helper, ot].map(|cost| cost.online_bytes() as f64 / 1000.0);
        let ratio = if h > 0.0 { format!("{:.2}", o / h) } else { "–".to_owned() };
        let rounds = if helper.rounds == ot.rounds {
            ot.rounds.to_string()
        } else {
            format!("{} / {}", helper.rounds, ot.rounds)
        };
        let offline = ot.offline_bytes() as f64 / 1000.0;
        format!("| {op} | {rounds} | {h:.1} | {o:.1} | {ratio} | {offline:.0} |\n")
    };
    let table: String = both().into_iter().map(row).collect();
    assert!(include_str!("../../PROTOCOL.md").contains(&table), "the table should be\n{table}");
}
