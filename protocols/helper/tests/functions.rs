//! The functions of the engine crate over the real protocol: their stated errors hold with the protocol's own rounding.

mod support;

use support::{declared, open_all, opening, share};
use tercet_engine::{Cost, Engine, EngineError, Meta, Shared, functions};
use tercet_helper::local::{self, Program};
use tercet_share::Ring;

#[derive(Clone, Copy, Debug)]
enum Function {
    ExpNonpositive,
    Exp,
    Sigmoid,
    Softplus,
    Reciprocal,
    ReciprocalIn,
    InverseSqrt,
    Log,
    Softmax,
    Max,
    Abs,
    Select,
}

const FRAC: u32 = 16;

struct Applied {
    function: Function,
    x: Vec<f64>,
    cols: usize,
}

impl Program for Applied {
    type Output = (Option<Vec<f64>>, Cost);

    fn run<E: Engine>(&self, e: &mut E) -> Result<Self::Output, EngineError> {
        let meta = Meta { rows: self.x.len() / self.cols, cols: self.cols, frac: FRAC, ring: Ring::FULL };
        let scaled: Vec<i64> = self.x.iter().map(|v| (v * f64::from(1 << FRAC)).round() as i64).collect();
        let x = share(e, 1, &scaled, meta)?;
        let y = match self.function {
            Function::ExpNonpositive => functions::exp_nonpositive(e, &x, 8)?,
            Function::Exp => functions::exp(e, &x, 4)?,
            Function::Sigmoid => functions::sigmoid(e, &x, 8)?,
            Function::Softplus => functions::softplus(e, &x, 8)?,
            Function::Reciprocal => functions::reciprocal(e, &x, -6, 6)?,
            Function::ReciprocalIn => functions::reciprocal_in(e, &x, 1.0, 10.0)?,
            Function::InverseSqrt => functions::inverse_sqrt(e, &x, -6, 6)?,
            Function::Log => functions::log(e, &x, -6, 6)?,
            Function::Softmax => functions::softmax(e, &x, self.cols, 8)?,
            Function::Max => functions::max(e, &x, self.cols, 8)?,
            Function::Abs => functions::abs(e, &x, 8)?,
            Function::Select => {
                let sign = tercet_engine::Sign { value: &x, width: 26, out: None, cuts: &[0.0] };
                let bit = e.nonnegative(&[sign], &[])?.0.swap_remove(0);
                let twice = e.add(&x, &x, false)?;
                functions::select(e, &bit, &twice, &x)?
            }
        };
        // Selections and the like keep the operand's fractional bits: there is nothing to truncate.
        let y = if y.meta().frac > FRAC {
            functions::finish(e, &y, FRAC, Ring::FULL)?
        } else {
            e.remask(&[&y])?.swap_remove(0)
        };
        let opened = e.reveal(&[&y], opening(&[0]))?;
        Ok((opened.map(|t| t[0].iter().copied().collect()), e.measured()))
    }
}

fn apply(function: Function, x: Vec<f64>, cols: usize) -> Vec<f64> {
    let program = Applied { function, x, cols };
    let [(opened, cost), ..] = local::run(&program, &open_all()).unwrap();
    let declared = {
        let program = Applied { function, x: program.x.clone(), cols };
        struct Costs(Applied);
        impl Program for Costs {
            type Output = ();
            fn run<E: Engine>(&self, e: &mut E) -> Result<(), EngineError> {
                self.0.run(e).map(drop)
            }
        }
        declared(&Costs(program))
    };
    assert_eq!(cost.rounds, declared.rounds, "{function:?}");
    assert_eq!(cost.online, declared.online, "{function:?}");
    opened.unwrap()
}

/// `n` points from `lo` to `hi`, ends included, on the fixed-point grid.
fn grid(lo: f64, hi: f64, n: usize) -> Vec<f64> {
    let unit = f64::from(1 << FRAC);
    (0..n).map(|i| ((lo + (hi - lo) * i as f64 / (n - 1) as f64) * unit).round() / unit).collect()
}

/// The largest |got − want| − relative·|want|.
fn worst(function: Function, x: Vec<f64>, relative: f64, want: impl Fn(f64) -> f64) -> f64 {
    let got = apply(function, x.clone(), 1);
    x.iter().zip(got).map(|(&x, y)| (y - want(x)).abs() - relative * want(x).abs()).fold(f64::MIN, f64::max)
}

#[test]
fn univariate_functions_stay_within_their_stated_errors() {
    let two = |e: i32| 2f64.powi(e);
    // One unit more than the bounds of the functions' docs: the protocol's rounding is 1.5 units, the clear engine's 0.5.
    let unit = two(-(FRAC as i32));
    let slack = 2.0 * unit;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut negative = grid(-20.0, 0.0, 3000);
    negative.extend([-200.0, -100.5, -16.0, -unit]);
    assert!(worst(Function::ExpNonpositive, negative, two(-10), f64::exp) < two(-14) + slack);
    // The protocol may be off by 1.5 units where the clear engine is off by half of one, also in the step that drops bits of x.
    assert!(worst(Function::Exp, grid(-10.0, 10.0, 2000), two(-9) * 1.5, f64::exp) < two(-14) + slack);
    let mut wide = grid(-20.0, 20.0, 3000);
    wide.extend([-200.0, 200.0, 0.0, unit, -unit]);
    assert!(worst(Function::Sigmoid, wide.clone(), 0.0, sigmoid) < 3.4e-4 + slack);
    assert!(
        worst(Function::Softplus, wide.clone(), 0.0, |x| x.max(0.0) + (-x.abs()).exp().ln_1p())
            < two(-10) + slack
    );
    assert!(worst(Function::Abs, wide.clone(), 0.0, f64::abs) < slack);
    assert!(worst(Function::Select, wide, 0.0, |x| if x >= 0.0 { 2.0 * x } else { x }) < slack);
    let mut positive = grid(two(-6), two(6), 3000);
    positive.extend(grid(two(-6), 1.0, 500));
    assert!(worst(Function::Reciprocal, positive.clone(), two(-10), f64::recip) < two(-15) + slack);
    assert!(
        worst(Function::InverseSqrt, positive.clone(), two(-10), |x| x.sqrt().recip()) < two(-15) + slack
    );
    assert!(worst(Function::Log, positive, 0.0, f64::ln) < two(-10) + slack);
    assert!(worst(Function::ReciprocalIn, grid(1.0, 10.0, 2000), two(-10), f64::recip) < two(-15) + slack);
}

#[test]
fn softmax_and_max_of_rows_follow_the_clear_values() {
    for cols in [2usize, 3, 10] {
        let x: Vec<f64> = grid(-12.0, 12.0, 200 * cols)
            .into_iter()
            .enumerate()
            .map(|(i, v)| if i % 3 == 0 { -v / 2.0 } else { v * ((i % 7) as f64) / 7.0 })
            .map(|v| (v * 65536.0).round() / 65536.0)
            .collect();
        let p = apply(Function::Softmax, x.clone(), cols);
        let m = apply(Function::Max, x.clone(), cols);
        for (row, (x, p)) in x.chunks(cols).zip(p.chunks(cols)).enumerate() {
            let top = x.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = x.iter().map(|v| (v - top).exp()).sum();
            for (x, p) in x.iter().zip(p) {
                let want = (x - top).exp() / sum;
                assert!((p - want).abs() < 2f64.powi(-9), "{cols} classes: {p} instead of {want}");
            }
            assert!(
                (m[row] - top).abs() < 2f64.powi(-14),
                "{cols} columns: maximum {} instead of {top}",
                m[row]
            );
        }
    }
}
