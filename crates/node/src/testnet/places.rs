//! How the nodes of a testnet share one machine.
//!
//! The two evaluators of `helper` exchange some thirty messages a step, each waiting for the other's: each gets one half of the
//! processors for itself, its network thread included. The dealer waits for nobody. It runs ahead in what they leave, on all
//! processors, and yields to them. Without a dealer all three wait for each other and run where the system puts them.

use crate::job::{Protocol, Role};
use crate::placement;

/// Where one node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its processors; any if not given.
    pub(super) cpus: Option<Vec<usize>>,
    /// Threads that compute.
    pub(super) threads: usize,
}

/// The place of `role` on this machine.
pub(super) fn of(protocol: Protocol, role: Role) -> Place {
    let cpus = placement::available();
    if cpus.is_empty() {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        return Place { cpus: None, threads: shared(threads) };
    }
    among(&cpus, protocol, role)
}

fn among(cpus: &[usize], protocol: Protocol, role: Role) -> Place {
    if protocol != Protocol::Helper || cpus.len() < 2 {
        return Place { cpus: None, threads: shared(cpus.len()) };
    }
    let (low, high) = cpus.split_at(cpus.len() / 2);
    let own = match role {
        Role::Evaluator0 => low,
        Role::Evaluator1 => high,
        Role::Dealer => return Place { cpus: None, threads: low.len() },
    };
    Place { cpus: Some(own.to_vec()), threads: own.len() }
}

/// A third of the processors, but at least two threads where there are two: a node often waits for another one.
fn shared(cpus: usize) -> usize {
    (cpus / 3).max(2).min(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluators_share_no_processor_and_the_dealer_is_free() {
        for count in 2..9 {
            let cpus: Vec<usize> = (0..count).map(|i| 3 * i).collect();
            let place = |role| among(&cpus, Protocol::Helper, role);
            let own = |role| place(role).cpus.unwrap();
            let mut both = own(Role::Evaluator0);
            both.extend(own(Role::Evaluator1));
            assert_eq!(both, cpus, "each processor is one evaluator's");
            for role in [Role::Evaluator0, Role::Evaluator1] {
                assert_eq!(place(role).threads, own(role).len());
            }
            assert_eq!(place(Role::Dealer).cpus, None);
        }
        assert_eq!(among(&[0], Protocol::Helper, Role::Evaluator0), Place { cpus: None, threads: 1 });
        assert_eq!(among(&[0, 1], Protocol::Ot, Role::Evaluator0), Place { cpus: None, threads: 2 });
    }
}
