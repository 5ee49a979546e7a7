//! The instruction set in use, found once.

#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

/// An instruction set that the kernels are written for, from the slowest to the fastest.
///
/// A value above what the CPU has is harmless: every kernel falls back to the best one that the CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust for any CPU.
    Portable,
    /// AVX2 with BMI2.
    Avx2,
    /// AVX-512 F, BW, DQ, VL, IFMA, VBMI, VBMI2, BITALG and VPOPCNTDQ (Ice Lake, Zen 4 and later).
    Avx512,
}

impl Isa {
    /// The fastest instruction set that this CPU has.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn best() -> Self {
        // Every kernel asks, some for a few hundred numbers: one load instead of a dozen.
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            if has_avx512() {
                Self::Avx512
            } else if has_avx2() {
                Self::Avx2
            } else {
                Self::Portable
            }
        })
    }

    /// The fastest instruction set that this CPU has.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    pub fn best() -> Self {
        Self::Portable
    }

    /// Every instruction set that this CPU has, the slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::Portable, Self::Avx2, Self::Avx512].into_iter().filter(|isa| *isa <= Self::best())
    }

    /// This instruction set, or the best one of the CPU if that is less.
    ///
    /// Each kernel calls this before it enters code for one instruction set, so that a hand-made value is sound.
    #[inline]
    pub(crate) fn supported(self) -> Self {
        self.min(Self::best())
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512ifma")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("avx512bitalg")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("popcnt")
}

/// Compiles one body for every instruction set and defines the two entry points of the kernel.
///
/// `fn name / name_on (args) -> ret { body }` gives `name(args)`, which uses [`Isa::best`], and
/// `name_on(isa, args)`. The body is ordinary safe Rust; the compiler vectorises it under each set of features.
macro_rules! vectorised {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident / $on:ident ( $($arg:ident : $ty:ty),* $(,)? ) $body:block
    )*) => {$(
        $(#[$meta])*
        #[inline]
        $vis fn $name($($arg: $ty),*) {
            $on($crate::kernel::dispatch::Isa::best(), $($arg),*)
        }

        #[doc = concat!("[`", stringify!($name), "`] on a given instruction set.")]
        $vis fn $on(isa: $crate::kernel::dispatch::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn portable($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi2,popcnt")]
            fn avx2($($arg: $ty),*) {
                portable($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi2,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")]
            fn avx512($($arg: $ty),*) {
                portable($($arg),*)
            }

            match isa.supported() {
                // SAFETY: `supported` returns an instruction set only if the CPU has it.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::dispatch::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::dispatch::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => portable($($arg),*),
            }
        }
    )*};
}
pub(crate) use vectorised;
