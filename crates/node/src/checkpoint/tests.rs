//! What a disk, a crash or a stranger can do to a checkpoint, and that it is survived or named.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use tercet_engine::Meta;
use tercet_net::SessionId;
use tercet_share::{Ring, Tensor};
use tercet_train::{Metric, Snapshot};

use super::*;

const BINDING: Binding = Binding { job: [7; 32], party: 1 };

fn session(byte: u8) -> SessionId {
    SessionId::from_bytes([byte; 16])
}

fn snapshot(step: u64) -> Snapshot {
    let meta = |rows, cols| Meta { rows, cols, frac: 20, ring: Ring::new(60).unwrap() };
    let summand = |n: u64| Tensor::from_vec(2, 3, (0..6).map(|i| (i + 1) * n).collect());
    let metric = Metric { step: 1, epoch: 1, rows: 5, accuracy: Some(0.8), loss: None };
    Snapshot {
        step,
        metas: vec![meta(2, 3), meta(1, 4), meta(2, 3)],
        summands: vec![Some(summand(step + 3)), None, Some(summand(0x0123_4567_89ab_cdef))],
        metrics: vec![metric],
        seconds: 1.5,
    }
}

fn checkpoint(step: u64) -> Checkpoint {
    let place = Place { run: session(1), session: session(2), step };
    Checkpoint { place, reservation: Some(4), snapshot: snapshot(step) }
}

fn folder(state: &TempDir) -> Folder {
    Folder::open(state.path(), BINDING, 4096).unwrap()
}

fn assert_same(left: &Snapshot, right: &Snapshot) {
    assert_eq!((left.step, &left.metas, &left.metrics), (right.step, &right.metas, &right.metrics));
    assert_eq!(left.seconds, right.seconds);
    let numbers = |snapshot: &Snapshot| -> Vec<Option<Vec<u64>>> {
        snapshot.summands.iter().map(|t| t.as_ref().map(|t| t.data().to_vec())).collect()
    };
    assert_eq!(numbers(left), numbers(right));
}

#[test]
fn a_checkpoint_comes_back_as_it_was_written() {
    let state = TempDir::new().unwrap();
    folder(&state).write(&checkpoint(50)).unwrap();
    // Another process.
    let read = folder(&state).read(50).unwrap();
    assert_eq!((read.place, read.reservation), (checkpoint(50).place, Some(4)));
    assert_same(&read.snapshot, &snapshot(50));
}

#[test]
fn no_changed_or_missing_bit_of_a_file_is_accepted() {
    let state = TempDir::new().unwrap();
    let folder = folder(&state);
    folder.write(&checkpoint(50)).unwrap();
    let (path, whole) = (folder.file(50), fs::read(folder.file(50)).unwrap());
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let found = folder.find().unwrap();
        assert!(found.held.is_empty(), "{} bytes", bytes.len());
        assert_eq!(found.damaged[0].0, 50);
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes);
    }
    (0..whole.len()).step_by(7).for_each(|cut| refused(&whole[..cut]));
    refused(&[whole.clone(), vec![0]].concat());
    refused(&vec![0; 1 << 16]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(folder.find().unwrap().held.len(), 1);
}

#[test]
fn a_checkpoint_of_another_job_party_step_or_version_is_named_as_such() {
    let (state, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let home = folder(&state);
    home.write(&checkpoint(50)).unwrap();
    let text = |error: CheckpointError| error.to_string();
    // The same key, another party or job: only the header tells them apart.
    fs::copy(state.path().join(folder::KEY_FILE), other.path().join(folder::KEY_FILE)).unwrap();
    let of = |binding: Binding| {
        let folder = Folder::open(other.path(), binding, 4096).unwrap();
        fs::copy(home.file(50), folder.file(50)).unwrap();
        text(folder.read(50).err().unwrap())
    };
    assert!(of(Binding { party: 0, ..BINDING }).contains("of another party"));
    assert!(of(Binding { job: [8; 32], ..BINDING }).contains("of another job"));
    fs::copy(home.file(50), home.file(100)).unwrap();
    assert!(text(home.read(100).err().unwrap()).contains("of another step"));
    let mut bytes = fs::read(home.file(50)).unwrap();
    bytes[14] = b'9';
    fs::write(home.file(50), bytes).unwrap();
    assert!(text(home.read(50).err().unwrap()).contains("no checkpoint that this version reads"));
}

#[test]
fn a_file_says_nothing_without_its_key_and_no_two_files_are_sealed_alike() {
    let state = TempDir::new().unwrap();
    let folder = folder(&state);
    folder.write(&checkpoint(50)).unwrap();
    let first = fs::read(folder.file(50)).unwrap();
    let secret = 0x0123_4567_89ab_cdefu64.to_le_bytes();
    assert!(!first.windows(8).any(|window| window == secret));
    folder.write(&checkpoint(50)).unwrap();
    let second = fs::read(folder.file(50)).unwrap();
    let header = first.len() - format::encode(&snapshot(50), None).len() - 16;
    assert_ne!(first[header - 32..header], second[header - 32..header], "a salt of its own");
    assert_ne!(first[header..], second[header..]);
    // Another key does not open it, and a lost key is named.
    fs::write(state.path().join(folder::KEY_FILE), [9; 32]).unwrap();
    let stranger = Folder::open(state.path(), BINDING, 4096).unwrap();
    assert!(matches!(stranger.read(50), Err(CheckpointError::Damaged { .. })));
    fs::remove_file(state.path().join(folder::KEY_FILE)).unwrap();
    assert!(matches!(Folder::open(state.path(), BINDING, 4096), Err(CheckpointError::KeyMissing { .. })));
}

#[cfg(unix)]
#[test]
fn key_and_checkpoints_are_the_owner_s_alone_and_looser_ones_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let state = TempDir::new().unwrap();
    let folder = folder(&state);
    folder.write(&checkpoint(50)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let key = state.path().join(folder::KEY_FILE);
    assert_eq!((mode(&key), mode(&folder.file(50))), (0o600, 0o600));
    fs::set_permissions(folder.file(50), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(folder.read(50), Err(CheckpointError::Loose { mode: 0o640, .. })));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Folder::open(state.path(), BINDING, 4096).err().unwrap().to_string();
    assert!(error.contains("may be read by others (mode 644)") && error.contains("chmod 600"), "{error}");
}

#[test]
fn old_checkpoints_go_and_the_last_good_ones_stay() {
    let state = TempDir::new().unwrap();
    let folder = folder(&state);
    for step in [0, 50, 100, 150, 200] {
        folder.write(&checkpoint(step)).unwrap();
    }
    let steps = || folder.find().unwrap().held.iter().map(|place| place.step).collect::<Vec<_>>();
    assert_eq!(steps(), [100, 150, 200]);
    // The run went on from step 100 and made another state of step 150: what lay after it is of no use, and never instead of
    // those before it.
    folder.write(&checkpoint(150)).unwrap();
    assert_eq!(steps(), [100, 150]);
    folder.forget().unwrap();
    assert!(steps().is_empty());
}

#[test]
fn a_half_written_checkpoint_is_swept_away_and_the_one_before_is_used() {
    let state = TempDir::new().unwrap();
    let home = folder(&state);
    home.write(&checkpoint(50)).unwrap();
    let half = home.file(50).with_file_name(".tercet-x1y2z3.tmp");
    fs::write(&half, &fs::read(home.file(50)).unwrap()[..100]).unwrap();
    let found = folder(&state).find().unwrap();
    assert!(!half.exists());
    assert_eq!(found.held.iter().map(|place| place.step).collect::<Vec<_>>(), [50]);
    assert!(found.damaged.is_empty());
}

#[test]
fn checkpoints_of_an_older_run_are_not_offered_with_those_of_the_newest() {
    let state = TempDir::new().unwrap();
    let folder = folder(&state);
    folder.write(&checkpoint(50)).unwrap();
    let mut newer = checkpoint(100);
    newer.place.run = session(9);
    folder.write(&newer).unwrap();
    assert_eq!(folder.find().unwrap().held, [newer.place]);
}

#[test]
fn a_disk_that_takes_no_more_is_named_with_the_step_that_is_kept() {
    let state = TempDir::new().unwrap();
    let folder = Arc::new(folder(&state));
    let mut writer = Writer::start(folder.clone()).unwrap();
    assert!(writer.submit(checkpoint(50)).unwrap().is_none());
    assert_eq!(writer.settle().unwrap(), Some(checkpoint(50).place));
    // A folder in the place of the file: the rename fails, as it does on a disk that is full or gone read-only. (A test that
    // runs as root is not held back by permissions.)
    fs::create_dir(folder.file(100)).unwrap();
    assert!(writer.submit(checkpoint(100)).unwrap().is_none());
    let error = writer.submit(checkpoint(150)).err().unwrap().to_string();
    for part in ["the checkpoint of step 100 was not kept", "cannot be written", "start this node again"] {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    assert_eq!(folder.read(50).unwrap().place, checkpoint(50).place);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_before_the_run() {
    let state = TempDir::new().unwrap();
    fs::write(state.path().join("file"), "x").unwrap();
    let error = Folder::open(&state.path().join("file"), BINDING, 4096).err().unwrap().to_string();
    assert!(error.contains("cannot be made") && error.contains("check the folder"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_have_two_meanings(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Some((snapshot, reservation)) = format::decode(9, &bytes) {
            prop_assert_eq!(&format::encode(&snapshot, reservation)[..], &bytes[..]);
        }
    }

    #[test]
    fn no_damage_to_a_state_makes_the_reader_panic_or_take_more_than_it_is_given(
        at in 0usize..260, to in any::<u8>(), cut in 0usize..260,
    ) {
        let mut bytes = format::encode(&snapshot(9), Some(3)).to_vec();
        let end = cut.min(bytes.len());
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(end);
        if let Some((snapshot, reservation)) = format::decode(9, &bytes) {
            prop_assert_eq!(&format::encode(&snapshot, reservation)[..], &bytes[..]);
            let held: usize = snapshot.summands.iter().flatten().map(|t| t.len() * 8).sum();
            prop_assert!(held <= bytes.len());
        }
    }
}
