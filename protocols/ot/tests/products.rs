//! Products and triples against plain arithmetic, and their traffic against what they declare.

mod parties;

use parties::run;
use rand_core::Rng;
use tercet_ot::dabit;
use tercet_ot::extension::FieldBits;
use tercet_ot::link::{Cost, exchange, exchange_cost};
use tercet_ot::product::{
    Ands, ChoiceSide, Elementwise, MatrixPlan, MatrixProduct, MatrixShape, Ring, Selections,
};
use tercet_ot::triples;

const SIZES: [usize; 12] = [1, 2, 3, 7, 8, 9, 31, 33, 127, 128, 129, 300];

/// Σ over parties of a share, value by value.
fn sum<'a>(ring: Ring, shares: impl IntoIterator<Item = &'a [u64]>) -> Vec<u64> {
    let mut shares = shares.into_iter();
    let first = shares.next().unwrap().to_vec();
    shares.fold(first, |total, share| {
        assert_eq!(total.len(), share.len());
        total.iter().zip(share).map(|(a, b)| ring.reduce(a.wrapping_add(*b))).collect()
    })
}

fn xor<'a>(shares: impl IntoIterator<Item = &'a [u64]>) -> Vec<u64> {
    let mut shares = shares.into_iter();
    let first = shares.next().unwrap().to_vec();
    shares.fold(first, |total, share| total.iter().zip(share).map(|(a, b)| a ^ b).collect())
}

fn assert_traffic(measured: (u64, u64), declared: Cost, peers: usize) {
    assert_eq!(measured, (declared.bytes_per_peer * peers as u64, declared.rounds));
}

#[test]
fn triples_of_any_ring_and_size_multiply() {
    for (bits, k) in [(64, 4), (44, 3), (63, 8), (1, 1), (17, 5), (32, 2)] {
        let ring = Ring::new(bits).unwrap();
        let outputs = run(3, k, u64::from(bits), |party| {
            SIZES.iter().map(|&n| triples::triples(&mut party.links, ring, n, &mut party.rng)).collect::<Result<Vec<_>, _>>()
        });
        for (i, &n) in SIZES.iter().enumerate() {
            let a = sum(ring, outputs.iter().map(|o| &*o[i].a));
            let b = sum(ring, outputs.iter().map(|o| &*o[i].b));
            let c = sum(ring, outputs.iter().map(|o| &*o[i].c));
            for j in 0..n {
                assert_eq!(c[j], ring.reduce(a[j].wrapping_mul(b[j])), "ring {bits}, size {n}, element {j}");
            }
        }
    }
}

#[test]
fn a_long_batch_is_cut_into_chunks_and_still_multiplies() {
    let n = 40_001;
    let outputs = run(2, 4, 3, |party| {
        let t = triples::triples(&mut party.links, Ring::FULL, n, &mut party.rng)?;
        let (mut z, field) = (vec![0; n], party.links[0].field_bits());
        let product = Elementwise::new(Ring::FULL, &t.a, &t.b, &mut z)?;
        assert_traffic(party.traffic(), exchange_cost(&product, field), 1);
        assert!(exchange_cost(&product, field).rounds > 2);
        Ok(t)
    });
    for j in 0..n {
        let [a, b, c] = [0, 1].map(|p| [outputs[p].a[j], outputs[p].b[j], outputs[p].c[j]]).iter().fold(
            [0u64; 3],
            |t, s| [t[0].wrapping_add(s[0]), t[1].wrapping_add(s[1]), t[2].wrapping_add(s[2])],
        );
        assert_eq!(c, a.wrapping_mul(b));
    }
}

#[test]
fn a_triple_costs_what_the_formula_says_and_at_most_1100_bytes_per_pair() {
    let n = 10_000;
    for k in [2, 4, 8] {
        let field = FieldBits::new(k).unwrap();
        let traffic = run(2, k, 4, |party| {
            triples::triples(&mut party.links, Ring::FULL, n, &mut party.rng)?;
            Ok(party.traffic().0)
        });
        let measured = (traffic[0] + traffic[1]) as f64 / n as f64;
        let formula = triples::bytes_per_product(Ring::FULL, field);
        assert!((measured / formula - 1.0).abs() < 0.1, "k {k}: {measured} against {formula}");
        assert!(k < 4 || measured <= 1100.0);
    }
}

#[test]
fn bit_triples_of_any_size_multiply_at_their_declared_cost() {
    for k in [1, 4, 7] {
        let sizes = [1, 2, 63, 64, 65, 127, 129, 4095, 4096, 4097, 10_001];
        let outputs = run(3, k, 5, |party| {
            let mut all = Vec::new();
            for n in sizes {
                let before = party.traffic();
                let t = triples::bit_triples(&mut party.links, n, &mut party.rng)?;
                let after = party.traffic();
                let mut z = vec![0; n.div_ceil(64)];
                let declared = exchange_cost(&Ands::new(n, &t.a, &t.b, &mut z)?, party.links[0].field_bits());
                assert_eq!(after.0 - before.0, 2 * declared.bytes_per_peer);
                all.push(t);
            }
            Ok(all)
        });
        for (i, &n) in sizes.iter().enumerate() {
            let a = xor(outputs.iter().map(|o| &*o[i].a));
            let b = xor(outputs.iter().map(|o| &*o[i].b));
            let c = xor(outputs.iter().map(|o| &*o[i].c));
            let product: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a & b).collect();
            assert_eq!(c, product, "size {n}");
            assert!(outputs.iter().all(|o| n % 64 == 0 || o[i].c.last().unwrap() >> (n % 64) == 0));
        }
    }
}

#[test]
fn selections_multiply_a_bit_by_a_value() {
    let ring = Ring::new(44).unwrap();
    for n in [1usize, 63, 64, 65, 4096, 5001] {
        let outputs = run(2, 4, 6, |party| {
            let bits: Vec<u64> = (0..n.div_ceil(64)).map(|_| party.rng.next_u64()).collect();
            let y: Vec<u64> = (0..n).map(|_| ring.reduce(party.rng.next_u64())).collect();
            let mut z = vec![0; n];
            let field = party.links[0].field_bits();
            let mut product = Selections::new(ring, &bits, &y, &mut z)?;
            let declared = exchange_cost(&product, field);
            exchange(&mut party.links, &mut product)?;
            assert_traffic(party.traffic(), declared, 1);
            Ok((bits, y, z))
        });
        let [one, two] = [&outputs[0], &outputs[1]];
        for i in 0..n {
            let bit = |p: &(Vec<u64>, Vec<u64>, Vec<u64>)| p.0[i / 64] >> (i % 64) & 1;
            let expected = (bit(one) * two.1[i]).wrapping_add(bit(two) * one.1[i]);
            assert_eq!(ring.reduce(one.2[i].wrapping_add(two.2[i])), ring.reduce(expected));
        }
    }
}

fn check_matrix(plan: MatrixPlan, parties: u8, seed: u64) {
    let (shape, ring) = (plan.shape(), plan.ring());
    let outputs = run(parties, 4, seed, |party| {
        let t = triples::matrix_triple(&mut party.links, plan, &mut party.rng)?;
        assert_traffic(party.traffic(), plan.cost(party.links[0].field_bits()), party.links.len());
        assert_eq!(
            plan.cost(party.links[0].field_bits()),
            exchange_cost(&MatrixProduct::new(plan, &t.a, &t.b)?, party.links[0].field_bits())
        );
        Ok(t)
    });
    let a = sum(ring, outputs.iter().map(|o| &*o.a));
    let b = sum(ring, outputs.iter().map(|o| &*o.b));
    let c = sum(ring, outputs.iter().map(|o| &*o.c));
    for r in 0..shape.rows {
        for col in 0..shape.columns {
            let expected = (0..shape.inner).fold(0u64, |t, i| {
                t.wrapping_add(a[r * shape.inner + i].wrapping_mul(b[i * shape.columns + col]))
            });
            assert_eq!(c[r * shape.columns + col], ring.reduce(expected), "{plan:?} at {r}, {col}");
        }
    }
}

#[test]
fn matrix_triples_multiply_for_every_digit_width_and_side() {
    let shape = MatrixShape { rows: 3, inner: 5, columns: 7 };
    for digit in 1..=8 {
        for side in [ChoiceSide::Left, ChoiceSide::Right] {
            for bits in [64, 44, 13] {
                let plan = MatrixPlan::new(shape, Ring::new(bits).unwrap(), side, digit).unwrap();
                check_matrix(plan, 2, digit as u64);
            }
        }
    }
}

#[test]
fn matrix_triples_multiply_for_odd_shapes_among_three_parties() {
    for (rows, inner, columns) in [(1, 1, 1), (1, 9, 1), (17, 1, 2), (2, 33, 16), (1, 4097, 2), (20, 15, 65)] {
        let shape = MatrixShape { rows, inner, columns };
        let plan = MatrixPlan::cheapest(shape, Ring::FULL, FieldBits::default()).unwrap();
        check_matrix(plan, 3, 30 + rows as u64);
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
fn dabits_are_the_same_bit_in_both_sharings() {
    for (bits, parties) in [(64, 3), (64, 2), (20, 3), (2, 3), (1, 3)] {
        let ring = Ring::new(bits).unwrap();
        for n in [1, 65, 5000] {
            let outputs = run(parties, 4, 40, |party| {
                let field = party.links[0].field_bits();
                let made = dabit::dabits(&mut party.links, party.me, ring, n, &mut party.rng)?;
                let declared = dabit::to_ring_cost(party.me.into(), parties.into(), ring, field, n);
                let (bytes, rounds) = party.traffic();
                assert_eq!(bytes, declared.bytes_per_peer);
                assert!(rounds <= declared.rounds);
                Ok((made, rounds, declared.rounds))
            });
            let deepest = outputs.iter().map(|o| o.1).max().unwrap();
            assert_eq!(deepest, outputs[0].2);
            let xored = xor(outputs.iter().map(|o| &*o.0.bits));
            let summed = sum(ring, outputs.iter().map(|o| &*o.0.values));
            for i in 0..n {
                assert_eq!(summed[i], xored[i / 64] >> (i % 64) & 1, "ring {bits}, bit {i}");
            }
        }
    }
}
