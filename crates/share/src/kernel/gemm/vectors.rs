//! The two data movements of packing: copying a short run and transposing eight rows.
#![allow(unsafe_code)]

/// Data movement for one instruction set. Implementations are inlined into functions compiled for it.
pub(super) trait Vectors {
    /// `dst = data - minus`, or a copy of `data`. All have the same length. Made for runs of a few dozen elements.
    fn copy(dst: &mut [u64], data: &[u64], minus: Option<&[u64]>);

    /// `panel[k * width + r] = source[r * stride + k]` for `r < rows <= 8` and `k < len`. Lanes `rows..8` of a line may
    /// be overwritten with anything if they are inside the panel.
    fn transpose(source: &[u64], stride: usize, rows: usize, len: usize, panel: &mut [u64], width: usize);
}

/// Plain Rust, compiled for whatever the caller is compiled for.
pub(super) struct Portable;

impl Vectors for Portable {
    #[inline(always)]
    fn copy(dst: &mut [u64], data: &[u64], minus: Option<&[u64]>) {
        match minus {
            None => {
                // Whole vectors inline: a call to memcpy costs more than the run.
                let (dst8, dst1) = dst.as_chunks_mut::<8>();
                let (data8, data1) = data.as_chunks::<8>();
                for (d, s) in dst8.iter_mut().zip(data8) {
                    *d = *s;
                }
                for (d, s) in dst1.iter_mut().zip(data1) {
                    *d = *s;
                }
            }
            Some(minus) => {
                for ((d, s), m) in dst.iter_mut().zip(data).zip(minus) {
                    *d = s.wrapping_sub(*m);
                }
            }
        }
    }

    #[inline(always)]
    fn transpose(source: &[u64], stride: usize, rows: usize, len: usize, panel: &mut [u64], width: usize) {
        for r in 0..rows {
            let row = &source[r * stride..r * stride + len];
            for (slot, x) in panel[r..].iter_mut().step_by(width).zip(row) {
                *slot = *x;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{Portable, Vectors};
    use std::arch::x86_64::*;

    /// AVX-512 intrinsics. Only used in functions compiled for, and entered on, CPUs that have it.
    pub(in super::super) struct Avx512;

    impl Vectors for Avx512 {
        #[inline(always)]
        fn copy(dst: &mut [u64], data: &[u64], minus: Option<&[u64]>) {
            let n = dst.len();
            assert!(data.len() == n && minus.is_none_or(|m| m.len() == n), "copy: lengths differ");
            let minus = minus.map(<[u64]>::as_ptr);
            // SAFETY: the type's contract on the CPU; the assert covers the addresses.
            unsafe { copy_run(dst.as_mut_ptr(), data.as_ptr(), minus, n) }
        }

        #[inline(always)]
        fn transpose(
            source: &[u64],
            stride: usize,
            rows: usize,
            len: usize,
            panel: &mut [u64],
            width: usize,
        ) {
            if rows == 0 || len == 0 {
                return;
            }
            if panel.len() < (len - 1) * width + 8 {
                return Portable::transpose(source, stride, rows, len, panel, width);
            }
            assert!(
                rows <= 8 && source.len() >= (rows - 1) * stride + len,
                "transpose: rows exceed the source"
            );
            // SAFETY: the type's contract on the CPU; the comparison and the assert cover the addresses.
            unsafe { transpose_rows(source.as_ptr(), stride, rows, len, panel.as_mut_ptr(), width) };
        }
    }

    /// # Safety
    /// The CPU has AVX-512 F; `n` elements are valid at each pointer.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn copy_run(dst: *mut u64, data: *const u64, minus: Option<*const u64>, n: usize) {
        let mut at = 0;
        while at < n {
            let lanes = if n - at >= 8 { 0xff } else { 0xff >> (8 - (n - at)) };
            // SAFETY: the caller's promise; the mask leaves out what is beyond `n`.
            unsafe {
                let mut x = _mm512_maskz_loadu_epi64(lanes, data.add(at).cast());
                if let Some(minus) = minus {
                    x = _mm512_sub_epi64(x, _mm512_maskz_loadu_epi64(lanes, minus.add(at).cast()));
                }
                _mm512_mask_storeu_epi64(dst.add(at).cast(), lanes, x);
            }
            at += 8;
        }
    }

    /// # Safety
    /// The CPU has AVX-512 F; `1 <= rows <= 8`; `source + r * stride + k` is valid for `r < rows` and `k < len`, and
    /// `panel + k * width + r` for `r < 8` and `k < len`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn transpose_rows(
        source: *const u64,
        stride: usize,
        rows: usize,
        len: usize,
        panel: *mut u64,
        width: usize,
    ) {
        // Missing rows repeat the last one; their lanes are not used.
        let row: [*const u64; 8] = std::array::from_fn(|r| source.wrapping_add(r.min(rows - 1) * stride));
        for k in (0..len).step_by(8) {
            let lines = (len - k).min(8);
            let present = 0xff_u8 >> (8 - lines);
            // SAFETY: the caller's promise; the mask leaves out what is beyond `len`.
            let r: [__m512i; 8] =
                std::array::from_fn(|i| unsafe { _mm512_maskz_loadu_epi64(present, row[i].add(k).cast()) });
            // Pairs of rows, interleaved by element: t[2i] holds even columns and t[2i + 1] odd columns.
            let t: [__m512i; 8] = std::array::from_fn(|i| {
                let (x, y) = (r[i & !1], r[i | 1]);
                if i & 1 == 0 { _mm512_unpacklo_epi64(x, y) } else { _mm512_unpackhi_epi64(x, y) }
            });
            let even = |x, y| _mm512_shuffle_i64x2::<0b10_00_10_00>(x, y);
            let odd = |x, y| _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y);
            // u[c] holds columns c and c + 4 of rows 0..4, v[c] those of rows 4..8.
            let u = [even(t[0], t[2]), even(t[1], t[3]), odd(t[0], t[2]), odd(t[1], t[3])];
            let v = [even(t[4], t[6]), even(t[5], t[7]), odd(t[4], t[6]), odd(t[5], t[7])];
            let column: [__m512i; 8] =
                std::array::from_fn(|c| if c < 4 { even(u[c], v[c]) } else { odd(u[c - 4], v[c - 4]) });
            for (c, x) in column.into_iter().enumerate() {
                if c < lines {
                    // SAFETY: the caller's promise.
                    unsafe { _mm512_storeu_epi64(panel.add((k + c) * width).cast(), x) };
                }
            }
        }
    }
}
