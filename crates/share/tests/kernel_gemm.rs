//! The matrix product against the triple loop, on every instruction set of the CPU.

mod kernel_support;

use kernel_support::Numbers;
use proptest::prelude::*;
use tercet_share::kernel::{ConvGeometry, Gemm, Isa, Modulus, Operand, Sign, Term, gemm, gemm52};

/// A matrix written out, row-major: what the oracle multiplies.
#[derive(Clone, Debug)]
struct Dense {
    rows: usize,
    cols: usize,
    elements: Vec<u64>,
}

impl Dense {
    fn from_fn(rows: usize, cols: usize, mut f: impl FnMut(usize, usize) -> u64) -> Self {
        let elements = (0..rows * cols).map(|i| f(i / cols, i % cols)).collect();
        Self { rows, cols, elements }
    }

    fn at(&self, r: usize, c: usize) -> u64 {
        self.elements[r * self.cols + c]
    }

    fn t(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |r, c| self.at(c, r))
    }
}

fn add_product(out: &mut [u64], sign: Sign, a: &Dense, b: &Dense) {
    assert_eq!(a.cols, b.rows);
    for i in 0..a.rows {
        for j in 0..b.cols {
            let mut sum = 0u64;
            for k in 0..a.cols {
                sum = sum.wrapping_add(a.at(i, k).wrapping_mul(b.at(k, j)));
            }
            let c = &mut out[i * b.cols + j];
            *c = if sign == Sign::Plus { c.wrapping_add(sum) } else { c.wrapping_sub(sum) };
        }
    }
}

/// The memory of a strided matrix, optionally with a second slice to subtract and stored transposed.
struct Stored {
    data: Vec<u64>,
    minus: Option<Vec<u64>>,
    rows: usize,
    cols: usize,
    stride: usize,
    transposed: bool,
}

impl Stored {
    fn random(numbers: &mut Numbers, rows: usize, cols: usize) -> Self {
        let transposed = numbers.below(2) == 1;
        let (r, c) = if transposed { (cols, rows) } else { (rows, cols) };
        let stride = c + [0, 0, 1, 5][numbers.below(4)];
        let len = if r == 0 { 0 } else { (r - 1) * stride + c };
        let data = numbers.elements(len);
        let minus = (numbers.below(3) == 0).then(|| numbers.elements(len));
        Self { data, minus, rows: r, cols: c, stride, transposed }
    }

    fn operand(&self) -> Operand<'_> {
        let mut x = Operand::strided(&self.data, self.rows, self.cols, self.stride);
        if let Some(minus) = &self.minus {
            x = x.minus(minus);
        }
        if self.transposed { x.t() } else { x }
    }

    fn dense(&self) -> Dense {
        let at = |i: usize| self.data[i].wrapping_sub(self.minus.as_ref().map_or(0, |m| m[i]));
        let x = Dense::from_fn(self.rows, self.cols, |r, c| at(r * self.stride + c));
        if self.transposed { x.t() } else { x }
    }
}

/// Row-major to the order of `groups` column blocks.
fn regroup(x: &[u64], rows: usize, cols: usize, groups: usize) -> Vec<u64> {
    let inner = cols / groups;
    let mut out = vec![0; x.len()];
    for (i, v) in x.iter().enumerate() {
        let (r, c) = (i / cols, i % cols);
        out[(c / inner * rows + r) * inner + c % inner] = *v;
    }
    out
}

/// Compares a sum of products with the oracle for all instruction sets, moduli, group counts, and thread counts.
fn check(terms: &[Term<'_>], dense: &[(Sign, Dense, Dense)], start: &[u64]) {
    let (rows, cols) = (dense[0].1.rows, dense[0].2.cols);
    for accumulate in [false, true] {
        let mut expected = if accumulate { start.to_vec() } else { vec![0; rows * cols] };
        for (sign, a, b) in dense {
            add_product(&mut expected, *sign, a, b);
        }
        let low52: Vec<u64> = expected.iter().map(|x| x % (1 << 52)).collect();
        for isa in Isa::available() {
            let groups: Vec<usize> = [1, 2, 3, 7].into_iter().filter(|g| cols % g == 0).collect();
            for groups in groups {
                let options = Gemm::new().isa(isa).accumulate(accumulate).groups(groups);
                let begin = regroup(start, rows, cols, groups);
                let mut out = begin.clone();
                options.run(&mut out, terms);
                assert!(
                    out == regroup(&expected, rows, cols, groups),
                    "{isa:?} {rows}x{cols} groups {groups}"
                );
                let mut out = begin;
                options.modulus(Modulus::Low52).run(&mut out, terms);
                assert!(
                    out == regroup(&low52, rows, cols, groups),
                    "{isa:?} mod 2^52 {rows}x{cols} groups {groups}"
                );
            }
        }
    }
}

/// One random sum of products of the given shape.
fn random_sum(seed: u64, rows: usize, cols: usize, depths: &[usize]) {
    let mut numbers = Numbers(seed);
    let stored: Vec<(Sign, Stored, Stored)> = depths
        .iter()
        .map(|depth| {
            let sign = if numbers.below(2) == 0 { Sign::Plus } else { Sign::Minus };
            let a = Stored::random(&mut numbers, rows, *depth);
            let b = Stored::random(&mut numbers, *depth, cols);
            (sign, a, b)
        })
        .collect();
    let terms: Vec<Term<'_>> =
        stored.iter().map(|(sign, a, b)| Term::new(*sign, a.operand(), b.operand())).collect();
    let dense: Vec<_> = stored.iter().map(|(sign, a, b)| (*sign, a.dense(), b.dense())).collect();
    check(&terms, &dense, &numbers.elements(rows * cols));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sums_of_products_match_the_triple_loop(
        seed: u64,
        rows in 1usize..70,
        cols in 1usize..70,
        depths in prop::collection::vec(1usize..70, 1..4),
    ) {
        random_sum(seed, rows, cols, &depths);
    }

    #[test]
    fn deep_and_thin_products_match_the_triple_loop(
        seed: u64,
        rows in 1usize..14,
        cols in 1usize..14,
        depths in prop::collection::vec(200usize..600, 1..3),
    ) {
        random_sum(seed, rows, cols, &depths);
    }

    #[test]
    fn convolutions_and_their_gradients_match_the_definition(
        seed: u64,
        batch in 1usize..4,
        channels in 1usize..4,
        out_channels in 1usize..9,
        (height, width) in (1usize..13, 1usize..13),
        (kernel_h, kernel_w) in (1usize..6, 1usize..6),
        stride in 1usize..4,
        padding in 0usize..4,
    ) {
        let g = ConvGeometry { channels, height, width, kernel_h, kernel_w, stride, padding };
        prop_assume!(height + 2 * padding >= kernel_h && width + 2 * padding >= kernel_w);
        convolution(seed, batch, out_channels, g);
    }
}

/// The patch matrix by definition: row (image, y, x), column (channel, ky, kx).
fn im2col(x: &[u64], batch: usize, g: ConvGeometry) -> Dense {
    let (oh, ow) = (g.out_height(), g.out_width());
    Dense::from_fn(batch * oh * ow, g.channels * g.kernel_h * g.kernel_w, |r, c| {
        let (image, y, xx) = (r / (oh * ow), r / ow % oh, r % ow);
        let (channel, ky, kx) = (c / (g.kernel_h * g.kernel_w), c / g.kernel_w % g.kernel_h, c % g.kernel_w);
        let iy = (y * g.stride + ky) as isize - g.padding as isize;
        let ix = (xx * g.stride + kx) as isize - g.padding as isize;
        let inside = (0..g.height as isize).contains(&iy) && (0..g.width as isize).contains(&ix);
        if inside {
            x[((image * g.channels + channel) * g.height + iy as usize) * g.width + ix as usize]
        } else {
            0
        }
    })
}

/// NCHW as (channel, image · pixel).
fn channel_rows(x: &[u64], batch: usize, channels: usize, pixels: usize) -> Dense {
    Dense::from_fn(channels, batch * pixels, |r, c| x[(c / pixels * channels + r) * pixels + c % pixels])
}

fn convolution(seed: u64, batch: usize, out_channels: usize, g: ConvGeometry) {
    let mut numbers = Numbers(seed);
    let pixels = g.output_positions();
    let (image, image2) = (numbers.elements(batch * g.input_len()), numbers.elements(batch * g.input_len()));
    let (w, w2) =
        (numbers.elements(g.patch_len() * out_channels), numbers.elements(g.patch_len() * out_channels));
    let dy = numbers.elements(batch * out_channels * pixels);
    let dy2 = numbers.elements(dy.len());
    let diff =
        |x: &[u64], y: &[u64]| -> Vec<u64> { x.iter().zip(y).map(|(x, y)| x.wrapping_sub(*y)).collect() };
    let (dw, dimage, ddy) = (diff(&w, &w2), diff(&image, &image2), diff(&dy, &dy2));

    // Forward: two terms, one of them with differences on both sides.
    let weights = |w| Operand::matrix(w, g.patch_len(), out_channels);
    let terms = [
        Term::minus(weights(&w).t(), Operand::patches(&image, batch, g).t()),
        Term::plus(weights(&w).minus(&w2).t(), Operand::patches(&image, batch, g).minus(&image2).t()),
    ];
    let dense_w = |w: &[u64]| Dense { rows: g.patch_len(), cols: out_channels, elements: w.to_vec() }.t();
    let dense = [
        (Sign::Minus, dense_w(&w), im2col(&image, batch, g).t()),
        (Sign::Plus, dense_w(&dw), im2col(&dimage, batch, g).t()),
    ];
    check_at(&terms, &dense, batch, &numbers.elements(dy.len()));

    // Weight gradient, and the same transposed.
    let grad = |x| Operand::channel_rows(x, batch, out_channels, pixels);
    let terms = [
        Term::plus(Operand::patches(&image, batch, g).t(), grad(&dy).t()),
        Term::minus(Operand::patches(&image, batch, g).minus(&image2).t(), grad(&dy).minus(&dy2).t()),
    ];
    let dense_dy = |x: &[u64]| channel_rows(x, batch, out_channels, pixels);
    let dense = [
        (Sign::Plus, im2col(&image, batch, g).t(), dense_dy(&dy).t()),
        (Sign::Minus, im2col(&dimage, batch, g).t(), dense_dy(&ddy).t()),
    ];
    let start = numbers.elements(w.len());
    check_at(&terms, &dense, 1, &start);
    let terms = [Term::plus(grad(&dy), Operand::patches(&image, batch, g))];
    check_at(&terms, &[(Sign::Plus, dense_dy(&dy), im2col(&image, batch, g))], 1, &start);

    // Input gradient: by definition, scattering each output gradient times its patch of weights.
    let mut expected = vec![0u64; image.len()];
    let (oh, ow) = (g.out_height(), g.out_width());
    for (b, o, y, x) in (0..batch * out_channels * pixels)
        .map(|i| (i / (out_channels * pixels), i / pixels % out_channels, i / ow % oh, i % ow))
    {
        for (c, ky, kx) in (0..g.patch_len())
            .map(|i| (i / (g.kernel_h * g.kernel_w), i / g.kernel_w % g.kernel_h, i % g.kernel_w))
        {
            let iy = (y * g.stride + ky) as isize - g.padding as isize;
            let ix = (x * g.stride + kx) as isize - g.padding as isize;
            if (0..g.height as isize).contains(&iy) && (0..g.width as isize).contains(&ix) {
                let weight = dw[((c * g.kernel_h + ky) * g.kernel_w + kx) * out_channels + o];
                let gradient = ddy[((b * out_channels + o) * oh + y) * ow + x];
                let at = ((b * g.channels + c) * g.height + iy as usize) * g.width + ix as usize;
                expected[at] = expected[at].wrapping_add(weight.wrapping_mul(gradient));
            }
        }
    }
    let by_input = |w| Operand::matrix(w, g.channels, g.kernel_h * g.kernel_w * out_channels);
    let term = Term::plus(
        by_input(&w).minus(&w2),
        Operand::gradient_patches(&dy, batch, out_channels, g).minus(&dy2).t(),
    );
    for isa in Isa::available() {
        let mut out = numbers.elements(image.len());
        Gemm::new().isa(isa).groups(batch).run(&mut out, &[term]);
        assert!(out == expected, "{isa:?} input gradient {g:?} batch {batch} to {out_channels}");
    }
}

/// Compares with the oracle at one group count.
fn check_at(terms: &[Term<'_>], dense: &[(Sign, Dense, Dense)], groups: usize, start: &[u64]) {
    let (rows, cols) = (dense[0].1.rows, dense[0].2.cols);
    let mut expected = vec![0; rows * cols];
    for (sign, a, b) in dense {
        add_product(&mut expected, *sign, a, b);
    }
    let expected = regroup(&expected, rows, cols, groups);
    let sum: Vec<u64> = expected.iter().zip(start).map(|(x, y)| x.wrapping_add(*y) % (1 << 52)).collect();
    for isa in Isa::available() {
        let options = Gemm::new().isa(isa).groups(groups);
        let mut out = start.to_vec();
        options.run(&mut out, terms);
        assert!(out == expected, "{isa:?} {rows}x{cols} groups {groups}");
        let mut out = start.to_vec();
        options.accumulate(true).modulus(Modulus::Low52).run(&mut out, terms);
        assert!(out == sum, "{isa:?} mod 2^52 {rows}x{cols} groups {groups}");
    }
}

#[test]
fn large_products_shared_among_threads_match_the_triple_loop() {
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can start");
        pool.install(|| {
            random_sum(100 + threads as u64, 130, 130, &[150, 100]);
            random_sum(200 + threads as u64, 3, 700, &[600]);
            random_sum(300 + threads as u64, 700, 3, &[600]);
        });
    }
}

#[test]
fn large_convolutions_shared_among_threads_match_the_definition() {
    let wide =
        ConvGeometry { channels: 8, height: 6, width: 44, kernel_h: 5, kernel_w: 5, stride: 1, padding: 2 };
    let strided =
        ConvGeometry { channels: 3, height: 19, width: 21, kernel_h: 4, kernel_w: 3, stride: 2, padding: 1 };
    let pointwise =
        ConvGeometry { channels: 33, height: 7, width: 9, kernel_h: 1, kernel_w: 1, stride: 1, padding: 0 };
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can start");
        pool.install(|| {
            for (seed, g) in [wide, strided, pointwise].into_iter().enumerate() {
                convolution(seed as u64, 5, 13, g);
            }
        });
    }
}

#[test]
fn products_run_inside_parallel_work() {
    use rayon::prelude::*;
    (0..8u64).into_par_iter().for_each(|seed| random_sum(seed, 128, 96, &[128]));
}

#[test]
fn an_empty_sum_is_zero() {
    let mut out = [5, !0];
    gemm(&mut out, true, &[]);
    assert_eq!(out, [5, !0]);
    gemm52(&mut out, true, &[]);
    assert_eq!(out, [5, (1 << 52) - 1]);
    let empty = Term::plus(Operand::matrix(&[], 1, 0), Operand::matrix(&[], 0, 2));
    gemm(&mut out, true, &[empty]);
    assert_eq!(out, [5, (1 << 52) - 1]);
    gemm(&mut out, false, &[empty]);
    assert_eq!(out, [0, 0]);
    gemm(&mut [], false, &[Term::plus(Operand::matrix(&[], 0, 3), Operand::matrix(&[1, 2, 3], 3, 1))]);
}

#[test]
#[should_panic(expected = "inner dimensions differ")]
fn factors_that_do_not_fit_are_refused() {
    let _ = Term::plus(Operand::matrix(&[0; 6], 2, 3), Operand::matrix(&[0; 8], 4, 2));
}

#[test]
#[should_panic(expected = "output is not 2x2")]
fn an_output_of_the_wrong_size_is_refused() {
    gemm(&mut [0; 5], false, &[Term::plus(Operand::matrix(&[0; 6], 2, 3), Operand::matrix(&[0; 6], 3, 2))]);
}

#[test]
#[should_panic(expected = "does not match the slice length")]
fn a_slice_shorter_than_its_shape_is_refused() {
    let _ = Operand::matrix(&[0; 5], 2, 3);
}
