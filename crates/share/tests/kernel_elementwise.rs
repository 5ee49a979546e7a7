//! Element-wise kernels against one-line oracles, on every instruction set of the CPU.

mod kernel_support;

use kernel_support::{LENGTHS, Numbers};
use tercet_share::kernel::{Isa, elementwise as k};

/// Runs `kernel` on (destination, a, b) and compares the destination with the oracle on each element.
fn check(kernel: impl Fn(Isa, &mut [u64], &[u64], &[u64]), oracle: impl Fn(u64, u64, u64) -> u64) {
    let mut numbers = Numbers(1);
    for n in LENGTHS {
        let (start, mut a, b) = (numbers.elements(n), numbers.elements(n), numbers.elements(n));
        // Extreme values among the random ones.
        for (x, extreme) in a.iter_mut().zip([0, u64::MAX, 1 << 63, 1]) {
            *x = extreme;
        }
        let expected: Vec<u64> = (0..n).map(|i| oracle(start[i], a[i], b[i])).collect();
        for isa in Isa::available() {
            let mut got = start.clone();
            kernel(isa, &mut got, &a, &b);
            assert_eq!(got, expected, "{isa:?}, {n} elements");
        }
    }
}

#[test]
fn arithmetic_in_place_matches_the_definition() {
    check(|isa, d, a, _| k::add_assign_on(isa, d, a), |d, a, _| d.wrapping_add(a));
    check(|isa, d, a, _| k::sub_assign_on(isa, d, a), |d, a, _| d.wrapping_sub(a));
    check(|isa, d, a, _| k::rsub_assign_on(isa, d, a), |d, a, _| a.wrapping_sub(d));
    check(|isa, d, a, _| k::mul_assign_on(isa, d, a), |d, a, _| d.wrapping_mul(a));
    check(|isa, d, _, _| k::neg_assign_on(isa, d), |d, _, _| 0u64.wrapping_sub(d));
    check(|isa, d, _, _| k::add_scalar_on(isa, d, 1 << 62), |d, _, _| d.wrapping_add(1 << 62));
    check(
        |isa, d, _, _| k::scale_on(isa, d, 0x1234_5678_9abc_def1),
        |d, _, _| d.wrapping_mul(0x1234_5678_9abc_def1),
    );
}

#[test]
fn arithmetic_into_an_output_matches_the_definition() {
    check(k::add_on, |_, a, b| a.wrapping_add(b));
    check(k::sub_on, |_, a, b| a.wrapping_sub(b));
    check(k::mul_on, |_, a, b| a.wrapping_mul(b));
    check(k::mul_add_on, |d, a, b| d.wrapping_add(a.wrapping_mul(b)));
    check(k::mul_sub_on, |d, a, b| d.wrapping_sub(a.wrapping_mul(b)));
    check(|isa, d, a, _| k::scale_add_on(isa, d, !6, a), |d, a, _| d.wrapping_sub(a.wrapping_mul(7)));
}

#[test]
fn inner_products_and_scalings_of_rows_match_the_definition() {
    let mut numbers = Numbers(2);
    for (rows, cols) in [(0, 5), (3, 0), (1, 1), (5, 7), (4, 8), (3, 33), (2, 130)] {
        let mut tensor = || numbers.elements(rows * cols);
        let (a, b, c) = (tensor(), tensor(), tensor());
        let start = numbers.elements(rows);
        let sum = |i: usize, minus: &[u64]| {
            (i * cols..(i + 1) * cols)
                .fold(start[i], |sum, at| sum.wrapping_add(a[at].wrapping_mul(b[at].wrapping_sub(minus[at]))))
        };
        let none = vec![0; rows * cols];
        for isa in Isa::available() {
            let mut got = start.clone();
            k::dot_rows_on(isa, &mut got, &a, &b);
            assert!((0..rows).all(|i| got[i] == sum(i, &none)), "{isa:?} {rows} {cols}");
            got = start.clone();
            k::dot_rows_minus_on(isa, &mut got, &a, &b, &c);
            assert!((0..rows).all(|i| got[i] == sum(i, &c)), "{isa:?} {rows} {cols}");
            // The numbers of `start` as factors of the rows.
            let scaled = |minus: &[u64]| -> Vec<u64> {
                (0..rows * cols)
                    .map(|at| {
                        b[at].wrapping_add(start[at / cols].wrapping_mul(a[at].wrapping_sub(minus[at])))
                    })
                    .collect()
            };
            let mut got = b.clone();
            k::scale_rows_on(isa, &mut got, &start, &a);
            assert_eq!(got, scaled(&none), "{isa:?} {rows} {cols}");
            let mut got = b.clone();
            k::scale_rows_minus_on(isa, &mut got, &start, &a, &c);
            assert_eq!(got, scaled(&c), "{isa:?} {rows} {cols}");
        }
    }
}

#[test]
#[should_panic(expected = "no whole rows")]
fn rows_that_are_not_whole_are_refused() {
    k::dot_rows(&mut [0; 2], &[0; 3], &[0; 3]);
}

#[test]
fn masks_and_shifts_match_the_definition_at_every_width() {
    for bits in 1..=64u32 {
        let modulo = |x: u64| if bits == 64 { x } else { x % (1 << bits) };
        check(|isa, d, _, _| k::mask_on(isa, d, bits), |d, _, _| modulo(d));
        let shift = bits / 2;
        check(|isa, d, _, _| k::shift_right_on(isa, d, bits, shift), |d, _, _| modulo(d) / (1 << shift));
        check(
            |isa, d, a, _| k::shift_right_into_on(isa, d, a, bits, shift),
            |_, a, _| modulo(a) / (1 << shift),
        );
    }
}

#[test]
#[should_panic(expected = "differ in length")]
fn operands_of_different_length_are_refused() {
    k::add_assign(&mut [0; 3], &[0; 4]);
}

#[test]
fn an_instruction_set_beyond_the_cpu_falls_back() {
    let mut x = [1, 2, 3];
    k::add_assign_on(Isa::Avx512, &mut x, &[10, 20, 30]);
    assert_eq!(x, [11, 22, 33]);
}
