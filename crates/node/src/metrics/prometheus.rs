//! The state of a run in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use super::{PeerState, RunState, Shown};

/// The media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub fn text(shown: &Shown) -> String {
    let mut out = Out(String::with_capacity(4096));
    let tick = &shown.tick;
    let own = shown.parties.get(shown.me).map_or("", String::as_str);
    let labels = [("job", shown.job.as_str()), ("party", own), ("protocol", shown.protocol)];
    out.family("tercet_info", "gauge", "The job that this node runs.");
    out.sample("tercet_info", &labels, 1.0);
    out.family("tercet_run_state", "gauge", "What the run is doing: 1 for the state that holds.");
    for state in RunState::ALL {
        out.sample("tercet_run_state", &[("state", state.name())], f64::from(state == shown.state));
    }
    out.one("tercet_uptime_seconds", "gauge", "Seconds since the node started.", shown.seconds);
    out.one("tercet_steps_done_total", "counter", "Steps of training done.", tick.step as f64);
    out.one("tercet_steps", "gauge", "Steps of the whole training.", tick.steps as f64);
    out.one("tercet_epoch", "gauge", "Epochs begun.", f64::from(tick.epoch));
    out.one("tercet_epochs", "gauge", "Epochs of the whole training.", f64::from(tick.epochs));
    out.one("tercet_rounds_total", "counter", "Online rounds of the protocol.", shown.traffic.rounds as f64);
    if let Some(loss) = tick.loss {
        out.one("tercet_loss", "gauge", "The last mean loss that was opened to this party.", loss);
    }
    if let Some(accuracy) = tick.accuracy {
        out.one("tercet_accuracy", "gauge", "The last accuracy that was opened to this party.", accuracy);
    }
    out.family("tercet_peer_joined", "gauge", "Whether a peer has joined and is not known to be lost.");
    for (peer, name) in peers(shown) {
        let joined = shown.peers.get(peer) == Some(&PeerState::Joined);
        out.sample("tercet_peer_joined", &[("peer", name)], f64::from(joined));
    }
    for (name, help, received) in [
        ("tercet_link_sent_bytes_total", "Payload bytes sent to a peer.", false),
        ("tercet_link_received_bytes_total", "Payload bytes received from a peer.", true),
    ] {
        out.family(name, "counter", help);
        for (peer, label) in peers(shown) {
            let (from, to) = if received { (peer, shown.me) } else { (shown.me, peer) };
            for (phase, bytes) in [("online", shown.traffic.online), ("offline", shown.traffic.offline)] {
                let bytes = bytes.get(from).and_then(|row| row.get(to)).copied().unwrap_or(0);
                out.sample(name, &[("peer", label), ("phase", phase)], bytes as f64);
            }
        }
    }
    out.0
}

/// Index and name of the other parties.
pub(super) fn peers(shown: &Shown) -> impl Iterator<Item = (usize, &str)> {
    let me = shown.me;
    shown.parties.iter().enumerate().filter(move |(at, _)| *at != me).map(|(at, name)| (at, name.as_str()))
}

/// Writing to a string cannot fail.
struct Out(String);

impl Out {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{}\"", escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

/// A label's value: backslash, quote and line feed are the characters that the format escapes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
