//! Truncation: error bounds over the whole stated range, and no wrap in more than 10^8 values.

mod support;

use tercet_helper::local;
use truncation::{Truncations, errors, values};

/// Divides the number of values of a test.
const FEWER: usize = 1;

/// Half units by which the range is smaller than 2^(L−2).
const HALVES: i64 = 1;

#[path = "../../online/tests/shared/truncation.rs"]
mod truncation;

#[test]
fn a_hundred_million_truncations_never_wrap() {
    // Local truncation would wrap with probability 2^-3 at these magnitudes; here the bound is 1.5 units, always.
    const BATCH: usize = 1 << 20;
    let mut count = 0u64;
    let mut worst = 0f64;
    for batch in 0..96 {
        let (shift, out) = if batch % 2 == 0 { (20, 64) } else { (16, 48) };
        let limit = (1i64 << 61).min(1i64 << (out + shift - 2).min(62));
        let program = Truncations { values: values(BATCH, shift, limit, 1000 + batch), shift, ring: 64, out };
        worst = worst.max(errors(&program).worst);
        count += BATCH as u64;
    }
    assert!(count >= 100_000_000);
    assert!(worst < 1.5, "worst error {worst} of {count}");
}
