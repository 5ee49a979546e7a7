//! Bad input is answered with one sentence and a failing exit status, and leaves nothing half-written.

mod common;

use std::fs;
use std::time::{Duration, SystemTime};

use common::{NAMES, Net, tercet};
use tercet_net::identity;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Each case edits one party's training file.
#[test]
fn a_fault_in_a_csv_file_is_named_by_line_and_column_without_its_value() {
    type Edit = fn(&str) -> String;
    let cases: [(&str, Edit, &str); 7] = [
        ("not a number", |t| with_cell(t, 3, 0, "secretword"), "line 4"),
        ("not finite", |t| with_cell(t, 3, 1, "inf"), "column `y`"),
        ("out of bounds", |t| with_cell(t, 5, 0, "123.25"), "above the bound 4"),
        ("wrong label", |t| with_cell(t, 2, 2, "tepid"), "not one of the schema's classes"),
        ("missing column", |t| t.replace("x,y,class", "x,why,class"), "no column `y`"),
        ("empty file", |_| String::new(), "is empty"),
        ("no rows", |_| "x,y,class\n".to_owned(), "no row of data"),
    ];
    let net = Net::new(5);
    let good = fs::read_to_string(net.train_file(0)).unwrap();
    for (name, edit, part) in cases {
        fs::write(net.train_file(0), edit(&good)).unwrap();
        let ended = net.start(0).wait();
        let sentence = ended.sentence();
        assert!(sentence.contains(part), "{name}: {sentence}");
        assert!(sentence.contains("train.csv"), "{name}: {sentence}");
        let whole = ended.stderr();
        for value in ["secretword", "123.25", "tepid"] {
            assert!(!whole.contains(value), "{name} shows a cell: {whole}");
        }
        net.nothing_left(0);
    }
}

#[test]
fn another_number_of_rows_than_the_job_says_is_refused() {
    let net = Net::new(5);
    fs::write(net.train_file(1), common::rows(15, 1)).unwrap();
    net.refused(1, "holds 15 training rows but the job says that `ben` brings 16");
}

#[test]
fn rows_without_a_file_and_a_file_without_rows_are_refused() {
    let net = Net::new(5);
    net.edit(&net.config(0), "train = { file = \"train.csv\" }", "");
    net.refused(0, "set `data.train`");
    let net = Net::new(5);
    net.edit(&net.config(1), "[data]", "[data]\ntest = { file = \"train.csv\" }");
    net.refused(1, "takes no test rows");
}

#[test]
fn a_fault_in_the_job_is_named() {
    let cases = [
        ("deadline_seconds = 20", "dead_line_seconds = 20", "unknown field `dead_line_seconds`"),
        ("kind = \"relu\"", "kind = \"rellu\"", "unknown variant `rellu`"),
        ("units = 4 }", "units = 4, bias = true }", "unknown field `bias`"),
        ("epochs = 8", "epochs = 8\nepoch = 8", "unknown field `epoch`"),
        ("epochs = 8", "epochs = 0", "epochs"),
        ("epochs = 8", "epochs = \"eight\"", "invalid type"),
        ("epochs = 8", "epochs = ", "line"),
        ("protocol = \"helper\"", "protocol = \"magic\"", "unknown variant `magic`"),
        ("role = \"dealer\"", "role = \"evaluator-1\"", "no party has the role dealer"),
        ("name = \"ben\"", "name = \"ada\"", "same name"),
        ("model = [\"ada\"]", "model = [\"eve\"]", "gives the model to `eve`"),
        ("input = { features = 2 }", "input = { features = 3 }", "has 2 features but `model.input` takes 3"),
        ("units = 2 }", "units = 3 }", "2 classes but the model has 3 outputs"),
        ("batch = 8", "batch = 99", "batch is 99"),
        ("rows = { train = 24 }", "rows = { train = 24, test = 4 }", "more than one party brings test rows"),
        (", max = 4.0 }, {", ", max = -4.0 }, {", "feature `x`"),
    ];
    for (from, to, part) in cases {
        let net = Net::new(5);
        net.edit(&net.job(0), from, to);
        net.refused(0, part);
    }
}

#[test]
fn the_line_of_an_unknown_key_in_the_job_is_named() {
    let net = Net::new(5);
    net.edit(&net.job(0), "seed = 3", "seed = 3\nsede = 3");
    let text = fs::read_to_string(net.job(0)).unwrap();
    let line = 1 + text.lines().position(|line| line == "sede = 3").unwrap();
    net.refused(0, &format!("line {line} of the job"));
}

#[test]
fn a_template_is_refused_by_a_node() {
    let net = Net::new(5);
    let address = net.addresses[1].to_string();
    net.edit(&net.job(0), &format!("address = \"{address}\""), "address = \"\"");
    net.refused(0, "leaves the address of party `ben` empty");
}

#[test]
fn a_fault_in_the_node_file_is_named() {
    let cases = [
        ("name = \"ada\"", "name = \"dan\"", "no party called `dan`"),
        ("out = ", "outt = ", "unknown field `outt`"),
        ("listen = \"127", "listen = \"host:127", "listen"),
        ("deadline_seconds = 5", "deadline_seconds = 0", "deadline_seconds"),
        ("file = \"train.csv\"", "file = \"absent.csv\"", "absent.csv cannot be read"),
    ];
    for (from, to, part) in cases {
        let net = Net::new(5);
        net.edit(&net.config(0), from, to);
        net.refused(0, part);
    }
}

#[test]
fn missing_files_are_named() {
    let net = Net::new(5);
    let run = |config: &str, job: &str| {
        let output = tercet().args(["node", "--config", config, "--job", job]).output().unwrap();
        common::Ended { output }.sentence()
    };
    let (config, job) = (net.config(0), net.job(0));
    assert!(run("absent.toml", job.to_str().unwrap()).contains("absent.toml cannot be read"));
    assert!(run(config.to_str().unwrap(), "absent.toml").contains("absent.toml cannot be read"));
}

#[test]
fn results_of_an_earlier_run_are_never_overwritten() {
    let net = Net::new(5);
    fs::create_dir(net.out(0)).unwrap();
    fs::write(net.out(0).join("record.json"), "earlier").unwrap();
    let sentence = net.start(0).wait().sentence();
    assert!(sentence.contains("holds the results of an earlier run"), "{sentence}");
    assert_eq!(fs::read_to_string(net.out(0).join("record.json")).unwrap(), "earlier");
}

#[test]
fn a_failed_run_that_opened_nothing_can_simply_be_run_again() {
    let record = |openings: &str| {
        format!(
            r#"{{"outcome": {{"status": "failed", "reason": "a peer was lost"}}, "openings": [{openings}]}}"#
        )
    };
    let net = Net::new(1);
    fs::create_dir(net.out(0)).unwrap();
    fs::write(net.out(0).join("record.json"), record("")).unwrap();
    // Nobody else is there, so it ends; but it does begin.
    let sentence = net.start(0).wait().sentence();
    assert!(sentence.contains("did not join"), "{sentence}");
    fs::write(net.out(0).join("record.json"), record(r#"{"reason": "model"}"#)).unwrap();
    let sentence = net.start(0).wait().sentence();
    assert!(sentence.contains("holds the results of an earlier run"), "{sentence}");
}

#[test]
fn the_doctor_finds_the_same_faults_and_none_where_there_is_none() {
    let doctor = |net: &Net| {
        let output =
            tercet().args(["doctor", "--config"]).arg(net.config(0)).arg("--job").arg(net.job(0)).output();
        common::Ended { output: output.unwrap() }
    };
    let net = Net::new(5);
    let well = doctor(&net);
    assert!(well.succeeded(), "{}", well.stderr());
    net.nothing_left(0);
    net.edit(&net.train_file(0), "x,y,class", "x,z,class");
    assert!(doctor(&net).sentence().contains("no column `y`"));

    let net = Net::new(5);
    let now = SystemTime::now();
    let expired = identity::generate_valid(NAMES[0], now - 2 * DAY, now - DAY).unwrap();
    for file in ["node.crt", "node.key"] {
        fs::remove_file(net.home(0).join(file)).unwrap();
    }
    expired.save(&net.home(0).join("node.crt"), &net.home(0).join("node.key")).unwrap();
    let text = fs::read_to_string(net.job(0)).unwrap();
    let pinned = text.lines().find_map(|line| line.strip_prefix("fingerprint = ")).unwrap();
    net.edit(&net.job(0), pinned, &format!("\"{}\"", expired.fingerprint()));
    let sentence = doctor(&net).sentence();
    assert!(sentence.contains("node.crt holds a certificate that expired on 20"), "{sentence}");
}

#[test]
fn a_node_file_with_a_wrong_peer_or_number_of_threads_is_refused() {
    let net = Net::new(5);
    net.edit(&net.config(0), "[data]", "[peers]\ndan = \"127.0.0.1:9\"\n\n[data]");
    net.refused(0, "[peers] of the node file gives an address for `dan`");
    net.edit(&net.config(0), "dan", NAMES[0]);
    net.refused(0, "not another party of the job");
    net.edit(&net.config(1), "listen", "threads = 0\nlisten");
    net.refused(1, "`threads` must be from 1 to 1024");
    net.edit(&net.config(1), "threads = 0\nlisten", "niceness = 20\nlisten");
    net.refused(1, "`niceness` must be from 0 to 19");
    net.edit(&net.config(1), "niceness = 20\nlisten", "cpus = []\nlisten");
    net.refused(1, "`cpus` must list one or more numbers of processors, below 1024");
    net.edit(&net.config(2), "[data]", "[transport]\npath = \"carrier-pigeon\"\n\n[data]");
    net.refused(2, "line ");
}

/// `text` with one cell of data row `row` (from 1) replaced.
fn with_cell(text: &str, row: usize, column: usize, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut cells: Vec<&str> = lines[row].split(',').collect();
    cells[column] = value;
    lines[row] = cells.join(",");
    lines.join("\n") + "\n"
}
