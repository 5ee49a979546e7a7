//! Seeded inputs for the kernel tests.
#![allow(dead_code, reason = "each test file uses its own part")]

/// SplitMix64: a reproducible sequence for test inputs.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn elements(&mut self, n: usize) -> Vec<u64> {
        (0..n).map(|_| self.next()).collect()
    }

    /// Packed bits of `n` elements.
    pub(crate) fn bits(&mut self, n: usize) -> Vec<u64> {
        let mut words = self.elements(n.div_ceil(64));
        if !n.is_multiple_of(64) {
            *words.last_mut().expect("n is not zero") &= (1 << (n % 64)) - 1;
        }
        words
    }
}

/// Lengths around the block sizes of the kernels.
pub(crate) const LENGTHS: [usize; 18] =
    [0, 1, 2, 3, 7, 8, 9, 15, 17, 31, 33, 63, 64, 65, 127, 129, 256, 1003];
