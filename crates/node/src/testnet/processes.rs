//! Three node processes: started together, watched together, ended together.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::folder::Folder;
use crate::job::{Job, JobParty};
use crate::logging::Console;

/// Between two looks at the processes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Once one node has failed, the others get this long to say why they stop, and are then ended.
const GRACE: Duration = Duration::from_secs(2);

/// What three finished processes leave, besides their records.
pub(super) struct Ran {
    /// From the first start to the last end.
    pub(super) seconds: f64,
}

/// A process that is ended when it is forgotten.
struct Node<'a> {
    party: &'a JobParty,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // It may have ended by itself meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Starts one party's node; what it says is added to its log.
pub(super) fn start(folder: &Folder, party: &JobParty) -> Result<Child> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let log = folder.log(party);
    let open = File::options().create(true).append(true).open(&log);
    let stderr = open.with_context(|| format!("{} cannot be written", log.display()))?;
    Command::new(&program)
        .args(["node", "--config"])
        .arg(folder.config(party))
        .arg("--job")
        .arg(folder.job())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .context("a node process could not be started")
}

/// Runs all parties to their end.
///
/// # Errors
/// What each node that failed by itself said last, and where its log is.
pub(super) fn run(folder: &Folder, job: &Job) -> Result<Ran> {
    let started = Instant::now();
    let mut nodes = Vec::with_capacity(job.parties.len());
    for party in &job.parties {
        let log = folder.log(party);
        let child = start(folder, party)?;
        nodes.push(Node { party, child, log, ended: None });
    }
    let mut watch = Watch::new(nodes[0].log.clone());
    let mut failed: Option<Instant> = None;
    while nodes.iter().any(|node| node.ended.is_none()) {
        for node in nodes.iter_mut().filter(|node| node.ended.is_none()) {
            node.ended = node.child.try_wait().context("a node process was lost")?;
            if node.ended.is_some_and(|status| !status.success()) {
                failed.get_or_insert_with(Instant::now);
            }
        }
        if failed.is_some_and(|at| at.elapsed() > GRACE) {
            break;
        }
        watch.look();
        sleep(LOOK_EVERY);
    }
    watch.finish();
    let seconds = started.elapsed().as_secs_f64();
    if failed.is_none() {
        return Ok(Ran { seconds });
    }
    let said: Vec<String> = nodes
        .iter()
        .filter(|node| node.ended.is_some_and(|status| !status.success()))
        .map(|node| format!("{}: {} (log: {})", node.party.name, last_words(node), node.log.display()))
        .collect();
    bail!("the run stopped; {}", said.join("; "))
}

/// A node's error line, or how it ended if it wrote none.
fn last_words(node: &Node<'_>) -> String {
    let text = fs::read(&node.log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let said = text.lines().rev().find_map(|line| line.strip_prefix("error: ").map(str::to_owned));
    said.unwrap_or_else(|| node.ended.map_or("it was ended".to_owned(), |status| status.to_string()))
}

/// Shows the progress lines of one node's log.
struct Watch {
    log: PathBuf,
    read: u64,
    bar: Option<ProgressBar>,
}

impl Watch {
    fn new(log: PathBuf) -> Watch {
        let console = Console::default();
        let bar = console.is_terminal().then(|| {
            let bar = console.bars().add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_message("starting three nodes");
            bar
        });
        Watch { log, read: 0, bar }
    }

    /// Shows what was added to the log since the last look, in whole lines.
    fn look(&mut self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
        // A log that cannot be read shows no progress; the run itself does not depend on it.
        let Ok(text) = self.added() else { return };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in text[..whole].lines().filter_map(|line| line.split_once(" INFO ")) {
            let line = line.1.trim();
            match &self.bar {
                Some(bar) => bar.set_message(line.to_owned()),
                None if line.starts_with("step ") => {
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
                None => {}
            }
        }
    }

    fn added(&self) -> std::io::Result<String> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    fn finish(&mut self) {
        self.look();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
