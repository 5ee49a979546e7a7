//! Bit packing against a bit-by-bit oracle, at every width and on every instruction set of the CPU.

mod kernel_support;

use kernel_support::{LENGTHS, Numbers};
use tercet_share::kernel::{Isa, UnpackError, packed_len, packing};

/// The stream, one bit at a time.
fn oracle(values: &[u64], width: u32) -> Vec<u8> {
    let mut bytes = vec![0; (values.len() * width as usize).div_ceil(8)];
    for (i, x) in values.iter().enumerate() {
        for j in 0..width as usize {
            let p = i * width as usize + j;
            bytes[p / 8] |= ((x >> j & 1) as u8) << (p % 8);
        }
    }
    bytes
}

fn modulo(x: u64, bits: u32) -> u64 {
    if bits == 64 { x } else { x & ((1 << bits) - 1) }
}

#[test]
fn packing_and_unpacking_match_the_definition_at_every_width() {
    let mut numbers = Numbers(5);
    for width in 1..=64 {
        for n in LENGTHS {
            let values = numbers.elements(n);
            let expected = oracle(&values, width);
            assert_eq!(packed_len(n, width), expected.len());
            let own = numbers.elements(n);
            for isa in Isa::available() {
                let mut bytes = vec![0x55, 0x66];
                packing::pack_on(isa, &values, width, &mut bytes);
                assert_eq!(bytes[..2], [0x55, 0x66], "packing appends");
                assert_eq!(bytes[2..], expected, "{isa:?}, width {width}, {n} elements");

                let mut back = numbers.elements(n);
                packing::unpack_on(isa, &expected, width, &mut back).expect("the stream is valid");
                assert!((0..n).all(|i| back[i] == modulo(values[i], width)), "{isa:?}, width {width}, {n}");

                let mut sum = own.clone();
                packing::unpack_add_on(isa, &expected, width, &mut sum).expect("the stream is valid");
                let joined = |i: usize| modulo(own[i].wrapping_add(modulo(values[i], width)), width);
                assert!((0..n).all(|i| sum[i] == joined(i)), "{isa:?}, width {width}, {n}");
            }
        }
    }
}

#[test]
fn shifted_packing_drops_the_low_bits_first() {
    let mut numbers = Numbers(6);
    for bits in 1..=64 {
        for shift in [0, 1, 7, 20, bits - 1].into_iter().filter(|shift| *shift < bits) {
            let values = numbers.elements(77);
            let shifted: Vec<u64> = values.iter().map(|x| modulo(*x, bits) >> shift).collect();
            let expected = oracle(&shifted, bits - shift);
            for isa in Isa::available() {
                let mut bytes = Vec::new();
                packing::pack_shifted_on(isa, &values, bits, shift, &mut bytes);
                assert_eq!(bytes, expected, "{isa:?}, {bits} bits, shift {shift}");
            }
        }
    }
}

#[test]
fn streams_of_the_wrong_length_are_refused() {
    let mut numbers = Numbers(7);
    for width in 1..=64 {
        for n in [0, 1, 5, 8, 23] {
            let good = oracle(&numbers.elements(n), width);
            let before = numbers.elements(n);
            for isa in Isa::available() {
                let mut out = before.clone();
                let long = [good.clone(), vec![0]].concat();
                let error = UnpackError::Length { expected: good.len(), got: good.len() + 1 };
                assert_eq!(packing::unpack_on(isa, &long, width, &mut out), Err(error));
                assert_eq!(packing::unpack_add_on(isa, &long, width, &mut out), Err(error));
                if let Some(short) = good.len().checked_sub(1) {
                    let error = UnpackError::Length { expected: good.len(), got: short };
                    assert_eq!(packing::unpack_on(isa, &good[..short], width, &mut out), Err(error));
                }
                assert_eq!(out, before, "a refused stream changes nothing");
            }
        }
    }
}

#[test]
fn a_set_pad_bit_is_refused_wherever_it_is() {
    let mut numbers = Numbers(8);
    for width in 1..=64 {
        for n in 1..=9 {
            let good = oracle(&numbers.elements(n), width);
            for p in n * width as usize..good.len() * 8 {
                let mut bad = good.clone();
                bad[p / 8] |= 1 << (p % 8);
                let mut out = vec![3; n];
                assert_eq!(packing::unpack(&bad, width, &mut out), Err(UnpackError::Padding));
                assert_eq!(packing::unpack_add(&bad, width, &mut out), Err(UnpackError::Padding));
                assert_eq!(out, vec![3; n]);
            }
        }
    }
}
