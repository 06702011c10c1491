//! A time axis: from time to place, and where its ticks are.

use std::time::Duration;

/// Maps `0..=total` to `0..=width`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    total: f64,
    width: f64,
}

impl Scale {
    pub(super) fn new(total: Duration, width: f64) -> Self {
        Self {
            total: (total.as_micros() as f64).max(1.0),
            width,
        }
    }

    /// Where a time is; what is later than all is at the end.
    pub(super) fn at(self, time: Duration) -> f64 {
        (time.as_micros() as f64 / self.total).min(1.0) * self.width
    }

    /// At most `most` round times, from zero, with their labels.
    pub(super) fn ticks(self, most: usize) -> Vec<(Duration, String)> {
        let step = step(self.total, most);
        let count = (self.total / step).floor() as u64;
        (0..=count)
            .map(|number| {
                let micros = number as f64 * step;
                let time = Duration::from_micros(micros.round() as u64);
                (time, label(micros, step))
            })
            .collect()
    }
}

/// The smallest of 1, 2, 5, 10, 20, … microseconds that gives at most so many steps.
fn step(total: f64, most: usize) -> f64 {
    let least = total / most.max(1) as f64;
    let mut step = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(60) {
        if step >= least {
            break;
        }
        step *= factor;
    }
    step
}

/// In the unit that fits the step, so that all ticks have the same.
fn label(micros: f64, step: f64) -> String {
    let (unit, size) = match step {
        step if step >= 1e6 => ("s", 1e6),
        // Tenths of a second read better than hundreds of milliseconds.
        step if step >= 1e5 => return format!("{:.1} s", micros / 1e6),
        step if step >= 1e3 => ("ms", 1e3),
        step if step >= 1e2 => return format!("{:.1} ms", micros / 1e3),
        _ => ("µs", 1.0),
    };
    format!("{:.0} {unit}", micros / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(micros: u64, most: usize) -> Vec<String> {
        let scale = Scale::new(Duration::from_micros(micros), 100.0);
        scale.ticks(most).into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(
            labels(3_400_000, 8),
            [
                "0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s", "2.5 s", "3.0 s"
            ]
        );
        assert_eq!(
            labels(20_000, 5),
            ["0 ms", "5 ms", "10 ms", "15 ms", "20 ms"]
        );
        assert_eq!(
            labels(700, 8),
            [
                "0.0 ms", "0.1 ms", "0.2 ms", "0.3 ms", "0.4 ms", "0.5 ms", "0.6 ms", "0.7 ms"
            ]
        );
        assert_eq!(labels(7, 8).len(), 8);
        for micros in [0, 1, 999, 86_400_000_000, u64::MAX] {
            let count = labels(micros, 8).len();
            assert!((1..=9).contains(&count), "{micros}: {count}");
        }
    }

    #[test]
    fn places_stay_within_the_width() {
        let scale = Scale::new(Duration::from_millis(10), 100.0);
        assert_eq!(scale.at(Duration::from_millis(5)), 50.0);
        assert_eq!(scale.at(Duration::from_secs(5)), 100.0);
        assert_eq!(Scale::new(Duration::ZERO, 100.0).at(Duration::ZERO), 0.0);
    }
}
