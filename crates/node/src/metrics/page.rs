//! The live page: one table, loaded anew every two seconds. No script.

use std::fmt::Write;

use super::{Shown, prometheus::peers};
use crate::text;

/// The page as HTML.
pub(super) fn page(shown: &Shown) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = write!(rows, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    };
    let tick = &shown.tick;
    row("job", &format!("{} ({})", shown.job, shown.protocol));
    row("party", shown.parties.get(shown.me).map_or("", String::as_str));
    row("state", shown.state.name());
    row("step", &format!("{} of {}", text::grouped(tick.step), text::grouped(tick.steps)));
    row("epoch", &format!("{} of {}", tick.epoch, tick.epochs));
    if let Some(loss) = tick.loss {
        row("loss, last opened", &format!("{loss:.4}"));
    }
    if let Some(accuracy) = tick.accuracy {
        row("accuracy, last opened", &text::percent(accuracy));
    }
    row("rounds", &text::grouped(shown.traffic.rounds));
    row("running for", &text::seconds(shown.seconds));
    for (peer, name) in peers(shown) {
        let both = |from: usize, to: usize| {
            let at =
                |bytes: &[[u64; 3]; 3]| bytes.get(from).and_then(|row| row.get(to)).copied().unwrap_or(0);
            text::bytes(at(&shown.traffic.online) + at(&shown.traffic.offline))
        };
        let state = shown.peers.get(peer).map_or("", |state| state.name());
        let value = format!("{state}, {} sent, {} received", both(shown.me, peer), both(peer, shown.me));
        row(&format!("peer {name}"), &value);
    }
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
         <title>{}</title><style>body{{font:16px/1.5 system-ui,sans-serif;margin:2em}}\
         table{{border-collapse:collapse}}th{{text-align:left;font-weight:400;color:#555;padding-right:2em}}\
         td,th{{border-bottom:1px solid #ddd}}</style></head><body><table>{rows}</table>\
         <p><a href=\"metrics\">metrics</a></p></body></html>\n",
        escaped(&format!("tercet: {}", shown.job))
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
