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
fn block(words: Words, accept: impl Fn(usize) -> u16) -> ([u8; BLOCK], Tails) {
    let mut block = [0; BLOCK];
    let h = (words.u >> (U_BITS - H_BITS)) as u32 * 2 + u32::from(words.negative);
    for lane in 0..LANES {
        block[2 * lane..][..2].copy_from_slice(&words.table.to_le_bytes());
        block[2 * LANES + 2 * lane..][..2].copy_from_slice(&accept(lane).to_le_bytes());
        block[4 * LANES + 4 * lane..][..4].copy_from_slice(&h.to_le_bytes());
    }
    (block, [words.u as u8; LANES])
}

fn block_of(words: Words) -> ([u8; BLOCK], Tails) {
    block(words, |_| words.accept)
}

/// What a block decides, with the z of its candidates.
fn decide(stage: &Stage, isa: Isa, block: &[u8; BLOCK]) -> (Decided, [u16; LANES]) {
    let mut z = [0; LANES];
    (stage.decide(isa, block, &mut z), z)
}

/// Words with all bits random, or next to an entry of the table, or at an end.
fn random_block(law: &DiscreteGaussian, rng: &mut ChaCha20Rng) -> ([u8; BLOCK], Tails) {
    let (mut block, mut tails) = ([0; BLOCK], [0; LANES]);
    rng.fill_bytes(&mut block);
    rng.fill_bytes(&mut tails);
    for lane in (0..LANES).step_by(3) {
        let r = rng.next_u32();
        let entry = law.stage.thresholds[r as usize % ENTRIES];
        let word = match r >> 16 & 7 {
            0 => 0,
            1 => u16::MAX,
            2 => entry,
            _ => entry.wrapping_add((r >> 30) as u16).wrapping_sub(1),
        };
        let place = if r >> 20 & 1 == 0 { lane } else { LANES + lane };
        block[2 * place..][..2].copy_from_slice(&word.to_le_bytes());
        // Zeros and negative zeros.
        if r >> 21 & 7 == 0 {
            block[4 * (LANES + lane)..][..4].copy_from_slice(&(r >> 24 & 1).to_le_bytes());
            tails[lane] = 0;
        }
    }
    (block, tails)
}

/// A z that 16 bits decide.
fn part_of(law: &DiscreteGaussian, part: f64) -> usize {
    let reach = law.stage.thresholds.iter().filter(|entry| **entry < u16::MAX).count();
    (part * (reach + 1) as f64) as usize
}

/// e^{−γ}·2^16 from below and from above.
fn exact(law: &DiscreteGaussian, z: u64, u: u64) -> (u64, u64) {
    let w = u128::from(u) * (u128::from(u) + (u128::from(z) << (law.step_bits + 1)));
    let numerator = BigUint::from(w) * law.parameter().denominator();
    let Bracket { low, high } = exp_neg(&numerator, &(law.parameter().numerator() * 2u8), 64);
    let word = |bits: BigUint| bits.iter_u64_digits().next().unwrap_or(0);
    (word(low >> 48), word((high >> 48) + 1u8))
}

#[test]
fn every_instruction_set_decides_every_block_alike() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for sigma in [0.125, 0.9, 3.9, 4.0, 7.9, 1e4, 2f64.powi(33), 1.9 * 2f64.powi(33), SIGMA_RANGE.1] {
        let law = law(sigma);
        for slack in [SLACK, 1 << 10, 1 << 15] {
            let stage = law.stage.with_slack(slack);
            for _ in 0..40 {
                let (block, tails) = random_block(&law, &mut rng);
                let (decided, expected_z) = decide(&stage, Isa::Portable, &block);
                let all = !decided.undecided;
                let mut expected = [0; LANES];
                let count =
                    stage.values(Isa::Portable, &block, &tails, &expected_z, decided.kept, &mut expected);
                for isa in Isa::available() {
                    let (found, z) = decide(&stage, isa, &block);
                    assert_eq!((found, z), (decided, expected_z), "{sigma} {isa:?}");
                    let mut values = [0; LANES];
                    assert_eq!(stage.values(isa, &block, &tails, &z, decided.kept, &mut values), count);
                    assert_eq!(values[..count], expected[..count], "{sigma} {isa:?}");
                    // −0 is refused whatever was decided about it.
                    let least = stage.values(isa, &block, &tails, &z, all, &mut values);
                    let minus_zeros = (0..LANES)
                        .map(|lane| (z[lane], words(&block, &tails, lane), all >> lane & 1 == 1))
                        .filter(|(z, w, counted)| {
                            *counted && *z == 0 && w.negative && w.u >> (U_BITS - law.step_bits) == 0
                        });
                    assert_eq!(least + minus_zeros.count(), all.count_ones() as usize);
                }
            }
        }
    }
}

#[test]
fn the_entries_that_are_left_out_are_beyond_16_bits() {
    for sigma in [0.125, 1.0, 3.999, 4.0, 7.999_999_9, 8.0, 15.999_999, 1e6, 2f64.powi(20) - 1e-6] {
        let law = law(sigma);
        let (stage, table) = (&law.stage, law.table.thresholds());
        assert!(table.iter().skip(ENTRIES - 2).all(|word| word >> 48 == u64::from(u16::MAX)), "{sigma}");
        let same = |(entry, word): (&u16, &u64)| u64::from(*entry) == word >> 48;
        assert!(stage.thresholds.iter().zip(table).all(same), "{sigma}");
        assert_eq!(stage.thresholds[ENTRIES - 2..], [u16::MAX; 2]);
        // The rates of every z that can be decided are what they should be.
        let k = f64::from(law.step_bits).exp2();
        let rho = k * k / (2.0 * sigma * sigma) * std::f64::consts::LOG2_E;
        let reach = stage.thresholds.iter().filter(|entry| **entry < u16::MAX).count();
        for (z, rate) in stage.rates.iter().enumerate().take(reach + 1).filter(|_| law.step_bits > 0) {
            let exact = 2f64.powi(15) * rho * z as f64;
            assert!(exact < f64::from(MOST_RATE) - 1.0, "{sigma} {z}");
            assert!((f64::from(*rate) - 0.5 - exact).abs() < 0.501, "{sigma} {z} {rate} {exact}");
        }
        assert!(stage.rate < 1 << 12 && stage.rates.is_sorted());
    }
}

#[test]
fn the_polynomial_keeps_its_bound_at_every_argument() {
    for fraction in 0..1u16 << 14 {
        for whole in 0..4 {
            let e = whole << 14 | fraction;
            let exact = (16.0 - f64::from(fraction + 1) / f64::from(1 << 14)).exp2();
            assert!((f64::from(portable::power(e)) - exact).abs() < 1.7, "{e}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_decided_is_what_exact_arithmetic_decides(
        sigma in prop_oneof![4.0f64..40.0, 40.0f64..1e12],
        part in 0.0f64..1.0,
        bits in 0u64..1 << U_BITS,
        negative: bool,
    ) {
        let law = law(sigma);
        let at = part_of(&law, part);
        // A word strictly between two entries draws this z.
        let from = if at == 0 { 0 } else { law.stage.thresholds[at - 1] };
        let to = law.stage.thresholds[at];
        prop_assume!(to - from > 2);
        let u = bits >> (U_BITS - law.step_bits);
        let (low, high) = exact(&law, at as u64, u);
        let near = |lane: usize| {
            // From 3·SLACK/2 below to as much above the threshold.
            let offset = (lane as i64 - 32) * i64::from(3 * SLACK) / 64;
            (low as i64 + offset).clamp(0, i64::from(u16::MAX)) as u16
        };
        let words = Words { table: from + (to - from) / 2, accept: 0, u: bits, negative };
        let (block, tails) = block(words, near);
        let (decided, z) = decide(&law.stage, Isa::best(), &block);
        prop_assert_eq!(z, [at as u16; LANES]);
        let mut values = [0; LANES];
        let count = law.stage.values(Isa::best(), &block, &tails, &z, u64::MAX, &mut values);
        let x = (at << law.step_bits) as i64 + u as i64;
        prop_assert_eq!(count, if x == 0 && negative { 0 } else { LANES });
        let signed = if negative { -x } else { x };
        prop_assert!(values[..count].iter().all(|value| *value == signed));
        for lane in 0..LANES {
            let (kept, undecided) = (decided.kept >> lane & 1 == 1, decided.undecided >> lane & 1 == 1);
            let word = u64::from(near(lane));
            prop_assert!(!(kept && undecided));
            if !undecided {
                prop_assert!(!kept || word < low, "{sigma} {at} {u}: {word} is not below {low}");
                prop_assert!(kept || word + 1 > high, "{sigma} {at} {u}: {word} is not above {high}");
            }
            // The bound on the error is not only stated: decisions are open no further away.
            prop_assert!(!undecided || word.abs_diff(low) <= u64::from(2 * SLACK), "{sigma} {at} {u} {word} {low}");
        }
    }

    #[test]
    fn thresholds_are_as_close_as_the_bound_says(
        sigma in prop_oneof![4.0f64..40.0, 40.0f64..1e12],
        part in 0.0f64..1.0,
        bits in 0u64..1 << U_BITS,
    ) {
        let law = law(sigma);
        let at = part_of(&law, part);
        let (low, high) = exact(&law, at as u64, bits >> (U_BITS - law.step_bits));
        let t = (bits >> (U_BITS - 16)) as u16 & law.stage.mask;
        let found = i64::from(portable::threshold(t, law.stage.rate, law.stage.rates[at]));
        // 10.2 too high and 8.3 too low, and what the brackets are wide.
        prop_assert!(found <= high as i64 + 10 && found >= low as i64 - 9, "{sigma} {at} {t}: {found}, {low} to {high}");
    }
}

#[test]
fn few_candidates_are_left_to_the_next_stage() {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    for sigma in [2.0, 4.0, 1e4, 3e8] {
        let law = law(sigma);
        let mut open = 0;
        for _ in 0..5000 {
            let mut block = [0; BLOCK];
            rng.fill_bytes(&mut block);
            open += decide(&law.stage, Isa::best(), &block).0.undecided.count_ones();
        }
        let share = f64::from(open) / (5000 * LANES) as f64;
        assert!(share > 1e-4 && share < 1e-3, "{sigma}: {share}");
    }
}

#[test]
fn a_wider_error_bound_routes_more_to_the_next_stage_and_changes_no_decision() {
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let mut more = ChaCha20Rng::from_seed([3; 32]);
    for sigma in [2.0, 4.0, 7.5, 1e4, 3e10] {
        let law = law(sigma);
        for slack in [1 << 6, 1 << 12, u16::MAX] {
            let wide = law.stage.with_slack(slack);
            let mut routed = 0;
            for _ in 0..50 {
                let (block, tails) = random_block(&law, &mut rng);
                let (narrow, z) = decide(&law.stage, Isa::best(), &block);
                let (decided, _) = decide(&wide, Isa::best(), &block);
                assert_eq!(narrow.undecided & !decided.undecided, 0);
                for lane in 0..LANES {
                    let bit = 1 << lane;
                    if decided.undecided & bit == 0 {
                        assert_eq!(narrow.kept & bit, decided.kept & bit);
                    } else if narrow.undecided & bit == 0 {
                        routed += 1;
                        let mut found = 99;
                        let kept = law.candidate(words(&block, &tails, lane), &mut more, &mut found);
                        assert_eq!(kept, narrow.kept & bit != 0, "{sigma} {slack} {lane}");
                        assert_eq!(found, z[lane]);
                    }
                }
            }
            // With the widest bound everything is routed but what the first stage could not decide itself.
            let least = if slack == u16::MAX { 50 * LANES / 2 } else { 0 };
            assert!(routed >= least && (slack < 1 << 12 || routed > 0), "{sigma} {slack} {routed}");
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
    // What follows the first 16 bits, as a share of them.
    let rest = |word: u64| (word << 16) as f64 / 2f64.powi(64);
    // Acceptance: the first 16 bits are those of the threshold, so its next bits tell the share of acceptances.
    let u = 700u64;
    let numerator = BigUint::from(u * (u + (2 << law.step_bits))) * law.parameter().denominator();
    let power = exp_neg(&numerator, &(law.parameter().numerator() * 2u8), 64).low;
    let power = power.iter_u64_digits().next().expect("one word");
    let table = law.stage.thresholds[0] + 1000;
    let words =
        Words { table, accept: (power >> 48) as u16, u: u << (U_BITS - law.step_bits), negative: true };
    let open = Decided { kept: 0, undecided: u64::MAX };
    assert_eq!(decide(&law.stage, Isa::best(), &block_of(words).0), (open, [1; LANES]));
    let mut z = 0;
    let kept = (0..2000).filter(|_| {
        let kept = law.candidate(words, &mut rng, &mut z);
        assert_eq!(z, 1);
        kept
    });
    close(kept.count() as u32, 2000, rest(power));
    // z: the word equals an entry, which splits what it stands for.
    let entry = law.table.thresholds()[3];
    let words = Words { table: (entry >> 48) as u16, accept: 0, u: 0, negative: false };
    assert_eq!(decide(&law.stage, Isa::best(), &block_of(words).0).0, open);
    let third = (0..2000).filter(|_| {
        assert!(law.candidate(words, &mut rng, &mut z));
        assert!(z == 3 || z == 4, "{z}");
        z == 3
    });
    close(third.count() as u32, 2000, rest(entry));
}

#[test]
fn minus_zero_is_refused_and_zero_is_not() {
    for sigma in [1.0, 12.0, 1e12] {
        let law = law(sigma);
        for negative in [false, true] {
            let words = Words { table: 0, accept: 0, u: 0, negative };
            let (block, tails) = block_of(words);
            let (decided, z) = decide(&law.stage, Isa::best(), &block);
            assert_eq!((decided.kept, z), (u64::MAX, [0; LANES]));
            let mut open = 99;
            assert!(law.candidate(words, &mut ChaCha20Rng::from_seed([6; 32]), &mut open));
            assert_eq!(open, 0);
            for isa in Isa::available() {
                let mut values = [1; LANES];
                let count = law.stage.values(isa, &block, &tails, &z, decided.kept, &mut values);
                assert_eq!(count, if negative { 0 } else { LANES });
                assert!(values[..count].iter().all(|value| *value == 0));
            }
        }
    }
}
