//! The table as Markdown.

use tercet_benches::{Machine, Threads};

use crate::measure::{Effort, Row};

const HEAD: &str = "\
| network | batch | plaintext f32 ms | clear fixed point ms | secure in memory ms | secure QUIC ms | QUIC / plaintext | processor ms, QUIC | MB online | MB offline | rounds |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
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
        let processor = row.quic.processor.map_or("unknown".to_owned(), number);
        let cells = [
            row.network.to_owned(),
            row.batch.to_string(),
            number(row.plaintext.wall),
            number(row.clear.wall),
            number(row.memory.wall),
            number(row.quic.wall),
            number(row.ratio),
            processor,
            number(row.cost.online_bytes() as f64 / 1e6),
            number(row.cost.offline_bytes() as f64 / 1e6),
            row.cost.rounds.to_string(),
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
        "The three parties share the cores of this machine, and all of them count: the dealer's work of a step is in its time. \
         Processor ms is the processor time of the three parties together; it hardly depends on other load. \
         MB (10^6 bytes) are payload sent by all parties in one step, as declared by the protocol and found equal to every \
         party's meter, as are the rounds.\n",
    );
    out
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
    use tercet_engine::Cost;

    use super::*;
    use crate::measure::Step;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.01234, 0.1234, 1.234, 12.34, 123.4, 9.999, 1234.0].map(number);
        assert_eq!(shown, ["0.0123", "0.123", "1.23", "12.3", "123", "10.0", "1234"]);
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let step = |wall| Step { wall, processor: Some(2.0 * wall) };
        let mut cost = Cost { rounds: 26, ..Cost::default() };
        cost.online[0][1] = 1_500_000;
        cost.offline[2][1] = 2_000_000;
        let row = Row {
            network: "A",
            layers: "784-128-128-10",
            parameters: 118_282,
            batch: 128,
            plaintext: step(1.5),
            clear: step(4.0),
            memory: step(20.0),
            quic: step(30.0),
            ratio: 20.0,
            cost,
        };
        let text = markdown(&[row], &Machine::this(), (Some(1.0), None), Threads::Each(1), Effort::QUICK);
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        let bars = |line: &str| line.matches('|').count();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|l| bars(l) == bars(lines[0])), "{text}");
        assert_eq!(lines[2], "| A | 128 | 1.50 | 4.00 | 20.0 | 30.0 | 20.0 | 60.0 | 1.50 | 2.00 | 26 |");
        assert!(text.contains("load 1.0 before, unknown after"), "{text}");
    }
}
