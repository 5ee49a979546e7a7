//! What this process keeps from the rest of its machine: core files, and memory that others may attach to.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Turns core files off, and with them the attaching of other processes of the same user: keys and shares in memory then
/// leave it neither by a crash nor by a debugger. Called before a key is read. Root can always do both.
///
/// # Errors
/// What the system refused.
pub fn close_memory() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// [`close_memory`]; a system that refuses it is named in the log, and the run goes on.
pub(crate) fn close_memory_or_warn() {
    if let Err(error) = close_memory() {
        tracing::warn!(
            "core files of this process cannot be turned off ({error}): turn them off for its user"
        );
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_closed_process_leaves_no_core_file_and_takes_no_debugger() {
        close_memory().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
