//! What the allocator does with freed memory.
//!
//! A step of a training allocates and frees the same megabytes again and again, in several threads. The C library gives the pages
//! back in between, and the kernel clears them anew at every first touch: 15 % of the time of a step of 784-128-128-10 over QUIC
//! (`cargo bench -p tercet-benches --bench private`, medians of two runs: 13.1 and 11.1 ms).
#![allow(unsafe_code)]

/// Freed memory at the end of a heap that is kept: what a step uses, and not much more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEEP: i32 = 128 << 20;

/// Larger blocks are mapped by themselves and go back when freed. The C library moves this limit up by itself, to as much.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAP: i32 = 32 << 20;

/// Lets this process keep freed memory for its next step. Called once, at the start of a program; without effect where the C library is not
/// GNU's. Settings in the environment (`MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_`) win.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let set = |variable: &str, parameter, value| {
            if std::env::var_os(variable).is_none() {
                // SAFETY: `mallopt` takes numbers only and locks the allocator by itself. Its answer is not needed: a refusal changes the
                // speed only.
                let _ = unsafe { libc::mallopt(parameter, value) };
            }
        };
        set("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, KEEP);
        set("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, MAP);
    }
}
