//! How far a run is: a bar on a terminal, and a line now and then in the log.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::logging::{Console, PROGRESS};
use crate::metrics::Live;
use crate::text;

/// After this long there is a line in the log in any case.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// After this long a new epoch is worth a line.
const EPOCH_LINE_EVERY: Duration = Duration::from_secs(1);

/// Drawing the bar more often than this would show up in the time of a fast run.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Where a run stands after a step. Loss and accuracy only where the job opened them to this party.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tick {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Epochs begun, from 1.
    pub epoch: u32,
    /// Epochs of the whole run.
    pub epochs: u32,
    /// The last mean loss that was opened.
    pub loss: Option<f64>,
    /// The last accuracy that was opened, 0 to 1.
    pub accuracy: Option<f64>,
}

/// Shows a run's progress.
pub struct Progress {
    live: Live,
    bar: Option<ProgressBar>,
    started: Instant,
    drawn: Option<Instant>,
    logged: Instant,
    last: Tick,
}

impl Progress {
    /// For a run that starts now.
    pub fn new(console: &Console) -> Progress {
        let bar = console.is_terminal().then(|| {
            let bar = console.bars().add(ProgressBar::no_length());
            // The template is a constant; a fault in it shows a plain bar.
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let now = Instant::now();
        Progress {
            live: console.live().clone(),
            bar,
            started: now,
            drawn: None,
            logged: now,
            last: Tick::default(),
        }
    }

    /// The operators' view.
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// Shows where the run stands, if it is time to. `sent` is asked for the bytes that this party sent so far.
    pub fn show(&mut self, tick: Tick, sent: impl FnOnce() -> Option<u64>) {
        let now = Instant::now();
        self.live.tick(tick);
        // What was opened once stays on display.
        let tick = Tick {
            loss: tick.loss.or(self.last.loss),
            accuracy: tick.accuracy.or(self.last.accuracy),
            ..tick
        };
        let opened = (tick.loss, tick.accuracy) != (self.last.loss, self.last.accuracy);
        let ended = tick.step == tick.steps && self.last.step != tick.step;
        let first = self.last.step == 0;
        let new_epoch = tick.epoch != self.last.epoch && now - self.logged >= EPOCH_LINE_EVERY;
        self.last = tick;
        let draw = self.bar.is_some() && (ended || self.drawn.is_none_or(|drawn| now - drawn >= DRAW_EVERY));
        let log = first || ended || opened || new_epoch || now - self.logged >= LINE_EVERY;
        if !(draw || log) {
            return;
        }
        let line = describe(&tick, now - self.started, sent());
        if let Some(bar) = self.bar.as_ref().filter(|_| draw) {
            bar.set_length(tick.steps);
            bar.set_position(tick.step);
            bar.set_message(line.clone());
            self.drawn = Some(now);
        }
        if log {
            tracing::info!(target: PROGRESS, "step {}/{}, {line}", tick.step, tick.steps);
            self.logged = now;
        }
    }

    /// Takes the bar off the terminal.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn describe(tick: &Tick, spent: Duration, sent: Option<u64>) -> String {
    let mut line = format!("epoch {}/{}", tick.epoch, tick.epochs);
    // Writing to a string cannot fail.
    if let Some(loss) = tick.loss {
        let _ = write!(line, ", loss {loss:.4}");
    }
    if let Some(accuracy) = tick.accuracy {
        let _ = write!(line, ", accuracy {}", text::percent(accuracy));
    }
    let rate = tick.step as f64 / spent.as_secs_f64().max(1e-9);
    let _ = write!(line, ", {rate:.1} steps/s");
    if let Some(sent) = sent {
        let _ = write!(line, ", {} sent", text::bytes(sent));
    }
    if tick.step > 0 && tick.step < tick.steps {
        let left = Duration::from_secs_f64((tick.steps - tick.step) as f64 / rate);
        let _ = write!(line, ", {} left", text::span(left));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_bytes_and_time_left_and_only_opened_metrics() {
        let tick = Tick { step: 25, steps: 100, epoch: 1, epochs: 4, loss: None, accuracy: Some(0.5) };
        let line = describe(&tick, Duration::from_secs(5), Some(2_000_000));
        assert_eq!(line, "epoch 1/4, accuracy 50.00 %, 5.0 steps/s, 2.00 MB sent, 15 s left");
    }
}
