//! Wall-clock times as text. The library writes UTC; the command writes local time where the
//! system has time zones.

use std::time::{Duration, SystemTime};

/// Year, month, day, and the seconds of the day.
fn civil(at: SystemTime) -> ([u64; 3], Duration) {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let of_day = Duration::new(rest, since.subsec_nanos());
    // Years from March on, so that a leap day is the last of its year; by eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    ([year, month, day], of_day)
}

/// `2026-11-30 03:12:05 UTC`.
#[must_use]
pub fn utc(at: SystemTime) -> String {
    let ([year, month, day], of_day) = civil(at);
    let seconds = of_day.as_secs();
    let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `2026-11-30T03:12:05.123456Z`, as RFC 3339 has it.
#[must_use]
pub fn rfc3339(at: SystemTime) -> String {
    let ([year, month, day], of_day) = civil(at);
    let (seconds, micros) = (of_day.as_secs(), of_day.subsec_micros());
    let [hour, minute, second] = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// `began 2026-11-30 03:12:05, ended 3 h ago`; empty if nothing began.
#[must_use]
pub fn span(
    began: Option<SystemTime>,
    ended: Option<SystemTime>,
    stamp: fn(SystemTime) -> String,
) -> String {
    match (began, ended) {
        (None, _) => String::new(),
        (Some(began), None) => format!("began {}, {}", stamp(began), ago(began)),
        (Some(began), Some(ended)) => format!("began {}, ended {}", stamp(began), ago(ended)),
    }
}

/// How long ago that was: `3 h ago`, `just now`.
#[must_use]
pub fn ago(at: SystemTime) -> String {
    let seconds = SystemTime::now()
        .duration_since(at)
        .unwrap_or_default()
        .as_secs();
    match seconds {
        0 => "just now".into(),
        1..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_796_008_325, "2026-11-30 03:12:05 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ];
        for (seconds, text) in cases {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(utc(at), text);
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_796_008_325_000_042);
        assert_eq!(rfc3339(at), "2026-11-30T03:12:05.000042Z");
    }

    #[test]
    fn ages_have_the_unit_that_fits_them() {
        let old = |seconds| ago(SystemTime::now() - Duration::from_secs(seconds));
        assert_eq!(old(0), "just now");
        assert_eq!(old(90), "90 s ago");
        assert_eq!(old(3 * 3600), "3 h ago");
        assert_eq!(old(5 * 86_400), "5 days ago");
        assert_eq!(ago(SystemTime::now() + Duration::from_secs(60)), "just now");
    }
}
