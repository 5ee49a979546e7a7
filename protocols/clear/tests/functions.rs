//! The engine's functions in the clear engine, against f64, over their whole domains. All range violations are errors.
//! The figures that the functions' documentation states are printed; see them with `--nocapture`.
#![allow(clippy::print_stdout)]

mod common;

use common::{Counting, geometric, points};
use tercet_clear::{ClearMasked, ClearOffset};
use tercet_engine::functions::{self, CoarseRoot};
use tercet_engine::{Engine, EngineError, Meta, Shared};
use tercet_share::{Ring, Tensor};

/// Evaluates `g` at `xs` and checks |g(x) − f(x)| ≤ bound(x) for x as fixed point holds it. Returns the largest quotient of
/// error and bound, and the rounds.
fn check(
    xs: &[f64],
    frac: u32,
    g: impl Fn(&mut Counting, &ClearMasked) -> Result<ClearOffset, EngineError>,
    f: impl Fn(f64) -> f64,
    bound: impl Fn(f64) -> f64,
) -> (f64, u32) {
    let mut engine = Counting::new();
    let x = engine.masked(1, xs, frac);
    let y = g(&mut engine, &x).unwrap().decode();
    let mut worst = (0.0, 0.0, 0.0, 0.0);
    for (x, y) in x.decode().iter().zip(y.iter()) {
        let error = (y - f(*x)).abs() / bound(*x);
        if error > worst.0 {
            worst = (error, *x, *y, f(*x));
        }
    }
    println!(
        "frac {frac}: {:.3} of the bound at x = {}: {} for {}; {} rounds",
        worst.0, worst.1, worst.2, worst.3, engine.rounds
    );
    assert!(
        worst.0 <= 1.0,
        "error is {} of the bound at x = {}: {} instead of {}",
        worst.0,
        worst.1,
        worst.2,
        worst.3
    );
    (worst.0, engine.rounds)
}

fn two(n: i32) -> f64 {
    f64::from(n).exp2()
}

#[test]
fn exp_of_nonpositive_numbers_keeps_its_bound_and_vanishes_far_below() {
    let mut xs = points(-12.0, 0.0, 6000);
    xs.extend([-4095.9, -1000.0, -100.0, -16.0, -9.75, -9.7500001]);
    for (frac, rounds) in [(10, 3), (12, 3), (13, 3), (16, 3), (20, 4)] {
        let bound = |x: f64| two(-10) * x.exp() + two(-14) + x.exp() * if frac > 16 { two(-15) } else { 0.0 };
        let (_, r) = check(&xs, frac, |e, x| functions::exp_nonpositive(e, x, 12), f64::exp, bound);
        assert_eq!(r, rounds, "rounds at {frac} fractional bits");
    }
}

#[test]
fn exp_far_below_is_exactly_zero() {
    let mut engine = Counting::new();
    let x = engine.masked(1, &[-4095.0, -10.0, -9.8], 16);
    let y = functions::exp_nonpositive(&mut engine, &x, 12).unwrap();
    assert!(y.decode().iter().all(|y| y.abs() < two(-40)), "{:?}", y.decode());
}

#[test]
fn exp_keeps_its_bound_up_to_ten() {
    let mut xs = points(-12.0, 10.0, 6000);
    xs.extend([-2000.0, -9.75]);
    for frac in [12, 16] {
        let bound = |x: f64| two(-9) * x.exp() + two(-14);
        check(&xs, frac, |e, x| functions::exp(e, x, 12), f64::exp, bound);
    }
}

#[test]
fn sigmoid_keeps_its_bound_everywhere() {
    let mut xs = points(-12.0, 12.0, 6000);
    xs.extend([-4000.0, -8.0, 8.0, 4000.0]);
    for (frac, rounds) in [(10, 3), (12, 3), (16, 3)] {
        let f = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (_, r) = check(&xs, frac, |e, x| functions::sigmoid(e, x, 12), f, |_| two(-11));
        assert_eq!(r, rounds);
    }
}

#[test]
fn softplus_keeps_its_bound_everywhere() {
    let mut xs = points(-12.0, 12.0, 6000);
    xs.extend([-2000.0, -7.5, 7.5, 2000.0]);
    for (frac, rounds) in [(12, 3), (16, 4)] {
        let f = |x: f64| if x > 30.0 { x } else { x.exp().ln_1p() };
        let (_, r) = check(&xs, frac, |e, x| functions::softplus(e, x, 11), f, |_| two(-10));
        assert!(r <= rounds, "{r} rounds");
    }
}

#[test]
fn bounded_functions_keep_their_bounds() {
    for (lo, hi) in [(1.0, 2.0), (1.0, 10.0), (1.0, 100.0), (0.25, 4.0), (0.01, 0.5), (3.0, 60.0)] {
        let xs = geometric(lo, hi, 3000);
        for frac in [12, 16] {
            // x is rounded to at least 9 fractional bits in these domains: a relative error of 2^−10/x at most.
            let g = |e: &mut Counting, x: &ClearMasked| functions::reciprocal_in(e, x, lo, hi);
            let rounding = |x: f64| two(-10) / (x * x);
            check(&xs, frac, g, |x| 1.0 / x, |x| two(-10) / x + two(-15) + rounding(x).min(two(-10) / x));
            let g = |e: &mut Counting, x: &ClearMasked| functions::log_in(e, x, lo, hi);
            check(&xs, frac, g, f64::ln, |x| two(-11) + (two(-10) / x).min(two(-10)));
            let g = |e: &mut Counting, x: &ClearMasked| functions::inverse_sqrt_in(e, x, lo, hi);
            check(&xs, frac, g, |x| 1.0 / x.sqrt(), |x| two(-9) / x.sqrt() + two(-15));
        }
    }
}

#[test]
fn functions_of_any_magnitude_keep_their_bounds() {
    for (low, high, frac) in [(-8, 8, 12), (-8, 15, 16), (-12, 4, 16), (0, 10, 12), (-3, -2, 16)] {
        let xs = geometric(two(low), two(high), 4000);
        let g = |e: &mut Counting, x: &ClearMasked| functions::reciprocal(e, x, low, high);
        check(&xs, frac, g, |x| 1.0 / x, |x| two(-10) / x + two(-15));
        let g = |e: &mut Counting, x: &ClearMasked| functions::inverse_sqrt(e, x, low, high);
        check(&xs, frac, g, |x| 1.0 / x.sqrt(), |x| two(-10) / x.sqrt() + two(-15));
        let g = |e: &mut Counting, x: &ClearMasked| functions::log(e, x, low, high);
        check(&xs, frac, g, f64::ln, |_| two(-10));
    }
}

#[test]
fn a_root_with_its_truncation_keeps_its_bound_beside_thresholds_and_below_the_floor() {
    let (has, shift) = (38, 22);
    for (least, high, plus, floor) in [
        (1.0, 2, 1.0, false),
        (two(-10), 10, two(-10), false),
        (two(-12), 12, 0.0, true),
        (0.09, 8, 0.0, true),
        (0.049, 11, two(-15), true),
        (0.25, 0, 0.0, true),
    ] {
        let mut xs = geometric(least, 0.999 * two(high), 3000);
        // Beside every threshold, so that comparisons and values may disagree about the piece.
        let pieces = (0..).map(|piece| least * two(2 * piece)).take_while(|cut| *cut < two(high));
        xs.extend(pieces.flat_map(|cut| (-3..=3).map(move |i| cut * (1.0 + f64::from(i) * two(-10)))));
        xs.extend([0.0, two(-20), 0.09, 0.049]);
        let xs: Vec<f64> = xs.iter().map(|x| (x - plus).max(0.0)).collect();
        for noise in [None, Some(11)] {
            let mut engine = Counting { noise, ..Counting::new() };
            let x = engine.masked(1, &xs, has);
            let offset = engine.lift(&x).unwrap();
            let radicand = functions::Radicand { plus, least, floor, high };
            let rooted =
                CoarseRoot::new(has, radicand).unwrap().evaluate(&mut engine, &offset, shift).unwrap();
            assert_eq!(engine.rounds, if least * 4.0 < two(high) || floor { 4 } else { 2 });
            let unit = two(shift as i32 - has as i32);
            for ((x, value), root) in xs.iter().zip(&rooted.value.decode()).zip(&rooted.root.decode()) {
                assert!((value - x).abs() <= 1.6 * unit, "{x}: {value}");
                // Below the domain without a floor: any finite number.
                if !floor && x + plus < least {
                    continue;
                }
                let over = root * (x + plus).max(least).sqrt();
                let within = 1.0 - 0.0237..=1.0 + two(-10);
                assert!(within.contains(&over), "{least} to 2^{high}, {noise:?}: {over} at {x}");
            }
        }
    }
}

#[test]
fn a_root_with_its_truncation_refuses_a_domain_that_does_not_fit() {
    let radicand = |least, high| functions::Radicand { plus: 0.0, least, floor: true, high };
    for (least, high) in [(1.0, 30), (two(-40), 10), (0.0, 4), (16.0, 4), (1.0, 24)] {
        assert!(CoarseRoot::new(40, radicand(least, high)).is_none(), "{least}");
    }
    let root = CoarseRoot::new(40, radicand(1.0, 12)).unwrap();
    let mut engine = Counting::new();
    let mut refused = |frac, ring| {
        let meta = Meta { rows: 1, cols: 1, frac, ring: Ring::new(ring).unwrap() };
        let x = engine.public(&Tensor::filled(1, 1, 1), meta).unwrap();
        let offset = engine.lift(&x).unwrap();
        root.evaluate(&mut engine, &offset, 20).err().map(|e| e.to_string())
    };
    assert_eq!(refused(40, 64), None);
    assert!(refused(40, 50).unwrap().contains("40 fractional bits in a ring of 53, not for 40 in one of 50"));
    assert!(refused(39, 64).unwrap().contains("not for 39"));
}

#[test]
fn an_inverse_square_root_in_parts_keeps_its_bound_with_the_rounding_of_shares() {
    // Domains of Adam, of a variance, one below 1, and one of a single level.
    for (low, high, frac) in
        [(-28, 4, 34), (-26, 5, 32), (-12, 10, 20), (-10, 0, 18), (-24, -6, 30), (-2, 2, 12)]
    {
        let xs = geometric(two(low), 0.999 * two(high), 4000);
        for noise in [None, Some(7)] {
            let mut engine = Counting { noise, ..Counting::new() };
            let x = engine.masked(1, &xs, frac);
            let parts = functions::inverse_sqrt_parts(&mut engine, &x, (low, high), 12, Ring::FULL).unwrap();
            let (power, root) = (parts.power.decode(), parts.root.decode());
            let mut worst = 0f64;
            for ((x, power), root) in x.decode().iter().zip(&power).zip(&root) {
                assert_eq!(power.log2().fract(), 0.0);
                worst = worst.max((power * root * x.sqrt() - 1.0).abs());
            }
            println!("2^{low} to 2^{high}, noise {noise:?}: {worst:.5}; {} rounds", engine.rounds);
            assert!(worst <= two(-7), "{worst}");
            assert!(engine.rounds <= 13, "{} rounds", engine.rounds);
        }
        // Below the domain results are finite: what multiplies them by zero gets zero.
        let mut engine = Counting::new();
        let x = engine.masked(1, &[0.0, -two(-(frac as i32)), two(low) / 2.0], frac);
        let parts = functions::inverse_sqrt_parts(&mut engine, &x, (low, high), 12, Ring::FULL).unwrap();
        for (power, root) in parts.power.decode().iter().zip(&parts.root.decode()) {
            assert!(power * root <= 4.0 * two(-low / 2 + 1), "{power} {root}");
        }
    }
}

#[test]
fn an_inverse_square_root_in_parts_needs_room_above_its_domain() {
    let mut engine = Counting::new();
    let x = engine.masked(1, &[1.0], 58);
    let error = match functions::inverse_sqrt_parts(&mut engine, &x, (-28, 4), 12, Ring::FULL) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("needs a ring of 65 bits but has one of 64"), "{error}");
}

#[test]
fn select_abs_and_max_are_exact() {
    let mut engine = Counting::new();
    let values = [-3.5, 2.25, 0.0, 7.0, -0.0625, 7.0, -9.0, -8.0, -8.5];
    let x = engine.masked(3, &values, 16);
    let y = engine.masked(3, &[1.0; 9], 16);
    let absolute = functions::abs(&mut engine, &x, 8).unwrap().decode();
    assert!(absolute.iter().zip(&values).all(|(a, v)| *a == v.abs()));
    assert_eq!(engine.rounds, 3);
    let largest = functions::max(&mut engine, &x, 3, 8).unwrap().decode();
    assert_eq!(largest.as_slice().unwrap(), &[2.25, 7.0, -8.0]);
    assert_eq!(engine.rounds, 3 + 5);
    let bit = engine.argmax(&x, 3, 26, Ring::FULL).unwrap();
    let chosen = functions::select(&mut engine, &bit, &x, &y).unwrap().decode();
    assert_eq!(chosen.as_slice().unwrap(), &[1.0, 2.25, 1.0, 7.0, 1.0, 1.0, 1.0, -8.0, 1.0]);
}

/// Rows of logits of many kinds: ties, one winner, far apart, near uniform, pseudo-random.
fn logits(classes: usize, frac: u32) -> Vec<f64> {
    let mut rows = vec![vec![0.0; classes], vec![5.0; classes]];
    rows.push((0..classes).map(|j| if j == classes - 1 { 30.0 } else { -30.0 }).collect());
    rows.push((0..classes).map(|j| -(j as f64)).collect());
    rows.push((0..classes).map(|j| -0.1 * j as f64).collect());
    rows.push((0..classes).map(|j| if j < 2 { 900.0 } else { -900.0 }).collect());
    let mut state = 1u64;
    for row in 0..300 {
        let spread = 0.5 * f64::from(row % 30);
        rows.push(
            (0..classes)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    spread * ((state >> 11) as f64 / two(53) - 0.5)
                })
                .collect(),
        );
    }
    rows.into_iter().flatten().map(|x| (x * two(frac as i32)).round() / two(frac as i32)).collect()
}

fn float_softmax(z: &[f64]) -> (Vec<f64>, f64) {
    let most = z.iter().copied().fold(f64::MIN, f64::max);
    let e: Vec<f64> = z.iter().map(|z| (z - most).exp()).collect();
    let sum: f64 = e.iter().sum();
    (e.iter().map(|e| e / sum).collect(), most + sum.ln())
}

#[test]
fn softmax_keeps_its_bound_for_few_and_many_classes() {
    for (classes, rounds) in [(2, 3), (3, 13), (4, 13), (10, 13), (11, 16), (100, 16), (128, 16), (1000, 18)]
    {
        for frac in [12, 16] {
            let mut engine = Counting::new();
            let values = logits(classes, frac);
            let z = engine.masked(classes, &values, frac);
            let p = functions::softmax(&mut engine, &z, classes, 11).unwrap();
            let mut worst = 0.0f64;
            let decoded = p.decode();
            for (row, p) in values.chunks(classes).zip(decoded.rows()) {
                for (want, got) in float_softmax(row).0.iter().zip(p) {
                    worst = worst.max((want - got).abs());
                }
                assert!((p.sum() - 1.0).abs() < two(-8), "the probabilities add up to {}", p.sum());
            }
            println!(
                "{classes} classes, frac {frac}: error {worst:.2e} = 2^{:.2}, {} rounds",
                worst.log2(),
                engine.rounds
            );
            assert!(worst <= two(-10), "{classes} classes: error {worst}");
            assert!(engine.rounds <= rounds, "{classes} classes: {} rounds", engine.rounds);
        }
    }
}

#[test]
fn softmax_tolerates_the_rounding_of_truncations_on_shares() {
    for classes in [2, 3, 10, 100, 1000] {
        let mut engine = Counting::noisy(classes as u64);
        let values = logits(classes, 16);
        let z = engine.masked(classes, &values, 16);
        let p = functions::softmax(&mut engine, &z, classes, 11).unwrap().decode();
        let mut worst = 0.0f64;
        for (row, p) in values.chunks(classes).zip(p.rows()) {
            for (want, got) in float_softmax(row).0.iter().zip(p) {
                worst = worst.max((want - got).abs());
            }
        }
        println!("{classes} classes with noise: error {worst:.2e} = 2^{:.2}", worst.log2());
        assert!(worst <= two(-9), "{classes} classes: error {worst}");
    }
}

#[test]
fn softmax_keeps_its_bound_in_narrower_rings() {
    for (classes, bits, frac) in [(2, 50, 12), (3, 56, 12), (10, 60, 14), (10, 56, 12), (40, 58, 12)] {
        let mut engine = Counting::new();
        let values = logits(classes, frac);
        let z = engine.masked(classes, &values, frac);
        let z = engine.narrow(&z, Ring::new(bits).unwrap()).unwrap();
        let p = functions::softmax(&mut engine, &z, classes, 11).unwrap().decode();
        let mut worst = 0.0f64;
        for (row, p) in values.chunks(classes).zip(p.rows()) {
            for (want, got) in float_softmax(row).0.iter().zip(p) {
                worst = worst.max((want - got).abs());
            }
        }
        println!("{classes} classes in {bits} bits: error 2^{:.2}, {} rounds", worst.log2(), engine.rounds);
        assert!(worst <= two(-9), "{classes} classes in {bits} bits: error {worst}");
    }
}

#[test]
fn softmax_of_groups_is_that_of_each_group() {
    let mut engine = Counting::new();
    let values = logits(3, 16);
    let rows = values.len() / 6;
    let z = engine.masked(6, &values[..rows * 6], 16);
    let p = functions::softmax(&mut engine, &z, 3, 11).unwrap().decode();
    assert_eq!(p.dim(), (rows, 6));
    for (group, got) in values.chunks(3).zip(p.as_slice().unwrap().chunks(3)) {
        for (want, got) in float_softmax(group).0.iter().zip(got) {
            assert!((want - got).abs() < two(-10));
        }
    }
    let z = engine.masked(4, &values[..400], 16);
    let p = functions::softmax(&mut engine, &z, 2, 11).unwrap().decode();
    for (group, got) in values[..400].chunks(2).zip(p.as_slice().unwrap().chunks(2)) {
        for (want, got) in float_softmax(group).0.iter().zip(got) {
            assert!((want - got).abs() < two(-10));
        }
    }
}

#[test]
fn cross_entropy_is_the_loss_of_its_softmax() {
    for (classes, rounds) in [(2, 6), (3, 18), (10, 18), (100, 19), (200, 26)] {
        let mut engine = Counting::new();
        let values = logits(classes, 16);
        let rows = values.len() / classes;
        let labels: Vec<f64> =
            (0..rows * classes).map(|i| f64::from(u8::from(i % classes == i / classes % classes))).collect();
        let z = engine.masked(classes, &values, 16);
        let y = engine.masked(classes, &labels, 0);
        let (p, loss) = functions::softmax_cross_entropy(&mut engine, &z, &y, classes, 11, 12).unwrap();
        assert_eq!(loss.meta().shape(), (rows, 1));
        assert_eq!(p.meta().shape(), (rows, classes));
        let mut worst = 0.0f64;
        for (r, row) in values.chunks(classes).enumerate() {
            let want = float_softmax(row).1 - row[r % classes];
            worst = worst.max((want - loss.decode()[[r, 0]]).abs());
        }
        println!(
            "{classes} classes: loss error {worst:.2e} = 2^{:.2}, {} rounds",
            worst.log2(),
            engine.rounds
        );
        assert!(worst <= two(-9), "{classes} classes: loss error {worst}");
        assert_eq!(engine.rounds, rounds, "{classes} classes");
    }
}

#[test]
fn binary_cross_entropy_is_the_loss_of_its_probability() {
    let mut engine = Counting::new();
    let xs = points(-20.0, 20.0, 4001);
    let labels: Vec<f64> = (0..xs.len()).map(|i| (i % 2) as f64).collect();
    let z = engine.masked(1, &xs, 16);
    let y = engine.masked(1, &labels, 0);
    let (p, loss) = functions::binary_cross_entropy(&mut engine, &z, &y, 8, 12).unwrap();
    for (i, z) in z.decode().iter().enumerate() {
        assert!((p.decode()[[i, 0]] - 1.0 / (1.0 + (-z).exp())).abs() < two(-10));
        let want = z.exp().ln_1p() - labels[i] * z;
        assert!((loss.decode()[[i, 0]] - want).abs() < two(-9));
    }
}

#[test]
fn domains_and_rings_that_do_not_fit_are_refused() {
    let mut engine = Counting::new();
    let x = engine.masked(1, &[1.0], 16);
    assert!(functions::reciprocal_in(&mut engine, &x, 0.0, 1.0).is_err());
    assert!(functions::reciprocal_in(&mut engine, &x, 2.0, 1.0).is_err());
    assert!(functions::reciprocal(&mut engine, &x, -17, 3).is_err());
    assert!(functions::log(&mut engine, &x, 3, 3).is_err());
    assert!(functions::softmax(&mut engine, &x, 1, 10).is_err());
    assert!(functions::softmax(&mut engine, &x, 0, 10).is_err());
    let narrow = engine.narrow(&x, Ring::new(30).unwrap()).unwrap();
    assert!(matches!(
        functions::exp_nonpositive(&mut engine, &narrow, 8),
        Err(EngineError::Parameter { .. })
    ));
    let up = engine.lift(&x).unwrap();
    assert!(functions::finish(&mut engine, &up, 17, Ring::FULL).is_err());
}
