//! Stored material: the same results as on the fly, used once, whatever happens in between.

use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tercet_engine::{Engine, EngineError, Gate, Meta, Relu, Sign, Term, Truncate, Var};
use tercet_net::memory::{self, MemoryTransport};
use tercet_net::{Phase, Transport};
use tercet_online::Source;
use tercet_online::plan::TruncPlan;
use tercet_online::wire::Wire;
use tercet_ot::OtError;
use tercet_ot::extension::FieldBits;
use tercet_ot::preprocessing::join_session;
use tercet_ot::preprocessing::store::{
    Binding, Recorder, StoreError, Stored, Unspoken, inspect, join_stored_session,
};
use tercet_share::{Bilinear, EphemeralKey, Ring};

use crate::support::{TestRng, column, half_finished, integers, open_all, opening, share};

const JOB: [u8; 32] = [9; 32];
const OWN: &[u8] = b"a secret that lies elsewhere";

fn binding(party: usize) -> Binding {
    Binding { job: JOB, party: party as u8 }
}

/// Three parties with fresh keys, each in a thread.
fn parties<R: Send>(
    program: impl Fn(MemoryTransport, EphemeralKey) -> Result<R, EngineError> + Sync,
) -> Vec<Result<R, EngineError>> {
    let keys: [EphemeralKey; 3] = std::array::from_fn(|_| EphemeralKey::generate().unwrap());
    let options = memory::Options {
        keys: std::array::from_fn(|i| keys[i].public().to_vec()),
        deadline: Duration::from_secs(10),
        ..memory::Options::default()
    };
    let mesh = memory::mesh_with(["P0", "P1", "P2"], options).unwrap();
    let program = &program;
    thread::scope(|scope| {
        let threads: Vec<_> =
            mesh.into_iter().zip(keys).map(|(t, k)| scope.spawn(move || program(t, k))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// Every kind of material.
fn program<E: Engine>(e: &mut E, secret: &[i64]) -> Result<Option<Vec<Vec<i64>>>, EngineError> {
    let meta = Meta { rows: secret.len() / 4, cols: 4, frac: 0, ring: Ring::FULL };
    let x = share(e, 2, secret, meta)?;
    let z = half_finished(e, secret, 8, 64)?;
    let truncate = |out| Truncate { value: &z, shift: 8, out };
    let full = Ring::FULL;
    let (y, b) = e.relu(&[Relu { truncate: truncate(full), width: 30 }])?.swap_remove(0);
    let g = e.gate(&[Gate { truncate: truncate(full), bit: &b }])?.swap_remove(0);
    let s = e.truncate(&[truncate(Ring::new(44)?)])?.swap_remove(0);
    let (signs, _) = e.nonnegative(&[Sign { value: &x, width: 40, out: None, cuts: &[0.0] }], &[])?;
    let best = e.argmax(&x, 4, 40, Ring::FULL)?;
    let terms = [Term { coefficient: 1.0, powers: vec![2, 1, 1] }];
    let cube = e.polynomial(&[Var::Masked(&x), Var::Bit(&signs[0]), Var::Bit(&best)], &terms, 0)?;
    let square = e.product(&Bilinear::MatMul { left_t: true, right_t: false }, &x, &x)?;
    let out = e.remask(&[&cube, &square])?;
    let opened = e.reveal(&[&y, &g, &s, &out[0], &out[1]], opening(&[0]))?;
    Ok(opened.map(|all| all.iter().map(|t| integers(t, 0)).collect()))
}

/// A folder that a store may lie in.
fn closed_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
    folder
}

/// Records a program on zeros under `folder`, for every party; `stops` leaves before the end.
fn record(folder: &Path, n: usize, stops: Option<usize>) -> Vec<Result<(), EngineError>> {
    parties(|transport, key| {
        let me = transport.me().index();
        let transport = Unspoken::new(transport);
        let engine =
            join_session(transport, FieldBits::default(), key, [[1; 32], [2; 32], [3; 32]], open_all())?;
        let folder = folder.join(me.to_string());
        let mut engine = Recorder::begin(engine, &folder, OWN, &binding(me)).map_err(OtError::from)?;
        program(&mut engine, &vec![0; n])?;
        let (transport, recorder) = engine.into_parts();
        assert_eq!(transport.meter().snapshot().sent(Phase::Online).payload_bytes, 0);
        if stops == Some(me) {
            return Ok(());
        }
        let (transport, bytes) = recorder.finish(transport)?;
        assert!(bytes > 1000);
        Box::new(transport).close().unwrap();
        Ok(())
    })
}

/// Makes a store for every party under `folder`.
fn preprocess(folder: &Path, n: usize) {
    record(folder, n, None).into_iter().for_each(|made| made.unwrap());
}

/// Runs the program on `secret` a number of times in one session; returns the last outcome.
fn consume_times(
    folder: &Path,
    secret: &[i64],
    times: usize,
) -> Vec<Result<Option<Vec<Vec<i64>>>, EngineError>> {
    parties(|transport, _| {
        let me = transport.me().index();
        let folder = folder.join(me.to_string());
        let mut engine = join_stored_session(transport, &folder, OWN, &binding(me), open_all())?;
        let mut out = None;
        for _ in 0..times {
            out = program(&mut engine, secret)?;
        }
        Box::new(engine.into_transport()).close().unwrap();
        Ok(out)
    })
}

fn consume(folder: &Path, secret: &[i64]) -> Vec<Result<Option<Vec<Vec<i64>>>, EngineError>> {
    consume_times(folder, secret, 1)
}

#[test]
fn a_stored_run_gives_the_values_of_its_own_data_and_sends_nothing_offline() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = TestRng(77);
    let secret: Vec<i64> = (0..80).map(|_| rng.signed(1 << 20)).collect();
    preprocess(folder.path(), secret.len());
    let mut outputs = consume(folder.path(), &secret);
    let opened = outputs.swap_remove(0).unwrap().unwrap();
    for (i, &v) in secret.iter().enumerate() {
        let x = v as f64 / 256.0;
        assert!((opened[0][i] as f64 - x.max(0.0)).abs() < 1.5);
        assert!((opened[1][i] as f64 - if opened[0][i] > 0 { x } else { 0.0 }).abs() < 1.5);
        assert!((opened[2][i] as f64 - x).abs() < 1.5);
        let run = &secret[i / 4 * 4..i / 4 * 4 + 4];
        let first = run.iter().position(|w| w == run.iter().max().unwrap()) == Some(i % 4);
        assert_eq!(opened[3][i], if v >= 0 && first { v * v } else { 0 });
    }
    for i in 0..4 {
        for j in 0..4 {
            let want: i64 = secret.chunks(4).map(|row| row[i] * row[j]).sum();
            assert_eq!(opened[4][i * 4 + j], want);
        }
    }
    for again in consume(folder.path(), &secret) {
        assert!(again.unwrap_err().to_string().contains("was used before"));
    }
}

#[test]
fn a_store_of_another_job_party_session_key_or_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    preprocess(folder.path(), 40);
    let own = folder.path().join("0");
    let other_job = Binding { job: [8; 32], party: 0 };
    assert!(matches!(inspect(&own, &other_job), Err(StoreError::Foreign { what: "job", .. })));
    assert!(matches!(inspect(&own, &binding(1)), Err(StoreError::Foreign { what: "party", .. })));
    inspect(&own, &binding(0)).unwrap();

    // Of different preprocessings: refused before anything is taken.
    let second = tempfile::tempdir().unwrap();
    preprocess(second.path(), 40);
    fs::rename(second.path().join("1"), folder.path().join("other")).unwrap();
    fs::rename(folder.path().join("1"), second.path().join("1")).unwrap();
    fs::rename(folder.path().join("other"), folder.path().join("1")).unwrap();
    for result in consume(folder.path(), &[0; 40]) {
        assert!(result.is_err());
    }
    for party in 0..3 {
        inspect(&folder.path().join(party.to_string()), &binding(party)).unwrap();
    }

    // Of another size: the error names what is missing.
    let third = tempfile::tempdir().unwrap();
    preprocess(third.path(), 40);
    let errors: Vec<String> =
        consume(third.path(), &[0; 44]).into_iter().map(|r| r.unwrap_err().to_string()).collect();
    assert!(errors.iter().any(|e| e.contains("it was made for another run")), "{errors:?}");
}

#[test]
fn a_run_that_is_longer_than_its_material_is_told_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    preprocess(folder.path(), 40);
    let errors: Vec<String> =
        consume_times(folder.path(), &[0; 40], 2).into_iter().map(|r| r.unwrap_err().to_string()).collect();
    let ends = |e: &String| {
        e.contains("the stored material ends before") && e.contains("it was made for a shorter run")
    };
    assert!(errors.iter().any(ends), "{errors:?}");
}

#[test]
fn a_mask_drawn_alone_is_recorded_as_one_of_a_batch() {
    let plan = || TruncPlan::new(&column(5, 30, 64), 8, Ring::FULL).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let recorded = parties(|transport, key| {
        let me = transport.me().index();
        let engine =
            join_session(transport, FieldBits::default(), key, [[1; 32], [2; 32], [3; 32]], open_all())?;
        let engine = Recorder::begin(engine, &folder.path().join(me.to_string()), OWN, &binding(me));
        let (transport, mut recorder) = engine.map_err(OtError::from)?.into_parts();
        let mut wire = Wire::new(transport);
        let alone = recorder.truncation_pad(&mut wire, 1, 0, &plan())?;
        let batch = recorder.truncation_pads(&mut wire, 2, 0, &[plan()])?;
        Box::new(recorder.finish(wire.into_transport())?.0).close().unwrap();
        Ok((alone, batch))
    });
    for (party, recorded) in recorded.into_iter().enumerate() {
        let (alone, batch) = recorded.unwrap();
        let mut stored = Stored::take(&folder.path().join(party.to_string()), OWN, &binding(party)).unwrap();
        let [transport, ..] = memory::mesh(["P0", "P1", "P2"]).unwrap();
        let mut wire = Wire::new(transport);
        assert_eq!(stored.truncation_pad(&mut wire, 1, 0, &plan()).unwrap(), alone);
        assert_eq!(stored.truncation_pads(&mut wire, 2, 0, &[plan()]).unwrap(), batch);
    }
}

/// The names of what lies in a folder.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_used_store_leaves_a_mark_alone_and_is_replaced_but_an_unused_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let secret = [256; 8];
    preprocess(folder.path(), secret.len());
    for refused in record(folder.path(), secret.len(), None) {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("holds stored material that no run has used"), "{refused}");
    }
    for round in 0..2 {
        consume(folder.path(), &secret).into_iter().for_each(|out| drop(out.unwrap()));
        for party in 0..3 {
            let own = folder.path().join(party.to_string());
            assert_eq!(files(&own), ["used"], "round {round}");
            let error = inspect(&own, &binding(party)).unwrap_err();
            assert!(matches!(error, StoreError::Used { .. }), "{error}");
        }
        preprocess(folder.path(), secret.len());
        for party in 0..3 {
            assert_eq!(files(&folder.path().join(party.to_string())), ["material", "unused"]);
        }
    }
    // What a crash in the middle of a taking left, with the sealed file still there.
    for party in 0..3 {
        let own = folder.path().join(party.to_string());
        fs::rename(own.join("unused"), own.join("taken")).unwrap();
    }
    preprocess(folder.path(), secret.len());
    consume(folder.path(), &secret).into_iter().for_each(|out| drop(out.unwrap()));
    // A file of somebody else that has the name of the material.
    let own = folder.path().join("1");
    for foreign in [&b"short"[..], b"longer than the first bytes of a store"] {
        fs::write(own.join("material"), foreign).unwrap();
        let refused = record(folder.path(), secret.len(), None)[1].as_ref().unwrap_err().to_string();
        assert!(refused.contains("is not stored material"), "{refused}");
        assert_eq!(fs::read(own.join("material")).unwrap(), foreign);
    }
}

#[test]
fn a_party_that_stops_before_the_end_leaves_no_usable_store_at_any_other() {
    let folder = tempfile::tempdir().unwrap();
    for stops in 0..3 {
        let outcomes = record(folder.path(), 8, Some(stops));
        for party in 0..3 {
            assert_eq!(outcomes[party].is_err(), party != stops);
            let own = folder.path().join(party.to_string());
            let error = inspect(&own, &binding(party)).unwrap_err();
            assert!(matches!(error, StoreError::Unfinished { .. }), "{error}");
        }
    }
    preprocess(folder.path(), 8);
    consume(folder.path(), &[256; 8]).into_iter().for_each(|out| drop(out.unwrap()));
}

#[cfg(unix)]
#[test]
fn a_store_is_made_for_its_owner_alone_and_refused_once_it_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    preprocess(folder.path(), 8);
    let own = folder.path().join("0");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&own), 0o700);
    for (path, closed) in [(own.clone(), 0o700), (own.join("material"), 0o600), (own.join("unused"), 0o600)] {
        assert_eq!(mode(&path), closed);
        for open in [0o040, 0o004, 0o010] {
            fs::set_permissions(&path, fs::Permissions::from_mode(closed | open)).unwrap();
            let error = inspect(&own, &binding(0)).unwrap_err();
            assert!(matches!(&error, StoreError::Exposed { .. }), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(closed)).unwrap();
    }
    inspect(&own, &binding(0)).unwrap();
}

#[test]
fn a_changed_byte_anywhere_in_the_frames_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    preprocess(folder.path(), 8);
    let material = folder.path().join("2").join("material");
    let mut bytes = fs::read(&material).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&material, bytes).unwrap();
    let results = consume(folder.path(), &[0; 8]);
    assert!(results[2].as_ref().unwrap_err().to_string().contains("damaged"));
}

/// The environment variable that names a store to a process that takes it.
const FOLDER: &str = "TERCET_TEST_STORE";

/// What such a process says before and after it takes the store.
const READY: &str = "ready to take the material";
const MINE: &str = "the material is mine";

/// Waits for a line, takes the store and keeps it open until it is killed: run as a process of its own.
fn take(folder: &Path) {
    let say = |what: &str| io::stdout().write_all(format!("\n{what}\n").as_bytes()).unwrap();
    say(READY);
    io::stdin().read_line(&mut String::new()).unwrap();
    if let Ok(_held) = Stored::take(folder, OWN, &binding(0)) {
        say(MINE);
        loop {
            thread::park();
        }
    }
}

/// A process that takes a store; killed when it is dropped.
struct Taker {
    process: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl Taker {
    /// Starts it and waits until it is ready.
    fn start(folder: &Path) -> Taker {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "stored::no_store_is_taken_twice_across_sigkill_at_any_moment",
            "--nocapture",
        ]);
        command.env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let says = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut taker = Taker { process, says };
        assert!(taker.says(READY));
        taker
    }

    /// Whether it says this before it ends.
    fn says(&mut self, what: &str) -> bool {
        self.says.any(|line| line.is_ok_and(|line| line.contains(what)))
    }

    fn go(&mut self) {
        writeln!(self.process.stdin.as_mut().unwrap(), "go").unwrap();
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// How many of two processes that try at once take the store.
fn taken_by_two(folder: &Path) -> usize {
    let mut both = [Taker::start(folder), Taker::start(folder)];
    both.iter_mut().for_each(Taker::go);
    both.iter_mut().map(|taker| usize::from(taker.says(MINE))).sum()
}

#[test]
fn no_store_is_taken_twice_across_sigkill_at_any_moment() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        take(Path::new(&folder));
        return;
    }
    let source = tempfile::tempdir().unwrap();
    preprocess(source.path(), 4);
    let copy = || {
        let folder = closed_folder();
        for file in ["material", "unused"] {
            fs::copy(source.path().join("0").join(file), folder.path().join(file)).unwrap();
        }
        folder
    };
    // Killed before it begins: one of the others takes the store.
    let folder = copy();
    Taker::start(folder.path()).kill();
    assert_eq!(taken_by_two(folder.path()), 1);
    let mut longest = Duration::ZERO;
    for round in 0..30u32 {
        // Killed while it holds the store: nobody else takes it, before or after.
        let folder = copy();
        let mut holder = Taker::start(folder.path());
        let begun = Instant::now();
        holder.go();
        assert!(holder.says(MINE));
        longest = longest.max(begun.elapsed());
        if round % 2 == 0 {
            assert_eq!(taken_by_two(folder.path()), 0, "round {round}: taken while another process holds it");
        }
        holder.kill();
        assert_eq!(taken_by_two(folder.path()), 0, "round {round}: taken after its holder was killed");

        // Killed at some moment of the time that a taking needs.
        let folder = copy();
        let mut first = Taker::start(folder.path());
        first.go();
        thread::sleep(longest * round / 30);
        first.kill();
        let one = usize::from(first.says(MINE));
        let others = taken_by_two(folder.path());
        assert!(one + others <= 1, "round {round}: taken {one} and {others} times");
    }
}

#[test]
fn a_store_whose_taking_stopped_after_any_step_is_never_taken_again() {
    let source = tempfile::tempdir().unwrap();
    preprocess(source.path(), 4);
    let copy = || {
        let folder = closed_folder();
        for file in ["material", "unused"] {
            fs::copy(source.path().join("0").join(file), folder.path().join(file)).unwrap();
        }
        folder
    };
    // Stopped after the rename, and after the deletion.
    let folder = copy();
    fs::rename(folder.path().join("unused"), folder.path().join("taken")).unwrap();
    assert!(matches!(Stored::take(folder.path(), OWN, &binding(0)), Err(StoreError::Used { .. })));
    fs::remove_file(folder.path().join("taken")).unwrap();
    assert!(matches!(Stored::take(folder.path(), OWN, &binding(0)), Err(StoreError::Used { .. })));
    // Put back by hand beside a taken one.
    let folder = copy();
    fs::copy(folder.path().join("unused"), folder.path().join("taken")).unwrap();
    assert!(matches!(Stored::take(folder.path(), OWN, &binding(0)), Err(StoreError::Used { .. })));
    // Making was cut short: no whole file, or no mark.
    let folder = copy();
    fs::remove_file(folder.path().join("unused")).unwrap();
    assert!(matches!(inspect(folder.path(), &binding(0)), Err(StoreError::Used { .. })));
    fs::rename(folder.path().join("material"), folder.path().join("unfinished")).unwrap();
    assert!(matches!(inspect(folder.path(), &binding(0)), Err(StoreError::Unfinished { .. })));
    fs::remove_file(folder.path().join("unfinished")).unwrap();
    assert!(matches!(inspect(folder.path(), &binding(0)), Err(StoreError::Missing { .. })));
    // Another private key.
    let folder = copy();
    assert!(matches!(Stored::take(folder.path(), b"another", &binding(0)), Err(StoreError::Damaged { .. })));
}
