//! A status in words, as `tercet status` says it.

use std::fmt::Write;
use std::time::Duration;

use super::{Doing, PeerStatus, State};
use crate::text;

/// The whole answer, at time `at` in milliseconds since 1970; `alive` if the process that wrote the status is there.
pub fn describe(state: &State, at: u64, alive: bool) -> String {
    let ago = |then: u64| text::span(Duration::from_millis(at.saturating_sub(then)));
    let ended = matches!(state.doing, Doing::Finished | Doing::Stopped | Doing::Failed);
    let mut doing = match state.doing {
        Doing::Joining => "waiting for the others to come".to_owned(),
        Doing::Sharing => "sharing rows".to_owned(),
        Doing::Training => "training".to_owned(),
        Doing::Waiting => "waiting for a lost party".to_owned(),
        Doing::Finished => "finished".to_owned(),
        Doing::Stopped => "stopped on request".to_owned(),
        Doing::Failed => "failed".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = write!(doing, ", for {}", ago(state.since));
    if let Some(until) = state.until.filter(|_| alive && !ended) {
        let _ =
            write!(doing, ", at most {} more", text::span(Duration::from_millis(until.saturating_sub(at))));
    }
    if !alive && !ended {
        doing = format!(
            "gone: its process ended {} ago at the latest without a word; start it again to go on",
            ago(state.updated)
        );
    }
    let mut out = format!("job         {} (sha256 {})\n", state.job, state.job_hash);
    let _ = writeln!(out, "party       {} as {}", state.party, state.role);
    let _ = writeln!(out, "state       {doing}");
    let steps = if state.steps > 0 { state.steps.to_string() } else { "?".to_owned() };
    let _ = write!(out, "step        {} of {steps}", state.step);
    if let Some(from) = state.resumed_from {
        let _ = write!(out, ", went on from step {from}");
    }
    let kept = match (state.checkpoint, state.checkpoint_at) {
        (Some(step), Some(then)) => format!("step {step}, {} ago", ago(then)),
        (Some(step), None) => format!("step {step}"),
        (None, _) => "none".to_owned(),
    };
    let _ = write!(out, "\ncheckpoint  {kept}");
    for peer in &state.peers {
        let _ = write!(out, "\npeer        {}", described(peer, &ago));
    }
    if let Some(reason) = &state.reason {
        let _ = write!(out, "\nreason      {reason}");
    }
    out
}

fn described(peer: &PeerStatus, ago: &dyn Fn(u64) -> String) -> String {
    let PeerStatus { name, role, here, since, lost_at_step, reason } = peer;
    let mut text = format!("{name} as {role}: ");
    let _ = match (here, lost_at_step) {
        (true, _) => write!(text, "here for {}", ago(*since)),
        (false, Some(step)) => write!(text, "lost for {}, at step {step}", ago(*since)),
        (false, None) => write!(text, "not here for {}", ago(*since)),
    };
    if let Some(reason) = reason {
        let _ = write!(text, " ({reason})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let peer = |name: &str, here, lost_at_step| PeerStatus {
            name: name.into(),
            role: "dealer".into(),
            here,
            since: 40_000,
            lost_at_step,
            reason: lost_at_step.map(|_| "nothing was heard from it for 15.0 s".into()),
        };
        State {
            pid: 1,
            updated: 99_000,
            job: "small".into(),
            job_hash: "ab".into(),
            party: "ada".into(),
            role: "evaluator-0".into(),
            doing: Doing::Waiting,
            since: 40_000,
            until: Some(160_000),
            session: None,
            resumed_from: Some(50),
            step: 77,
            steps: 300,
            checkpoint: Some(50),
            checkpoint_at: Some(90_000),
            sessions: 2,
            reason: None,
            peers: vec![peer("ben", false, Some(77)), peer("cyd", true, None)],
        }
    }

    #[test]
    fn a_waiting_node_says_for_whom_since_when_and_how_long() {
        let text = describe(&state(), 100_000, true);
        for part in [
            "ada as evaluator-0",
            "waiting for a lost party, for 1 min 00 s, at most 1 min 00 s more",
            "77 of 300, went on from step 50",
            "step 50, 10 s ago",
            "ben as dealer: lost for 1 min 00 s, at step 77 (nothing was heard from it for 15.0 s)",
            "cyd as dealer: here for 1 min 00 s",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }

    #[test]
    fn a_killed_node_is_not_reported_as_running() {
        let text = describe(&state(), 100_000, false);
        assert!(text.contains("gone: its process ended 1 s ago at the latest"), "{text}");
    }
}
