//! The group sum compiled for AVX2 and for AVX-512.
#![allow(unsafe_code)]

use super::{Lane, Sum, by_width};

/// Proof that this machine has the instructions named.
#[derive(Clone, Copy)]
pub(super) enum Vectors {
    /// AVX2.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Vectors {
    /// The best that this machine has.
    pub(super) fn detect() -> Option<Self> {
        Self::all().first().copied()
    }

    /// All that this machine has, best first.
    pub(super) fn all() -> Vec<Self> {
        let mut found = Vec::new();
        if is_x86_feature_detected!("avx512f") {
            found.push(Self::Avx512);
        }
        if is_x86_feature_detected!("avx2") {
            found.push(Self::Avx2);
        }
        found
    }

    /// See [`super::Kernel::group`].
    pub(super) fn group<S: Sum>(self, width: usize, leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
        match self {
            // SAFETY: this value exists only where AVX-512F was detected.
            Self::Avx512 => unsafe { avx512::<S>(width, leaves, total, odd) },
            // SAFETY: this value exists only where AVX2 was detected.
            Self::Avx2 => unsafe { avx2::<S>(width, leaves, total, odd) },
        }
    }
}

#[target_feature(enable = "avx512f")]
fn avx512<S: Sum>(width: usize, leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
    by_width::<S>(width, leaves, total, odd);
}

#[target_feature(enable = "avx2")]
fn avx2<S: Sum>(width: usize, leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
    by_width::<S>(width, leaves, total, odd);
}
