//! A shutdown's report as text: what `Display` and the command line print.

use std::fmt;
use std::time::SystemTime;

use crate::api::report::{Outcome, RunnerReport, ShutdownOutcome, ShutdownReport};
use crate::api::resource::{Leak, Reclaim, ResourceReport, ResourceState};
use crate::api::text::{Cell, Column, Style, Table, count, history, moment, plain, time};

/// The page for people: phases, runners, resources, and the whole in one sentence. With
/// `{:#}` in colours, for terminals.
impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&page(self, f.alternate(), moment::utc))
    }
}

/// The same page with wall-clock times as `stamp` writes them.
#[must_use]
pub fn page(report: &ShutdownReport, coloured: bool, stamp: fn(SystemTime) -> String) -> String {
    let paint = |style: Style, text: &str| match coloured {
        true => style.paint(text),
        false => text.into(),
    };
    let (segment, generation) = (&report.segment, report.generation);
    let title = match ended_alone(report) {
        true => format!("Runners of {segment} (generation {generation}): no shutdown was on"),
        false => format!(
            "Shutdown of {segment} (generation {generation}): {}, {}",
            report.mode,
            plain(&report.reason.to_string())
        ),
    };
    let mut page = paint(Style::Heading, &title) + "\n";
    if report.began.is_some() {
        page += &format!("  {}\n", moment::span(report.began, report.ended, stamp));
    }
    if let Some(by) = &report.shortened {
        page += &format!("  {by}\n");
    }
    if !ended_alone(report) {
        page += "\n";
        page += &phases(report).render(2, coloured);
    }
    if !report.runners.is_empty() {
        page += "\n";
        page += &runners(&report.runners).render(2, coloured);
    }
    if let Some((title, table)) = failures(&report.runners) {
        page += &format!("\n{title}\n{}", table.render(2, coloured));
    }
    page += &history::section(&report.predecessors, stamp);
    if let Some((title, table)) = resources(&report.resources) {
        page += &format!("\n{title}\n{}", table.render(2, coloured));
    }
    let style = match report.outcome {
        ShutdownOutcome::Completed => Style::Good,
        _ => Style::Bad,
    };
    page + "\n" + &paint(style, &summary(report))
}

/// Whether the runners have ended by themselves: no shutdown of them was begun.
fn ended_alone(report: &ShutdownReport) -> bool {
    let has_ended = |runner: &RunnerReport| runner.outcome.is_some();
    let is_over = report.outcome != ShutdownOutcome::Running;
    report.began.is_none() && is_over && report.runners.iter().all(has_ended)
}

/// How long each phase took, and all together.
#[must_use]
pub fn phases(report: &ShutdownReport) -> Table {
    let mut table = Table::new(vec![Column::left("PHASE"), Column::right("TOOK")]);
    for phase in &report.phases {
        table.row(vec![
            Cell::text(phase.phase),
            Cell::text(time(phase.duration)),
        ]);
    }
    table.row(vec![Cell::text("total"), Cell::text(time(report.total))]);
    table
}

/// The columns of a runner that every table of a report has.
#[must_use]
pub fn runner_columns() -> Vec<Column> {
    vec![
        Column::left("RUNNER"),
        Column::right("PID"),
        Column::left("OUTCOME"),
        Column::left("BLOCKED IN"),
        Column::right("OBSERVED"),
        Column::right("SIGNALING"),
        Column::right("DRAINING"),
        Column::right("CLOSING"),
    ]
}

/// The cells of those.
#[must_use]
pub fn runner_cells(runner: &RunnerReport) -> Vec<Cell> {
    let [signaling, draining, closing] = runner.acknowledged.map(|at| at.map(time));
    vec![
        Cell::text(&runner.id),
        Cell::text(runner.pid),
        state_of(runner),
        Cell::or_none(runner.blocked_in),
        Cell::or_none(runner.observed.map(time)),
        Cell::or_none(signaling),
        Cell::or_none(draining),
        Cell::or_none(closing),
    ]
}

fn runners(runners: &[RunnerReport]) -> Table {
    let mut columns = runner_columns();
    columns.push(Column::left("LAST WORDS"));
    let mut table = Table::new(columns);
    for runner in runners {
        let mut cells = runner_cells(runner);
        cells.push(Cell::text(&runner.last_words));
        table.row(cells);
    }
    table
}

/// How a runner ended or what it is, and the phase that it was late in; one whose process is
/// stopped now is said to be.
#[must_use]
pub fn state_of(runner: &RunnerReport) -> Cell {
    match (&runner.outcome, runner.late_but_done()) {
        (None, _) if !runner.alive => Cell::text("dead").bad(),
        (None, _) if runner.stopped => Cell::text("stopped").bad(),
        (Some(known), _) if runner.stopped => {
            Cell::text(format!("{}, stopped", known.name())).bad()
        }
        (Some(known), Some(phase)) => {
            let cell = Cell::text(format!("{}, late in {phase}", known.name()));
            match known {
                Outcome::Completed => cell.good(),
                _ => cell.bad(),
            }
        }
        (known, _) => outcome(known.as_ref()),
    }
}

/// Heading and table of failures; `None` if there are none.
#[must_use]
pub fn failures(runners: &[RunnerReport]) -> Option<(String, Table)> {
    let mut table = Table::new(vec![
        Column::left("RUNNER"),
        Column::left("FAILURE OF"),
        Column::left("NAME"),
        Column::left("PHASE"),
        Column::left("HOW"),
        Column::left("CAUSE"),
    ]);
    let all = runners.iter().flat_map(|runner| &runner.failures);
    let mut told = 0;
    for failure in all {
        told += 1;
        table.row(vec![
            Cell::text(&failure.runner),
            Cell::text(failure.source.name()),
            Cell::text(&failure.name),
            Cell::text(failure.phase),
            Cell::text(failure.kind.name()).bad(),
            Cell::text(&failure.cause),
        ]);
    }
    let untold: u32 = runners.iter().map(|runner| runner.untold_failures).sum();
    let title = match untold {
        0 => count(told, "failure"),
        more => format!(
            "{} (and {more} more without a place)",
            count(told, "failure")
        ),
    };
    (told > 0 || untold > 0).then_some((title, table))
}

/// An outcome with the colour it deserves.
#[must_use]
pub fn outcome(outcome: Option<&Outcome>) -> Cell {
    match outcome {
        None => Cell::text("running"),
        Some(Outcome::Completed) => Cell::text(Outcome::Completed.name()).good(),
        Some(Outcome::Failed { cause }) => Cell::text(format!("Failed: {cause}")).bad(),
        Some(other) => Cell::text(other.name()).bad(),
    }
}

/// Heading and table of resources; `None` if there are none.
#[must_use]
pub fn resources(all: &[ResourceReport]) -> Option<(String, Table)> {
    if all.is_empty() {
        return None;
    }
    let mut table = Table::new(vec![
        Column::left("RESOURCE"),
        Column::left("TYPE"),
        Column::left("STATE"),
        Column::right("SINCE"),
        Column::right("TOOK"),
        Column::left("NEEDS"),
        Column::left("SYSTEM"),
        Column::left("RECLAIMED"),
        Column::left("LEAK"),
    ]);
    for resource in all {
        table.row(vec![
            Cell::text(resource.full_name()),
            Cell::text(resource.kind),
            state(resource.state),
            Cell::text(time(resource.since)),
            Cell::text(resource.took.map(time).unwrap_or_default()),
            Cell::text(resource.depends_on.join(", ")),
            Cell::text(resource.system.as_deref().unwrap_or_default()),
            Cell::text(resource.reclaimed.map(Reclaim::name).unwrap_or_default()),
            Cell::text(resource.leak.map(Leak::name).unwrap_or_default()).bad(),
        ]);
    }
    Some((count(all.len(), "resource"), table))
}

fn state(state: ResourceState) -> Cell {
    let cell = Cell::text(state.name());
    match state {
        ResourceState::Closed => cell.good(),
        _ if state.is_open() => cell,
        _ => cell.bad(),
    }
}

fn summary(report: &ShutdownReport) -> String {
    let all = count(report.runners.len(), "runner");
    let total = time(report.total);
    let names = |wanted: fn(&Outcome) -> bool| {
        let hit = |runner: &&RunnerReport| runner.outcome.as_ref().is_some_and(wanted);
        let ids: Vec<String> = report.runners.iter().filter(hit).map(with_phase).collect();
        ids.join(", ")
    };
    if ended_alone(report) {
        let (have, themselves) = match report.runners.len() {
            1 => ("has", "itself"),
            _ => ("have", "themselves"),
        };
        let outcome = report.outcome.name();
        return format!("{outcome}: {all} {have} ended by {themselves}; no shutdown was on.");
    }
    match report.outcome {
        ShutdownOutcome::Completed => {
            let late: Vec<String> = report.runners.iter().filter_map(with_lateness).collect();
            match late.is_empty() {
                true => format!("Completed: {all} in {total}."),
                false => format!("Completed: {all} in {total}; late: {}.", late.join(", ")),
            }
        }
        ShutdownOutcome::Died => {
            let names = names(|o| matches!(o, Outcome::Died | Outcome::Failed { .. }));
            let is_done = |runner: &RunnerReport| runner.outcome == Some(Outcome::Completed);
            match report.runners.iter().any(is_done) {
                true => format!("Died: {names}; all others completed in {total}."),
                false => format!("Died: {names}; nobody completed. It took {total}."),
            }
        }
        ShutdownOutcome::Abandoned => format!(
            "Abandoned by {}; ended in {total}.",
            names(|o| matches!(o, Outcome::Abandoned))
        ),
        ShutdownOutcome::CompletedWithFailures => format!(
            "Completed with failures of {}: {all} in {total}.",
            names(|o| matches!(o, Outcome::CompletedWithFailures))
        ),
        ShutdownOutcome::TimedOut => format!(
            "Timed out after {total}, without {}.",
            names(|o| matches!(o, Outcome::TimedOut | Outcome::Forced))
        ),
        other => format!("{}.", other.name()),
    }
}

/// Who was late, and in which phase.
fn with_lateness(runner: &RunnerReport) -> Option<String> {
    let phase = runner.late_but_done()?;
    Some(format!("{} (in {phase})", plain(&runner.id)))
}
/// What is said of a runner whose process is stopped now.
const STOPPED: &str = ", its process is stopped: continue it (kill -CONT) or kill it";

/// Who, and where it stood when its time was up.
fn with_phase(runner: &RunnerReport) -> String {
    let id = plain(&runner.id);
    match (&runner.outcome, runner.blocked_in) {
        (Some(Outcome::TimedOut), Some(phase)) => {
            let doing = runner.activity.as_ref();
            let doing = doing.map(|activity| format!(", {}", plain(&activity.text)));
            let stopped = if runner.stopped { STOPPED } else { "" };
            format!("{id} (in {phase}{}{stopped})", doing.unwrap_or_default())
        }
        (Some(Outcome::Forced), _) => format!("{id} (ended by force)"),
        (Some(Outcome::Failed { cause }), _) => format!("{id} (failed: {})", plain(cause)),
        _ => id,
    }
}
