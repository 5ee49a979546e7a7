//! What a node's own files say of it: the status, and the record of an earlier run.

use tercet_engine::{Opening, OpeningRecord, Reason};
use tercet_node::node::record;
use tercet_node::status;

use crate::scratch;

const RUN: &str = "01010101010101010101010101010101";

pub(crate) fn run(bytes: &[u8]) -> bool {
    let folder = scratch::kept("state");
    scratch::file("state/status.json", bytes);
    let Ok(state) = status::read(&folder) else { return false };
    let state = state.expect("the file is there");
    for alive in [true, false] {
        let text = status::describe(&state, state.updated.wrapping_add(1), alive);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "what goes to a terminal is printable");
        assert!(text.lines().count() <= 7 + state.peers.len(), "a text of the file is one line");
    }
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let text = r#"{"pid":1,"updated":9,"job":"j","job_hash":"00","party":"a","role":"dealer","doing":"training","since":1,
"until":null,"session":"01","resumed_from":50,"step":77,"steps":300,"checkpoint":50,"checkpoint_at":8,"sessions":2,"reason":"r",
"peers":[{"name":"b","role":"evaluator-0","here":false,"since":3,"lost_at_step":7,"reason":"it\u0007is gone"},
{"name":"c","role":"evaluator-1","here":true,"since":3,"lost_at_step":null,"reason":null}]}"#;
    let waiting = text.replace("training", "waiting").replace("\"until\":null", "\"until\":99");
    vec![text.as_bytes().to_vec(), waiting.into_bytes()]
}

/// The record of a run, as the next start of the node reads it.
pub(crate) fn run_record(bytes: &[u8]) -> bool {
    let out = scratch::kept("record");
    scratch::file("record/record.json", bytes);
    let finished = record::finished(&out, RUN);
    assert!(!finished || record::holds_results(&out), "a finished run has results");
    let opening = Opening { reason: Reason::Model, what: "a".into(), to: vec![0] };
    let amended = record::amend(&out, &[OpeningRecord { opening, values: 1, step: 2 }]).is_ok();
    if finished {
        assert!(amended && record::finished(&out, RUN), "a finished record stays one");
    }
    amended
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    [
        format!(
            "{{\"outcome\":{{\"status\":\"finished\"}},\"run\":\"{RUN}\",\"openings\":[{{}}],\"steps\":3}}"
        ),
        "{\"outcome\":{\"status\":\"failed\",\"reason\":\"lost\"},\"openings\":[]}".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
