//! Sums of a group of up to 16 leaves, plain and by bits of the leaf number, in one pass over memory.

#[cfg(target_arch = "x86_64")]
mod x86;

/// 64 bytes: eight ring values, or 512 bits.
pub(crate) type Lane = [u64; 8];

/// Ring values of a [`Lane`].
pub(crate) const LANE_WORDS: usize = 8;

/// Most bits of the leaf number that one group covers.
pub(crate) const GROUP_WIDTH: usize = 4;

/// The addition of a group Z_2^n or Z_2^64, word by word.
pub(crate) trait Sum: Copy {
    /// a + b.
    fn sum(a: u64, b: u64) -> u64;

    /// a + b for whole lanes. A loop and not `array::from_fn`, which would not be compiled for the vectors.
    #[inline(always)]
    fn lanes(a: &Lane, b: &Lane) -> Lane {
        let mut out = [0; LANE_WORDS];
        for i in 0..LANE_WORDS {
            out[i] = Self::sum(a[i], b[i]);
        }
        out
    }
}

/// Addition modulo 2 of every bit.
#[derive(Clone, Copy)]
pub(crate) struct Xor;

/// Addition modulo 2^64 of every word.
#[derive(Clone, Copy)]
pub(crate) struct Add;

impl Sum for Xor {
    #[inline(always)]
    fn sum(a: u64, b: u64) -> u64 {
        a ^ b
    }
}

impl Sum for Add {
    #[inline(always)]
    fn sum(a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }
}

/// The vector instructions to use.
#[derive(Clone, Copy)]
pub(crate) struct Kernel {
    #[cfg(target_arch = "x86_64")]
    x86: Option<x86::Vectors>,
}

impl Kernel {
    /// The fastest instructions here.
    pub(crate) fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            x86: x86::Vectors::detect(),
        }
    }

    /// For 2^`width` leaves of `total.len()` lanes each, in order in `leaves`: total = Σ of all leaves, and
    /// odd[l·lanes ..] += Σ of the leaves with bit l in their number. `width` is 1 to 4.
    pub(crate) fn group<S: Sum>(self, width: usize, leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
        debug_assert!(leaves.len() == total.len() << width && odd.len() == total.len() * width);
        #[cfg(target_arch = "x86_64")]
        if let Some(x86) = self.x86 {
            x86.group::<S>(width, leaves, total, odd);
            return;
        }
        by_width::<S>(width, leaves, total, odd);
    }
}

/// The portable twin; the vector versions are this code, compiled for more instructions.
#[inline(always)]
fn by_width<S: Sum>(width: usize, leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
    match width {
        1 => by_leaves::<S, 2>(leaves, total, odd),
        2 => by_leaves::<S, 4>(leaves, total, odd),
        3 => by_leaves::<S, 8>(leaves, total, odd),
        _ => by_leaves::<S, 16>(leaves, total, odd),
    }
}

#[inline(always)]
fn by_leaves<S: Sum, const LEAVES: usize>(leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
    let lanes = total.len();
    for position in 0..lanes {
        // Bit 0 straight from memory, the other bits from the pairs' sums.
        let mut sums = [[0; LANE_WORDS]; LEAVES];
        let mut with_bit = odd[position];
        for pair in 0..LEAVES / 2 {
            let (even, odd) =
                (&leaves[2 * pair * lanes + position], &leaves[(2 * pair + 1) * lanes + position]);
            with_bit = S::lanes(&with_bit, odd);
            sums[pair] = S::lanes(even, odd);
        }
        odd[position] = with_bit;
        let (mut count, mut level) = (LEAVES / 2, 1);
        while count > 1 {
            let odd = &mut odd[level * lanes + position];
            let mut with_bit = *odd;
            for pair in 0..count / 2 {
                with_bit = S::lanes(&with_bit, &sums[2 * pair + 1]);
                sums[pair] = S::lanes(&sums[2 * pair], &sums[2 * pair + 1]);
            }
            *odd = with_bit;
            (count, level) = (count / 2, level + 1);
        }
        total[position] = sums[0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, leaf by leaf.
    fn naive<S: Sum>(width: usize, leaves: &[Lane], total: &mut [Lane], odd: &mut [Lane]) {
        let lanes = total.len();
        total.fill([0; 8]);
        for (x, leaf) in leaves.chunks_exact(lanes).enumerate() {
            for (i, &word) in leaf.as_flattened().iter().enumerate() {
                total[i / 8][i % 8] = S::sum(total[i / 8][i % 8], word);
                for level in (0..width).filter(|level| x >> level & 1 == 1) {
                    let odd = &mut odd[level * lanes + i / 8][i % 8];
                    *odd = S::sum(*odd, word);
                }
            }
        }
    }

    fn check<S: Sum>(width: usize, lanes: usize, leaves: &[Lane]) -> Result<(), TestCaseError> {
        let start = vec![[7; 8]; lanes * width];
        let run = |fold: &dyn Fn(&mut [Lane], &mut [Lane])| {
            let (mut total, mut odd) = (vec![[1; 8]; lanes], start.clone());
            fold(&mut total, &mut odd);
            (total, odd)
        };
        let expected = run(&|total, odd| naive::<S>(width, leaves, total, odd));
        prop_assert_eq!(&run(&|total, odd| by_width::<S>(width, leaves, total, odd)), &expected);
        for kernel in kernels() {
            prop_assert_eq!(&run(&|total, odd| kernel.group::<S>(width, leaves, total, odd)), &expected);
        }
        Ok(())
    }

    /// Every version that this machine can run.
    fn kernels() -> Vec<Kernel> {
        #[cfg(target_arch = "x86_64")]
        let kernels = x86::Vectors::all().into_iter().map(|vectors| Kernel { x86: Some(vectors) });
        #[cfg(not(target_arch = "x86_64"))]
        let kernels = std::iter::once(Kernel::detect());
        kernels.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn both_versions_are_the_weighted_sums(
            width in 1usize..=4,
            lanes in 1usize..=5,
            all in proptest::collection::vec(any::<Lane>(), 5 * 16),
        ) {
            let leaves = &all[..lanes << width];
            check::<Xor>(width, lanes, leaves)?;
            check::<Add>(width, lanes, leaves)?;
        }
    }
}
