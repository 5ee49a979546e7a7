//! The run's log: to stderr, around the progress bar, and to a file if the node names one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::metrics::Live;

/// Target of the progress lines. They go to the file always, to stderr only where no bar is drawn.
pub(crate) const PROGRESS: &str = "tercet::progress";

/// Target of the sentence that ends a failed run. It goes to the file; on stderr the program itself says it last.
pub(crate) const FAILURE: &str = "tercet::failure";

/// Where people see a run: the terminal, with log lines written around the bars drawn on it, and the operators' view.
#[derive(Clone, Default)]
pub struct Console {
    bars: MultiProgress,
    live: Live,
}

impl Console {
    /// Whether bars can be drawn.
    pub fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// What the operators' view shows.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The bars.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }
}

/// One log event at a time, with the bars out of the way.
#[derive(Clone)]
struct AroundBars(MultiProgress);

impl Write for AroundBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = AroundBars;

    fn make_writer(&'a self) -> AroundBars {
        self.clone()
    }
}

/// Starts the log. `TERCET_LOG` sets the level of this program's own events on stderr (`debug`, or a filter like
/// `tercet_net=trace`); the default is `info`. Events of other crates below warnings are left out: they may carry packets.
///
/// # Errors
/// When the log file cannot be opened.
pub fn start(console: &Console, file: Option<&Path>) -> io::Result<()> {
    let bar = console.is_terminal();
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .with_env_var("TERCET_LOG")
        .from_env_lossy();
    let terminal = fmt::layer()
        .with_writer(AroundBars(console.bars.clone()))
        .with_ansi(bar)
        .with_target(false)
        .with_filter(wanted)
        .with_filter(filter_fn(move |event| match event.target() {
            PROGRESS => !bar,
            FAILURE => false,
            _ => true,
        }));
    let file = file.map(open).transpose()?;
    let file = file.map(|file| {
        fmt::layer()
            .with_writer(Arc::new(file))
            .with_ansi(false)
            .with_target(false)
            .with_filter(LevelFilter::INFO)
    });
    let own = Targets::new().with_target("tercet", LevelFilter::TRACE).with_default(LevelFilter::WARN);
    // A second start, as in tests that run several nodes in one process, keeps the first log.
    let _ = tracing_subscriber::registry().with(own).with(terminal).with(file).try_init();
    Ok(())
}

/// Opens the log file for appending, readable by its owner only.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
