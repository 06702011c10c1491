//! A shutdown's report as text.

use ebbtide::{Outcome, RunnerReport, ShutdownOutcome, ShutdownReport};

use super::table::{Cell, Column, Table, heading, verdict};
use super::{count, time};
use crate::output::plain;

/// The page of `ebbtide shutdown` and `ebbtide wait`.
pub fn page(report: &ShutdownReport) -> String {
    let mut text = format!(
        "{}\n",
        heading(&format!(
            "Shutdown of {} (generation {}): {}, {}",
            report.segment,
            report.generation,
            report.mode,
            plain(&report.reason.to_string())
        ))
    );
    text.push('\n');
    text.push_str(&phases(report));
    if !report.runners.is_empty() {
        text.push('\n');
        text.push_str(&runners(report.runners.iter(), None));
    }
    text.push_str(&super::resources::section(&report.resources));
    let good = report.outcome == ShutdownOutcome::Completed;
    text.push('\n');
    text.push_str(&verdict(&summary(report), good));
    text.push('\n');
    text
}

/// How long each phase took, and all together.
pub fn phases(report: &ShutdownReport) -> String {
    let mut table = Table::new(vec![Column::left("PHASE"), Column::right("TOOK")]);
    for phase in &report.phases {
        table.row(vec![
            Cell::text(phase.phase),
            Cell::text(time(phase.duration)),
        ]);
    }
    table.row(vec![Cell::text("total"), Cell::text(time(report.total))]);
    table.render(2)
}

/// What the demo knows of a runner beyond its report.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Items begun and finished.
    pub items: Option<(u64, u64)>,
    /// What was done to it; empty for nothing.
    pub fate: String,
}

/// One line per runner. With extras (one per runner) they take the place of the last words.
pub fn runners<'a>(
    runners: impl Iterator<Item = &'a RunnerReport>,
    extras: Option<&[Extra]>,
) -> String {
    let mut table = Table::new(vec![
        Column::left("RUNNER"),
        Column::right("PID"),
        Column::left("OUTCOME"),
        Column::left("BLOCKED IN"),
        Column::right("OBSERVED"),
        Column::right("SIGNALING"),
        Column::right("DRAINING"),
        Column::right("CLOSING"),
        Column::right("BEGUN"),
        Column::right("FINISHED"),
        Column::left("FATE"),
        Column::left("LAST WORDS"),
    ]);
    for (index, runner) in runners.enumerate() {
        let [signaling, draining, closing] = runner.acknowledged.map(|at| at.map(time));
        let mut row = vec![
            Cell::text(&runner.id),
            Cell::text(runner.pid),
            outcome(runner.outcome.as_ref()),
            Cell::or_none(runner.blocked_in),
            Cell::or_none(runner.observed.map(time)),
            Cell::or_none(signaling),
            Cell::or_none(draining),
            Cell::or_none(closing),
        ];
        row.extend(match extras.map(|extras| extras.get(index)) {
            None => [
                Cell::text(""),
                Cell::text(""),
                Cell::text(""),
                Cell::text(&runner.last_words),
            ],
            Some(extra) => {
                let items = extra.and_then(|extra| extra.items);
                [
                    Cell::or_none(items.map(|items| items.0)),
                    Cell::or_none(items.map(|items| items.1)),
                    Cell::text(extra.map_or("", |extra| &extra.fate)),
                    Cell::text(""),
                ]
            }
        });
        table.row(row);
    }
    table.render(2)
}

/// An outcome with the colour it deserves.
pub fn outcome(outcome: Option<&Outcome>) -> Cell {
    match outcome {
        None => Cell::text("running"),
        Some(Outcome::Completed) => Cell::text(Outcome::Completed.name()).good(),
        Some(Outcome::Failed { cause }) => Cell::text(format!("Failed: {cause}")).bad(),
        Some(other) => Cell::text(other.name()).bad(),
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
    match report.outcome {
        ShutdownOutcome::Completed => format!("Completed: {all} in {total}."),
        ShutdownOutcome::Died => format!(
            "Died: {}; all others completed in {total}.",
            names(|o| matches!(o, Outcome::Died | Outcome::Failed { .. }))
        ),
        ShutdownOutcome::TimedOut => format!(
            "Timed out after {total}, without {}.",
            names(|o| matches!(o, Outcome::TimedOut | Outcome::Forced))
        ),
        other => format!("{}.", other.name()),
    }
}

/// Who, and where it stood when its time was up.
fn with_phase(runner: &RunnerReport) -> String {
    let id = plain(&runner.id);
    match (&runner.outcome, runner.blocked_in) {
        (Some(Outcome::TimedOut), Some(phase)) => {
            let doing = runner.activity.as_ref();
            let doing = doing.map(|activity| format!(", {}", plain(&activity.text)));
            format!("{id} (in {phase}{})", doing.unwrap_or_default())
        }
        (Some(Outcome::Forced), _) => format!("{id} (ended by force)"),
        (Some(Outcome::Failed { cause }), _) => format!("{id} (failed: {})", plain(cause)),
        _ => id,
    }
}
