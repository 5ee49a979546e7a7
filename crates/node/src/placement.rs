//! Which processors a node's threads run on. On a machine that several nodes share, two that wait for each other all the time
//! run faster each on processors of its own: a thread that is woken then finds its data in that processor's cache.

use std::io;

/// Processors are numbered below this.
pub(crate) const MOST: usize = 1024;

/// The processors that this process may use, ascending; empty if the system does not say.
pub(crate) fn available() -> Vec<usize> {
    #[cfg(target_os = "linux")]
    if let Ok(set) = rustix::thread::sched_getaffinity(None) {
        return (0..MOST).filter(|cpu| set.is_set(*cpu)).collect();
    }
    Vec::new()
}

/// Keeps this thread, and those that it starts later, on `cpus`, each below [`MOST`].
///
/// # Errors
/// What the system refused: it has none of these processors, or cannot do it at all.
pub(crate) fn keep_to(cpus: &[usize]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let mut set = rustix::thread::CpuSet::new();
        cpus.iter().filter(|cpu| **cpu < MOST).for_each(|cpu| set.set(*cpu));
        rustix::thread::sched_setaffinity(None, &set)?;
        Ok(())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = cpus;
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_to_its_processors_and_so_do_those_it_starts() {
        let all = available();
        assert!(!all.is_empty());
        let last = *all.last().unwrap();
        // On a thread of its own: the other tests keep theirs.
        let seen = std::thread::spawn(move || {
            keep_to(&[last]).unwrap();
            (available(), std::thread::spawn(available).join().unwrap())
        });
        assert_eq!(seen.join().unwrap(), (vec![last], vec![last]));
        assert_eq!(available(), all);
        let none = std::thread::spawn(|| keep_to(&[MOST - 1]).is_err() || available() == vec![MOST - 1]);
        assert!(none.join().unwrap(), "a processor that is not there is refused");
    }
}
