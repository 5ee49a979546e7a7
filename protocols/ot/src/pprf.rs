//! Punctured trees: all leaves for one party, all but one for the other.
//!
//! The tree of Goldreich, Goldwasser and Micali with 2^w leaves, shared by w oblivious transfers (Boyle et al.,
//! CCS 2019; SoftSpokenOT, section 5.2). Bit l of a leaf's number says which way the path turns at level l, so
//! children of node i at level l are i and i + 2^l. The keys of the first transfer are the level-0 nodes
//! themselves; every later level costs 32 bytes, and the first is free.
//!
//! Transfer l is made with choice bit ¬α_l: the puncturing party needs the nodes beside its path.

use crate::kernel::aes::double;
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Bytes of the message for one tree of 2^`width` leaves.
pub(crate) fn message_bytes(width: usize) -> usize {
    32 * (width - 1)
}

/// Grows a whole tree from the `leaves.len().ilog2()` key pairs; writes the message for the other party.
pub(crate) fn grow(keys: &[[u128; 2]], leaves: &mut [u128], message: &mut [u8]) {
    debug_assert_eq!(leaves.len(), 1 << keys.len());
    [leaves[0], leaves[1]] = keys[0];
    for (level, (pair, out)) in keys[1..].iter().zip(message.chunks_exact_mut(32)).enumerate() {
        let sums = expand(leaves, level + 1);
        out[..16].copy_from_slice(&(sums[0] ^ pair[0]).to_le_bytes());
        out[16..].copy_from_slice(&(sums[1] ^ pair[1]).to_le_bytes());
    }
}

/// Grows the tree without leaf `alpha` from the keys chosen by ¬alpha. Leaf `alpha` holds a value unrelated to
/// the true one; no branch or address depends on `alpha`.
pub(crate) fn puncture(keys: &[u128], alpha: usize, message: &[u8], leaves: &mut [u128]) {
    debug_assert_eq!(leaves.len(), 1 << keys.len());
    leaves[..2].fill(0);
    insert(&mut leaves[..2], alpha & 1 ^ 1, keys[0]);
    let (words, _) = message.as_chunks::<16>();
    for (level, (key, sent)) in keys[1..].iter().zip(words.chunks_exact(2)).enumerate() {
        let level = level + 1;
        let sums = expand(leaves, level);
        let turn = alpha >> level & 1;
        let side = ((turn ^ 1) as u8).ct_eq(&1);
        let sent =
            u128::conditional_select(&u128::from_le_bytes(sent[0]), &u128::from_le_bytes(sent[1]), side);
        let sum = u128::conditional_select(&sums[0], &sums[1], side);
        // The sibling is what the true sum lacks, beyond the nodes already right.
        let sibling = alpha & ((1 << level) - 1) | (turn ^ 1) << level;
        insert(&mut leaves[..2 << level], sibling, sent ^ key ^ sum);
    }
}

/// Children are AES_node(0) and AES_node(1): the node is the secret key, so this is secure if AES is a pseudo-random
/// function. Doubles the 2^level nodes in place; returns the XOR of all left and of all right children.
fn expand(nodes: &mut [u128], level: usize) -> [u128; 2] {
    let half = 1 << level;
    double(&mut nodes[..2 * half]);
    let (left, right) = nodes[..2 * half].split_at(half);
    [left.iter().fold(0, |sum, node| sum ^ node), right.iter().fold(0, |sum, node| sum ^ node)]
}

/// nodes[index] ^= value, touching every node.
fn insert(nodes: &mut [u128], index: usize, value: u128) {
    for (i, node) in nodes.iter_mut().enumerate() {
        let mask = u128::conditional_select(&0, &u128::MAX, (i as u64).ct_eq(&(index as u64)));
        *node ^= value & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::random_u128;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_punctured_tree_agrees_everywhere_but_at_its_leaf() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for width in 1..=8usize {
            let keys: Vec<[u128; 2]> =
                (0..width).map(|_| [random_u128(&mut rng), random_u128(&mut rng)]).collect();
            let mut full = vec![0; 1 << width];
            let mut message = vec![0; message_bytes(width)];
            grow(&keys, &mut full, &mut message);
            for alpha in 0..1 << width {
                let chosen: Vec<u128> =
                    keys.iter().enumerate().map(|(l, pair)| pair[alpha >> l & 1 ^ 1]).collect();
                let mut holed = vec![0; 1 << width];
                puncture(&chosen, alpha, &message, &mut holed);
                for x in 0..1 << width {
                    assert_eq!(full[x] == holed[x], x != alpha, "width {width}, alpha {alpha}, leaf {x}");
                }
            }
        }
    }

    #[test]
    fn every_leaf_is_different() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let keys: Vec<[u128; 2]> = (0..8).map(|_| [random_u128(&mut rng), random_u128(&mut rng)]).collect();
        let mut leaves = vec![0; 256];
        grow(&keys, &mut leaves, &mut vec![0; message_bytes(8)]);
        leaves.sort_unstable();
        assert!(leaves.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
