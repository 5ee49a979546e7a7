//! For every protocol: comparison, ReLU, gates, argmax, polynomials and products against the clear values.

use crate::local::{self, Program};
use crate::support::{TestRng, column, half_finished, integers, open_all, opening, share};
use tercet_engine::{Engine, EngineError, Gate, Meta, Policy, Relu, Sign, Term, Truncate, Var};
use tercet_share::{Bilinear, Linear, Ring, Tensor};

/// Opened integers, at party 0.
type Opened = Option<Vec<Vec<i64>>>;

fn reveal<E: Engine>(e: &mut E, values: &[(&E::Masked, u32)]) -> Result<Opened, EngineError> {
    let masked: Vec<&E::Masked> = values.iter().map(|v| v.0).collect();
    let opened = e.reveal(&masked, opening(&[0]))?;
    Ok(opened.map(|all| all.iter().zip(values).map(|(t, v)| integers(t, v.1)).collect()))
}

/// A bit as a masked integer.
fn bit_value<E: Engine>(e: &mut E, b: &E::Bit) -> Result<E::Masked, EngineError> {
    let terms = [Term { coefficient: 1.0, powers: vec![1] }];
    let z = e.polynomial(&[Var::Bit(b)], &terms, 0)?;
    Ok(e.remask(&[&z])?.swap_remove(0))
}

struct ReluAndBack {
    values: Vec<i64>,
    gradient: Vec<i64>,
    shift: u32,
    ring: u32,
    out: u32,
    width: u32,
}

impl Program for ReluAndBack {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, EngineError> {
        let out = Ring::new(self.out)?;
        let z = half_finished(e, &self.values, self.shift, self.ring)?;
        let g = half_finished(e, &self.gradient, self.shift, self.ring)?;
        let truncate = Truncate { value: &z, shift: self.shift, out };
        let (y, b) = e.relu(&[Relu { truncate, width: self.width }])?.swap_remove(0);
        let dx = e
            .gate(&[Gate { truncate: Truncate { value: &g, shift: self.shift, out }, bit: &b }])?
            .swap_remove(0);
        let one = bit_value(e, &b)?;
        reveal(e, &[(&y, 0), (&dx, 0), (&one, 0)])
    }
}

#[test]
fn relu_and_its_backward_pass_follow_the_clear_values() {
    let mut rng = TestRng(11);
    // (shift, ring, out, width): widths of one to eleven blocks, full and shrunk rings.
    for (shift, ring, out, width) in [
        (20, 64, 64, 32),
        (20, 64, 64, 44),
        (16, 38, 60, 22),
        (16, 34, 52, 18),
        (16, 64, 48, 20),
        (20, 64, 44, 30),
        (12, 52, 64, 16),
        (10, 40, 64, 4),
    ] {
        let bound = 1i64 << (width - 1).min(ring - 2 - shift);
        let mut values: Vec<i64> = vec![0, 1, -1, bound - 2, 2 - bound];
        values.extend((0..4000 / crate::FEWER).map(|_| rng.signed(bound - 2)));
        values.extend((0..2000 / crate::FEWER).map(|_| rng.signed(3.min(bound - 2))));
        let fine: Vec<i64> = values.iter().map(|v| (v << shift) + rng.signed(1 << (shift - 1))).collect();
        let gradient: Vec<i64> = fine.iter().map(|_| rng.signed(bound << (shift - 1))).collect();
        let program =
            ReluAndBack { values: fine.clone(), gradient: gradient.clone(), shift, ring, out, width };
        let opened = local::run(&program, &open_all()).unwrap()[0].take().unwrap();
        let scale = (shift as f64).exp2();
        for i in 0..fine.len() {
            let (y, dx, b) = (opened[0][i], opened[1][i], opened[2][i]);
            let x = fine[i] as f64 / scale;
            let here = format!("s={shift} L={ring} out={out} k={width}: x={x} y={y} b={b}");
            assert!(b == 0 || b == 1, "{here}");
            // The bit is the sign of the truncated value, which is within 1.5 units of x.
            if x >= 1.5 {
                assert_eq!(b, 1, "{here}");
            }
            if x <= -1.5 {
                assert_eq!(b, 0, "{here}");
            }
            assert!(y >= 0 && (y as f64 - x.max(0.0)).abs() < 1.5, "{here}");
            let want = gradient[i] as f64 / scale * b as f64;
            assert!((dx as f64 - want).abs() < 1.5 && (b == 1 || dx == 0), "{here} dx={dx}");
        }
    }
}

struct Signs {
    values: Vec<i64>,
    ring: u32,
    width: u32,
}

impl Program for Signs {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, EngineError> {
        let x = share(e, 1, &self.values, column(self.values.len(), 0, self.ring))?;
        let (bits, _) =
            e.nonnegative(&[Sign { value: &x, width: self.width, out: None, cuts: &[0.0] }], &[])?;
        let b = bit_value(e, &bits[0])?;
        reveal(e, &[(&b, 0)])
    }
}

#[test]
fn signs_are_exact() {
    let mut rng = TestRng(3);
    let mut count = 0u64;
    for (ring, width) in [(64, 64), (64, 32), (52, 20), (44, 18), (34, 34)] {
        for _ in 0..2 {
            let bound = if width == 64 { i64::MAX / 2 } else { 1i64 << (width - 1) };
            let mut values = vec![0, 1, -1, bound - 1, 1 - bound, -bound];
            while values.len() < 1_010_000 / crate::FEWER / crate::FEWER {
                let v = rng.signed(bound);
                values.push(if values.len() % 3 == 0 { v >> (rng.next() % width as u64) } else { v });
            }
            count += values.len() as u64;
            let program = Signs { values, ring, width };
            let opened = local::run(&program, &open_all()).unwrap()[0].take().unwrap();
            let wrong =
                opened[0].iter().zip(&program.values).filter(|(b, v)| (**b == 1) != (**v >= 0)).count();
            assert_eq!(wrong, 0, "ring {ring}, width {width}");
        }
    }
    assert!(count >= (10_000_000 / crate::FEWER / crate::FEWER) as u64);
}

struct Cuts {
    values: [Vec<i64>; 2],
    cuts: [Vec<f64>; 2],
}

impl Program for Cuts {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, EngineError> {
        let [x, y] = &self.values;
        let x = share(e, 0, x, column(x.len(), 4, 64))?;
        let y = share(e, 1, y, column(y.len(), 0, 40))?;
        let [cuts_x, cuts_y] = &self.cuts;
        let signs = [
            Sign { value: &x, width: 64, out: None, cuts: cuts_x },
            Sign { value: &y, width: 18, out: Some(Ring::new(50)?), cuts: cuts_y },
            Sign { value: &y, width: 18, out: None, cuts: &[] },
        ];
        let (bits, _) = e.nonnegative(&signs, &[])?;
        let values = bits.iter().map(|bit| bit_value(e, bit)).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<_> = values.iter().map(|value| (value, 0)).collect();
        reveal(e, &values)
    }
}

#[test]
fn every_threshold_of_a_value_is_compared_exactly() {
    let mut rng = TestRng(11);
    let cuts = [vec![-3.5, 0.0, 0.0625, 1e9], vec![0.0, 700.0, -700.0, 1.0, 1.0]];
    let scaled = [16.0, 1.0];
    let bounds = [1i64 << 40, 1 << 16];
    let values: [Vec<i64>; 2] = [0, 1].map(|i| {
        let near = cuts[i].iter().flat_map(|cut| [-1, 0, 1].map(|by| (cut * scaled[i]) as i64 + by));
        let mut values: Vec<i64> = near.collect();
        values.resize_with(2000 / crate::FEWER, || rng.signed(bounds[i]));
        values
    });
    let program = Cuts { values, cuts };
    let opened = local::run(&program, &open_all()).unwrap()[0].take().unwrap();
    let expected =
        program.values.iter().zip(&program.cuts).zip(scaled).flat_map(|((values, cuts), scale)| {
            cuts.iter().map(move |cut| values.iter().map(|v| i64::from(*v as f64 >= cut * scale)).collect())
        });
    let expected: Vec<Vec<i64>> = expected.collect();
    assert_eq!(opened, expected);
}

struct Riders {
    signs: Vec<i64>,
    ride: Vec<i64>,
}

impl Program for Riders {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, EngineError> {
        let x = share(e, 2, &self.signs, column(self.signs.len(), 0, 64))?;
        let z = half_finished(e, &self.ride, 20, 64)?;
        let ride = [
            Truncate { value: &z, shift: 20, out: Ring::FULL },
            Truncate { value: &z, shift: 20, out: Ring::new(40)? },
        ];
        let (bits, truncated) =
            e.nonnegative(&[Sign { value: &x, width: 40, out: None, cuts: &[0.0] }], &ride)?;
        let b = bit_value(e, &bits[0])?;
        reveal(e, &[(&b, 0), (&truncated[0], 0), (&truncated[1], 0)])
    }
}

#[test]
fn truncations_that_ride_on_a_comparison_are_unchanged() {
    let mut rng = TestRng(17);
    let signs: Vec<i64> = (0..999).map(|_| rng.signed(1 << 39)).collect();
    let ride: Vec<i64> = (0..501).map(|_| rng.signed(1 << 55)).collect();
    let program = Riders { signs: signs.clone(), ride: ride.clone() };
    let opened = local::run(&program, &open_all()).unwrap()[0].take().unwrap();
    assert!(opened[0].iter().zip(&signs).all(|(b, v)| (*b == 1) == (*v >= 0)));
    for t in &opened[1..] {
        assert!(t.iter().zip(&ride).all(|(x, v)| (*x as f64 - *v as f64 / 1048576.0).abs() < 1.5));
    }
}

struct Winners {
    values: Vec<i64>,
    cols: usize,
    group: usize,
}

impl Program for Winners {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, EngineError> {
        let meta =
            Meta { rows: self.values.len() / self.cols, cols: self.cols, frac: 0, ring: Ring::new(48)? };
        let x = share(e, 0, &self.values, meta)?;
        let b = e.argmax(&x, self.group, 24, Ring::FULL)?;
        let b = bit_value(e, &b)?;
        reveal(e, &[(&b, 0)])
    }
}

#[test]
fn argmax_marks_the_first_largest_entry_of_every_group() {
    let mut rng = TestRng(23);
    for (cols, group) in [(1, 1), (2, 2), (3, 3), (10, 10), (12, 4), (18, 9), (6, 6), (20, 20)] {
        // Small values, so that ties happen.
        let values: Vec<i64> = (0..cols * (67 / crate::FEWER.min(4)))
            .map(|i| if i % 2 == 0 { rng.signed(4) } else { rng.signed(1 << 22) })
            .collect();
        let program = Winners { values: values.clone(), cols, group };
        let opened = local::run(&program, &open_all()).unwrap()[0].take().unwrap();
        for (run, bits) in values.chunks(group).zip(opened[0].chunks(group)) {
            let best = run.iter().position(|v| v == run.iter().max().unwrap()).unwrap();
            let want: Vec<i64> = (0..group).map(|i| i64::from(i == best)).collect();
            assert_eq!(bits, want, "{run:?}");
        }
    }
}

struct Polynomials {
    x: Vec<i64>,
    y: Vec<i64>,
}

impl Program for Polynomials {
    type Output = Opened;

    fn run<E: Engine>(&self, e: &mut E) -> Result<Opened, EngineError> {
        let n = self.x.len();
        let x = share(e, 0, &self.x, column(n, 0, 64))?;
        let y = share(e, 2, &self.y, column(n, 0, 64))?;
        let (bits, _) = e.nonnegative(&[Sign { value: &y, width: 20, out: None, cuts: &[0.0] }], &[])?;
        let term = |c: f64, p: &[u32]| Term { coefficient: c, powers: p.to_vec() };
        let terms =
            [term(3.0, &[2, 1, 1]), term(-2.0, &[1, 0, 1]), term(5.0, &[0, 3, 0]), term(7.0, &[0, 0, 0])];
        let z = e.polynomial(&[Var::Masked(&x), Var::Masked(&y), Var::Bit(&bits[0])], &terms, 0)?;
        let fourth = e.polynomial(&[Var::Masked(&x)], &[term(1.0, &[4])], 0)?;
        let out = e.remask(&[&z, &fourth])?;
        reveal(e, &[(&out[0], 0), (&out[1], 0)])
    }
}

#[test]
fn polynomials_of_values_and_bits_are_exact() {
    let mut rng = TestRng(29);
    let x: Vec<i64> = (0..300).map(|_| rng.signed(1000)).collect();
    let y: Vec<i64> = (0..300).map(|_| rng.signed(1000)).collect();
    let program = Polynomials { x: x.clone(), y: y.clone() };
    let opened = local::run(&program, &open_all()).unwrap()[0].take().unwrap();
    for i in 0..300 {
        let b = i64::from(y[i] >= 0);
        assert_eq!(opened[0][i], 3 * x[i] * x[i] * y[i] * b - 2 * x[i] * b + 5 * y[i].pow(3) + 7);
        assert_eq!(opened[1][i], x[i].pow(4));
    }
}

struct Algebra {
    a: Vec<i64>,
    b: Vec<i64>,
    c: Vec<i64>,
}

impl Program for Algebra {
    type Output = [Opened; 3];

    fn run<E: Engine>(&self, e: &mut E) -> Result<[Opened; 3], EngineError> {
        let meta = |rows, cols| Meta { rows, cols, frac: 0, ring: Ring::FULL };
        // One matrix from each party, as A (6x4), B (4x5), C (6x5).
        let a = share(e, 0, &self.a, meta(6, 4))?;
        let b = share(e, 1, &self.b, meta(4, 5))?;
        let c = share(e, 2, &self.c, meta(6, 5))?;
        let ones = e.public(&Tensor::filled(6, 5, 1), meta(6, 5))?;
        let shifted = e.add(&c, &ones, true)?;
        let mut z = e.product(&Bilinear::MATMUL, &a, &b)?;
        let lifted = e.lift(&shifted)?;
        e.accumulate(&mut z, &lifted, -3, 0)?;
        let at = Bilinear::MatMul { left_t: true, right_t: false };
        let w = e.product(&at, &a, &shifted)?;
        let rows = e.linear_offset(&w, &Linear::SumRows)?;
        let picked = e.linear(&c, &Linear::GatherRows([5, 0, 5].into()))?;
        let joined = e.concat_rows(&[&picked, &ones])?;
        let wide = e.linear(&joined, &Linear::SumCols)?;
        let out = e.remask(&[&z, &rows])?;
        let mut results = [None, None, None];
        for party in 0..3 {
            let opened = e.reveal(&[&out[0], &out[1], &wide], opening(&[party]))?;
            if let Some(t) = opened {
                results[party] = Some(t.iter().map(|x| integers(x, 0)).collect());
            }
        }
        Ok(results)
    }
}

#[test]
fn inputs_of_all_parties_and_linear_algebra_reach_each_recipient_and_nobody_else() {
    let mut rng = TestRng(31);
    let mut matrix = |n: usize| (0..n).map(|_| rng.signed(1 << 20)).collect::<Vec<i64>>();
    let program = Algebra { a: matrix(24), b: matrix(20), c: matrix(30) };
    let outputs = local::run(&program, &open_all()).unwrap();
    let (a, b, c) = (&program.a, &program.b, &program.c);
    let mut z = vec![0i64; 30];
    let mut rows = vec![0i64; 5];
    for i in 0..6 {
        for j in 0..5 {
            let product: i64 = (0..4).map(|t| a[i * 4 + t] * b[t * 5 + j]).sum();
            z[i * 5 + j] = product - 3 * (c[i * 5 + j] - 1);
            for t in 0..4 {
                rows[j] += a[i * 4 + t] * (c[i * 5 + j] - 1);
            }
        }
    }
    let sum = |r: usize| c[r * 5..r * 5 + 5].iter().sum::<i64>();
    let wide = vec![sum(5), sum(0), sum(5), 5, 5, 5, 5, 5, 5];
    for (party, output) in outputs.into_iter().enumerate() {
        for (to, opened) in output.into_iter().enumerate() {
            assert_eq!(opened.is_some(), to == party);
            if let Some(opened) = opened {
                assert_eq!(opened, [z.clone(), rows.clone(), wide.clone()]);
            }
        }
    }
}

struct Forbidden;

impl Program for Forbidden {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), EngineError> {
        let x = share(e, 0, &[1, 2], column(2, 0, 64))?;
        e.reveal(&[&x], opening(&[1])).map(|_| ())
    }
}

#[test]
fn an_opening_that_the_policy_does_not_name_is_refused_before_anything_is_sent() {
    let error = local::run(&Forbidden, &Policy::default()).unwrap_err();
    assert!(matches!(error, EngineError::OpeningRefused { .. }), "{error}");
}

struct Mixed;

impl Program for Mixed {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), EngineError> {
        let x = share(e, 0, &[1, 2], column(2, 16, 64))?;
        let z = e.product(&Bilinear::Hadamard, &x, &x)?;
        let mut y = e.lift(&x)?;
        e.accumulate(&mut y, &z, 1, 0)
    }
}

#[test]
fn a_forgotten_truncation_cannot_run() {
    assert!(matches!(
        local::run(&Mixed, &open_all()).unwrap_err(),
        EngineError::Scales { left: 16, right: 32 }
    ));
}
