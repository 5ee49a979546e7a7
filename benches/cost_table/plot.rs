//! The table as a picture: time and traffic of a step against batch size and against network size.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use tercet_benches::Machine;
use tercet_engine::Cost;

use crate::COMMON_BATCH;
use crate::measure::{Row, Secure};

const SIZE: (u32, u32) = (1200, 900);
const TITLE_HEIGHT: i32 = 50;
const FONT: &str = "sans-serif";

/// Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const RED: RGBColor = RGBColor(213, 94, 0);
const PURPLE: RGBColor = RGBColor(204, 121, 167);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One line of a panel. Rows without a value have no point.
struct Series {
    name: &'static str,
    colour: RGBColor,
    of: fn(&Row) -> Option<f64>,
}

const TIME: [Series; 5] = [
    Series { name: "plaintext f32", colour: BLUE, of: |row| Some(row.plaintext.wall) },
    Series { name: "clear fixed point", colour: GREEN, of: |row| Some(row.clear.wall) },
    Series { name: "helper, in memory", colour: ORANGE, of: |row| Some(row.helper.as_ref()?.memory?.wall) },
    Series { name: "helper, QUIC", colour: RED, of: |row| Some(row.helper.as_ref()?.quic?.wall) },
    Series { name: "ot, QUIC", colour: PURPLE, of: |row| Some(row.ot.as_ref()?.quic?.wall) },
];

const TRAFFIC: [Series; 4] = [
    Series { name: "helper, online", colour: RED, of: |row| megabytes(&row.helper, Cost::online_bytes) },
    Series { name: "helper, offline", colour: BLUE, of: |row| megabytes(&row.helper, Cost::offline_bytes) },
    Series { name: "ot, online", colour: ORANGE, of: |row| megabytes(&row.ot, Cost::online_bytes) },
    Series { name: "ot, offline", colour: PURPLE, of: |row| megabytes(&row.ot, Cost::offline_bytes) },
];

fn megabytes(by: &Option<Secure>, bytes: fn(&Cost) -> u64) -> Option<f64> {
    by.as_ref().map(|by| bytes(&by.cost) as f64 / 1e6)
}

/// The horizontal axis of a panel: whole positions, each with a label.
struct Horizontal {
    label: &'static str,
    /// The position of each row, in increasing order.
    positions: Vec<i32>,
    /// What stands below position `i`, if anything.
    tick: Box<dyn Fn(i32) -> String>,
    /// Whether neighbours are joined by a line.
    joined: bool,
}

impl Horizontal {
    /// Batch sizes on a logarithmic scale.
    fn batches(rows: &[&Row]) -> Horizontal {
        let positions = rows.iter().map(|row| row.batch.ilog2() as i32).collect();
        let tick =
            Box::new(|i: i32| u32::try_from(i).map_or(String::new(), |i| (1u64 << i.min(63)).to_string()));
        Horizontal { label: "rows in a batch", positions, tick, joined: true }
    }

    /// Networks side by side.
    fn networks(rows: &[&Row]) -> Horizontal {
        let names: Vec<String> =
            rows.iter().map(|row| format!("{} ({})", row.network, thousands(row.parameters))).collect();
        let tick =
            move |i: i32| usize::try_from(i).ok().and_then(|i| names.get(i).cloned()).unwrap_or_default();
        let positions = (0..).take(rows.len()).collect();
        Horizontal { label: "network (parameters)", positions, tick: Box::new(tick), joined: false }
    }
}

/// Draws the rows into `file`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn draw(file: &Path, rows: &[Row], machine: &Machine) -> Result<()> {
    let mut svg = String::new();
    render(&mut svg, rows, machine).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    fs::write(file, svg).with_context(|| format!("{} cannot be written", file.display()))
}

fn render(svg: &mut String, rows: &[Row], machine: &Machine) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (title, panels) = root.split_vertically(TITLE_HEIGHT);
    let text = format!("Cost of one training step ({machine})");
    title.draw(&Text::new(text, (20, 16), (FONT, 20).into_font()))?;
    let panels = panels.split_evenly((2, 2));

    // All batch sizes of network A are powers of two.
    let by_batch: Vec<&Row> = rows.iter().filter(|row| row.network == "A").collect();
    let mut by_size: Vec<&Row> = rows.iter().filter(|row| row.batch == COMMON_BATCH).collect();
    by_size.sort_by(|a, b| a.plaintext.wall.total_cmp(&b.plaintext.wall));
    let (batches, networks) = (Horizontal::batches(&by_batch), Horizontal::networks(&by_size));
    let common = format!("Batches of {COMMON_BATCH}");
    panel(&panels[0], "Network A: time of a step", "ms", &batches, &by_batch, &TIME)?;
    panel(&panels[1], &format!("{common}: time of a step"), "ms", &networks, &by_size, &TIME)?;
    panel(&panels[2], "Network A: sent by all parties in a step", "MB", &batches, &by_batch, &TRAFFIC)?;
    panel(
        &panels[3],
        &format!("{common}: sent by all parties in a step"),
        "MB",
        &networks,
        &by_size,
        &TRAFFIC,
    )?;
    root.present()?;
    Ok(())
}

fn panel(
    area: &Area<'_>,
    title: &str,
    unit: &str,
    horizontal: &Horizontal,
    rows: &[&Row],
    series: &[Series],
) -> Result<(), Box<dyn std::error::Error>> {
    let (first, last) = match horizontal.positions.as_slice() {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        // No row was measured for this panel.
        [] => return Ok(()),
    };
    // Room for the legend above the points.
    let y = bounds(rows.iter().flat_map(|row| series.iter().filter_map(|s| (s.of)(row))), 2.0, 100.0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 18))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(first - 1..last + 1, y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(horizontal.label)
        .y_desc(unit)
        .axis_desc_style((FONT, 15))
        .label_style((FONT, 13))
        .x_label_formatter(&|i| {
            if (first..=last).contains(i) { (horizontal.tick)(*i) } else { String::new() }
        })
        .y_label_formatter(&|v| plain(*v))
        .x_labels((last - first + 3) as usize)
        .x_max_light_lines(1)
        .y_max_light_lines(1)
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(BLACK.mix(0.06))
        .draw()?;
    for Series { name, colour, of } in series {
        let points: Vec<(i32, f64)> =
            horizontal.positions.iter().zip(rows).filter_map(|(x, row)| Some((*x, of(row)?))).collect();
        if horizontal.joined {
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
        }
        chart
            .draw_series(points.iter().map(|point| Circle::new(*point, 5, colour.filled())))?
            .label(*name)
            .legend(|(x, y)| Circle::new((x + 9, y), 5, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// The range of positive `values`, wider by factors below and above.
fn bounds(values: impl Iterator<Item = f64>, below: f64, above: f64) -> Range<f64> {
    let positive = values.filter(|v| *v > 0.0);
    let (low, high) = positive.fold((f64::MAX, 0.0), |(l, h), v| (v.min(l), v.max(h)));
    if high > 0.0 { low / below..high * above } else { 1.0..10.0 }
}

/// A number of an axis without an exponent.
fn plain(value: f64) -> String {
    let digits = (-value.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// A count in thousands once it has some.
fn thousands(count: usize) -> String {
    if count < 1000 { count.to_string() } else { format!("{}k", (count + 500) / 1000) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Step;

    fn row(network: &'static str, batch: usize, wall: f64) -> Row {
        let step = |wall| Step { wall, processor: None };
        let mut cost = Cost { rounds: 20, ..Cost::default() };
        cost.online[0][1] = 1_000_000;
        cost.offline[2][1] = 3_000_000;
        let helper =
            Secure { memory: Some(step(wall / 2.0)), quic: Some(step(wall)), ratio: Some(20.0), cost };
        cost.offline[1][0] = 3_000_000_000;
        let ot = Secure { memory: None, quic: Some(step(wall * 1e3)), ratio: Some(2e4), cost };
        Row {
            network,
            layers: network,
            parameters: 12_345,
            batch,
            plaintext: step(wall / 20.0),
            clear: step(wall / 5.0),
            helper: Some(helper),
            ot: Some(ot),
        }
    }

    fn drawn(rows: &[Row]) -> String {
        let mut svg = String::new();
        render(&mut svg, rows, &Machine::this()).unwrap();
        svg
    }

    #[test]
    fn every_network_batch_and_series_is_named_in_the_plot() {
        let svg = drawn(&[row("A", 32, 5.0), row("A", 128, 9.0), row("C", 128, 700.0)]);
        let series = TIME.iter().chain(&TRAFFIC).map(|s| s.name);
        for word in series.chain(["32", "64", "128", "A (12k)", "C (12k)", "ms", "MB"]) {
            assert!(svg.lines().any(|line| line == word), "{word} is missing");
        }
    }

    #[test]
    fn a_row_without_a_value_has_no_point() {
        let points = |rows: &[Row]| drawn(rows).matches("<circle").count();
        let declared_only = |row: Row| Row { ot: row.ot.map(|ot| Secure { quic: None, ..ot }), ..row };
        let all = points(&[row("C", 128, 700.0)]);
        assert_eq!(all - points(&[declared_only(row("C", 128, 700.0))]), 1);
        assert_eq!(all - points(&[Row { ot: None, ..row("C", 128, 700.0) }]), 3);
    }

    #[test]
    fn a_single_row_and_no_row_can_be_drawn() {
        assert!(drawn(&[row("C", 128, 700.0)]).contains("C (12k)"));
        assert!(drawn(&[]).contains("</svg>"));
    }
}
