use super::*;
use crate::sampler::exact::{Bracket, exp_neg};
use crate::sampler::{DiscreteGaussian, SIGMA_RANGE};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn law(sigma: f64) -> DiscreteGaussian {
    DiscreteGaussian::new(Variance::of_sigma(sigma).expect("supported"))
}

/// A block with the same candidate in every lane, except for its word b.
fn block(table: u32, u: u64, negative: bool, accept: impl Fn(usize) -> u32) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    for lane in 0..LANES {
        let words = [table, accept(lane), (u >> 7) as u32];
        for (at, word) in words.into_iter().enumerate() {
            block[4 * (at * LANES + lane)..][..4].copy_from_slice(&word.to_le_bytes());
        }
        block[12 * LANES + lane] = ((u & 127) << 1) as u8 | u8::from(negative);
    }
    block
}

/// Words with all bits random, or next to an entry of the table, or at an end.
fn random_block(law: &DiscreteGaussian, rng: &mut ChaCha20Rng) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    rng.fill_bytes(&mut block);
    for lane in (0..LANES).step_by(3) {
        let r = rng.next_u32();
        let entry = law.stage.thresholds[r as usize % ENTRIES];
        let word = match r >> 16 & 7 {
            0 => 0,
            1 => u32::MAX,
            2 => entry,
            _ => entry.wrapping_add(r >> 30).wrapping_sub(1),
        };
        let place = if r >> 20 & 1 == 0 { lane } else { LANES + lane };
        block[4 * place..][..4].copy_from_slice(&word.to_le_bytes());
    }
    block
}

/// e^{−γ}·2^32 from below and from above.
fn exact(law: &DiscreteGaussian, z: u64, u: u64) -> (u64, u64) {
    let w = u128::from(u) * (u128::from(u) + (u128::from(z) << (law.step_bits + 1)));
    let numerator = BigUint::from(w) * law.parameter().denominator();
    let Bracket { low, high } = exp_neg(&numerator, &(law.parameter().numerator() * 2u8), 64);
    let word = |bits: BigUint| bits.iter_u64_digits().next().unwrap_or(0);
    (word(low >> 32), word((high >> 32) + 1u8))
}

#[test]
fn every_instruction_set_decides_every_block_alike() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for sigma in [0.125, 0.9, 3.9, 4.0, 7.9, 1e4, 2f64.powi(33), 1.9 * 2f64.powi(33), SIGMA_RANGE.1] {
        let law = law(sigma);
        for slack in [SLACK, 1 << 20, 1 << 31] {
            let stage = law.stage.with_slack(slack);
            for _ in 0..40 {
                let block = random_block(&law, &mut rng);
                let mut expected = [0; LANES];
                let decided = portable::decide(&stage, &block, &mut expected);
                for isa in Isa::available() {
                    let mut values = [0; LANES];
                    assert_eq!(stage.decide(isa, &block, &mut values), decided, "{sigma} {isa:?}");
                    assert_eq!(values, expected, "{sigma} {isa:?}");
                    let (mut packed, mut found) = ([0; LANES], [0; LANES]);
                    let count = portable::compact(&values, decided.kept, &mut packed);
                    assert_eq!(compact(isa, &values, decided.kept, &mut found), count);
                    assert_eq!(found[..count], packed[..count]);
                    assert_eq!(count as u32, decided.kept.count_ones());
                }
            }
        }
    }
}

#[test]
fn the_entries_that_are_left_out_are_beyond_32_bits() {
    for sigma in [0.125, 1.0, 3.999, 4.0, 7.999_999_9, 8.0, 15.999_999, 1e6, 2f64.powi(20) - 1e-6] {
        let law = law(sigma);
        let table = law.table.thresholds();
        assert!(table.iter().skip(ENTRIES - 1).all(|word| word >> 32 == u64::from(u32::MAX)), "{sigma}");
        let same = |(entry, word): (&u32, &u64)| u64::from(*entry) == word >> 32;
        assert!(law.stage.thresholds.iter().zip(table).all(same), "{sigma}");
        assert_eq!(law.stage.thresholds[ENTRIES - 1], u32::MAX);
    }
}

#[test]
fn the_polynomial_keeps_its_bound_over_the_whole_interval() {
    // 0.2 units of the polynomial and 4 of its rounded coefficients.
    let unit = 2f64.powi(-32);
    let coefficients = POWER.map(|c| f64::from(c) * unit);
    let points = 1 << 16;
    let (mut value, mut slope) = (0f64, 0f64);
    for i in 0..=points {
        let x = f64::from(i) / f64::from(points);
        let (mut p, mut d) = (0.0, 0.0);
        for c in coefficients.iter().rev() {
            d = d * x + p;
            p = p * x + c;
        }
        let power = x.exp2() / 2.0;
        value = value.max((p - power).abs());
        slope = slope.max((d - power * std::f64::consts::LN_2).abs());
    }
    // The second derivatives of both are below 1 on [0, 1], so their difference bends by less than 2 between two points.
    let step = 1.0 / f64::from(points);
    let between = step * (slope + 2.0 * step);
    assert!((value + between) / unit < 4.2, "{} {}", value / unit, between / unit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_decided_is_what_exact_arithmetic_decides(
        sigma in prop_oneof![4.0f64..40.0, 40.0f64..1e12],
        at in 0usize..26,
        bits in 0u64..1 << U_BITS,
        negative: bool,
    ) {
        let law = law(sigma);
        // A word strictly between two entries draws this z.
        let from = if at == 0 { 0 } else { law.stage.thresholds[at - 1] };
        let to = law.stage.thresholds[at];
        prop_assume!(to - from > 2);
        let u = bits >> (U_BITS - law.step_bits);
        let (low, high) = exact(&law, at as u64, u);
        let near = |lane: usize| {
            // From 3·SLACK/2 below to as much above the threshold, closest in the middle lanes.
            let offset = (lane as i64 - 32) * i64::from(3 * SLACK) / 64;
            (low as i64 + offset).clamp(0, i64::from(u32::MAX)) as u32
        };
        let block = block(from + (to - from) / 2, bits, negative, near);
        let mut values = [0; LANES];
        let decided = law.stage.decide(Isa::best(), &block, &mut values);
        for lane in 0..LANES {
            let (kept, undecided) = (decided.kept >> lane & 1 == 1, decided.undecided >> lane & 1 == 1);
            let word = u64::from(near(lane));
            prop_assert!(!(kept && undecided));
            let x = (at << law.step_bits) as i64 + u as i64;
            prop_assert_eq!(values[lane], if negative { -x } else { x });
            if x == 0 && negative {
                prop_assert!(!kept);
            } else if !undecided {
                prop_assert!(!kept || word < low, "{sigma} {at} {u}: {word} is not below {low}");
                prop_assert!(kept || word + 1 > high, "{sigma} {at} {u}: {word} is not above {high}");
            }
            // The bound on the error is not only stated: decisions are open no further away.
            prop_assert!(!undecided || word.abs_diff(low) <= u64::from(2 * SLACK), "{sigma} {at} {u} {word} {low}");
        }
    }
}

#[test]
fn a_wider_error_bound_routes_more_to_the_next_stage_and_changes_no_decision() {
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let mut more = ChaCha20Rng::from_seed([3; 32]);
    for sigma in [2.0, 4.0, 7.5, 1e4, 3e10] {
        let law = law(sigma);
        for slack in [1 << 16, 1 << 28, u32::MAX] {
            let wide = law.stage.with_slack(slack);
            let mut routed = 0;
            for _ in 0..50 {
                let block = random_block(&law, &mut rng);
                let (mut values, mut same) = ([0; LANES], [0; LANES]);
                let narrow = law.stage.decide(Isa::best(), &block, &mut values);
                let decided = wide.decide(Isa::best(), &block, &mut same);
                assert_eq!(narrow.undecided & !decided.undecided, 0);
                for lane in 0..LANES {
                    let bit = 1 << lane;
                    if decided.undecided & bit == 0 {
                        assert_eq!(narrow.kept & bit, decided.kept & bit);
                    } else if narrow.undecided & bit == 0 {
                        routed += 1;
                        let (value, kept) = law.candidate(words(&block, lane), &mut more);
                        assert_eq!(kept, narrow.kept & bit != 0, "{sigma} {slack} {lane}");
                        assert!(!kept || value == values[lane], "{sigma} {slack} {lane}");
                    }
                }
            }
            // With the widest bound everything is routed but what the first stage could not decide itself.
            let least = if slack == u32::MAX { 50 * LANES / 2 } else { 0 };
            assert!(routed >= least && (slack < 1 << 28 || routed > 0), "{sigma} {slack} {routed}");
        }
    }
}

#[test]
fn an_open_decision_is_settled_by_further_bits_with_the_exact_probability() {
    let law = law(1e4);
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let close = |found: u32, tries: u32, p: f64| {
        let found = f64::from(found) / f64::from(tries);
        assert!((found - p).abs() < 6.0 * (p * (1.0 - p) / f64::from(tries)).sqrt(), "{found} {p}");
    };
    // Acceptance: the first 32 bits are those of the threshold, so its next bits tell the share of acceptances.
    let u = 700u64;
    let numerator = BigUint::from(u * (u + (2 << law.step_bits))) * law.parameter().denominator();
    let power = exp_neg(&numerator, &(law.parameter().numerator() * 2u8), 64).low;
    let power = power.iter_u64_digits().next().expect("one word");
    let table = law.stage.thresholds[0] + 1000;
    let words =
        Words { table, accept: (power >> 32) as u32, u: u << (U_BITS - law.step_bits), negative: true };
    let block = block(table, words.u, true, |_| words.accept);
    assert_eq!(
        law.stage.decide(Isa::best(), &block, &mut [0; LANES]),
        Decided { kept: 0, undecided: u64::MAX }
    );
    let kept = (0..2000).filter(|_| {
        let (value, kept) = law.candidate(words, &mut rng);
        assert_eq!(value, -((1i64 << law.step_bits) + u as i64));
        kept
    });
    close(kept.count() as u32, 2000, (power as u32) as f64 / 2f64.powi(32));
    // z: the word equals an entry, which splits what it stands for.
    let entry = law.table.thresholds()[3];
    let words = Words { table: (entry >> 32) as u32, accept: 0, u: 0, negative: false };
    let decided = law.stage.decide(Isa::best(), &block_of(words), &mut [0; LANES]);
    assert_eq!(decided, Decided { kept: 0, undecided: u64::MAX });
    let third = (0..300).filter(|_| match law.candidate(words, &mut rng) {
        (value, true) if value == 3 << law.step_bits => true,
        (value, kept) => {
            assert!(kept && value == 4 << law.step_bits, "{value}");
            false
        }
    });
    close(third.count() as u32, 300, f64::from(entry as u32) / 2f64.powi(32));
}

fn block_of(words: Words) -> [u8; BLOCK] {
    block(words.table, words.u, words.negative, |_| words.accept)
}

#[test]
fn minus_zero_is_refused_and_zero_is_not() {
    for sigma in [1.0, 12.0] {
        let law = law(sigma);
        for negative in [false, true] {
            let words = Words { table: 0, accept: 0, u: 0, negative };
            let mut values = [1; LANES];
            let decided = law.stage.decide(Isa::best(), &block_of(words), &mut values);
            assert_eq!(values, [0; LANES]);
            assert_eq!(decided.kept, if negative { 0 } else { u64::MAX });
            let open = law.candidate(words, &mut ChaCha20Rng::from_seed([6; 32]));
            assert_eq!(open, (0, !negative));
        }
    }
}
