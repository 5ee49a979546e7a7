//! Numbers as people read them.

use std::time::Duration;

/// Bytes with a decimal unit: `12.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ if value < 9.95 => format!("{value:.2} {}", UNITS[unit]),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A span as `42 s`, `3 min 05 s` or `2 h 07 min`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A measured time: `12.34 s`, or `5.6 ms` below a tenth of a second.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.1} ms", 1000.0 * seconds) } else { format!("{seconds:.2} s") }
}

/// A fraction as a percentage with two decimals.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

/// Digits in groups of three: `12 345`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A magnitude with three digits that count.
pub(crate) fn magnitude(value: f64) -> String {
    if (0.01..1e6).contains(&value) {
        let digits = (2.0 - value.log10().floor()).clamp(0.0, 4.0) as usize;
        format!("{value:.digits$}")
    } else {
        format!("{value:.1e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_change_their_unit_at_a_thousand() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345_678, "12.3 MB"),
            (999_600_000, "1.00 GB"),
            (u64::MAX, "18446744.1 TB"),
        ];
        cases.iter().for_each(|&(count, text)| assert_eq!(bytes(count), text));
    }

    #[test]
    fn spans_change_their_unit_at_a_minute_and_an_hour() {
        let cases = [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (7620.0, "2 h 07 min")];
        cases.iter().for_each(|&(s, text)| assert_eq!(span(Duration::from_secs_f64(s)), text));
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        let cases = [(7, "7"), (123, "123"), (1234, "1 234"), (12_345_678, "12 345 678")];
        cases.iter().for_each(|&(count, text)| assert_eq!(grouped(count), text));
    }
}
