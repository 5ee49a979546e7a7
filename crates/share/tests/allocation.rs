//! Freed memory stays with the process. A test of its own process: the setting is the whole process's.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(missing_docs)]

use tercet_share::allocation::keep_freed_memory;

const BLOCKS: usize = 100;
const BYTES: usize = 512 << 10;

/// Resident bytes after so many blocks were written to and freed.
fn resident_after_use() -> usize {
    let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|i| vec![i as u8 + 1; BYTES]).collect();
    drop(std::hint::black_box(blocks));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn freed_memory_is_kept_for_the_next_step() {
    let before = resident_after_use();
    keep_freed_memory();
    let after = resident_after_use();
    assert!(after >= before + BLOCKS * BYTES / 2, "{before} bytes, then {after}");
}
