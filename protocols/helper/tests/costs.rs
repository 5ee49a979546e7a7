//! Every operation sends exactly the rounds and bytes that it declares.

mod support;

use support::{TestRng, column, declared, half_finished, open_all, opening, share};
use tercet_engine::{Cost, Engine, EngineError, Gate, Relu, Sign, Term, Truncate, Var};
use tercet_helper::local::{self, Program};
use tercet_share::{Bilinear, Linear, Ring};

/// One program per operation.
#[derive(Clone, Copy, Debug)]
enum Operation {
    InputE0,
    InputE1,
    InputH,
    Product,
    Remask,
    Truncate,
    TruncateShrunk,
    TruncateOffset,
    Relu(u32),
    Gate,
    Nonnegative(u32),
    NonnegativeWithRider,
    Argmax(usize),
    Polynomial,
    RevealE0,
    RevealAll,
}

struct Metered {
    op: Operation,
    n: usize,
}

impl Program for Metered {
    /// Cost before and after the operation.
    type Output = (Cost, Cost);

    fn run<E: Engine>(&self, e: &mut E) -> Result<(Cost, Cost), EngineError> {
        let n = self.n;
        let mut rng = TestRng(5);
        let v: Vec<i64> = (0..n).map(|_| rng.signed(1 << 40)).collect();
        let x = share(e, 0, &v, column(n, 16, 64))?;
        let z = half_finished(e, &v, 32, 64)?;
        let full = Ring::FULL;
        let truncate = |out| Truncate { value: &z, shift: 20, out };
        let wide = e.linear(&x, &Linear::Reshape(n / 10, 10))?;
        let bits = e.relu(&[Relu { truncate: truncate(full), width: 32 }])?.swap_remove(0).1;
        let before = e.measured();
        match self.op {
            Operation::InputE0 => drop(share(e, 0, &v, column(n, 16, 64))?),
            Operation::InputE1 => drop(share(e, 1, &v, column(n, 16, 52))?),
            Operation::InputH => drop(share(e, 2, &v, column(n, 16, 64))?),
            Operation::Product => drop(e.product(&Bilinear::Hadamard, &x, &x)?),
            Operation::Remask => drop(e.remask(&[&z])?),
            Operation::Truncate => drop(e.truncate(&[truncate(full)])?),
            Operation::TruncateShrunk => drop(e.truncate(&[truncate(Ring::new(44)?)])?),
            Operation::TruncateOffset => drop(e.truncate_offset(&[(&z, 20)])?),
            Operation::Relu(width) => drop(e.relu(&[Relu { truncate: truncate(full), width }])?),
            Operation::Gate => drop(e.gate(&[Gate { truncate: truncate(full), bit: &bits }])?),
            Operation::Nonnegative(width) => drop(e.nonnegative(&[Sign { value: &x, width }], &[])?),
            Operation::NonnegativeWithRider => {
                drop(e.nonnegative(
                    &[Sign { value: &x, width: 44 }],
                    &[truncate(full), truncate(Ring::new(40)?)],
                )?);
            }
            Operation::Argmax(group) => drop(e.argmax(&wide, group, 44)?),
            Operation::Polynomial => {
                let term = |c, p: &[u32]| Term { coefficient: c, powers: p.to_vec() };
                let terms = [term(1.0, &[3, 0]), term(0.5, &[1, 1])];
                drop(e.polynomial(&[Var::Masked(&x), Var::Bit(&bits)], &terms, 50)?);
            }
            Operation::RevealE0 => drop(e.reveal(&[&x], opening(&[0]))?),
            Operation::RevealAll => drop(e.reveal(&[&x], opening(&[0, 1, 2]))?),
        }
        Ok((before, e.measured()))
    }
}

fn all() -> Vec<Operation> {
    use Operation::*;
    vec![
        InputE0,
        InputE1,
        InputH,
        Product,
        Remask,
        Truncate,
        TruncateShrunk,
        TruncateOffset,
        Relu(16),
        Relu(22),
        Relu(32),
        Relu(44),
        Gate,
        Nonnegative(4),
        Nonnegative(20),
        Nonnegative(64),
        NonnegativeWithRider,
        Argmax(2),
        Argmax(5),
        Argmax(10),
        Polynomial,
        RevealE0,
        RevealAll,
    ]
}

#[test]
fn measured_rounds_and_bytes_equal_the_declared_cost() {
    for op in all() {
        for n in [10usize, 130, 1000] {
            let program = Metered { op, n };
            let want = declared(&program);
            let [e0, e1, h] = local::run(&program, &open_all()).unwrap();
            // Each party sees its own links; together they see all of them.
            for (who, (_, total)) in [(0, e0), (1, e1), (2, h)] {
                for peer in 0..3 {
                    let here = format!("{op:?} n={n} at party {who}, peer {peer}");
                    assert_eq!(total.online[who][peer], want.online[who][peer], "online sent, {here}");
                    assert_eq!(total.online[peer][who], want.online[peer][who], "online received, {here}");
                    assert_eq!(total.offline[who][peer], want.offline[who][peer], "offline sent, {here}");
                    assert_eq!(total.offline[peer][who], want.offline[peer][who], "offline received, {here}");
                }
            }
            assert_eq!(e0.1.rounds, want.rounds, "{op:?} n={n}");
            assert_eq!(e1.1.rounds, want.rounds, "{op:?} n={n}");
        }
    }
}

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
