//! What an operation costs: exact rounds and payload bytes, declared before it runs and compared with the meter in tests.

use std::ops::{Add, AddAssign, Mul, Sub};

use serde::Serialize;

/// Rounds, and payload bytes from each party to each other (`bytes[from][to]`), framing excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Online rounds: in one round all parties send, then all receive.
    pub rounds: u64,
    /// Payload bytes of the online phase.
    pub online: [[u64; 3]; 3],
    /// Payload bytes of preprocessing.
    pub offline: [[u64; 3]; 3],
}

impl Cost {
    /// Payload bytes over all parties and both phases.
    pub fn total_bytes(&self) -> u64 {
        self.online_bytes() + self.offline_bytes()
    }

    /// Payload bytes of the online phase over all parties.
    pub fn online_bytes(&self) -> u64 {
        self.online.iter().flatten().sum()
    }

    /// Payload bytes of preprocessing over all parties.
    pub fn offline_bytes(&self) -> u64 {
        self.offline.iter().flatten().sum()
    }

    /// Payload bytes sent by `party` in both phases.
    pub fn sent_by(&self, party: usize) -> u64 {
        self.online[party].iter().sum::<u64>() + self.offline[party].iter().sum::<u64>()
    }
}

fn zip(a: [[u64; 3]; 3], b: [[u64; 3]; 3], f: impl Fn(u64, u64) -> u64) -> [[u64; 3]; 3] {
    std::array::from_fn(|i| std::array::from_fn(|j| f(a[i][j], b[i][j])))
}

impl Add for Cost {
    type Output = Cost;
    fn add(self, o: Cost) -> Cost {
        Cost {
            rounds: self.rounds + o.rounds,
            online: zip(self.online, o.online, |a, b| a + b),
            offline: zip(self.offline, o.offline, |a, b| a + b),
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, o: Cost) {
        *self = *self + o;
    }
}

impl Sub for Cost {
    type Output = Cost;
    fn sub(self, o: Cost) -> Cost {
        Cost {
            rounds: self.rounds - o.rounds,
            online: zip(self.online, o.online, |a, b| a - b),
            offline: zip(self.offline, o.offline, |a, b| a - b),
        }
    }
}

impl Mul<u64> for Cost {
    type Output = Cost;
    fn mul(self, n: u64) -> Cost {
        Cost {
            rounds: self.rounds * n,
            online: zip(self.online, self.online, |a, _| a * n),
            offline: zip(self.offline, self.offline, |a, _| a * n),
        }
    }
}
