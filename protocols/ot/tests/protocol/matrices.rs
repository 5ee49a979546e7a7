//! Matrix triples against plain arithmetic, and their traffic against the plan.

use crate::parties::{run, sum};
use tercet_ot::extension::FieldBits;
use tercet_ot::link::exchange_cost;
use tercet_ot::product::{ChoiceSide, MatrixPlan, MatrixProduct, MatrixShape, Ring};
use tercet_ot::triples;

/// Makes a triple by each plan, in one session, and checks product and traffic.
fn check_matrices(plans: &[MatrixPlan], parties: u8, seed: u64) {
    let outputs = run(parties, 4, seed, |party| {
        let field = party.links[0].field_bits();
        let mut made = Vec::new();
        for plan in plans {
            let before = party.traffic();
            let t = triples::matrix_triple(&mut party.links, *plan, &mut party.rng)?;
            let after = party.traffic();
            let declared = plan.cost(field);
            assert_eq!(after.0 - before.0, declared.bytes_per_peer * party.links.len() as u64);
            assert_eq!(declared, exchange_cost(&MatrixProduct::new(*plan, &t.a, &t.b)?, field));
            made.push(t);
        }
        Ok(made)
    });
    for (i, plan) in plans.iter().enumerate() {
        let (shape, ring) = (plan.shape(), plan.ring());
        let a = sum(ring, outputs.iter().map(|o| &*o[i].a));
        let b = sum(ring, outputs.iter().map(|o| &*o[i].b));
        let c = sum(ring, outputs.iter().map(|o| &*o[i].c));
        for r in 0..shape.rows {
            for col in 0..shape.columns {
                let expected = (0..shape.inner).fold(0u64, |t, i| {
                    t.wrapping_add(a[r * shape.inner + i].wrapping_mul(b[i * shape.columns + col]))
                });
                assert_eq!(c[r * shape.columns + col], ring.reduce(expected), "{plan:?} at {r}, {col}");
            }
        }
    }
}

#[test]
fn matrix_triples_multiply_for_every_digit_width_and_side() {
    let shape = MatrixShape { rows: 3, inner: 5, columns: 7 };
    let mut plans = Vec::new();
    for digit in 1..=8 {
        for side in [ChoiceSide::Left, ChoiceSide::Right] {
            for bits in [64, 44, 13, 1] {
                plans.push(MatrixPlan::new(shape, Ring::new(bits).unwrap(), side, digit).unwrap());
            }
        }
    }
    check_matrices(&plans, 2, 20);
}

#[test]
fn matrix_triples_multiply_for_odd_shapes_among_three_parties() {
    let sizes =
        [(1, 1, 1), (1, 9, 1), (17, 1, 2), (2, 33, 16), (1, 4097, 2), (20, 15, 65), (2, 3, 129), (3, 2, 300)];
    let plans = sizes.map(|(rows, inner, columns)| {
        let shape = MatrixShape { rows, inner, columns };
        MatrixPlan::cheapest(shape, Ring::FULL, FieldBits::default()).unwrap()
    });
    check_matrices(&plans, 3, 30);
}

#[test]
fn a_matrix_product_takes_two_rounds_and_one_more_for_each_further_chunk() {
    for (inner, rounds) in [(10, 2), (5000, 3)] {
        let shape = MatrixShape { rows: 1, inner, columns: 2 };
        let plan = MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Left, 4).unwrap();
        let measured = run(3, 4, 31, |party| {
            triples::matrix_triple(&mut party.links, plan, &mut party.rng)?;
            Ok(party.traffic().1)
        });
        assert_eq!(measured, [rounds; 3]);
        assert_eq!(plan.cost(FieldBits::default()).rounds, rounds);
    }
}

#[test]
fn the_matrix_triple_of_the_table_takes_as_many_rounds_as_chunks_of_8_mib_need() {
    let shape = MatrixShape { rows: 128, inner: 784, columns: 128 };
    for (digit, chunks) in [(1, 512), (2, 256), (4, 128)] {
        for side in [ChoiceSide::Left, ChoiceSide::Right] {
            let plan = MatrixPlan::new(shape, Ring::FULL, side, digit).unwrap();
            assert_eq!(plan.cost(FieldBits::default()).rounds, chunks + 1, "{side:?}, digits of {digit}");
        }
    }
}

#[test]
fn the_cheapest_plan_chooses_on_the_side_with_fewer_entries() {
    let plan = |rows, columns| {
        let shape = MatrixShape { rows, inner: 100, columns };
        MatrixPlan::cheapest(shape, Ring::FULL, FieldBits::default()).unwrap()
    };
    assert_eq!(plan(10, 1000).side(), ChoiceSide::Left);
    assert_eq!(plan(1000, 10).side(), ChoiceSide::Right);
    assert_eq!(plan(10, 1000).digit(), 4);
    assert_eq!(plan(1, 1).digit(), 1);
}

#[test]
fn plans_out_of_range_are_errors() {
    let shape = |rows, inner, columns| MatrixShape { rows, inner, columns };
    let plan = |shape, digit| MatrixPlan::new(shape, Ring::FULL, ChoiceSide::Left, digit);
    assert!(plan(shape(0, 1, 1), 1).is_err() && plan(shape(1, 1 << 21, 1), 1).is_err());
    assert!(plan(shape(1 << 20, 1 << 20, 1 << 20), 1).is_err());
    // Payload rows of 71 MB of corrections; either side of a product with two long ones.
    let long = 1 << 20;
    let refused = plan(shape(1, 1, long), 4).unwrap_err().to_string();
    assert!(refused.contains("the bytes of corrections for one entry"), "{refused}");
    let cheapest = |shape| MatrixPlan::cheapest(shape, Ring::FULL, FieldBits::default());
    assert_eq!(cheapest(shape(1, 1, long)).unwrap().side(), ChoiceSide::Right);
    assert_eq!(cheapest(shape(long, 1, 1)).unwrap().side(), ChoiceSide::Left);
    assert!(cheapest(shape(long, 1, long)).is_err());
    assert!(plan(shape(1, 1, 1), 0).is_err() && plan(shape(1, 1, 1), 9).is_err());
    assert!(MatrixProduct::new(plan(shape(1, 2, 1), 1).unwrap(), &[1], &[1, 2]).is_err());
    assert!(Ring::new(0).is_err() && Ring::new(65).is_err());
}
