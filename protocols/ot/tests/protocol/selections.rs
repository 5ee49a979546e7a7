//! Shared bits times shared values.

use crate::parties::{run, sum, xor};
use rand_core::Rng;
use tercet_ot::Secret;
use tercet_ot::product::Ring;
use tercet_ot::times_bits::{Selection, times_bits, times_bits_cost};

/// Ring widths and sizes of one batch: the longest needs two batches of transfers.
const BATCH: [(u8, usize); 6] = [(64, 1), (1, 63), (13, 64), (51, 65), (64, (1 << 20) + 1), (34, 4097)];

#[test]
fn selections_of_any_width_and_size_share_the_rounds_of_the_longest() {
    for parties in [2u8, 3] {
        let outputs = run(parties, 4, 60, |party| {
            let operands: Vec<_> = BATCH
                .map(|(bits, n)| {
                    let ring = Ring::new(bits).unwrap();
                    let mut words: Vec<u64> = (0..n.div_ceil(64)).map(|_| party.rng.next_u64()).collect();
                    *words.last_mut().unwrap() &= u64::MAX >> (63 - (n - 1) % 64);
                    let values: Vec<u64> = (0..n).map(|_| ring.reduce(party.rng.next_u64())).collect();
                    (ring, words, values)
                })
                .into();
            let selections: Vec<_> =
                operands.iter().map(|(ring, bits, values)| Selection { ring: *ring, bits, values }).collect();
            let before = party.traffic();
            let made = times_bits(&mut party.links, party.me, &selections)?;
            let after = party.traffic();
            let field = party.links[0].field_bits();
            let costs: Vec<_> = BATCH
                .map(|(bits, n)| times_bits_cost(parties.into(), Ring::new(bits).unwrap(), field, n))
                .into();
            let bytes: u64 = costs.iter().map(|cost| cost.bytes_per_peer).sum();
            let rounds = costs.iter().map(|cost| cost.rounds).max().unwrap();
            assert_eq!(after.0 - before.0, bytes * u64::from(parties - 1));
            assert!(after.1 - before.1 <= rounds, "{} rounds of {rounds}", after.1 - before.1);
            let made: Vec<Vec<u64>> = made.iter().map(|share: &Secret<u64>| share.to_vec()).collect();
            Ok((operands, made))
        });
        for (i, (bits, n)) in BATCH.into_iter().enumerate() {
            let ring = Ring::new(bits).unwrap();
            let chosen = xor(outputs.iter().map(|o| o.0[i].1.as_slice()));
            let values = sum(ring, outputs.iter().map(|o| o.0[i].2.as_slice()));
            let products = sum(ring, outputs.iter().map(|o| o.1[i].as_slice()));
            for j in 0..n {
                let want = if chosen[j / 64] >> (j % 64) & 1 == 1 { values[j] } else { 0 };
                assert_eq!(products[j], want, "{parties} parties, modulo 2^{bits}, element {j} of {n}");
            }
        }
    }
}
