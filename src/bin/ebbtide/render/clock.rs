//! Wall-clock times in the local time zone; in UTC where the system has no time zones.

use std::time::SystemTime;

use ebbtide::text::moment;
use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

/// `2026-11-30 03:12:05 CET`.
pub fn local(at: SystemTime) -> String {
    let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
    match Timestamp::try_from(at) {
        Ok(at) => ZonedDateTime::new(at, zone)
            .strftime("%F %T %Z")
            .to_string(),
        // Beyond the year 9999.
        Err(_) => moment::utc(at),
    }
}
