//! For every protocol: every operation sends exactly the rounds and bytes that it declares.

use crate::local::{self, Program};
use crate::support::{TestRng, column, half_finished, open_all, opening, share};
use tercet_engine::{Cost, Engine, EngineError, Gate, Relu, Sign, Term, Truncate, Var};
use tercet_share::kernel::ConvGeometry;
use tercet_share::{Bilinear, Linear, Ring};

/// One program per operation.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    InputE0,
    InputE1,
    InputH,
    Product,
    Matrix,
    Convolution,
    Remask,
    Truncate,
    TruncateShrunk,
    TruncateOffset,
    Relu(u32),
    Gate,
    Nonnegative(u32),
    NonnegativeCuts(u32),
    NonnegativeWithRider,
    Argmax(usize),
    Polynomial,
    RevealE0,
    RevealAll,
}

pub struct Metered {
    pub op: Operation,
    pub n: usize,
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
            Operation::Matrix => {
                let kind = Bilinear::MatMul { left_t: true, right_t: false };
                drop(e.product(&kind, &wide, &wide)?);
            }
            Operation::Convolution => {
                let g = ConvGeometry {
                    channels: 1,
                    height: 2,
                    width: 5,
                    kernel_h: 2,
                    kernel_w: 3,
                    stride: 1,
                    padding: 1,
                };
                let kernel = share(e, 1, &[1, 2, 3, 4, 5, 6], column(6, 16, 64))?;
                let z = e.product(&Bilinear::Conv(g), &wide, &kernel)?;
                let positions = e.linear_offset(&z, &Linear::Scale(1))?;
                let image = e.linear(&wide, &Linear::GatherCols([0; 15].into()))?;
                e.product(&Bilinear::ConvWeightGrad(g), &wide, &image)?;
                e.product(&Bilinear::ConvInputGrad(g), &image, &kernel)?;
                drop(positions);
            }
            Operation::Remask => drop(e.remask(&[&z])?),
            Operation::Truncate => drop(e.truncate(&[truncate(full)])?),
            Operation::TruncateShrunk => drop(e.truncate(&[truncate(Ring::new(44)?)])?),
            Operation::TruncateOffset => drop(e.truncate_offset(&[(&z, 20)])?),
            Operation::Relu(width) => drop(e.relu(&[Relu { truncate: truncate(full), width }])?),
            Operation::Gate => drop(e.gate(&[Gate { truncate: truncate(full), bit: &bits }])?),
            Operation::Nonnegative(width) => {
                drop(e.nonnegative(&[Sign { value: &x, width, out: None, cuts: &[0.0] }], &[])?)
            }
            Operation::NonnegativeCuts(cuts) => {
                let cuts: Vec<f64> = (0..cuts).map(f64::from).collect();
                drop(e.nonnegative(&[Sign { value: &x, width: 44, out: None, cuts: &cuts }], &[])?)
            }
            Operation::NonnegativeWithRider => {
                drop(e.nonnegative(
                    &[Sign { value: &x, width: 44, out: Some(Ring::new(50)?), cuts: &[0.0] }],
                    &[truncate(full), truncate(Ring::new(40)?)],
                )?);
            }
            Operation::Argmax(group) => drop(e.argmax(&wide, group, 44, Ring::new(40).unwrap())?),
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

pub fn all() -> Vec<Operation> {
    use Operation::*;
    vec![
        InputE0,
        InputE1,
        InputH,
        Product,
        Matrix,
        Convolution,
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
        NonnegativeCuts(5),
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
            let want = crate::declared(&program);
            let parties = local::run(&program, &open_all()).unwrap();
            // Each party sees its own links; together they see all of them.
            for (who, (_, total)) in parties.into_iter().enumerate() {
                // A dealer sends nothing online, and no round waits for it.
                let evaluates = want.online[who].iter().any(|&bytes| bytes > 0);
                if evaluates {
                    assert_eq!(total.rounds, want.rounds, "{op:?} n={n} at party {who}");
                }
                for peer in 0..3 {
                    let here = format!("{op:?} n={n} at party {who}, peer {peer}");
                    assert_eq!(total.online[who][peer], want.online[who][peer], "online sent, {here}");
                    assert_eq!(total.online[peer][who], want.online[peer][who], "online received, {here}");
                    assert_eq!(total.offline[who][peer], want.offline[who][peer], "offline sent, {here}");
                    assert_eq!(total.offline[peer][who], want.offline[peer][who], "offline received, {here}");
                }
            }
        }
    }
}
