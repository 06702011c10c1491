//! A status as text: phase, time left, who blocks, then all runners.

use std::fmt::Write;
use std::time::Duration;

use ebbtide::text::{history, moment};
use ebbtide::{Laggard, Phase, RunnerReport, ShutdownOutcome, Status};

use ebbtide::text::report::state_of;

use super::table::{Cell, Column, Table, heading, verdict};
use super::{clock, count, events, locks, rendezvous, time};
use crate::output::{is_coloured, plain};

/// A phase is forced by whoever sees its deadline pass; later than this, nobody has.
pub const OVERDUE: Duration = Duration::from_millis(100);

/// The page of `ebbtide status`.
pub fn page(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail; so also below.
    let _ = writeln!(
        text,
        "{}",
        heading(&format!(
            "{}: {}{}",
            status.segment,
            status.phase,
            since(status)
        ))
    );
    let times = moment::span(status.began, status.ended, clock::local);
    if !times.is_empty() {
        let _ = writeln!(text, "  {times}");
    }
    if let Some(by) = &status.shortened {
        let _ = writeln!(text, "  {by}");
    }
    let is_on = !matches!(status.phase, Phase::Running | Phase::Complete);
    if let Some(reason) = &status.reason {
        let by = match reason.pid {
            0 => String::new(),
            pid => format!(", asked by pid {pid}"),
        };
        let _ = writeln!(
            text,
            "  {}, {}{by}",
            status.mode,
            plain(&reason.to_string())
        );
    }
    let overdue = status.phase_overdue.filter(|overdue| *overdue >= OVERDUE);
    if let (true, Some(overdue)) = (is_on, overdue) {
        let _ = writeln!(
            text,
            "  overdue by {}; nobody who runs is there to force it: `ebbtide wait {}`",
            time(overdue),
            status.segment
        );
    } else if let (true, Some(phase), Some(all)) = (is_on, status.phase_remaining, status.remaining)
    {
        let _ = writeln!(
            text,
            "  {} left for {}, {} for everything",
            time(phase),
            status.phase,
            time(all)
        );
    }
    if is_on {
        text.push('\n');
        text.push_str(&blockers(&status.laggards));
    }
    let _ = write!(
        text,
        "\n{} of generation {}, {} attached\n",
        count(status.runners.len(), "runner"),
        status.generation,
        count(status.attached, "process"),
    );
    for holder in &status.lockless {
        let _ = writeln!(
            text,
            "  {} (pid {}) lost its lock on the segment and cannot take it again: the name is gone",
            plain(&holder.name),
            holder.pid
        );
    }
    if !status.runners.is_empty() {
        text.push_str(&runners(&status.runners));
    }
    if let Some((title, table)) = ebbtide::text::report::failures(&status.runners) {
        let _ = write!(text, "\n{title}\n{}", table.render(2, is_coloured()));
    }
    text.push_str(&history::section(&status.predecessors, clock::local));
    text.push_str(&super::resources::section(&status.resources));
    text.push_str(&locks::section(
        &status.locks,
        &status.inconsistent_locks,
        &status.lock_waits,
    ));
    text.push_str(&super::state::section(&status.keys));
    if !status.events.is_empty() {
        let _ = write!(text, "\n{}\n", count(status.events.len(), "event"));
        text.push_str(&events::table(&status.events));
    }
    text.push_str(&rendezvous::section(&status.semaphores, &status.barriers));
    text
}

fn since(status: &Status) -> String {
    match (status.phase, status.elapsed) {
        (Phase::Running, _) | (_, None) => String::new(),
        (Phase::Complete, Some(elapsed)) => {
            let outcome = status.outcome.map_or("", ShutdownOutcome::name);
            format!(", {outcome} after {}", time(elapsed))
        }
        (_, Some(elapsed)) => format!(", shutting down for {}", time(elapsed)),
    }
}

fn blockers(laggards: &[Laggard]) -> String {
    if laggards.is_empty() {
        return "Nobody blocks.\n".into();
    }
    let mut text = format!("{}\n", verdict("Blocked by", false));
    for laggard in laggards {
        let _ = writeln!(text, "  {}", plain(&laggard.to_string()));
    }
    text
}

pub fn doing(text: &str, since: Duration) -> String {
    format!("{}, for {}", plain(text), time(since))
}

fn runners(runners: &[RunnerReport]) -> String {
    let mut table = Table::new(vec![
        Column::left("RUNNER"),
        Column::right("PID"),
        Column::left("STATE"),
        Column::left("BLOCKED IN"),
        Column::right("IN FLIGHT"),
        Column::right("PROGRESS"),
        Column::left("ALONE IN"),
        Column::left("DOING"),
        Column::left("LAST WORDS"),
    ]);
    for runner in runners {
        let alone = (runner.own_phase != Phase::Running).then(|| runner.own_phase.to_string());
        let activity = runner.activity.as_ref();
        let activity = activity.map(|activity| doing(&activity.text, activity.since));
        table.row(vec![
            Cell::text(&runner.id),
            Cell::text(runner.pid),
            state_of(runner),
            Cell::text(
                runner
                    .blocked_in
                    .map(|phase| phase.to_string())
                    .unwrap_or_default(),
            ),
            Cell::text(runner.in_flight),
            Cell::text(runner.progress),
            Cell::text(alone.unwrap_or_default()),
            Cell::text(activity.unwrap_or_default()),
            Cell::text(&runner.last_words),
        ]);
    }
    table.render(2)
}
