//! Private runs of three processes: the report, the ledger, and the refusals before a run.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{NAMES, Net, files, record};
use serde_json::Value;
use tercet_privacy::ledger::{Action, Cost};

const PRIVACY: &str =
    "[privacy]\nunit = \"record\"\nepsilon = 8.0\ndelta = 1e-3\nmode = \"clip\"\nclip = 1.0\n\n[release]";

/// Three parties with a private job on all rows, and a budget at each of `budgets`.
fn net(budgets: &[usize]) -> Net {
    let net = Net::new(20);
    net.edit_jobs("[release]", PRIVACY);
    net.edit_jobs(
        "layers = [{ kind = \"dense\", units = 4 }, { kind = \"relu\" }, { kind = \"dense\", units = 2 }]",
        "layers = [{ kind = \"dense\", units = 2 }]",
    );
    net.edit_jobs("batch = 8", "batch = 48");
    net.edit_jobs("learning_rate = 0.5", "learning_rate = 1.0");
    net.edit_jobs("[privacy]", "[fixed_point]\nweight_bits = 8\n\n[privacy]");
    budgets.iter().for_each(|&party| add_budget(&net, party, 8.5));
    net
}

fn add_budget(net: &Net, party: usize, epsilon: f64) {
    let budget = format!("[budget]\nledger = \"rows.ledger\"\nepsilon = {epsilon}\ndelta = 1e-3\n\n[data]");
    net.edit(&net.config(party), "[data]", &budget);
}

fn ledger(net: &Net, party: usize) -> PathBuf {
    net.home(party).join("rows.ledger")
}

fn spent(net: &Net, party: usize) -> f64 {
    spent_so_far(net, party).unwrap()
}

/// An error while a node is making the ledger.
fn spent_so_far(net: &Net, party: usize) -> Result<f64, tercet_privacy::ledger::LedgerError> {
    Ok(tercet_privacy::ledger::Ledger::open(ledger(net, party))?.status()?.spent_epsilon)
}

#[test]
fn an_interrupted_private_run_is_paid_for_once() {
    let net = net(&[0, 2]);
    net.edit_jobs("epochs = 8", "epochs = 40");
    net.edit_jobs("deadline_seconds = 20", "deadline_seconds = 2");
    (0..3).for_each(|party| net.edit(&net.config(party), "deadline_seconds = 20", "deadline_seconds = 2"));
    net.edit_jobs("[release]", "[checkpoint]\nevery = 4\nrejoin_seconds = 60\n\n[release]");
    let mut running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
    // Wherever this falls in the run, up to its end.
    while !net.home(2).join("out").join("journal.jsonl").exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    running.pop().unwrap().kill();
    let before = fs::read(ledger(&net, 2)).unwrap();
    assert!(spent(&net, 2) > 7.99, "set aside before anything runs");
    running.push(net.start(2));
    for ended in running.into_iter().map(common::Running::wait) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    for party in [0, 2] {
        let spent = spent(&net, party);
        assert!(spent <= 8.0 && spent > 7.99, "{spent}");
        let ledger = tercet_privacy::ledger::Ledger::open(ledger(&net, party)).unwrap();
        let entries = ledger.entries().unwrap();
        let count = |wanted: fn(&Action) -> bool| entries.iter().filter(|e| wanted(&e.content)).count();
        assert_eq!(count(|action| matches!(action, Action::Reserve(_))), 1);
        assert_eq!(count(|action| matches!(action, Action::Settle { .. })), 1);
    }
    assert!(fs::read(ledger(&net, 2)).unwrap().starts_with(&before), "nothing was rewritten");
    assert!(net.out(2).join("privacy.json").exists());
}

#[test]
fn a_disagreement_before_the_first_step_costs_no_budget() {
    let net = net(&[]);
    add_budget(&net, 1, 40.0);
    net.edit_jobs("epochs = 8", "epochs = 100");
    net.edit_jobs("learning_rate = 1.0", "learning_rate = 0.0625");
    net.edit_jobs("[release]", "[checkpoint]\nevery = 4\nrejoin_seconds = 60\n\n[release]");
    let mut running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
    (0..2).for_each(|party| drop(backup(&net, party)));
    // The dealer first: without it nobody is done.
    while let Some(node) = running.pop() {
        node.kill();
    }
    let before = spent(&net, 1);
    assert!(before > 7.99, "{before}");
    // For this party it is a run from the beginning, which it sets its budget aside for; the others offer their checkpoints.
    fs::remove_dir_all(net.home(1).join("out-state")).unwrap();
    for ended in net.run(&[0, 1, 2]) {
        let sentence = ended.sentence();
        assert!(sentence.contains("`ben` holds no checkpoint of this job"), "{sentence}");
    }
    let reserved = tercet_privacy::ledger::Ledger::open(ledger(&net, 1)).unwrap().entries().unwrap();
    let reserved = reserved.iter().filter(|e| matches!(e.content, Action::Reserve(_))).count();
    assert_eq!((reserved, spent(&net, 1)), (2, before));
}

/// A party's state folder, as its operator's backup may have it: taken while the run has a checkpoint after its beginning.
fn backup(net: &Net, party: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let begun = std::time::Instant::now();
    let folder = net.home(party).join("out-state");
    let step = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".tck")?.parse().ok()
    };
    loop {
        // A file that is replaced meanwhile is looked at again.
        let found = std::panic::catch_unwind(|| files(&folder)).unwrap_or_default();
        if found.iter().any(|(path, _)| step(path).is_some_and(|step| step > 0)) {
            return found;
        }
        assert!(begun.elapsed().as_secs() < 40, "no checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn restore(net: &Net, party: usize, files: &[(PathBuf, Vec<u8>)]) {
    use std::os::unix::fs::PermissionsExt;
    fs::remove_dir_all(net.home(party).join("out-state")).unwrap();
    for (path, bytes) in files {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn checkpoints_put_back_after_a_private_run_neither_open_its_model_again_nor_pay_for_another() {
    let net = net(&[0, 2]);
    net.edit_jobs("epochs = 8", "epochs = 80");
    net.edit_jobs("deadline_seconds = 20", "deadline_seconds = 2");
    (0..3).for_each(|party| net.edit(&net.config(party), "deadline_seconds = 20", "deadline_seconds = 2"));
    net.edit_jobs("[release]", "[checkpoint]\nevery = 40\nrejoin_seconds = 2\n\n[release]");
    let running: Vec<_> = (0..3).map(|party| net.start(party)).collect();
    let backups = std::thread::scope(|scope| {
        [0, 1, 2]
            .map(|party| {
                scope.spawn({
                    let net = &net;
                    move || backup(net, party)
                })
            })
            .map(|thread| thread.join().unwrap())
    });
    for ended in running.into_iter().map(common::Running::wait) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let away = || (0..3).for_each(|party| fs::remove_dir_all(net.out(party)).unwrap());

    // Both evaluators have their checkpoints back and the results away: the ledger knows that the model was opened.
    away();
    [0, 1].into_iter().for_each(|party| restore(&net, party, &backups[party]));
    let before = fs::read(ledger(&net, 0)).unwrap();
    // A dealer that has its own back as well pays nothing yet, and one without would have to pay again.
    restore(&net, 2, &backups[2]);
    let ended = net.run(&[0, 1, 2]);
    let said = ended[0].sentence();
    assert!(
        said.contains("would open a private model twice") && said.contains("as `ada` has on record"),
        "{said}"
    );
    assert!(ended.iter().all(|ended| !ended.succeeded()));
    assert_eq!(fs::read(ledger(&net, 0)).unwrap(), before);
    assert!((0..3).all(|party| !net.out(party).join("model").exists()));

    // The dealer alone has its own back: what the evaluators begin is another run, which it has no budget for.
    away();
    [0, 1].into_iter().for_each(|party| restore(&net, party, &[]));
    net.edit(&net.config(0), "[budget]\nledger = \"rows.ledger\"\nepsilon = 8.5\ndelta = 1e-3\n", "");
    restore(&net, 2, &backups[2]);
    let ended = net.run(&[0, 1, 2]);
    assert!(ended[2].sentence().contains("above its budget of 8.5"), "{}", ended[2].stderr());
    assert!(ended.iter().all(|ended| !ended.succeeded()));
    assert!((0..3).all(|party| !net.out(party).join("model").exists()));
}

fn report(net: &Net, party: usize) -> Value {
    serde_json::from_slice(&fs::read(net.out(party).join("privacy.json")).unwrap()).unwrap()
}

#[test]
fn a_private_run_is_reported_settled_and_not_repeated_beyond_the_budget() {
    let net = net(&[0, 2]);
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    for (party, name) in NAMES.iter().enumerate() {
        let report = report(&net, party);
        assert_eq!(report["party"], *name);
        assert_eq!((&report["claim"]["epsilon"], &report["claim"]["unit"]), (&8.0.into(), &"record".into()));
        let epsilon = |view: &str| report["views"][view]["eps_exact"].as_f64().unwrap();
        assert!(epsilon("corrupt_party") <= 8.0 && epsilon("corrupt_party") > 7.99);
        assert!(epsilon("outsider") < epsilon("corrupt_party"));
        let part = |key: &str| report["sensitivity"][key].as_f64().unwrap();
        let sum = part("clipped") + part("backward_rounding") + part("coordinate_rounding");
        assert!((part("total") / sum - 1.0).abs() < 1e-12 && part("backward_rounding") > 0.0);
        assert_eq!(report["views"]["neighbours"], "ZERO_OUT_ONE");
        let neighbours = report["claim"]["neighbours"].as_str().unwrap();
        assert!(neighbours.starts_with("one record is taken out: its place in the batches stays"));
        assert!(neighbours.contains("by up to twice the sensitivity") && !neighbours.contains("added"));
        assert_eq!(report["mechanism"]["steps_taken"], 8);
        let opened: Vec<_> =
            report["openings"].as_array().unwrap().iter().map(|o| o["covered"].clone()).collect();
        assert_eq!(opened, [false, true], "the accuracy is on test rows, the model is covered");
        assert_eq!(report["ledger"].is_null(), party == 1);
        let page = fs::read_to_string(net.out(party).join("privacy.md")).unwrap();
        for part in ["## Claim", "(8, 0.001)", "## Assumptions", "## Cost", "## Opened", "## Ledger"] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
    let model = tercet_data::model::read(&net.out(0).join("model"), &tercet_data::Limits::default()).unwrap();
    let spent_by_model = model.description().training.privacy.unwrap();
    assert_eq!((spent_by_model.epsilon, spent_by_model.delta), (8.0, 1e-3));
    for party in [0, 2] {
        let spent = spent(&net, party);
        assert!(spent <= 8.0 && spent > 7.99, "{spent}");
    }
    assert!(!ledger(&net, 1).exists());

    // Charged with what it may fail by, for everyone who receives something: the accuracy is for two.
    let entries = tercet_privacy::ledger::Ledger::open(ledger(&net, 0)).unwrap().entries().unwrap();
    let Action::Reserve(reserved) = &entries[1].content else { panic!("{entries:?}") };
    let Cost::Approximate { failure, excess, .. } = reserved.cost else { panic!("{reserved:?}") };
    let of_report = |section: &str, key: &str| report(&net, 0)[section][key].as_f64().unwrap();
    assert!(failure > 0.0 && failure == of_report("sensitivity", "range_probability"));
    assert_eq!(excess, of_report("views", "discrete_excess"));
    assert_eq!(reserved.recipient, "ada, ben");

    // The same job once more costs more than is left: refused at once, and nothing is written.
    fs::remove_dir_all(net.out(0)).unwrap();
    let before = fs::read(ledger(&net, 0)).unwrap();
    net.refused(0, "above its budget of 8.5");
    assert_eq!(fs::read(ledger(&net, 0)).unwrap(), before);
}

#[test]
fn a_party_that_waits_in_vain_gets_its_charge_back() {
    let net = net(&[0]);
    net.edit(&net.config(0), "deadline_seconds = 20", "deadline_seconds = 1");
    let ended = net.start(0).wait();
    assert!(!ended.succeeded());
    assert_eq!(spent(&net, 0), 0.0);
    assert!(files(&net.out(0)).is_empty());
}

#[test]
fn a_party_that_dies_in_a_run_stays_charged_in_full() {
    let net = net(&[0]);
    net.edit_jobs("epochs = 8", "epochs = 100");
    net.edit_jobs("learning_rate = 1.0", "learning_rate = 0.0625");
    let (first, others) = (net.start(0), [1, 2].map(|party| net.start(party)));
    while !ledger(&net, 0).exists() || !spent_so_far(&net, 0).is_ok_and(|spent| spent > 0.0) {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    first.kill();
    drop(others);
    let spent = spent(&net, 0);
    assert!(spent <= 8.0 && spent > 7.99, "{spent}");
}

#[test]
fn two_jobs_that_race_for_one_budget_do_not_both_get_it() {
    let (one, other) = (net(&[0]), net(&[0]));
    // Both nodes keep one ledger and train on the same file.
    let shared = ledger(&one, 0);
    other.edit(&other.config(0), "ledger = \"rows.ledger\"", &format!("ledger = {shared:?}"));
    let file = one.train_file(0);
    other.edit(&other.config(0), "file = \"train.csv\"", &format!("file = {file:?}"));
    for net in [&one, &other] {
        net.edit(&net.config(0), "deadline_seconds = 20", "deadline_seconds = 3");
    }
    let running = [one.start(0), other.start(0)];
    let ended = running.map(|node| node.wait());
    let over = ended.iter().filter(|e| e.sentence().contains("above its budget")).count();
    assert_eq!(over, 1, "{:?}", ended.map(|e| e.stderr()));
}

#[test]
fn a_ledger_without_the_head_that_was_kept_is_refused() {
    let net = net(&[0]);
    net.edit(&net.config(0), "deadline_seconds = 20", "deadline_seconds = 1");
    net.start(0).wait();
    let kept = tercet_privacy::ledger::Ledger::open(ledger(&net, 0)).unwrap().status().unwrap().head.hash;
    let head = |hash: &str| format!("delta = 1e-3\nhead = \"{hash}\"");
    net.edit(&net.config(0), "delta = 1e-3", &head(&kept));
    // The others are missing, which is all that is wrong.
    let ended = net.start(0).wait();
    assert!(!ended.succeeded() && !ended.stderr().contains("head"), "{}", ended.stderr());
    // A fresh ledger in its place, with its head file.
    let head_file = ledger(&net, 0).with_extension("ledger.head");
    fs::remove_file(ledger(&net, 0)).unwrap();
    fs::remove_file(&head_file).unwrap();
    net.refused(0, "rows.ledger");
    assert!(!ledger(&net, 0).exists(), "none is made where one was");
    net.edit(&net.config(0), &head(&kept), "delta = 1e-3");
    net.start(0).wait();
    net.edit(&net.config(0), "delta = 1e-3", &head(&kept));
    net.refused(0, &format!("has no entry with the hash {kept}"));
    let help = common::tercet().args(["node", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("head = "));
}

#[test]
fn rows_that_were_moved_are_named_with_their_ledger() {
    let net = net(&[0]);
    net.edit(&net.config(0), "deadline_seconds = 20", "deadline_seconds = 1");
    net.start(0).wait();
    fs::rename(net.train_file(0), net.home(0).join("moved.csv")).unwrap();
    net.edit(&net.config(0), "file = \"train.csv\"", "file = \"moved.csv\"");
    net.refused(0, "rows.ledger was made for other data files than");
    net.refused(0, "moved.csv");
}

#[test]
fn an_epsilon_above_the_target_is_said_in_record_and_report() {
    let net = net(&[]);
    net.edit_jobs("[release]", "[targets]\nepsilon = 7.5\nopen_anyway = true\n\n[release]");
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
        assert!(
            ended.stderr().contains("privacy.epsilon is above targets.epsilon = 7.5"),
            "{}",
            ended.stderr()
        );
    }
    assert_eq!(record(&net, 1)["met_epsilon"], false);
    let claim = report(&net, 1)["claim"].clone();
    assert_eq!((&claim["target_epsilon"], &claim["met_epsilon"]), (&7.5.into(), &false.into()));
    let page = fs::read_to_string(net.out(1).join("privacy.md")).unwrap();
    assert!(page.contains("above the job's own target of 7.5"), "{page}");
}

#[test]
fn an_edited_ledger_stops_the_next_run() {
    let net = net(&[0]);
    net.edit(&net.config(0), "deadline_seconds = 20", "deadline_seconds = 1");
    net.start(0).wait();
    net.edit(&ledger(&net, 0), "\"epsilon\":8.5", "\"epsilon\":900.5");
    net.refused(0, "was changed after it was written");
}

#[test]
fn a_budget_refuses_what_is_not_private_and_what_it_was_not_made_for() {
    let net = net(&[0]);
    net.edit(&net.job(0), &PRIVACY.replace("[release]", ""), "");
    net.refused(0, "has no [privacy] section");
    assert!(!ledger(&net, 0).exists());
    let net = self::net(&[0]);
    net.edit(&net.config(0), "deadline_seconds = 20", "deadline_seconds = 1");
    net.start(0).wait();
    net.edit(&net.config(0), "epsilon = 8.5", "epsilon = 80");
    net.refused(0, "a budget does not change");
    net.edit(&net.config(0), "epsilon = 80", "epsilon = nan");
    net.refused(0, "the epsilon of the budget is NaN, which is not a finite number above 0");
}

#[test]
fn a_model_that_misses_its_target_is_not_written_and_its_cost_stays_spent() {
    let net = net(&[0]);
    // Too low a rate to move the initial weights, which get some of the rows wrong.
    net.edit_jobs("learning_rate = 1.0", "learning_rate = 0.0009765625");
    net.edit_jobs("seed = 3", "seed = 4");
    net.edit_jobs("[release]", "[targets]\naccuracy = 1.0\nepsilon = 8.0\n\n[release]");
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
        assert!(
            ended.stderr().contains("misses targets.accuracy = 1 on the test rows"),
            "{}",
            ended.stderr()
        );
    }
    for party in 0..3 {
        assert!(!net.out(party).join("model").exists());
        let record = record(&net, party);
        assert_eq!((&record["met_target"], &record["model"]), (&Value::Bool(false), &Value::Null));
        let opened = report(&net, party)["openings"].clone();
        let reasons: Vec<_> = opened.as_array().unwrap().iter().map(|o| o["reason"].clone()).collect();
        assert_eq!(reasons, ["target", "accuracy"]);
        assert!(opened[0]["covered"] == false && opened[0]["why"].as_str().unwrap().contains("test rows"));
    }
    // Accuracy and verdict came from the noisy weights.
    assert!(spent(&net, 0) > 7.99);
    // The same job may open it anyway; a largest epsilon below the job's may not even start.
    let other = self::net(&[]);
    other.edit_jobs("[release]", "[targets]\nepsilon = 7.5\n\n[release]");
    other.refused(0, "targets.epsilon is 7.5; but privacy.epsilon is 8");
}

/// Every party's rows with a patient each of `rows` rows.
fn with_patients(net: &Net, rows: usize) {
    for party in 0..3 {
        let text = fs::read_to_string(net.train_file(party)).unwrap();
        let lines = text.lines().enumerate().map(|(i, line)| match i {
            0 => format!("patient,{line}\n"),
            _ => format!("p{},{line}\n", (i - 1) / rows),
        });
        fs::write(net.train_file(party), lines.collect::<String>()).unwrap();
    }
    net.edit_jobs("format = \"csv\"", "format = \"csv\"\nignore = [\"patient\"]");
    net.edit_jobs("unit = \"record\"", "unit = \"patient\"\nunit_rows = 2\nunit_owners = 1");
    net.edit_jobs("weight_bits = 8", "weight_bits = 9");
}

#[test]
fn patients_of_several_rows_are_protected_whole_and_each_owner_counts_its_own() {
    let net = net(&[0]);
    with_patients(&net, 2);
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let found = report(&net, 1);
    assert_eq!((&found["claim"]["unit"], &found["claim"]["rows_of_a_unit"]), (&"patient".into(), &2.into()));
    assert!(found["claim"]["neighbours"].as_str().unwrap().starts_with("all rows of one patient"));
    // Δ is for both rows: twice the bound of one.
    let clipped = found["sensitivity"]["clipped"].as_f64().unwrap();
    let bits = found["noise"]["fraction_bits"].as_i64().unwrap();
    assert!((clipped / 2f64.powi(bits as i32) / 2.0 - 1.0).abs() < 0.01, "{clipped}");
    let page = fs::read_to_string(net.out(0).join("privacy.md")).unwrap();
    assert!(page.contains("No patient has more than 2 training rows at one owner"), "{page}");

    // A budget for patients is not one for records.
    fs::remove_dir_all(net.out(0)).unwrap();
    let text = fs::read_to_string(net.job(0)).unwrap();
    fs::write(
        net.job(0),
        text.replace("unit = \"patient\"\nunit_rows = 2\nunit_owners = 1", "unit = \"record\""),
    )
    .unwrap();
    net.refused(0, "unit");

    let net = self::net(&[]);
    with_patients(&net, 3);
    net.refused(1, "has 3 training rows of one `patient`, but privacy.unit_rows is 2");
    // A file without the column.
    let net = self::net(&[]);
    with_patients(&net, 2);
    fs::write(net.train_file(0), common::rows(common::TRAIN_ROWS[0], 0)).unwrap();
    net.refused(0, "patient");
}

#[test]
fn banded_noise_is_an_option_of_the_job_and_said_in_the_report() {
    let net = net(&[1]);
    // Three batches an epoch, related over all three.
    net.edit_jobs("batch = 48", "batch = 16");
    net.edit_jobs("learning_rate = 1.0", "learning_rate = 0.25");
    net.edit_jobs("clip = 1.0", "clip = 1.0\nnoise = { kind = \"banded\", bands = 3 }");
    for ended in net.run(&[0, 1, 2]) {
        assert!(ended.succeeded(), "{}", ended.stderr());
    }
    let found = report(&net, 0);
    assert_eq!(found["mechanism"]["bands"], 3);
    assert!(found["mechanism"]["name"].as_str().unwrap().contains("banded noise"));
    let number = |section: &str, key: &str| found[section][key].as_f64().unwrap();
    // Eight participations of a record, each with 1² + (1/2)² + (3/8)².
    let expected = number("sensitivity", "total") * (8.0 * 1.390625f64).sqrt();
    assert!((number("noise", "sensitivity_units") / expected - 1.0).abs() < 1e-4);
    let deviation = number("noise", "multiplier") * number("noise", "sensitivity_units") / 2f64.sqrt();
    assert!((number("noise", "share_deviation_units") / deviation - 1.0).abs() < 1e-9);
    let spent = spent(&net, 1);
    assert!(spent <= 8.0 && spent > 7.99, "{spent}");
}

#[test]
fn two_jobs_that_try_other_settings_count_twice() {
    let net = net(&[0]);
    net.edit(&net.config(0), "epsilon = 8.5", "epsilon = 20.0");
    let mut totals = vec![0.0];
    for rate in ["learning_rate = 1.0", "learning_rate = 0.5"] {
        if totals.len() > 1 {
            net.edit_jobs("learning_rate = 1.0", rate);
            (0..3).for_each(|party| fs::remove_dir_all(net.out(party)).unwrap());
        }
        for ended in net.run(&[0, 1, 2]) {
            assert!(ended.succeeded(), "{}", ended.stderr());
        }
        totals.push(spent(&net, 0));
    }
    // Composed, not added: two Gaussians cost less than twice one.
    assert!(totals[1] > 7.99 && totals[2] > 1.3 * totals[1] && totals[2] < 2.0 * totals[1], "{totals:?}");
}

#[test]
fn a_private_job_with_a_bad_value_is_refused_in_one_sentence() {
    for (from, to, part) in [
        ("epsilon = 8.0", "epsilon = 0.0", "privacy.epsilon is 0"),
        ("delta = 1e-3\nmode", "delta = 1.0\nmode", "privacy.delta is 1"),
        ("clip = 1.0", "clip = -1.0", "privacy.clip is -1"),
        (
            "unit = \"record\"",
            "unit = \"patient\"",
            "privacy.unit is \"patient\", but [data] has no such column",
        ),
        ("unit = \"record\"", "unit = \"x\"", "privacy.unit_rows is missing"),
        ("unit = \"record\"", "unit = \"x\"\nunit_rows = 0", "privacy.unit_rows is 0"),
        (
            "clip = 1.0",
            "clip = 1.0\nnoise = { kind = \"banded\", bands = 5 }",
            "privacy.noise.bands is 5; use at most 1",
        ),
        ("mode = \"clip\"", "mode = \"none\"", "unknown variant"),
        ("clip = 1.0", "clip = 1.0\nclap = 2", "unknown field"),
        ("weight_bits = 8", "weight_bits = 1", "fixed_point.weight_bits is 1, but weights of layer 0"),
        ("epsilon = 8.0", "epsilon = 1e-9", "fixed_point.weight_bits"),
    ] {
        let net = net(&[]);
        net.edit(&net.job(0), from, to);
        net.refused(0, part);
    }
}
