//! Synthetic rows: made by a fixed rule, so that every run measures the same training.

use ndarray::Array2;
use tercet_train::{DataSets, RowValues, Rows};

/// Mini-batches in one epoch. Every batch is full, so that all steps cost the same.
const BATCHES: usize = 4;

/// Rows of four mini-batches, held by the three parties: 2, 1 and 1 batches. A row has one of `outputs` classes; about a fifth of
/// its features are not zero, as in an image of a digit, and which of them depends on the class, so that there is
/// something to learn.
pub fn synthetic(inputs: usize, outputs: usize, batch: usize) -> DataSets {
    let mut state = 0x5eed;
    let mut rows = |owner, batches: usize| {
        let count = batches * batch;
        let features = Array2::from_shape_fn((count, inputs), |(row, column)| {
            let (present, value) = (uniform(&mut state), uniform(&mut state));
            let likely = if column % outputs == row % outputs { 0.5 } else { 0.17 };
            if present < likely { 0.5 * value } else { 0.0 }
        });
        let targets =
            Array2::from_shape_fn((count, outputs), |(row, k)| f32::from(u8::from(row % outputs == k)));
        Rows { owner, rows: count, values: Some(RowValues { features, targets }) }
    };
    DataSets { train: vec![rows(0, BATCHES - 2), rows(1, 1), rows(2, 1)], test: Vec::new() }
}

/// What `party` has of `data`: its own values, and of the others' rows only how many they are.
pub(crate) fn seen_by(data: &DataSets, party: usize) -> DataSets {
    let mut own = data.clone();
    for set in own.train.iter_mut().chain(&mut own.test).filter(|set| set.owner != party) {
        set.values = None;
    }
    own
}

/// A number in [0, 1), by splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 40) as f32 / (1u32 << 24) as f32
}
