//! The portable transpose: swap off-diagonal quarters, halve, repeat.

use super::Tile;

/// Transposes in place, in 7 passes over the tile.
pub(super) fn transpose(tile: &mut Tile) {
    let mut width = 64;
    let mut mask = u128::MAX >> 64;
    while width > 0 {
        for block in tile.chunks_exact_mut(2 * width) {
            let (upper, lower) = block.split_at_mut(width);
            for (a, b) in upper.iter_mut().zip(lower) {
                let swap = (*a >> width ^ *b) & mask;
                *b ^= swap;
                *a ^= swap << width;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}
