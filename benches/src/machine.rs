//! What the measurements ran on. Figures of a machine that is busy with other work say little; the load says how busy.

use std::fmt;
use std::fs;

/// Ticks in a second in /proc, for every Linux on the architectures that Tercet runs on.
const TICKS: f64 = 100.0;

/// A machine.
pub struct Machine {
    model: String,
    cores: usize,
}

impl Machine {
    /// This machine, as /proc/cpuinfo describes it.
    pub fn this() -> Machine {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |key: &str| {
            text.lines()
                .filter_map(|l| l.split_once(':'))
                .find(|(k, _)| k.trim() == key)
                .map(|(_, v)| v.trim())
        };
        let model = field("model name").unwrap_or("unknown processor").to_owned();
        let family = field("cpu family").zip(field("model"));
        let model = family.map_or(model.clone(), |(f, m)| format!("{model} (family {f}, model {m})"));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Machine { model, cores }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} cores", self.model, self.cores)
    }
}

/// Processes that run or want to, averaged over a minute; `None` where /proc/loadavg does not exist.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Processor time that this process used so far, of all its threads, in seconds; `None` without /proc.
pub fn process_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process is in parentheses and may hold anything; user and system time are fields 14 and 15.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}
