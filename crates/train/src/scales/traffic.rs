//! Which of two plans sends less: an estimate from the sizes of a network, for a choice that all parties make alike.

use crate::architecture::{Architecture, Node};

/// What a round is worth, in bits: 5 ms at 100 Mbit/s.
pub(super) const ROUND: u64 = 1 << 19;

/// How much a step of a network sends that depends on the widths of rings.
pub(super) struct Traffic {
    /// Ring elements of activations and gradients sent or dealt in a step.
    elements: u64,
    parameters: u64,
}

impl Traffic {
    /// Of one step on `batch` rows. The counts are those of a dealer's protocol with two evaluators: an opening sends an
    /// element both ways.
    pub(super) fn new(architecture: &Architecture, batch: usize) -> Traffic {
        let elements = architecture.layers().iter().map(|layer| match layer.node {
            // Forward, one opening and five dealt values; backward, one and four.
            Node::Relu | Node::Sigmoid => 13 * layer.output.len(),
            // The bit's mask; backward, one opening and two dealt values.
            Node::MaxPool(w) => 5 * w.inputs(),
            // Two openings, with the dealt parts of a truncation, each way.
            Node::AvgPool(_) | Node::Dropout { .. } => 8 * layer.output.len(),
            // The gradient of its input is finished by itself.
            Node::BatchNorm { .. } => 4 * layer.output.len(),
            Node::Dense { .. } | Node::Conv2d { .. } | Node::Flatten => 0,
        });
        Traffic {
            elements: (elements.sum::<usize>() * batch) as u64,
            parameters: architecture.parameters() as u64,
        }
    }

    /// Bits that a step sends more if the ring of activations and gradients is wider by `bits`.
    pub(super) fn widening(&self, bits: u32) -> u64 {
        self.elements * u64::from(bits)
    }

    /// Bits of a step, at `bits` for every weight and bias.
    pub(super) fn weights(&self, bits: u32) -> u64 {
        self.parameters * u64::from(bits)
    }
}
