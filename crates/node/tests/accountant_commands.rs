//! `tercet epsilon` and `tercet calibrate`, by the real program.

mod common;

use common::tercet;
use serde_json::Value;

/// Runs a command line and reads the object it prints.
fn json(line: &str) -> Value {
    let output = tercet().args(line.split_whitespace()).arg("--json").output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a command line that must be refused with one sentence that holds `part`.
fn refused(line: &str, part: &str) {
    let output = tercet().args(line.split_whitespace()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
    assert!(output.stdout.is_empty() && stderr.lines().count() == 1, "{line}: {stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(part), "{line}: {stderr}");
}

/// `found` within 0.1 % of `expected`.
fn close(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found}"));
    assert!((found / expected - 1.0).abs() < 1e-3, "{what}: {found} instead of {expected}");
}

#[test]
fn epsilon_prints_every_method_and_null_where_one_is_not_defined() {
    let gaussian = json("epsilon --mechanism gaussian --sigma 4 --steps 1 --delta 1e-5");
    close(&gaussian["eps_rdp"], 1.0125506278, "rdp");
    close(&gaussian["eps_pld"], 0.92634152, "pld");
    close(&gaussian["eps_exact"], 0.9263415040, "exact");
    assert_eq!((&gaussian["mechanism"], &gaussian["steps"]), (&"gaussian".into(), &1.into()));

    let sampled = json("epsilon --mechanism poisson-gaussian --q 0.01 --sigma 1 --steps 1000 --delta 1e-5");
    close(&sampled["eps_rdp"], 2.1013665254, "rdp");
    close(&sampled["eps_pld"], 1.82824365, "pld");
    assert!(sampled["eps_exact"].is_null());

    let truncated = json(
        "epsilon --mechanism truncated-poisson-gaussian --q 0.07032967032967033 --sigma 2 --steps 284 \
         --batch 48 --n 455 --delta 0.001",
    );
    assert!(truncated["eps_rdp"].is_null() && truncated["eps_exact"].is_null());
    close(&truncated["eps_pld"], 1.90859493, "pld");

    let zcdp = json("epsilon --mechanism zcdp --rho 0.1 --delta 1e-6");
    close(&zcdp["eps_rdp"], 2.1430435238, "rdp");
    assert!(zcdp["eps_pld"].is_null());
    close(&json("epsilon --mechanism laplace --scale 1 --delta 1e-5")["eps_pld"], 0.99998, "pld");
}

#[test]
fn without_json_epsilon_prints_one_line_a_method() {
    let line = "epsilon --mechanism gaussian --sigma 4 --delta 1e-5";
    let output = tercet().args(line.split_whitespace()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("1.0125506") && text.contains("0.9263415"), "{text}");
}

#[test]
fn a_calibrated_mechanism_costs_what_was_asked_for() {
    for mechanism in ["gaussian --steps 40", "poisson-gaussian --q 0.05 --steps 200"] {
        let found = json(&format!("calibrate --mechanism {mechanism} --epsilon 1 --delta 1e-5"));
        let sigma = found["sigma"].as_f64().unwrap();
        let back = json(&format!("epsilon --mechanism {mechanism} --sigma {sigma} --delta 1e-5"));
        let best = ["eps_rdp", "eps_pld", "eps_exact"].iter().filter_map(|key| back[key].as_f64());
        let best = best.fold(f64::INFINITY, f64::min);
        assert!(best <= 1.0 && best > 0.999, "{mechanism}: {best} with {sigma}");
    }
    // The row d2 of the vectors, the other way round: calibrated by Rényi at epsilon 1.
    let rdp = json("calibrate --mechanism gaussian --steps 40 --epsilon 1 --delta 1e-5 --method rdp");
    close(&rdp["sigma"], 25.5836507, "sigma");
}

#[test]
fn every_bad_value_is_one_sentence_and_a_failure() {
    for delta in ["0", "1", "-1e-5", "nan", "2"] {
        refused(&format!("epsilon --mechanism gaussian --sigma 4 --delta {delta}"), "delta is");
    }
    for sigma in ["0", "-1", "nan", "inf"] {
        refused(&format!("epsilon --mechanism gaussian --sigma {sigma} --delta 1e-5"), "sigma is");
    }
    refused(
        "epsilon --mechanism gaussian --sigma 1e-4 --delta 1e-5",
        "the noise multiplier sigma is 0.0001, below the supported 0.001; use a larger value",
    );
    for q in ["1.5", "0", "-0.1", "nan"] {
        refused(
            &format!("epsilon --mechanism poisson-gaussian --q {q} --sigma 1 --delta 1e-5"),
            "the sampling rate q",
        );
    }
    refused("epsilon --mechanism gaussian --sigma 4 --steps 0 --delta 1e-5", "the number of steps is 0");
    refused("epsilon --mechanism gaussian --delta 1e-5", "needs --sigma");
    refused("epsilon --mechanism zcdp --sigma 1 --delta 1e-5", "no use for --sigma");
    refused("epsilon --mechanism poisson-gaussian --sigma 1 --delta 1e-5", "needs --q");
    refused("epsilon --mechanism gaussian --q 0.5 --sigma 1 --delta 1e-5", "no use for --q");
    refused(
        "epsilon --mechanism fixed-size-gaussian --sigma 1 --batch 9 --n 8 --delta 1e-5",
        "the batch is 9 of 8 records",
    );
    for epsilon in ["0", "-1", "nan"] {
        refused(&format!("calibrate --mechanism gaussian --epsilon {epsilon} --delta 1e-5"), "epsilon is");
    }
    refused("calibrate --mechanism gaussian --epsilon 1e-9 --delta 1e-12 --steps 1000000000", "out of reach");
    refused("calibrate --mechanism zcdp --epsilon 1 --delta 1e-5", "states no noise");
    refused("calibrate --mechanism laplace --epsilon 1 --delta 1e-5 --method exact", "no accounting method");
}

#[test]
fn an_unknown_mechanism_is_wrong_usage_and_the_known_ones_are_named() {
    let output = tercet().args(["epsilon", "--mechanism", "magic", "--delta", "1e-5"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("poisson-gaussian"));
}
