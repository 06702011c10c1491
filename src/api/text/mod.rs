//! Texts for people: durations, counts, aligned tables. What the command line prints with
//! is the same that `Display` of a report prints with.

pub mod history;
pub mod moment;
pub mod report;
pub mod size;
mod table;

use std::time::Duration;

pub use table::{Cell, Column, Style, Table};

/// A duration with three digits and the unit that fits it.
#[must_use]
pub fn time(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..10_000 => format!("{:.2} ms", duration.as_secs_f64() * 1e3),
        10_000..100_000 => format!("{:.1} ms", duration.as_secs_f64() * 1e3),
        100_000..1_000_000 => format!("{:.0} ms", duration.as_secs_f64() * 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", duration.as_secs_f64()),
        _ => format!("{:.1} min", duration.as_secs_f64() / 60.0),
    }
}

/// `1 runner`, `2 runners`, `3 processes`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let ending = match (number, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{number} {noun}{ending}")
}

/// A text from a segment, which anybody may have written, without what could steer a
/// terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    let bad =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' => ' ',
            c if bad(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let cases = [
            (7, "7 µs"),
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (12_345, "12.3 ms"),
            (123_456, "123 ms"),
            (1_234_567, "1.23 s"),
            (123_456_789, "2.1 min"),
        ];
        for (micros, text) in cases {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
        assert_eq!(count(1, "process"), "1 process");
        assert_eq!(count(0, "process"), "0 processes");
        assert_eq!(count(2, "runner"), "2 runners");
    }
}
