//! The table as Markdown.

use tercet_benches::{Machine, Threads};
use tercet_engine::Cost;

use crate::measure::{Effort, Row, Secure, Step};

const HEAD: &str = "\
| network | batch | plaintext f32 ms | clear fixed point ms | helper in memory ms | helper QUIC ms | helper / plaintext | processor ms, helper | ot QUIC ms | ot / plaintext | processor ms, ot | helper MB online | helper MB offline | ot MB online | ot MB offline | rounds |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// The table, with the machine and its load above it and the meaning of rows and columns below it. `load` is the load
/// before and after.
pub(crate) fn markdown(
    rows: &[Row],
    machine: &Machine,
    load: (Option<f64>, Option<f64>),
    threads: Threads,
    effort: Effort,
) -> String {
    let show = |load: Option<f64>| load.map_or("unknown".to_owned(), |l| format!("{l:.1}"));
    let mut out = format!(
        "Cost of one training step. {machine}; load {} before, {} after; {threads}; medians of {} turns.\n\n{HEAD}",
        show(load.0),
        show(load.1),
        effort.turns
    );
    for row in rows {
        let (helper, ot) = (row.helper.as_ref(), row.ot.as_ref());
        let wall = |step: Option<Step>| cell(step.map(|step| step.wall));
        let processor = |step: Option<Step>| {
            step.map_or(NONE.to_owned(), |step| step.processor.map_or("unknown".to_owned(), number))
        };
        let [helper_quic, ot_quic] = [helper, ot].map(|by| by.and_then(|by| by.quic));
        let megabytes =
            |by: Option<&Secure>, bytes: fn(&Cost) -> u64| cell(by.map(|by| bytes(&by.cost) as f64 / 1e6));
        let cells = [
            row.network.to_owned(),
            row.batch.to_string(),
            number(row.plaintext.wall),
            number(row.clear.wall),
            wall(helper.and_then(|by| by.memory)),
            wall(helper_quic),
            cell(helper.and_then(|by| by.ratio)),
            processor(helper_quic),
            wall(ot_quic),
            cell(ot.and_then(|by| by.ratio)),
            processor(ot_quic),
            megabytes(helper, Cost::online_bytes),
            megabytes(helper, Cost::offline_bytes),
            megabytes(ot, Cost::online_bytes),
            megabytes(ot, Cost::offline_bytes),
            helper.or(ot).map_or(NONE.to_owned(), |by| by.cost.rounds.to_string()),
        ];
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push('\n');
    let mut named: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.network != row.layers) {
        if !named.contains(&row.network) {
            named.push(row.network);
            out.push_str(&format!("{}: {}, {} parameters. ", row.network, row.layers, row.parameters));
        }
    }
    out.push_str(
        "The three parties share the cores of this machine, and all of them count: the dealer's work of a step is in the time of `helper`, \
         the making of triples in that of `ot`. \
         Processor ms is the processor time of the three parties together over QUIC; it hardly depends on other load. \
         MB (10^6 bytes) are payload sent by all parties in one step, as declared by the protocol, as are the rounds; of `ot` it is the \
         second step. Where steps were made, the totals that they declare, with the joining of the parties and the sharing of the rows, \
         were found equal to every party's meter. Both protocols take the same rounds. ",
    );
    out.push_str(&format!(
        "Steps of `ot` are timed once, without a warm-up, and against the median of plaintext; above {} GB a step none is made, and \
         the row has the declared MB alone.\n",
        number(effort.ot_bytes as f64 / 1e9)
    ));
    out
}

/// A cell without a figure.
const NONE: &str = "–";

fn cell(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), number)
}

/// Three significant digits, without an exponent.
fn number(value: f64) -> String {
    let digits = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.0995 => 3,
        _ => 4,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.01234, 0.1234, 1.234, 12.34, 123.4, 9.999, 1234.0].map(number);
        assert_eq!(shown, ["0.0123", "0.123", "1.23", "12.3", "123", "10.0", "1234"]);
    }

    fn step(wall: f64) -> Step {
        Step { wall, processor: Some(2.0 * wall) }
    }

    fn row() -> Row {
        let mut cost = Cost { rounds: 26, ..Cost::default() };
        cost.online[0][1] = 1_500_000;
        cost.offline[2][1] = 2_000_000;
        let helper = Secure { memory: Some(step(20.0)), quic: Some(step(30.0)), ratio: Some(20.0), cost };
        cost.offline[1][0] = 3_000_000_000;
        let ot = Secure { memory: None, quic: Some(step(9000.0)), ratio: Some(6000.0), cost };
        Row {
            network: "A",
            layers: "784-128-128-10",
            parameters: 118_282,
            batch: 128,
            plaintext: step(1.5),
            clear: step(4.0),
            helper: Some(helper),
            ot: Some(ot),
        }
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let declared_only = || row().ot.map(|ot| Secure { quic: None, ratio: None, ..ot });
        let rows = [
            row(),
            Row { ot: declared_only(), ..row() },
            Row { ot: None, ..row() },
            Row { helper: None, ..row() },
        ];
        let text = markdown(&rows, &Machine::this(), (Some(1.0), None), Threads::Each(1), Effort::QUICK);
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        let bars = |line: &str| line.matches('|').count();
        assert!(lines.iter().all(|l| bars(l) == bars(lines[0])), "{text}");
        assert_eq!(
            lines[2..],
            [
                "| A | 128 | 1.50 | 4.00 | 20.0 | 30.0 | 20.0 | 60.0 | 9000 | 6000 | 18000 | 1.50 | 2.00 | 1.50 | 3002 | 26 |",
                "| A | 128 | 1.50 | 4.00 | 20.0 | 30.0 | 20.0 | 60.0 | – | – | – | 1.50 | 2.00 | 1.50 | 3002 | 26 |",
                "| A | 128 | 1.50 | 4.00 | 20.0 | 30.0 | 20.0 | 60.0 | – | – | – | 1.50 | 2.00 | – | – | 26 |",
                "| A | 128 | 1.50 | 4.00 | – | – | – | – | 9000 | 6000 | 18000 | – | – | 1.50 | 3002 | 26 |",
            ]
        );
        assert!(text.contains("load 1.0 before, unknown after"), "{text}");
        assert!(text.contains("above 1.50 GB a step none is made"), "{text}");
    }
}
