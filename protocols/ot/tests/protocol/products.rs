//! Element-wise products and triples against plain arithmetic, and their traffic against what they declare.

use crate::parties::{assert_traffic, run, sum, xor};
use rand_core::Rng;
use tercet_ot::extension::FieldBits;
use tercet_ot::link::{exchange, exchange_cost};
use tercet_ot::product::{Ands, Elementwise, Moduli, Ring, Selections};
use tercet_ot::triples;

const SIZES: [usize; 12] = [1, 2, 3, 7, 8, 9, 31, 33, 127, 128, 129, 300];

#[test]
fn triples_of_any_ring_and_size_multiply() {
    let rings = [64, 63, 44, 32, 17, 1].map(|bits| Ring::new(bits).unwrap());
    for k in [3, 4] {
        let outputs = run(3, k, k.into(), |party| {
            let mut made = Vec::new();
            for (ring, n) in cases(&rings) {
                made.push(triples::triples(&mut party.links, ring, n, &mut party.rng)?);
            }
            Ok(made)
        });
        for (i, (ring, n)) in cases(&rings).enumerate() {
            let a = sum(ring, outputs.iter().map(|o| &*o[i].a));
            let b = sum(ring, outputs.iter().map(|o| &*o[i].b));
            let c = sum(ring, outputs.iter().map(|o| &*o[i].c));
            for j in 0..n {
                assert_eq!(c[j], ring.reduce(a[j].wrapping_mul(b[j])), "{ring:?}, size {n}, element {j}");
            }
        }
    }
}

/// Every ring with every size.
fn cases(rings: &[Ring]) -> impl Iterator<Item = (Ring, usize)> {
    rings.iter().flat_map(|ring| SIZES.map(|n| (*ring, n)))
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
        let [a, b, c] = [0, 1]
            .map(|p| [outputs[p].a[j], outputs[p].b[j], outputs[p].c[j]])
            .iter()
            .fold([0u64; 3], |t, s| {
                [t[0].wrapping_add(s[0]), t[1].wrapping_add(s[1]), t[2].wrapping_add(s[2])]
            });
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

/// One more than a chunk of transfers holds.
const PAST_A_CHUNK: usize = (1 << 20) + 1;

#[test]
fn bit_triples_multiply_across_the_end_of_a_chunk() {
    let n = PAST_A_CHUNK;
    let outputs = run(2, 4, 7, |party| {
        let t = triples::bit_triples(&mut party.links, n, &mut party.rng)?;
        let mut z = vec![0; n.div_ceil(64)];
        let declared = exchange_cost(&Ands::new(n, &t.a, &t.b, &mut z)?, party.links[0].field_bits());
        assert_eq!(declared.rounds, 3);
        assert_traffic(party.traffic(), declared, 1);
        Ok(t)
    });
    let [a, b, c] = [
        xor(outputs.iter().map(|o| &*o.a)),
        xor(outputs.iter().map(|o| &*o.b)),
        xor(outputs.iter().map(|o| &*o.c)),
    ];
    assert!(c.iter().zip(a.iter().zip(&b)).all(|(c, (a, b))| *c == a & b));
    assert!(a.last().unwrap() >> 1 == 0 && c.last().unwrap() >> 1 == 0);
}

/// Products of random bits and values between two parties, under moduli of every kind.
#[test]
fn selections_multiply_across_the_end_of_a_chunk() {
    let ring = |bits| Ring::new(bits).unwrap();
    for moduli in [Moduli::same(ring(20)), Moduli::falling(ring(7), 5).unwrap()] {
        let outputs = run(2, 4, 8, |party| {
            let n = PAST_A_CHUNK;
            let bits: Vec<u64> = (0..n.div_ceil(64)).map(|_| party.rng.next_u64()).collect();
            let y: Vec<u64> = (0..n).map(|i| moduli.reduce(i, party.rng.next_u64())).collect();
            let mut z = vec![0; n];
            let field = party.links[0].field_bits();
            let mut product = Selections::new(moduli, &bits, &y, &mut z)?;
            let declared = exchange_cost(&product, field);
            assert_eq!(declared.rounds, 3);
            exchange(&mut party.links, &mut product)?;
            assert_traffic(party.traffic(), declared, 1);
            Ok((bits, y, z))
        });
        let [one, two] = [&outputs[0], &outputs[1]];
        let bit = |p: &(Vec<u64>, Vec<u64>, Vec<u64>), i: usize| p.0[i / 64] >> (i % 64) & 1;
        for i in 0..PAST_A_CHUNK {
            let expected = (bit(one, i) * two.1[i]).wrapping_add(bit(two, i) * one.1[i]);
            let made = one.2[i].wrapping_add(two.2[i]);
            assert_eq!(moduli.reduce(i, made), moduli.reduce(i, expected), "{moduli:?}, element {i}");
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
            let mut product = Selections::new(Moduli::same(ring), &bits, &y, &mut z)?;
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
