//! A small job with three parties in a temporary folder, run by the real program.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tercet_net::identity;
use tercet_node::recovery::journal::{self, Event};

/// The parties, by role.
pub const NAMES: [&str; 3] = ["ada", "ben", "cyd"];

/// Training rows of each party; the dealer also holds the test rows.
pub const TRAIN_ROWS: [usize; 3] = [24, 16, 8];
pub const TEST_ROWS: usize = 16;

/// No test process may live longer.
const WATCHDOG: Duration = Duration::from_secs(60);

/// The program under test.
pub fn tercet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tercet"));
    command.stdin(Stdio::null()).env_remove("TERCET_LOG");
    command
}

/// Three parties ready to run.
pub struct Net {
    folder: TempDir,
    pub addresses: [SocketAddr; 3],
}

impl Net {
    /// Keys, data, node files with a deadline of `deadline` seconds, and one job for all.
    pub fn new(deadline: u64) -> Net {
        let folder = TempDir::new().unwrap();
        let addresses = tercet_node::testnet::ports::free::<3>().unwrap();
        let net = Net { folder, addresses };
        let mut fingerprints = Vec::new();
        for (i, name) in NAMES.iter().enumerate() {
            fs::create_dir(net.home(i)).unwrap();
            let identity = identity::generate(name).unwrap();
            identity.save(&net.home(i).join("node.crt"), &net.home(i).join("node.key")).unwrap();
            fingerprints.push(identity.fingerprint().to_string());
            fs::write(net.train_file(i), rows(TRAIN_ROWS[i], i as u64)).unwrap();
            let test = if i == 2 { "test = { file = \"test.csv\" }" } else { "" };
            let config = format!(
                "name = \"{name}\"\nlisten = \"{}\"\nkey = \"node.key\"\ncertificate = \"node.crt\"\n\
                 out = \"out\"\nlog = \"node.log\"\ndeadline_seconds = {deadline}\n\n\
                 [data]\ntrain = {{ file = \"train.csv\" }}\n{test}\n",
                addresses[i]
            );
            fs::write(net.config(i), config).unwrap();
        }
        fs::write(net.home(2).join("test.csv"), rows(TEST_ROWS, 9)).unwrap();
        let text = job(&fingerprints, &addresses);
        (0..3).for_each(|i| fs::write(net.job(i), &text).unwrap());
        net
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self, party: usize) -> PathBuf {
        self.root().join(NAMES[party])
    }

    pub fn config(&self, party: usize) -> PathBuf {
        self.home(party).join("node.toml")
    }

    pub fn job(&self, party: usize) -> PathBuf {
        self.home(party).join("job.toml")
    }

    pub fn train_file(&self, party: usize) -> PathBuf {
        self.home(party).join("train.csv")
    }

    pub fn out(&self, party: usize) -> PathBuf {
        self.home(party).join("out")
    }

    /// Replaces text in one file, which must contain it.
    pub fn edit(&self, file: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(from), "{} has no {from:?}", file.display());
        fs::write(file, text.replacen(from, to, 1)).unwrap();
    }

    /// Replaces text in the job of every party.
    pub fn edit_jobs(&self, from: &str, to: &str) {
        (0..3).for_each(|party| self.edit(&self.job(party), from, to));
    }

    /// Starts one party's node.
    pub fn start(&self, party: usize) -> Running {
        self.start_with(party, tercet())
    }

    /// Starts one party's node with everything in its log.
    pub fn start_loudly(&self, party: usize) -> Running {
        let mut command = tercet();
        command.env("TERCET_LOG", "trace");
        self.start_with(party, command)
    }

    fn start_with(&self, party: usize, command: Command) -> Running {
        self.start_as(party, "node", command)
    }

    /// Starts one party's program with a command that takes a node file and a job.
    pub fn start_as(&self, party: usize, what: &str, mut command: Command) -> Running {
        let child = command
            .args([what, "--config"])
            .arg(self.config(party))
            .arg("--job")
            .arg(self.job(party))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { child: Some(child), party }
    }

    /// Runs these parties at the same time to their end.
    pub fn run(&self, parties: &[usize]) -> Vec<Ended> {
        let running: Vec<_> = parties.iter().map(|&party| self.start(party)).collect();
        running.into_iter().map(Running::wait).collect()
    }

    /// Runs one party that must fail by itself, with one sentence, and leave nothing behind.
    pub fn refused(&self, party: usize, part: &str) {
        let ended = self.start(party).wait();
        let sentence = ended.sentence();
        assert!(sentence.contains(part), "expected {part:?} in: {sentence}");
        self.nothing_left(party);
    }

    /// Asserts that a party has no results, whole or half.
    pub fn nothing_left(&self, party: usize) {
        let left: Vec<_> = files(&self.out(party)).into_iter().map(|(path, _)| path).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A node process; ended when dropped.
pub struct Running {
    pub child: Option<Child>,
    party: usize,
}

impl Running {
    /// Waits for the end, which must come before the watchdog.
    pub fn wait(mut self) -> Ended {
        let started = Instant::now();
        let mut child = self.child.take().unwrap();
        // Drained by threads while waiting, so that a node that says much does not block on a full pipe.
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > WATCHDOG {
                child.kill().unwrap();
                let said = stderr.join().unwrap();
                panic!("{} hangs: {}", NAMES[self.party], String::from_utf8_lossy(&said));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Ended { output: Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() } }
    }

    /// Sends the process a signal, such as `-TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Kills the process as a crash would.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A process that has ended.
pub struct Ended {
    pub output: Output,
}

impl Ended {
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    pub fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    /// The error sentence of a process that failed in good order.
    pub fn sentence(&self) -> String {
        let stderr = self.stderr();
        assert_eq!(self.output.status.code(), Some(1), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let errors: Vec<_> = stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        assert_eq!(errors.len(), 1, "one sentence is expected: {stderr}");
        errors[0].to_owned()
    }
}

/// Every file below `folder`, with its contents.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

/// A record of a party.
pub fn record(net: &Net, party: usize) -> serde_json::Value {
    let text = fs::read(net.out(party).join("record.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// `count` rows of two classes that a small network separates: the class is whether x + y is positive.
pub fn rows(count: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(7);
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) * 8.0 - 4.0
    };
    let mut text = "x,y,class\n".to_owned();
    for _ in 0..count {
        let (x, y) = (uniform(), uniform());
        let class = if x + y > 0.0 { "warm" } else { "cold" };
        text.push_str(&format!("{x:.4},{y:.4},{class}\n"));
    }
    text
}

/// The job of three parties.
pub fn job(fingerprints: &[String], addresses: &[SocketAddr; 3]) -> String {
    let mut text = "name = \"small\"\nprotocol = \"helper\"\ndeadline_seconds = 20\n".to_owned();
    for (i, role) in ["evaluator-0", "evaluator-1", "dealer"].iter().enumerate() {
        let test = if i == 2 { format!(", test = {TEST_ROWS}") } else { String::new() };
        text.push_str(&format!(
            "\n[[party]]\nname = \"{}\"\nrole = \"{role}\"\naddress = \"{}\"\nfingerprint = \"{}\"\n\
             rows = {{ train = {}{test} }}\n",
            NAMES[i], addresses[i], fingerprints[i], TRAIN_ROWS[i]
        ));
    }
    text.push_str(
        r#"
[data]
format = "csv"
features = [{ name = "x", min = -4.0, max = 4.0 }, { name = "y", min = -4.0, max = 4.0 }]
label = { column = "class", classes = ["cold", "warm"] }

[model]
input = { features = 2 }
layers = [{ kind = "dense", units = 4 }, { kind = "relu" }, { kind = "dense", units = 2 }]
loss = "softmax-cross-entropy"

[training]
epochs = 8
batch = 8
learning_rate = 0.5
seed = 3

[release]
model = ["ada"]
accuracy = ["ada", "ben"]
"#,
    );
    text
}

/// Checks a party's journal: the steps of its last lineage are 1 to `steps`, each once, and no session's keys came twice.
pub fn each_step_once(net: &Net, party: usize, steps: u64) {
    let events = journal::read(&net.out(party)).unwrap();
    let mut done: Vec<u64> = Vec::new();
    let mut keys = HashSet::new();
    for event in &events {
        match event {
            Event::Begin { from, keys: public, session, .. } => {
                assert!(*from <= done.len() as u64 || party == 2, "it goes on from a step that it made");
                done.truncate(*from as usize);
                let steps = done.len() as u64 + 1..=*from;
                done.extend(steps);
                assert!(keys.insert(session.clone()), "a session twice");
                assert!(public.iter().all(|key| keys.insert(key.clone())), "a key of an earlier session");
            }
            Event::Step { step } => {
                assert_eq!(*step, done.len() as u64 + 1, "{} at {:?}", NAMES[party], done.last());
                done.push(*step);
            }
            _ => {}
        }
    }
    assert_eq!(done.len() as u64, steps, "{}", NAMES[party]);
}
