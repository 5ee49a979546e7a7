//! The clear engine's operations against exact integer arithmetic, and what it refuses.

use proptest::prelude::*;
use tercet_clear::{ClearEngine, ClearMasked, ClearOffset};
use tercet_engine::{
    Engine, EngineError, Gate, Input, Meta, Opening, Policy, Reason, Relu, Rule, Shared, Sign, Term,
    Truncate, Var,
};
use tercet_share::{Bilinear, Linear, Ring, Tensor};

fn ring(bits: u32) -> Ring {
    Ring::new(bits).unwrap()
}

/// One row of integers as a value.
fn integers(engine: &mut ClearEngine, values: &[i64], frac: u32, ring: Ring) -> ClearMasked {
    let meta = Meta { rows: 1, cols: values.len(), frac, ring };
    let elements = values.iter().map(|&v| v as u64).collect();
    engine.public(&Tensor::from_vec(1, values.len(), elements), meta).unwrap()
}

fn signed(x: &ClearMasked) -> Vec<i64> {
    x.elements().data().iter().map(|&v| x.meta().ring.signed(v)).collect()
}

fn lenient() -> ClearEngine {
    ClearEngine::new(Policy::default())
}

fn open_model() -> (Policy, Opening) {
    let policy = Policy::new(vec![Rule { reason: Reason::Model, to: vec![0, 2] }]);
    (policy, Opening { reason: Reason::Model, what: "weights".into(), to: vec![2] })
}

/// floor(v / 2^s + 1/2) in wide integers.
fn rounded(v: i64, shift: u32) -> i64 {
    let v = i128::from(v) + (1i128 << (shift - 1));
    (v >> shift) as i64
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truncation_rounds_to_nearest_in_every_ring(raw in any::<i64>(), bits in 4u32..=64, drop in 1u32..62, out in 1u32..=64) {
        prop_assume!(drop + 2 <= bits);
        let mut engine = lenient();
        let v = ring(bits).signed(raw as u64);
        let x = integers(&mut engine, &[v], 62, ring(bits));
        let x = engine.lift(&x).unwrap();
        let batch = [Truncate { value: &x, shift: drop, out: ring(out) }];
        let y = engine.truncate(&batch).unwrap().remove(0);
        prop_assert_eq!(y.meta(), Meta { rows: 1, cols: 1, frac: 62 - drop, ring: ring(out) });
        prop_assert_eq!(signed(&y)[0], ring(out).signed(rounded(v, drop) as u64));
        let half = engine.truncate_offset(&[(&x, drop)]).unwrap().remove(0);
        prop_assert_eq!(half.meta().ring, ring(bits));
        prop_assert_eq!(ring(bits).signed(half.elements().data()[0]), ring(bits).signed(rounded(v, drop) as u64));
    }

    #[test]
    fn relu_is_the_larger_of_zero_and_the_truncated_value(values in prop::collection::vec(-(1i64 << 50)..1i64 << 50, 1..20)) {
        let mut engine = ClearEngine::new(Policy::default()).strict();
        let x = integers(&mut engine, &values, 30, Ring::FULL);
        let x = engine.lift(&x).unwrap();
        let t = || Truncate { value: &x, shift: 20, out: ring(44) };
        let (y, bit) = engine.relu(&[Relu { truncate: t(), width: 32 }]).unwrap().remove(0);
        let gated = engine.gate(&[Gate { truncate: t(), bit: &bit }]).unwrap().remove(0);
        for (i, &v) in values.iter().enumerate() {
            prop_assert_eq!(signed(&y)[i], rounded(v, 20).max(0));
            prop_assert_eq!(signed(&gated)[i], rounded(v, 20).max(0));
            prop_assert_eq!(bit.bits().bit(i), u64::from(rounded(v, 20) >= 0));
        }
    }

    #[test]
    fn signs_and_largest_entries_are_those_of_the_integers(values in prop::collection::vec(-40i64..40, 12)) {
        let mut engine = ClearEngine::new(Policy::default()).strict();
        let x = integers(&mut engine, &values, 0, ring(20));
        let (bits, _) = engine.nonnegative(&[Sign { value: &x, width: 8, out: None, cuts: &[0.0] }], &[]).unwrap();
        let largest = engine.argmax(&x, 4, 8, Ring::FULL).unwrap();
        for (i, &v) in values.iter().enumerate() {
            prop_assert_eq!(bits[0].bits().bit(i), u64::from(v >= 0));
            let group = &values[i / 4 * 4..i / 4 * 4 + 4];
            let first = group.iter().position(|v| v == group.iter().max().unwrap()).unwrap();
            prop_assert_eq!(largest.bits().bit(i), u64::from(i % 4 == first));
        }
    }

    #[test]
    fn polynomials_are_exact_integers(values in prop::collection::vec(-1000i64..1000, 4), c in -8i32..8) {
        let mut engine = ClearEngine::new(Policy::default()).strict();
        let x = integers(&mut engine, &values, 4, Ring::FULL);
        let y = integers(&mut engine, &[3, -5, 0, 7], 6, ring(60));
        let (bits, _) = engine.nonnegative(&[Sign { value: &x, width: 12, out: None, cuts: &[0.0] }], &[]).unwrap();
        let terms = [
            Term { coefficient: f64::from(c) / 4.0, powers: vec![2, 1, 1] },
            Term { coefficient: -1.5, powers: vec![0, 0, 0] },
            Term { coefficient: 1.0, powers: vec![0, 2, 0] },
        ];
        let vars = [Var::Masked(&x), Var::Masked(&y), Var::Bit(&bits[0])];
        let p = engine.polynomial(&vars, &terms, 16).unwrap();
        prop_assert_eq!(p.meta(), Meta { rows: 1, cols: 4, frac: 16, ring: ring(60) });
        for (i, (&x, y)) in values.iter().zip([3i64, -5, 0, 7]).enumerate() {
            let b = i64::from(x >= 0);
            // Coefficients have 16 − 14, 16 and 16 − 12 fractional bits.
            let want = i64::from(c) * x * x * y * b - (3 << 15) + 16 * y * y;
            prop_assert_eq!(ring(60).signed(p.elements().data()[i]), want);
        }
    }
}

fn matrix(engine: &mut ClearEngine, rows: usize, cols: usize, seed: i64) -> (ClearMasked, Vec<Vec<i64>>) {
    let entry = |r: usize, c: usize| (r as i64 * 31 + c as i64 * 17 + seed * 7) % 41 - 20;
    let values: Vec<Vec<i64>> = (0..rows).map(|r| (0..cols).map(|c| entry(r, c)).collect()).collect();
    let flat: Vec<u64> = values.iter().flatten().map(|&v| v as u64).collect();
    let meta = Meta { rows, cols, frac: 3, ring: Ring::FULL };
    (engine.public(&Tensor::from_vec(rows, cols, flat), meta).unwrap(), values)
}

#[test]
fn products_are_those_of_the_integers() {
    let mut engine = ClearEngine::new(Policy::default()).strict();
    let (x, xs) = matrix(&mut engine, 5, 7, 1);
    let (y, ys) = matrix(&mut engine, 5, 4, 2);
    let kind = Bilinear::MatMul { left_t: true, right_t: false };
    let z = engine.product(&kind, &x, &y).unwrap();
    assert_eq!(z.meta(), Meta { rows: 7, cols: 4, frac: 6, ring: Ring::FULL });
    for i in 0..7 {
        for j in 0..4 {
            let want: i64 = (0..5).map(|k| xs[k][i] * ys[k][j]).sum();
            assert_eq!(z.elements().data()[i * 4 + j] as i64, want);
        }
    }
    let square = engine.product(&Bilinear::Hadamard, &x, &x).unwrap();
    assert!(square.elements().data().iter().zip(xs.iter().flatten()).all(|(s, v)| *s as i64 == v * v));
}

#[test]
fn sums_scale_and_shift_half_finished_values() {
    let mut engine = ClearEngine::new(Policy::default()).strict();
    let x = integers(&mut engine, &[100, -7], 10, Ring::FULL);
    let y = integers(&mut engine, &[3, 5], 6, ring(50));
    let mut sum = engine.lift(&x).unwrap();
    let y = engine.lift(&y).unwrap();
    engine.accumulate(&mut sum, &y, -3, 4).unwrap();
    assert_eq!(sum.meta().ring, ring(50));
    let sum = engine.remask(&[&sum]).unwrap().remove(0);
    assert_eq!(signed(&sum), vec![100 - 3 * 3 * 16, -7 - 3 * 5 * 16]);
    assert!(matches!(engine.accumulate(&mut engine_lift(&x), &y, 1, 3), Err(EngineError::Scales { .. })));
}

fn engine_lift(x: &ClearMasked) -> ClearOffset {
    lenient().lift(x).unwrap()
}

#[test]
fn linear_maps_and_rows_keep_their_order() {
    let mut engine = ClearEngine::new(Policy::default()).strict();
    let x = integers(&mut engine, &[1, 2, 3, 4], 2, Ring::FULL);
    let y = integers(&mut engine, &[5, 6, 7, 8], 2, ring(40));
    let both = engine.concat_rows(&[&x, &y]).unwrap();
    assert_eq!((both.meta().shape(), both.meta().ring), ((2, 4), ring(40)));
    let sums = engine.linear(&both, &Linear::SumGroups(2)).unwrap();
    assert_eq!(signed(&sums), vec![3, 7, 11, 15]);
    let reread = engine.reread(&x, 4).unwrap();
    assert_eq!(reread.decode().as_slice().unwrap(), &[0.0625, 0.125, 0.1875, 0.25]);
    let (bits, _) =
        engine.nonnegative(&[Sign { value: &x, width: 4, out: None, cuts: &[0.0] }], &[]).unwrap();
    let repeated = engine.linear_bit(&bits[0], &Linear::RepeatCols(2)).unwrap();
    assert_eq!((repeated.bits().len(), repeated.meta().shape()), (8, (1, 8)));
    assert!(engine.linear_bit(&bits[0], &Linear::SumCols).is_err());
}

#[test]
fn mismatches_are_refused() {
    let mut engine = lenient();
    let x = integers(&mut engine, &[1, 2], 10, Ring::FULL);
    let wide = integers(&mut engine, &[1, 2, 3], 10, Ring::FULL);
    let fine = integers(&mut engine, &[1, 2], 40, Ring::FULL);
    let narrow = integers(&mut engine, &[1, 2], 10, ring(12));
    assert!(matches!(engine.add(&x, &wide, false), Err(EngineError::Shapes { .. })));
    assert!(matches!(engine.add(&x, &fine, false), Err(EngineError::Scales { left: 10, right: 40 })));
    assert!(matches!(engine.concat_rows(&[&x, &wide]), Err(EngineError::Shapes { .. })));
    assert!(engine.concat_rows(&[]).is_err());
    assert!(engine.narrow(&narrow, ring(13)).is_err());
    assert!(engine.reread(&x, 63).is_err());
    assert!(engine.product(&Bilinear::Hadamard, &fine, &fine).is_err(), "80 fractional bits");
    assert!(engine.product(&Bilinear::MATMUL, &x, &x).is_err());
    let meta = Meta { rows: 2, cols: 2, frac: 0, ring: Ring::FULL };
    assert!(engine.public(&Tensor::zeros(1, 2), meta).is_err());

    let lifted = engine.lift(&narrow).unwrap();
    for shift in [0, 11, 12, 64, u32::MAX] {
        assert!(
            engine.truncate(&[Truncate { value: &lifted, shift, out: Ring::FULL }]).is_err(),
            "shift {shift}"
        );
        assert!(engine.truncate_offset(&[(&lifted, shift)]).is_err());
    }
    for width in [0, 1, 5, 65] {
        let truncate = Truncate { value: &lifted, shift: 8, out: ring(4) };
        assert!(engine.relu(&[Relu { truncate, width }]).is_err(), "width {width}");
    }
    assert!(engine.nonnegative(&[Sign { value: &narrow, width: 13, out: None, cuts: &[0.0] }], &[]).is_err());
    assert!(engine.argmax(&x, 0, 10, Ring::FULL).is_err());
    assert!(engine.argmax(&wide, 2, 10, Ring::FULL).is_err());
    assert!(engine.argmax(&x, 2, 65, Ring::FULL).is_err());

    let (bits, _) =
        engine.nonnegative(&[Sign { value: &wide, width: 13, out: None, cuts: &[0.0] }], &[]).unwrap();
    let value = engine.lift(&x).unwrap();
    let truncate = Truncate { value: &value, shift: 2, out: Ring::FULL };
    assert!(matches!(engine.gate(&[Gate { truncate, bit: &bits[0] }]), Err(EngineError::Shapes { .. })));
}

#[test]
fn polynomials_that_cannot_be_encoded_are_refused() {
    let mut engine = lenient();
    let x = integers(&mut engine, &[1, 2], 10, Ring::FULL);
    let (bits, _) =
        engine.nonnegative(&[Sign { value: &x, width: 13, out: None, cuts: &[0.0] }], &[]).unwrap();
    let mut refused = |powers: &[u32], coefficient: f64, frac: u32| {
        let term = Term { coefficient, powers: powers.to_vec() };
        engine.polynomial(&[Var::Masked(&x), Var::Bit(&bits[0])], &[term], frac).is_err()
    };
    assert!(!refused(&[2, 1], 1.0, 20));
    assert!(refused(&[2, 1], 1.0, 19), "too few fractional bits");
    assert!(refused(&[2, 2], 1.0, 20), "the square of a bit");
    assert!(refused(&[2], 1.0, 20), "a power is missing");
    assert!(refused(&[1, 0], 1.0, 63), "too many fractional bits");
    assert!(refused(&[1, 0], f64::NAN, 20), "not a number");
    assert!(refused(&[0, 0], 8.0, 60), "too large a coefficient");
    assert!(refused(&[u32::MAX, 0], 1.0, 60), "too high a power");
    let none: [Var<'_, ClearMasked, _>; 0] = [];
    assert!(engine.polynomial(&none, &[], 10).is_err());
}

#[test]
fn inputs_need_their_values_and_shape() {
    let mut engine = lenient();
    let meta = Meta { rows: 1, cols: 2, frac: 4, ring: Ring::FULL };
    let values = || Some(Tensor::from_vec(1, 2, vec![16, 40]));
    let x = engine.input(vec![Input { owner: 1, values: values(), meta }]).unwrap().remove(0);
    assert_eq!(x.decode().as_slice().unwrap(), &[1.0, 2.5]);
    assert!(engine.input(vec![Input { owner: 1, values: None, meta }]).is_err());
    assert!(engine.input(vec![Input { owner: 3, values: values(), meta }]).is_err());
    let tall = Meta { rows: 2, ..meta };
    assert!(engine.input(vec![Input { owner: 1, values: values(), meta: tall }]).is_err());
}

#[test]
fn openings_obey_the_policy_and_are_recorded() {
    let (policy, opening) = open_model();
    let mut engine = ClearEngine::new(policy);
    let x = integers(&mut engine, &[3, -8], 2, Ring::FULL);
    engine.set_step(17);
    let opened = engine.reveal(&[&x, &x], opening.clone()).unwrap().unwrap();
    assert_eq!(opened[0].as_slice().unwrap(), &[0.75, -2.0]);
    assert_eq!(engine.openings().len(), 1);
    assert_eq!((engine.openings()[0].values, engine.openings()[0].step), (4, 17));
    for refused in [
        Opening { to: vec![1], ..opening.clone() },
        Opening { to: vec![], ..opening.clone() },
        Opening { reason: Reason::Loss, ..opening.clone() },
        Opening { to: vec![7], ..opening },
    ] {
        assert!(engine.reveal(&[&x], refused).is_err());
    }
    assert_eq!(engine.openings().len(), 1);
    assert_eq!(engine.measured().total_bytes(), 0);
}

#[test]
fn a_product_that_wraps_is_a_violation_once_it_is_opened() {
    let (policy, opening) = open_model();
    let mut engine = ClearEngine::new(policy);
    let x = integers(&mut engine, &[1 << 40, 5, -(1 << 40)], 0, Ring::FULL);
    let square = engine.product(&Bilinear::Hadamard, &x, &x).unwrap();
    let square = engine.remask(&[&square]).unwrap().remove(0);
    assert!(engine.violations().is_empty());
    engine.reveal(&[&square], opening.clone()).unwrap();
    let found = engine.violations().to_vec();
    assert_eq!((found[0].source, found[0].seen_in, found[0].elements), ("product", "opening", 2));

    let (policy, _) = open_model();
    let mut strict = ClearEngine::new(policy).strict();
    let error = strict.reveal(&[&square], opening).unwrap_err().to_string();
    assert!(error.contains("product") && error.contains("2 values"), "{error}");
}

#[test]
fn a_sum_of_doubtful_values_is_doubtful_and_others_are_not() {
    let (policy, opening) = open_model();
    let mut engine = ClearEngine::new(policy);
    let x = integers(&mut engine, &[1 << 62, 1, 1, 1], 10, Ring::FULL);
    let x = engine.lift(&x).unwrap();
    let t = engine.truncate(&[Truncate { value: &x, shift: 5, out: Ring::FULL }]).unwrap().remove(0);
    let sums = engine.linear(&t, &Linear::SumGroups(2)).unwrap();
    let right = engine.linear(&sums, &Linear::GatherCols([1].into())).unwrap();
    engine.reveal(&[&right], opening.clone()).unwrap();
    assert!(engine.violations().is_empty());
    engine.reveal(&[&sums], opening).unwrap();
    assert_eq!((engine.violations()[0].source, engine.violations()[0].elements), ("truncation", 1));
}

#[test]
fn a_bit_zero_takes_doubt_away() {
    let (policy, opening) = open_model();
    let mut engine = ClearEngine::new(policy).strict();
    let selector = integers(&mut engine, &[-1, 1], 0, Ring::FULL);
    let (bits, _) =
        engine.nonnegative(&[Sign { value: &selector, width: 3, out: None, cuts: &[0.0] }], &[]).unwrap();
    let x = integers(&mut engine, &[1 << 62, 64], 10, Ring::FULL);
    let lifted = engine.lift(&x).unwrap();
    let truncate = Truncate { value: &lifted, shift: 5, out: Ring::FULL };
    let gated = engine.gate(&[Gate { truncate, bit: &bits[0] }]).unwrap().remove(0);
    engine.reveal(&[&gated], opening.clone()).unwrap();
    assert_eq!(signed(&gated), vec![0, 2]);

    let t = engine.truncate(&[Truncate { value: &lifted, shift: 5, out: Ring::FULL }]).unwrap().remove(0);
    assert!(engine.reveal(&[&t], opening.clone()).is_err());
    let term = Term { coefficient: 1.0, powers: vec![1, 1] };
    let chosen = engine.polynomial(&[Var::Masked(&t), Var::Bit(&bits[0])], &[term], 5).unwrap();
    let chosen = engine.remask(&[&chosen]).unwrap().remove(0);
    engine.reveal(&[&chosen], opening).unwrap();
    assert_eq!(signed(&chosen), vec![0, 2]);
}

#[test]
fn comparisons_out_of_width_are_violations() {
    let mut engine = lenient();
    let x = integers(&mut engine, &[127, 128, -128, -127], 0, Ring::FULL);
    engine.nonnegative(&[Sign { value: &x, width: 8, out: None, cuts: &[0.0] }], &[]).unwrap();
    assert_eq!((engine.violations()[0].seen_in, engine.violations()[0].elements), ("comparison", 2));
    engine.argmax(&x, 2, 8, Ring::FULL).unwrap();
    assert_eq!(engine.violations().len(), 1, "127 and 128 differ by one");
    engine.argmax(&x, 4, 8, Ring::FULL).unwrap();
    assert_eq!(engine.violations()[1].seen_in, "argmax");
    let lifted = engine.reread(&x, 4).unwrap();
    let lifted = engine.lift(&lifted).unwrap();
    let truncate = Truncate { value: &lifted, shift: 1, out: Ring::FULL };
    engine.relu(&[Relu { truncate, width: 7 }]).unwrap();
    assert_eq!((engine.violations()[2].seen_in, engine.violations()[2].elements), ("ReLU", 3));
    let mut strict = ClearEngine::new(Policy::default()).strict();
    let error = strict
        .nonnegative(&[Sign { value: &x, width: 8, out: None, cuts: &[0.0] }], &[])
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("comparison"), "{error}");
}

#[test]
fn a_narrow_result_ring_must_hold_the_value() {
    let (policy, opening) = open_model();
    let mut engine = ClearEngine::new(policy);
    let x = integers(&mut engine, &[1000 << 4, 100 << 4], 10, Ring::FULL);
    let lifted = engine.lift(&x).unwrap();
    let t = engine.truncate(&[Truncate { value: &lifted, shift: 4, out: ring(9) }]).unwrap().remove(0);
    // A later use modulo 2^9 is right; reading the value as a number is not.
    assert_eq!(signed(&t), vec![1000 - 1024, 100]);
    engine.reveal(&[&t], opening).unwrap();
    assert_eq!(engine.violations()[0].elements, 1);
}

#[test]
fn sums_that_wrap_are_violations() {
    let (policy, opening) = open_model();
    let mut engine = ClearEngine::new(policy);
    let x = integers(&mut engine, &[1 << 62, 1 << 62, 3, 4], 0, Ring::FULL);
    let sums = engine.linear(&x, &Linear::SumGroups(2)).unwrap();
    engine.reveal(&[&sums], opening.clone()).unwrap();
    assert_eq!((engine.violations()[0].source, engine.violations()[0].elements), ("sum", 1));
    let tripled = engine.linear(&x, &Linear::Scale(-3)).unwrap();
    engine.reveal(&[&tripled], opening.clone()).unwrap();
    assert_eq!(engine.violations()[1].elements, 2);
    let once = engine.add(&x, &x, true).unwrap();
    engine.reveal(&[&once], opening.clone()).unwrap();
    assert_eq!(engine.violations().len(), 2, "x − x does not wrap");
    let mut twice = engine.lift(&x).unwrap();
    let lifted = engine.lift(&x).unwrap();
    engine.accumulate(&mut twice, &lifted, 2, 0).unwrap();
    let twice = engine.remask(&[&twice]).unwrap().remove(0);
    engine.reveal(&[&twice], opening).unwrap();
    assert_eq!(engine.violations()[2].elements, 2);
}
