//! The transpose of a 128 × 128 bit matrix: one AVX2 kernel, one portable twin.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

/// Rows of bits: bit j of entry i is the matrix entry (i, j).
pub(crate) type Tile = [u128; 128];

/// A transpose routine that this machine can run.
#[derive(Clone, Copy)]
pub(crate) struct Transpose {
    #[cfg(target_arch = "x86_64")]
    avx2: Option<avx2::Avx2>,
}

impl Transpose {
    /// The fastest routine here.
    pub(crate) fn detect() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: avx2::Avx2::detect(),
        }
    }

    /// out(j, i) = tile(i, j). `tile` is used as scratch.
    pub(crate) fn run(self, tile: &mut Tile, out: &mut Tile) {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.avx2 {
            avx2.transpose(tile, out);
            return;
        }
        portable::transpose(tile);
        *out = *tile;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn naive(tile: &Tile) -> Tile {
        let mut out = [0; 128];
        for (i, row) in tile.iter().enumerate() {
            for (j, out) in out.iter_mut().enumerate() {
                *out |= (row >> j & 1) << i;
            }
        }
        out
    }

    fn tiles() -> impl Strategy<Value = Tile> {
        proptest::collection::vec(any::<u128>(), 128).prop_map(|rows| {
            let mut tile = [0; 128];
            tile.copy_from_slice(&rows);
            tile
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_portable_transpose_is_the_transpose(tile in tiles()) {
            let mut copy = tile;
            portable::transpose(&mut copy);
            prop_assert_eq!(copy, naive(&tile));
        }

        #[test]
        fn the_fastest_transpose_here_is_the_transpose(tile in tiles()) {
            let mut out = [0; 128];
            Transpose::detect().run(&mut tile.clone(), &mut out);
            prop_assert_eq!(out, naive(&tile));
        }
    }
}
