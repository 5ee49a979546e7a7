//! Packed-bit kernels against element-by-element oracles, on every instruction set of the CPU.

mod kernel_support;

use kernel_support::{LENGTHS, Numbers};
use tercet_share::kernel::{Isa, UnpackError, bits};

fn bit(words: &[u64], i: usize) -> bool {
    words[i / 64] >> (i % 64) & 1 == 1
}

#[test]
fn bytes_carry_exactly_the_bits() {
    let mut numbers = Numbers(2);
    for n in LENGTHS {
        let words = numbers.bits(n);
        let mut bytes = vec![0xaa];
        bits::to_bytes(&words, n, &mut bytes);
        assert_eq!(bytes.len(), 1 + n.div_ceil(8));
        for i in 0..n {
            assert_eq!(bytes[1 + i / 8] >> (i % 8) & 1 == 1, bit(&words, i));
        }
        let mut back = vec![!0; bits::words(n)];
        bits::from_bytes(&bytes[1..], n, &mut back).expect("the length fits");
        assert_eq!(back, words);
    }
}

#[test]
fn a_wrong_length_or_a_set_pad_bit_is_refused() {
    let mut out = [7];
    assert_eq!(bits::from_bytes(&[1, 2], 5, &mut out), Err(UnpackError::Length { expected: 1, got: 2 }));
    assert_eq!(bits::from_bytes(&[], 5, &mut out), Err(UnpackError::Length { expected: 1, got: 0 }));
    assert_eq!(bits::from_bytes(&[0b10_0000], 5, &mut out), Err(UnpackError::Padding));
    assert_eq!(out, [7], "a refused message changes nothing");
    assert_eq!(bits::from_bytes(&[0b1_0000], 5, &mut out), Ok(()));
    assert_eq!(out, [16]);
}

#[test]
fn bitwise_operations_match_the_definition_and_keep_the_tail_zero() {
    let mut numbers = Numbers(3);
    for n in LENGTHS {
        let (a, b, c) = (numbers.bits(n), numbers.bits(n), numbers.bits(n));
        for isa in Isa::available() {
            let mut x = a.clone();
            bits::xor_assign_on(isa, &mut x, &b);
            let mut y = a.clone();
            bits::and_assign_on(isa, &mut y, &b);
            let mut z = a.clone();
            bits::xor_and_on(isa, &mut z, &b, &c);
            for i in 0..n {
                assert_eq!(bit(&x, i), bit(&a, i) != bit(&b, i));
                assert_eq!(bit(&y, i), bit(&a, i) && bit(&b, i));
                assert_eq!(bit(&z, i), bit(&a, i) != (bit(&b, i) && bit(&c, i)));
            }
        }
        let mut not = a.clone();
        bits::not_assign(&mut not, n);
        let set = (0..n).filter(|i| bit(&a, *i)).count() as u64;
        assert!((0..n).all(|i| bit(&not, i) != bit(&a, i)));
        assert_eq!(bits::popcount(&a), set);
        assert_eq!(bits::popcount(&not), n as u64 - set, "bits after the last element stay zero");
    }
}

#[test]
fn bits_and_ring_elements_meet_element_by_element() {
    let mut numbers = Numbers(4);
    for n in LENGTHS {
        let (words, a, b) = (numbers.bits(n), numbers.elements(n), numbers.elements(n));
        for isa in Isa::available() {
            let mut out = numbers.elements(n);
            bits::select_on(isa, &mut out, &words, &a, &b);
            assert!((0..n).all(|i| out[i] == if bit(&words, i) { a[i] } else { b[i] }), "{isa:?} {n}");

            let mut out = a.clone();
            bits::keep_where_on(isa, &mut out, &words);
            assert!((0..n).all(|i| out[i] == if bit(&words, i) { a[i] } else { 0 }), "{isa:?} {n}");

            let mut out = a.clone();
            bits::negate_where_on(isa, &mut out, &words);
            assert!(
                (0..n).all(|i| out[i] == if bit(&words, i) { a[i].wrapping_neg() } else { a[i] }),
                "{isa:?} {n}"
            );

            let mut out = numbers.elements(n);
            bits::expand_on(isa, &words, &mut out);
            assert!((0..n).all(|i| out[i] == u64::from(bit(&words, i))), "{isa:?} {n}");

            for position in [0, 1, 31, 63] {
                let mut out = numbers.elements(bits::words(n));
                bits::compress_on(isa, &a, position, &mut out);
                assert!((0..n).all(|i| bit(&out, i) == (a[i] >> position & 1 == 1)), "{isa:?} {n}");
                assert!(bits::popcount(&out) <= n as u64);
            }
        }
    }
}
