//! One-hot comparison against its definition, on every instruction set of the CPU.

mod kernel_support;

use kernel_support::{LENGTHS, Numbers};
use tercet_share::kernel::{DigitTables, Isa, bits, one_hot};

fn bit(words: &[u64], i: usize) -> bool {
    words[i / 64] >> (i % 64) & 1 == 1
}

#[test]
fn parities_match_the_definition_for_any_tables() {
    let mut numbers = Numbers(9);
    for n in LENGTHS {
        for width in 1..=4 {
            let shift = numbers.below(61) as u32;
            let values = numbers.elements(n);
            let shares: Vec<u16> = numbers.elements(n).iter().map(|x| *x as u16).collect();
            let mut table = || std::array::from_fn(|_| numbers.next() as u16);
            let tables = DigitTables { less: table(), equal: table() };
            for isa in Isa::available() {
                let mut less = numbers.elements(bits::words(n));
                let mut equal = numbers.elements(bits::words(n));
                one_hot::compare_digits_on(
                    isa, &values, shift, width, &shares, &tables, &mut less, &mut equal,
                );
                for i in 0..n {
                    let digit = ((values[i] >> shift) % (1 << width)) as usize;
                    let parity = |table: &[u16; 16]| (shares[i] & table[digit]).count_ones() % 2 == 1;
                    assert_eq!(bit(&less, i), parity(&tables.less), "{isa:?}, element {i} of {n}");
                    assert_eq!(bit(&equal, i), parity(&tables.equal), "{isa:?}, element {i} of {n}");
                }
                for words in [&mut less, &mut equal] {
                    let before = words.clone();
                    bits::clear_tail(words, n);
                    assert_eq!(*words, before, "bits after the last element are zero");
                }
            }
        }
    }
}

#[test]
fn shares_of_a_one_hot_vector_give_shares_of_the_comparison() {
    let mut numbers = Numbers(10);
    for width in 1..=4 {
        let side = 1u64 << width;
        // Every pair of digits.
        let public: Vec<u64> = (0..side * side).map(|i| (i / side) << 5 | numbers.below(32) as u64).collect();
        let secret: Vec<u64> = (0..side * side).map(|i| i % side).collect();
        let n = public.len();
        for isa in Isa::available() {
            let mut hot = vec![0; n];
            one_hot::one_hot_on(isa, &secret, 0, width, &mut hot);
            let first: Vec<u16> = (0..n).map(|_| numbers.next() as u16).collect();
            let second: Vec<u16> = first.iter().zip(&hot).map(|(x, y)| x ^ y).collect();
            let compare = |shares: &[u16]| {
                let (mut less, mut equal) = (vec![0; bits::words(n)], vec![0; bits::words(n)]);
                let tables = &DigitTables::ORDER;
                one_hot::compare_digits_on(isa, &public, 5, width, shares, tables, &mut less, &mut equal);
                (less, equal)
            };
            let (mut less, mut equal) = compare(&first);
            let (less2, equal2) = compare(&second);
            bits::xor_assign(&mut less, &less2);
            bits::xor_assign(&mut equal, &equal2);
            for i in 0..n {
                assert_eq!(bit(&less, i), public[i] >> 5 < secret[i]);
                assert_eq!(bit(&equal, i), public[i] >> 5 == secret[i]);
            }
        }
    }
}

#[test]
fn one_hot_sets_the_bit_of_the_digit() {
    let mut numbers = Numbers(11);
    for n in LENGTHS {
        for width in 1..=4 {
            let shift = numbers.below(61) as u32;
            let values = numbers.elements(n);
            for isa in Isa::available() {
                let mut hot = vec![0xffff; n];
                one_hot::one_hot_on(isa, &values, shift, width, &mut hot);
                assert!((0..n).all(|i| hot[i] == 1 << ((values[i] >> shift) % (1 << width))), "{isa:?} {n}");
            }
        }
    }
}
