//! Claims about the budget ledger.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tercet_privacy::accountant::{Mechanism, epsilon, gaussian};
use tercet_privacy::ledger::{Action, Budget, Cost, Ledger, LedgerError, Request};

const STEP: Mechanism = Mechanism::PoissonGaussian { q: 0.01, sigma: 1.0 };

fn budget(epsilon: f64) -> Budget {
    Budget { data_set: "ward-7".into(), unit: "patient".into(), epsilon, delta: 1e-5 }
}

fn request(cost: Cost) -> Request {
    Request {
        data_set: "ward-7".into(),
        unit: "patient".into(),
        job: [7; 32],
        purpose: "triage model".into(),
        recipient: "hospital A".into(),
        cost,
    }
}

fn steps(count: u64) -> Request {
    request(Cost::Mechanisms(vec![(STEP, count)]))
}

fn stated(epsilon: f64, delta: f64) -> Request {
    request(Cost::Stated { epsilon, delta })
}

fn new(epsilon: f64) -> (TempDir, PathBuf, Ledger) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ward-7.jsonl");
    let ledger = Ledger::create(&path, budget(epsilon)).expect("created");
    (folder, path, ledger)
}

fn cost_of(count: u64) -> f64 {
    epsilon(&[(STEP, count)], 1e-5).expect("valid").best()
}

fn head_path(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.head", path.display()))
}

#[test]
fn jobs_are_charged_by_composition_and_not_by_addition() {
    let (_folder, path, ledger) = new(2.0);
    let first = ledger.reserve(&steps(500)).expect("within budget");
    ledger.reserve(&steps(500)).expect("within budget").entry.eq(&2).then_some(()).expect("third entry");
    let status = Ledger::open(&path).expect("valid").status().expect("valid");
    assert!((status.spent_epsilon / cost_of(1000) - 1.0).abs() < 1e-6);
    assert!(status.spent_epsilon < 2.0 * cost_of(500) && status.unsettled == 2);
    ledger.settle(&first, &[500]).expect("settled");
    let status = ledger.status().expect("valid");
    assert!((status.spent_epsilon / cost_of(1000) - 1.0).abs() < 1e-6 && status.unsettled == 1);
    let entries = ledger.entries().expect("valid");
    assert!(
        matches!(&entries[1].content, Action::Reserve(r) if r.recipient == "hospital A" && r.job == "07".repeat(32))
    );
}

#[test]
fn a_job_above_the_budget_is_refused_and_leaves_no_trace() {
    let (_folder, path, ledger) = new(2.0);
    let _spent = ledger.reserve(&steps(1000)).expect("within budget");
    let before = fs::read(&path).expect("readable");
    let refused = ledger.reserve(&steps(1000));
    assert!(
        matches!(&refused, Err(LedgerError::Exceeded { total, budget, .. }) if *total > 2.0 && *budget == 2.0),
        "{refused:?}"
    );
    assert!(matches!(ledger.reserve(&stated(1.0, 0.0)), Err(LedgerError::Exceeded { .. })));
    assert!(matches!(ledger.reserve(&stated(0.0, 2e-5)), Err(LedgerError::DeltaExceeded { .. })));
    assert_eq!(fs::read(&path).expect("readable"), before);
    let _small = ledger.reserve(&stated(0.01, 1e-7)).expect("still room");
}

#[test]
fn steps_not_taken_are_free_again_and_a_crash_leaves_all_spent() {
    let (_folder, path, ledger) = new(2.0);
    let stopped = ledger.reserve(&steps(1000)).expect("within budget");
    ledger.settle(&stopped, &[10]).expect("settled");
    assert!((ledger.status().expect("valid").spent_epsilon / cost_of(10) - 1.0).abs() < 1e-6);
    // A job that never settles: the process is gone, the ledger is opened anew.
    drop(ledger.reserve(&steps(900)).expect("within budget"));
    let reopened = Ledger::open(&path).expect("valid");
    assert!((reopened.status().expect("valid").spent_epsilon / cost_of(910) - 1.0).abs() < 1e-6);
    assert!(matches!(reopened.reserve(&steps(900)), Err(LedgerError::Exceeded { .. })));
}

#[test]
fn what_a_mechanism_may_fail_by_is_charged_with_it() {
    let sigma = 4.0;
    let failing = |failure: f64, excess: f64| {
        let mechanisms = vec![(Mechanism::Gaussian { sigma }, 1)];
        request(Cost::Approximate { mechanisms, excess, failure })
    };
    let (_folder, _path, ledger) = new(20.0);
    let job = ledger.reserve(&failing(2e-6, 0.0)).expect("within budget");
    let spent = ledger.status().expect("valid").spent_epsilon;
    // The smallest ε at which the Gaussian and the failure together cost the budget's δ.
    let delta = |epsilon: f64| gaussian::delta(1.0 / sigma, epsilon) + 2e-6 * (1.0 + epsilon.exp());
    assert!(delta(spent) <= 1e-5 && delta(spent * (1.0 - 1e-6)) > 1e-5, "{spent}: {}", delta(spent));
    // Failures add up, and a second one leaves nothing of δ.
    assert!(matches!(ledger.reserve(&failing(2e-6, 0.0)), Err(LedgerError::DeltaExceeded { .. })));
    // A run that opened nothing cannot have failed.
    ledger.settle(&job, &[0]).expect("settled");
    let job = ledger.reserve(&failing(2e-6, 0.0)).expect("within budget");
    ledger.settle(&job, &[0]).expect("settled");
    assert_eq!(ledger.status().expect("valid").spent_epsilon, 0.0);

    let _job = ledger.reserve(&failing(0.0, 0.25)).expect("within budget");
    let exact = gaussian::epsilon(1.0 / sigma, 1e-5 * (-0.125f64).exp()) + 0.25;
    assert!((ledger.status().expect("valid").spent_epsilon / exact - 1.0).abs() < 1e-12);

    // A budget of just what the job costs covers it.
    let (_folder, _path, tight) = new(spent * (1.0 + 1e-12));
    let _job = tight.reserve(&failing(2e-6, 0.0)).expect("within budget");
    let (_folder, _path, short) = new(spent * (1.0 - 1e-6));
    assert!(matches!(short.reserve(&failing(2e-6, 0.0)), Err(LedgerError::Exceeded { .. })));
    for (failure, excess) in [(-1e-9, 0.0), (1.0, 0.0), (f64::NAN, 0.0), (0.0, -1.0), (0.0, f64::NAN)] {
        assert!(matches!(short.reserve(&failing(failure, excess)), Err(LedgerError::Privacy(_))));
    }
}

#[test]
fn a_settlement_that_does_not_fit_is_refused() {
    let (_folder, _path, ledger) = new(5.0);
    let job = ledger.reserve(&steps(100)).expect("within budget");
    let refuse = |steps: &[u64]| matches!(ledger.settle(&job, steps), Err(LedgerError::Settlement { .. }));
    assert!(refuse(&[101]) && refuse(&[]) && refuse(&[1, 1]));
    ledger.settle(&job, &[100]).expect("settled");
    assert!(refuse(&[100]));
    let flat = ledger.reserve(&stated(0.5, 0.0)).expect("within budget");
    assert!(matches!(ledger.settle(&flat, &[2]), Err(LedgerError::Settlement { .. })));
    ledger.settle(&flat, &[0]).expect("settled");
    assert!((ledger.status().expect("valid").spent_epsilon / cost_of(100) - 1.0).abs() < 1e-6);
}

#[test]
fn two_jobs_racing_for_one_budget_cannot_both_pass() {
    for _ in 0..5 {
        let (_folder, path, _ledger) = new(1.0);
        let barrier = std::sync::Barrier::new(4);
        let passed: usize = std::thread::scope(|scope| {
            let racer = || {
                let ledger = Ledger::open(&path).expect("valid");
                barrier.wait();
                usize::from(ledger.reserve(&stated(0.6, 0.0)).is_ok())
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(racer)).collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).sum()
        });
        assert_eq!(passed, 1);
    }
}

/// A ledger with four entries, its lines, and a way to write them back.
fn filled() -> (TempDir, PathBuf, Vec<String>) {
    let (folder, path, ledger) = new(10.0);
    let first = ledger.reserve(&stated(1.0, 1e-7)).expect("within budget");
    let _second = ledger.reserve(&steps(100)).expect("within budget");
    ledger.settle(&first, &[1]).expect("settled");
    let lines = fs::read_to_string(&path).expect("readable").lines().map(str::to_owned).collect();
    (folder, path, lines)
}

fn write(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("writable");
}

#[test]
fn an_edited_entry_is_named() {
    let (_folder, path, lines) = filled();
    for (entry, from, to) in
        [(0, "10.0", "99.0"), (1, "1.0", "0.1"), (2, "hospital A", "hospital B"), (3, "[1]", "[0]")]
    {
        let mut edited = lines.clone();
        edited[entry] = edited[entry].replacen(from, to, 1);
        assert_ne!(edited[entry], lines[entry]);
        write(&path, &edited);
        let refused = Ledger::open(&path);
        assert!(
            matches!(&refused, Err(LedgerError::Edited { entry: e, .. }) if *e == entry as u64),
            "{entry}: {refused:?}"
        );
    }
    write(&path, &lines);
    Ledger::open(&path).expect("the original is valid");
}

#[test]
fn removed_and_moved_entries_are_named() {
    let (_folder, path, lines) = filled();
    let without = |gone: usize| {
        lines.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, l)| l.clone()).collect::<Vec<_>>()
    };
    for gone in 0..3 {
        write(&path, &without(gone));
        let refused = Ledger::open(&path);
        assert!(
            matches!(&refused, Err(LedgerError::Broken { entry, .. }) if *entry == gone as u64),
            "{gone}: {refused:?}"
        );
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    write(&path, &swapped);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Broken { entry: 1, .. })));
    let mut garbage = lines.clone();
    garbage[2] = "{".into();
    write(&path, &garbage);
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Unreadable { entry: 2, .. })));
}

#[test]
fn a_cut_tail_and_a_missing_head_are_noticed() {
    let (_folder, path, lines) = filled();
    for kept in 0..4 {
        write(&path, &lines[..kept]);
        let refused = Ledger::open(&path);
        assert!(
            matches!(refused, Err(LedgerError::Truncated { found, expected: 4, .. }) if found == kept as u64)
        );
    }
    assert!(Ledger::create(&path, budget(10.0)).is_err());
    fs::write(&path, "").expect("writable");
    assert!(matches!(Ledger::create(&path, budget(10.0)), Err(LedgerError::Truncated { .. })));
    write(&path, &lines);
    fs::remove_file(head_path(&path)).expect("removable");
    assert!(matches!(Ledger::open(&path), Err(LedgerError::HeadMissing(_))));
}

#[test]
fn a_creation_that_a_full_disk_cut_short_is_made_again() {
    let (_folder, path, ledger) = new(3.0);
    let line = fs::read(&path).expect("readable");
    drop(ledger);
    // The name alone, the head alone, half of the first line.
    for (bytes, head) in [(0, false), (0, true), (line.len() / 2, true)] {
        fs::write(&path, &line[..bytes]).expect("writable");
        if !head {
            fs::remove_file(head_path(&path)).expect("removable");
        }
        let again = Ledger::create(&path, budget(3.0)).expect("created again");
        assert_eq!(again.entries().expect("valid").len(), 1);
    }
}

#[test]
fn a_rewritten_ledger_is_noticed_by_whoever_kept_its_head() {
    let (_folder, path, _lines) = filled();
    let kept = Ledger::open(&path).expect("valid").status().expect("valid").head;
    Ledger::open_at(&path, &kept).expect("the same chain");
    Ledger::open_through(&path, &kept.hash).expect("the same chain");
    fs::remove_file(&path).expect("removable");
    fs::remove_file(head_path(&path)).expect("removable");
    let fresh = Ledger::create(&path, budget(1000.0)).expect("created");
    assert!(matches!(Ledger::open_at(&path, &kept), Err(LedgerError::Truncated { .. })));
    for _ in 0..3 {
        let _filler = fresh.reserve(&stated(0.0, 0.0)).expect("within budget");
    }
    assert!(matches!(Ledger::open_at(&path, &kept), Err(LedgerError::OtherChain { entry: 3, .. })));
    assert!(matches!(Ledger::open_through(&path, &kept.hash), Err(LedgerError::HeadUnknown { .. })));
}

#[test]
fn a_crash_while_writing_neither_loses_a_reservation_nor_blocks_the_ledger() {
    let (_folder, path, lines) = filled();
    let head = fs::read(head_path(&path)).expect("readable");
    // Half a line: the crash came before the reservation was acknowledged.
    fs::write(&path, format!("{}\n{}", lines.join("\n"), &lines[1][..40])).expect("writable");
    let ledger = Ledger::open(&path).expect("recovers");
    let _job = ledger.reserve(&stated(0.5, 0.0)).expect("within budget");
    assert_eq!(ledger.entries().expect("valid").len(), 5);
    // A whole line whose head was not written: it counts.
    fs::write(head_path(&path), head).expect("writable");
    let ledger = Ledger::open(&path).expect("recovers");
    assert_eq!(ledger.status().expect("valid").head.entries, 5);
    let _job = ledger.reserve(&stated(0.5, 0.0)).expect("within budget");
    assert_eq!(Ledger::open(&path).expect("valid").entries().expect("valid").len(), 6);
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, path, _ledger) = new(1.0);
    for file in [path.clone(), head_path(&path)] {
        assert_eq!(fs::metadata(&file).expect("exists").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("settable");
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Permissions { mode: 0o644, .. })));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("settable");
    }
    let link = folder.path().join("link");
    symlink(&path, &link).expect("linked");
    assert!(matches!(Ledger::open(&link), Err(LedgerError::NotAFile(_))));
}

#[test]
fn requests_about_something_else_and_bad_costs_are_refused() {
    let (_folder, path, ledger) = new(1.0);
    let mut other = stated(0.1, 0.0);
    other.data_set = "ward-8".into();
    assert!(matches!(ledger.reserve(&other), Err(LedgerError::Mismatch { field: "data set", .. })));
    let mut other = stated(0.1, 0.0);
    other.unit = "visit".into();
    assert!(matches!(ledger.reserve(&other), Err(LedgerError::Mismatch { field: "unit", .. })));
    for bad in [stated(f64::NAN, 0.0), stated(-1.0, 0.0), stated(0.1, 1.0), stated(0.1, -1e-9), steps(0)] {
        assert!(matches!(ledger.reserve(&bad), Err(LedgerError::Privacy(_))), "{bad:?}");
    }
    assert!(matches!(Ledger::create(&path, budget(1.0)), Err(LedgerError::Exists(_))));
    let bad = Budget { delta: 0.0, ..budget(1.0) };
    assert!(matches!(Ledger::create(path.with_extension("new"), bad), Err(LedgerError::Privacy(_))));
    assert!(matches!(Ledger::open(path.with_extension("none")), Err(LedgerError::Io { .. })));
    // A mechanism for replacing a record cannot join one for adding a record.
    let _job = ledger.reserve(&steps(1)).expect("within budget");
    let replace = Mechanism::FixedSizeGaussian { sigma: 100.0, batch: 1, n: 100 };
    let refused = ledger.reserve(&request(Cost::Mechanisms(vec![(replace, 1)])));
    assert!(matches!(refused, Err(LedgerError::Privacy(_))), "{refused:?}");
}
