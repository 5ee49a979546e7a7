//! Doubly shared bits.

use crate::parties::{run, sum, xor};
use tercet_ot::dabit;
use tercet_ot::extension::FieldBits;
use tercet_ot::product::{Moduli, Ring};

#[test]
fn dabits_are_the_same_bit_in_both_sharings() {
    for parties in [2, 3] {
        let outputs = run(parties, 4, 40, |party| {
            let field = party.links[0].field_bits();
            let mut made = Vec::new();
            for (moduli, n) in cases() {
                let before = party.traffic();
                made.push(dabit::dabits(&mut party.links, party.me, moduli, n, &mut party.rng)?);
                let declared = dabit::to_ring_cost(party.me.into(), parties.into(), moduli, field, n);
                assert_eq!(party.traffic().0 - before.0, declared.bytes);
            }
            Ok(made)
        });
        for (i, (moduli, n)) in cases().enumerate() {
            let xored = xor(outputs.iter().map(|o| &*o[i].bits));
            for j in 0..n {
                let total = outputs.iter().fold(0u64, |sum, o| sum.wrapping_add(o[i].values[j]));
                assert_eq!(moduli.reduce(j, total), xored[j / 64] >> (j % 64) & 1, "{moduli:?}, bit {j}");
            }
        }
    }
}

#[test]
fn dabits_are_the_same_bit_across_the_end_of_a_batch() {
    let ring = |bits| Ring::new(bits).unwrap();
    let n = (1 << 20) + 1;
    for moduli in [Moduli::same(ring(20)), Moduli::falling(ring(7), 5).unwrap()] {
        let outputs = run(3, 4, 43, |party| {
            let made = dabit::dabits(&mut party.links, party.me, moduli, n, &mut party.rng)?;
            let declared = dabit::to_ring_cost(party.me.into(), 3, moduli, FieldBits::default(), n);
            assert_eq!(party.traffic().0, declared.bytes);
            assert!(party.traffic().1 <= declared.rounds && declared.rounds == 6);
            Ok(made)
        });
        let xored = xor(outputs.iter().map(|o| &*o.bits));
        for j in 0..n {
            let total = outputs.iter().fold(0u64, |sum, o| sum.wrapping_add(o.values[j]));
            assert_eq!(moduli.reduce(j, total), xored[j / 64] >> (j % 64) & 1, "{moduli:?}, bit {j}");
        }
    }
}

/// Every kind of moduli with every size.
fn cases() -> impl Iterator<Item = (Moduli, usize)> {
    let ring = |bits| Ring::new(bits).unwrap();
    let same = [64, 20, 2, 1].map(|bits| Moduli::same(ring(bits)));
    let falling = [(64, 64), (64, 44), (44, 5), (3, 3)].map(|(l, w)| Moduli::falling(ring(l), w).unwrap());
    same.into_iter().chain(falling).flat_map(|moduli| [1, 63, 64, 65, 127, 129, 5000].map(|n| (moduli, n)))
}

#[test]
fn numbers_composed_of_shared_bits_are_those_bits() {
    for (l, w) in [(64, 64), (64, 44), (44, 44), (20, 3)] {
        let moduli = Moduli::falling(Ring::new(l).unwrap(), w).unwrap();
        let n = 100;
        let outputs = run(3, 4, 42, |party| {
            let made = dabit::dabits(&mut party.links, party.me, moduli, n * w, &mut party.rng)?;
            Ok((dabit::compose(moduli, &made.values)?, made.bits))
        });
        let numbers = sum(Ring::new(l).unwrap(), outputs.iter().map(|o| &*o.0));
        let bits = xor(outputs.iter().map(|o| &*o.1));
        for (i, number) in numbers.iter().enumerate() {
            for j in 0..w {
                let at = i * w + j;
                assert_eq!(number >> j & 1, bits[at / 64] >> (at % 64) & 1, "ring {l}, number {i}, bit {j}");
            }
            assert!(w == 64 || number >> w == 0);
        }
        assert!(dabit::compose(moduli, &[0, 0]).is_err());
    }
    assert!(Moduli::falling(Ring::FULL, 0).is_err() && Moduli::falling(Ring::new(8).unwrap(), 9).is_err());
}

#[test]
fn dabits_take_one_round_for_each_party() {
    let moduli = Moduli::same(Ring::FULL);
    for parties in [2, 3] {
        let rounds = run(parties, 4, 41, |party| {
            dabit::dabits(&mut party.links, party.me, moduli, 100, &mut party.rng)?;
            Ok(party.traffic().1)
        });
        let declared = dabit::to_ring_cost(0, parties.into(), moduli, FieldBits::default(), 100).rounds;
        assert_eq!(rounds.into_iter().max(), Some(declared));
    }
}
