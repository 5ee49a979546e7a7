//! The protocol as a whole: every operation against the clear values, its costs, and what two colluding parties see.

use declared::declared;
use tercet_ot::preprocessing::local;

mod declared;
mod failed;
mod products;
mod stored;
mod views;

/// Divides the number of values of a test.
const FEWER: usize = 20;

/// Half units by which the range of a truncation is smaller than 2^(L−2).
const HALVES: i64 = 3;

#[path = "../../../online/tests/shared/costs.rs"]
mod costs;
#[path = "../../../online/tests/shared/nonlinear.rs"]
mod nonlinear;
#[path = "../../../online/tests/shared/support.rs"]
mod support;
#[path = "../../../online/tests/shared/truncation.rs"]
mod truncation;
