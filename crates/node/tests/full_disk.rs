//! A disk that is full: a small file system in memory in the place of one party's folders. The node ends with one sentence, loses
//! nothing, and goes on once there is room. Where a user may not mount (no user namespaces), the tests say so and pass.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Ended, Net, Running, each_step_once, record};

/// Mounts a file system of `$1` kB at `$2`, runs the command there, and again with room; what is there then stays in the folder.
/// With `$3`, fills all but that many kB of it first.
const SCRIPT: &str = r#"
size=$1; at=$2; keep=$3; shift 3
mount -t tmpfs -o "size=${size}k,mode=700" tmpfs "$at" || exit 77
[ "$keep" = all ] || dd if=/dev/zero of="$at/filler" bs=1k count=$((size - keep)) 2>/dev/null || exit 77
"$TERCET" "$@"
echo "first $?" >&2
rm -f "$at/filler"
mount -o remount,size=32m "$at" || exit 77
"$TERCET" "$@"
code=$?
saved=$(mktemp -d) && cp -a "$at/." "$saved" && umount "$at" && cp -a "$saved/." "$at" && rm -rf "$saved"
exit $code
"#;

/// Whether this user may mount file systems of its own; says so if not.
fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let may = tried.as_ref().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: this user may not mount a file system in a namespace of its own ({tried:?})");
    }
    may
}

/// Starts a party's node with a disk of `kilobytes` at `folder`, of which `room` are left.
fn start(net: &Net, party: usize, kilobytes: u32, folder: &Path, room: Option<u32>) -> Running {
    fs::create_dir_all(folder).unwrap();
    let mut command = Command::new("unshare");
    command.env("TERCET", env!("CARGO_BIN_EXE_tercet")).args(["-rm", "sh", "-c", SCRIPT, "sh"]);
    command
        .arg(kilobytes.to_string())
        .arg(folder)
        .arg(room.map_or("all".to_owned(), |room| room.to_string()));
    net.start_as(party, "node", command)
}

/// The sentences of the two runs; the first must have failed in good order.
fn sentences(ended: &Ended) -> (String, String) {
    let said = ended.stderr();
    let (first, then) = said.split_once("first 1\n").unwrap_or_else(|| panic!("no clean failure: {said}"));
    assert!(!said.contains("panicked"), "{said}");
    let sentence =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("").to_owned();
    (sentence(first), sentence(then))
}

/// A net that keeps checkpoints and takes `epochs` epochs of 6 steps.
fn net(epochs: u32) -> Net {
    let net = Net::new(2);
    net.edit_jobs("epochs = 8", &format!("epochs = {epochs}"));
    net.edit_jobs("[release]", "[checkpoint]\nevery = 20\nrejoin_seconds = 60\n\n[release]");
    net
}

/// Runs three parties, `ben` on a full disk at first; returns what it said then.
fn run(net: &Net, kilobytes: u32, folder: &str, room: Option<u32>) -> String {
    let others = [0, 2].map(|party| net.start(party));
    let ended = start(net, 1, kilobytes, &net.home(1).join(folder), room).wait();
    let (first, then) = sentences(&ended);
    assert!(ended.succeeded() && then.is_empty(), "{}", ended.stderr());
    for other in others.map(Running::wait) {
        assert!(other.succeeded(), "{}", other.stderr());
    }
    first
}

#[test]
fn a_disk_that_fills_up_during_a_run_is_named_and_the_run_goes_on_once_there_is_room() {
    if !may_mount() {
        return;
    }
    // The journal: 1,800 steps take 50 kB.
    let whole = net(300);
    let first = run(&whole, 32, "out", None);
    assert!(first.contains("journal.jsonl cannot be written (No space left on device"), "{first}");
    assert!(first.contains("make room") && first.contains("start this node again"), "{first}");
    (0..3).for_each(|party| each_step_once(&whole, party, 1800));

    // The checkpoints: a key, a status and two of them have room.
    let whole = net(30);
    let first = run(&whole, 20, "out-state", None);
    assert!(first.contains("was not kept") && first.contains("No space left on device"), "{first}");
    assert!(first.contains("it goes on from step"), "{first}");
    (0..3).for_each(|party| each_step_once(&whole, party, 180));
}

#[test]
fn results_that_have_no_room_are_written_after_all_by_the_next_start() {
    if !may_mount() {
        return;
    }
    // A page for the journal, and none for the record.
    let whole = net(8);
    let first = run(&whole, 64, "out", Some(4));
    assert!(first.contains("record.json cannot be written (No space left on device"), "{first}");
    assert!(first.contains("has room"), "{first}");
    let record = record(&whole, 1);
    assert_eq!((&record["steps"], &record["outcome"]["status"]), (&48.into(), &"finished".into()));
    assert!(!record["openings"].as_array().unwrap().is_empty(), "those of the first run are on record");
}

#[test]
fn a_ledger_without_room_starts_nothing_and_charges_nothing() {
    if !may_mount() {
        return;
    }
    let net = Net::new(1);
    let private = "[fixed_point]\nweight_bits = 8\n\n[privacy]\nunit = \"record\"\nepsilon = 8.0\ndelta = 1e-3\nmode = \"clip\"\n\
                   clip = 1.0\n\n[release]";
    net.edit_jobs("[release]", private);
    net.edit_jobs(
        "layers = [{ kind = \"dense\", units = 4 }, { kind = \"relu\" }, { kind = \"dense\", units = 2 }]",
        "layers = [{ kind = \"dense\", units = 2 }]",
    );
    net.edit_jobs("batch = 8", "batch = 48");
    let budget = "[budget]\nledger = \"disk/rows.ledger\"\nepsilon = 8.5\ndelta = 1e-3\n\n[data]";
    net.edit(&net.config(0), "[data]", budget);
    let ended = start(&net, 0, 16, &net.home(0).join("disk"), Some(0)).wait();
    let (first, then) = sentences(&ended);
    assert!(first.contains("rows.ledger") && first.contains("No space left on device"), "{first}");
    // With room it is made, charged, and given back, since the others do not come.
    assert!(then.contains("ben") && !then.contains("ledger"), "{then}");
    let ledger = tercet_privacy::ledger::Ledger::open(net.home(0).join("disk/rows.ledger")).unwrap();
    let spent = ledger.status().unwrap().spent_epsilon;
    assert!(spent < 0.01, "nothing was opened, and {spent} is spent");
}
