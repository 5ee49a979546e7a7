//! The journal of a run.

use std::fs;

use tercet_node::recovery::journal::{self, Event, Journal};

use crate::scratch;

const RUN: &str = "01010101010101010101010101010101";

pub(crate) fn run(bytes: &[u8]) -> bool {
    let out = scratch::kept("out");
    let path = scratch::file("out/journal.jsonl", bytes);
    let events = journal::read(&out).expect("a file can be read");
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
    assert!(events.len() <= lines, "a line is one event at most");
    let openings = journal::openings(&events, RUN);
    let reached = journal::opened(&events, RUN, 0, true);
    let own = openings.iter().filter(|opening| opening.opening.to.contains(&0));
    assert!(own.map(|opening| opening.step).max() <= Some(reached.opened), "what is on record was opened");
    // Whatever there was, the next line is read back.
    let mut open = Journal::open(&out).expect("a file can be opened");
    let added =
        Event::Begin { at: 1, run: RUN.into(), session: RUN.into(), from: 3, keys: Default::default() };
    open.add(&added).expect("a file can be written");
    open.sync().expect("a file can be made durable");
    let after = journal::read(&out).expect("a file can be read");
    assert_eq!(after.last(), Some(&added), "a line swallowed the next one");
    assert!(fs::metadata(&path).is_ok_and(|file| file.len() > bytes.len() as u64), "a journal is never cut");
    events.len() == lines && lines > 0
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let key = "ab".repeat(32);
    let text = format!(
        "{{\"event\":\"begin\",\"at\":1,\"run\":\"{RUN}\",\"session\":\"{RUN}\",\"from\":0,\"keys\":[\"{key}\",\"{key}\",\"{key}\"]}}\n\
         {{\"event\":\"step\",\"step\":1}}\n{{\"event\":\"checkpoint\",\"step\":1}}\n{{\"event\":\"opens\",\"step\":1}}\n\
         {{\"event\":\"opened\",\"reason\":\"accuracy\",\"what\":\"a\",\"to\":[0,2],\"values\":1,\"step\":1}}\n\
         {{\"event\":\"ended\",\"at\":2,\"step\":1,\"reason\":\"lost\"}}\n{{\"event\":\"finished\",\"at\":3,\"steps\":1}}\n"
    );
    vec![text.clone().into_bytes(), text.lines().next().map(str::to_owned).unwrap_or_default().into_bytes()]
}
