//! Element-wise ring arithmetic on slices of equal length.
//!
//! The bodies are plain loops that the compiler vectorises for each instruction set; they run at memory speed. All
//! functions panic if the slices differ in length, which is an error of the calling code.
#![allow(unsafe_code)]

use super::dispatch::vectorised;

/// The lowest `bits` bits set: the modulus 2^`bits` minus one.
///
/// `bits` must be 1 to 64.
#[inline]
pub(crate) const fn low_mask(bits: u32) -> u64 {
    assert!(bits >= 1 && bits <= 64, "a ring of 2^bits needs bits in 1..=64");
    u64::MAX >> (64 - bits)
}

#[inline(always)]
fn same_length(a: &[u64], b: &[u64]) {
    assert_eq!(a.len(), b.len(), "element-wise kernel: operands differ in length");
}

/// Columns of a matrix of as many rows as `column` has elements.
#[inline(always)]
fn row_length(column: &[u64], a: &[u64]) -> usize {
    let cols = a.len().checked_div(column.len()).unwrap_or(0);
    assert_eq!(cols * column.len(), a.len(), "a kernel over rows: the operands are no whole rows");
    cols
}

vectorised! {
    /// `dst[i] += src[i]`.
    pub fn add_assign / add_assign_on(dst: &mut [u64], src: &[u64]) {
        same_length(dst, src);
        for (d, s) in dst.iter_mut().zip(src) {
            *d = d.wrapping_add(*s);
        }
    }

    /// `dst[i] -= src[i]`.
    pub fn sub_assign / sub_assign_on(dst: &mut [u64], src: &[u64]) {
        same_length(dst, src);
        for (d, s) in dst.iter_mut().zip(src) {
            *d = d.wrapping_sub(*s);
        }
    }

    /// `dst[i] = src[i] - dst[i]`.
    pub fn rsub_assign / rsub_assign_on(dst: &mut [u64], src: &[u64]) {
        same_length(dst, src);
        for (d, s) in dst.iter_mut().zip(src) {
            *d = s.wrapping_sub(*d);
        }
    }

    /// `dst[i] *= src[i]`.
    pub fn mul_assign / mul_assign_on(dst: &mut [u64], src: &[u64]) {
        same_length(dst, src);
        for (d, s) in dst.iter_mut().zip(src) {
            *d = d.wrapping_mul(*s);
        }
    }

    /// `dst[i] = -dst[i]`.
    pub fn neg_assign / neg_assign_on(dst: &mut [u64]) {
        for d in dst {
            *d = d.wrapping_neg();
        }
    }

    /// `out[i] = a[i] + b[i]`.
    pub fn add / add_on(out: &mut [u64], a: &[u64], b: &[u64]) {
        same_length(out, a);
        same_length(out, b);
        for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
            *o = x.wrapping_add(*y);
        }
    }

    /// `out[i] = a[i] - b[i]`.
    pub fn sub / sub_on(out: &mut [u64], a: &[u64], b: &[u64]) {
        same_length(out, a);
        same_length(out, b);
        for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
            *o = x.wrapping_sub(*y);
        }
    }

    /// `out[i] = a[i] * b[i]`.
    pub fn mul / mul_on(out: &mut [u64], a: &[u64], b: &[u64]) {
        same_length(out, a);
        same_length(out, b);
        for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
            *o = x.wrapping_mul(*y);
        }
    }

    /// `acc[i] += a[i] * b[i]`.
    pub fn mul_add / mul_add_on(acc: &mut [u64], a: &[u64], b: &[u64]) {
        same_length(acc, a);
        same_length(acc, b);
        for ((o, x), y) in acc.iter_mut().zip(a).zip(b) {
            *o = o.wrapping_add(x.wrapping_mul(*y));
        }
    }

    /// `acc[i] -= a[i] * b[i]`.
    pub fn mul_sub / mul_sub_on(acc: &mut [u64], a: &[u64], b: &[u64]) {
        same_length(acc, a);
        same_length(acc, b);
        for ((o, x), y) in acc.iter_mut().zip(a).zip(b) {
            *o = o.wrapping_sub(x.wrapping_mul(*y));
        }
    }

    /// `acc[i] += Σ_j a[i, j] · b[i, j]`: a row for each element of `acc`.
    pub fn dot_rows / dot_rows_on(acc: &mut [u64], a: &[u64], b: &[u64]) {
        same_length(a, b);
        let cols = row_length(acc, a);
        for (i, sum) in acc.iter_mut().enumerate() {
            let row = i * cols..(i + 1) * cols;
            let products = a[row.clone()].iter().zip(&b[row]);
            *sum = products.fold(*sum, |sum, (x, y)| sum.wrapping_add(x.wrapping_mul(*y)));
        }
    }

    /// `acc[i] += Σ_j a[i, j] · (b[i, j] - c[i, j])`: a row for each element of `acc`.
    pub fn dot_rows_minus / dot_rows_minus_on(acc: &mut [u64], a: &[u64], b: &[u64], c: &[u64]) {
        same_length(a, b);
        same_length(a, c);
        let cols = row_length(acc, a);
        for (i, sum) in acc.iter_mut().enumerate() {
            let row = i * cols..(i + 1) * cols;
            let products = a[row.clone()].iter().zip(&b[row.clone()]).zip(&c[row]);
            *sum = products.fold(*sum, |sum, ((x, y), z)| {
                sum.wrapping_add(x.wrapping_mul(y.wrapping_sub(*z)))
            });
        }
    }

    /// `acc[i, j] += c[i] · a[i, j]`: a row for each element of `c`.
    pub fn scale_rows / scale_rows_on(acc: &mut [u64], c: &[u64], a: &[u64]) {
        same_length(acc, a);
        let cols = row_length(c, a);
        for (i, c) in c.iter().enumerate() {
            let row = i * cols..(i + 1) * cols;
            for (o, x) in acc[row.clone()].iter_mut().zip(&a[row]) {
                *o = o.wrapping_add(x.wrapping_mul(*c));
            }
        }
    }

    /// `acc[i, j] += c[i] · (a[i, j] - b[i, j])`: a row for each element of `c`.
    pub fn scale_rows_minus / scale_rows_minus_on(acc: &mut [u64], c: &[u64], a: &[u64], b: &[u64]) {
        same_length(acc, a);
        same_length(acc, b);
        let cols = row_length(c, a);
        for (i, c) in c.iter().enumerate() {
            let row = i * cols..(i + 1) * cols;
            for ((o, x), y) in acc[row.clone()].iter_mut().zip(&a[row.clone()]).zip(&b[row]) {
                *o = o.wrapping_add(x.wrapping_sub(*y).wrapping_mul(*c));
            }
        }
    }

    /// `dst[i] += c`.
    pub fn add_scalar / add_scalar_on(dst: &mut [u64], c: u64) {
        for d in dst {
            *d = d.wrapping_add(c);
        }
    }

    /// `dst[i] *= c`.
    pub fn scale / scale_on(dst: &mut [u64], c: u64) {
        for d in dst {
            *d = d.wrapping_mul(c);
        }
    }

    /// `acc[i] += c * a[i]`.
    pub fn scale_add / scale_add_on(acc: &mut [u64], c: u64, a: &[u64]) {
        same_length(acc, a);
        for (o, x) in acc.iter_mut().zip(a) {
            *o = o.wrapping_add(x.wrapping_mul(c));
        }
    }

    /// `dst[i] = dst[i] mod 2^bits`. `bits` must be 1 to 64.
    pub fn mask / mask_on(dst: &mut [u64], bits: u32) {
        let m = low_mask(bits);
        for d in dst {
            *d &= m;
        }
    }

    /// `dst[i] = (dst[i] mod 2^bits) >> shift`. `bits` must be 1 to 64 and `shift` below 64.
    pub fn shift_right / shift_right_on(dst: &mut [u64], bits: u32, shift: u32) {
        let m = low_mask(bits);
        assert!(shift < 64, "a right shift of a ring element must be below 64 bits");
        for d in dst {
            *d = (*d & m) >> shift;
        }
    }

    /// `out[i] = (src[i] mod 2^bits) >> shift`. `bits` must be 1 to 64 and `shift` below 64.
    pub fn shift_right_into / shift_right_into_on(out: &mut [u64], src: &[u64], bits: u32, shift: u32) {
        same_length(out, src);
        let m = low_mask(bits);
        assert!(shift < 64, "a right shift of a ring element must be below 64 bits");
        for (o, s) in out.iter_mut().zip(src) {
            *o = (*s & m) >> shift;
        }
    }
}
