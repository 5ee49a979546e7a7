//! How a batch of inputs is cut into messages: the same list at all parties.

use std::ops::Range;

use tercet_engine::Input;

/// Elements of one message: a multiple of 8, so that packed messages add up to the bytes of the whole tensor.
const CHUNK: usize = 1 << 17;

/// Messages that an owner sends before it waits for those of the others; bounds what lies in the network's queues.
pub const AHEAD: usize = 16;

/// One message of one input.
pub struct InputChunk {
    /// Index of the input in its batch.
    pub input: usize,
    /// Its elements.
    pub range: Range<usize>,
    /// The purpose of its pad or dealt share.
    pub purpose: u64,
}

/// The messages of a batch, in order.
pub fn chunks(inputs: &[Input]) -> Vec<InputChunk> {
    let ranges = inputs.iter().enumerate().flat_map(|(input, i)| {
        let n = i.meta.len();
        (0..n).step_by(CHUNK).map(move |start| (input, start..(start + CHUNK).min(n)))
    });
    ranges.zip(0..).map(|((input, range), purpose)| InputChunk { input, range, purpose }).collect()
}
