//! Runners that are history, one line for each id.

use std::time::SystemTime;

use crate::api::history::Predecessor;
use crate::api::text::{count, plain};

/// A sentence without its stop; times as `stamp` writes them.
#[must_use]
pub fn line(past: &Predecessor, stamp: fn(SystemTime) -> String) -> String {
    let id = plain(&past.id);
    let last = past.last_death.map(stamp);
    let words = match past.last_words.is_empty() {
        true => String::new(),
        false => format!("; last words: {}", plain(&past.last_words)),
    };
    if past.replaced {
        let runners = count(past.deaths as usize, "earlier runner");
        let last = last.map_or(String::new(), |last| format!(", last {last}"));
        return format!("{id}: {runners} of this id died{last}{words}");
    }
    let found = last.map_or(String::new(), |last| format!(", found dead {last}"));
    let pid = match past.pid {
        0 => String::new(),
        pid => format!(" (pid {pid})"),
    };
    let before = match past.deaths {
        0 | 1 => String::new(),
        deaths => format!("; {} before it", count(deaths as usize - 1, "death")),
    };
    format!("{id}{pid} had died before the shutdown began{found}{before}{words}")
}

/// Heading and lines; empty if there are none.
#[must_use]
pub fn section(all: &[Predecessor], stamp: fn(SystemTime) -> String) -> String {
    if all.is_empty() {
        return String::new();
    }
    let lines: String = all
        .iter()
        .map(|past| format!("  {}\n", line(past, stamp)))
        .collect();
    format!("\nEarlier deaths, no part of the outcome\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn past(deaths: u64, replaced: bool) -> Predecessor {
        Predecessor {
            id: "worker".into(),
            deaths,
            last_death: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_008_325)),
            pid: 17,
            last_words: String::new(),
            replaced,
        }
    }

    #[test]
    fn a_crash_loop_is_one_line() {
        let text = |past| section(&[past], crate::api::text::moment::utc);
        let told = text(past(1028, true));
        assert_eq!(
            told.lines().last(),
            Some("  worker: 1028 earlier runners of this id died, last 2026-11-30 03:12:05 UTC")
        );
        let told = text(past(2, false));
        let wanted = "  worker (pid 17) had died before the shutdown began, found dead \
                      2026-11-30 03:12:05 UTC; 1 death before it";
        assert_eq!(told.lines().last(), Some(wanted));
        assert_eq!(section(&[], crate::api::text::moment::utc), "");
    }
}
