//! Sums of a group of up to 16 leaves, plain and by bits of the leaf number, in one pass over memory.

#[cfg(target_arch = "x86_64")]
mod x86;

/// 64 bytes: eight ring values, or 512 bits.
pub(crate) type Lane = [u64; 8];

/// Bytes of a [`Lane`].
pub(crate) const LANE: usize = 64;

/// Most bits of the leaf number that one group covers.
pub(crate) const GROUP_WIDTH: usize = 4;

/// The addition of a group Z_2^n or Z_2^64, word by word.
pub(crate) trait Sum: Copy {
    /// a + b.
    fn sum(a: u64, b: u64) -> u64;

    /// a + b for whole lanes.
    #[inline(always)]
    fn lanes(a: &Lane, b: &Lane) -> Lane {
        std::array::from_fn(|i| Self::sum(a[i], b[i]))
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
    pub(crate) fn group<S: Sum>(self, width: usize, leaves: &[u8], total: &mut [Lane], odd: &mut [Lane]) {
        debug_assert!(leaves.len() == total.len() * LANE << width && odd.len() == total.len() * width);
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
fn by_width<S: Sum>(width: usize, leaves: &[u8], total: &mut [Lane], odd: &mut [Lane]) {
    match width {
        1 => by_leaves::<S, 2>(leaves, total, odd),
        2 => by_leaves::<S, 4>(leaves, total, odd),
        3 => by_leaves::<S, 8>(leaves, total, odd),
        _ => by_leaves::<S, 16>(leaves, total, odd),
    }
}

#[inline(always)]
fn by_leaves<S: Sum, const LEAVES: usize>(leaves: &[u8], total: &mut [Lane], odd: &mut [Lane]) {
    let lanes = total.len();
    let (leaves, _) = leaves.as_chunks::<LANE>();
    for position in 0..lanes {
        let mut sums: [Lane; LEAVES] = std::array::from_fn(|leaf| load(&leaves[leaf * lanes + position]));
        let (mut count, mut level) = (LEAVES, 0);
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

#[inline(always)]
fn load(bytes: &[u8; LANE]) -> Lane {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|i| u64::from_le_bytes(words[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, leaf by leaf.
    fn naive<S: Sum>(width: usize, leaves: &[u8], total: &mut [Lane], odd: &mut [Lane]) {
        let lanes = total.len();
        total.fill([0; 8]);
        for (x, leaf) in leaves.chunks_exact(lanes * LANE).enumerate() {
            for (i, bytes) in leaf.chunks_exact(8).enumerate() {
                let word = u64::from_le_bytes(bytes.try_into().unwrap());
                total[i / 8][i % 8] = S::sum(total[i / 8][i % 8], word);
                for level in (0..width).filter(|level| x >> level & 1 == 1) {
                    let odd = &mut odd[level * lanes + i / 8][i % 8];
                    *odd = S::sum(*odd, word);
                }
            }
        }
    }

    fn check<S: Sum>(width: usize, lanes: usize, leaves: &[u8]) -> Result<(), TestCaseError> {
        let start = vec![[7; 8]; lanes * width];
        let run = |fold: &dyn Fn(&mut [Lane], &mut [Lane])| {
            let (mut total, mut odd) = (vec![[1; 8]; lanes], start.clone());
            fold(&mut total, &mut odd);
            (total, odd)
        };
        let expected = run(&|total, odd| naive::<S>(width, leaves, total, odd));
        prop_assert_eq!(&run(&|total, odd| by_width::<S>(width, leaves, total, odd)), &expected);
        prop_assert_eq!(&run(&|total, odd| Kernel::detect().group::<S>(width, leaves, total, odd)), &expected);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn both_versions_are_the_weighted_sums(
            width in 1usize..=4,
            lanes in 1usize..=5,
            bytes in proptest::collection::vec(any::<u8>(), 5 * LANE * 16),
        ) {
            let leaves = &bytes[..lanes * LANE << width];
            check::<Xor>(width, lanes, leaves)?;
            check::<Add>(width, lanes, leaves)?;
        }
    }
}
