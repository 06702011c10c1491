//! Events as text and as JSON.

use ebbtide::EventStatus;
use serde::Serialize;

use super::table::{Cell, Column, Table};
use super::time;

/// One line each; nothing when there are none.
pub fn table(events: &[EventStatus]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let mut table = Table::new(vec![
        Column::left("EVENT"),
        Column::left("RESET"),
        Column::left("SET"),
        Column::right("SEQUENCE"),
        Column::left("LAST KIND"),
        Column::right("AGO"),
        Column::left("PAYLOAD"),
    ]);
    for event in events {
        let latest = event.latest.as_ref();
        let shown = |text: Option<String>| text.map_or_else(Cell::none, Cell::text);
        table.row(vec![
            Cell::text(&event.name),
            Cell::text(event.reset.name()),
            Cell::text(if event.is_set { "yes" } else { "no" }),
            Cell::text(event.sequence),
            shown(latest.map(|set| set.kind.to_string())),
            shown(latest.map(|set| time(set.age))),
            shown(latest.map(|set| String::from_utf8_lossy(&set.payload).into_owned())),
        ]);
    }
    table.render(2)
}

/// `event list`.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    segment: &'a str,
    events: Vec<Event<'a>>,
}

impl<'a> Document<'a> {
    pub fn of(segment: &'a str, events: &'a [EventStatus]) -> Self {
        Self {
            segment,
            events: list(events),
        }
    }
}

/// The `events` of `status` and `event list`.
pub fn list(events: &[EventStatus]) -> Vec<Event<'_>> {
    events.iter().map(Event::of).collect()
}

/// One event.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    name: &'a str,
    reset: &'static str,
    set: bool,
    sequence: u64,
    kind: Option<String>,
    /// What is not UTF-8 is replaced.
    payload: Option<String>,
    age_us: Option<u64>,
}

impl<'a> Event<'a> {
    fn of(event: &'a EventStatus) -> Self {
        let latest = event.latest.as_ref();
        Self {
            name: &event.name,
            reset: event.reset.name(),
            set: event.is_set,
            sequence: event.sequence,
            kind: latest.map(|set| set.kind.to_string()),
            payload: latest.map(|set| String::from_utf8_lossy(&set.payload).into_owned()),
            age_us: latest.map(|set| u64::try_from(set.age.as_micros()).unwrap_or(u64::MAX)),
        }
    }
}

/// `event wait`: the first of those waited for that is set.
#[derive(Debug, Serialize)]
pub struct Found<'a> {
    pub event: &'a str,
}
