//! A shutdown's report as text. The page is the library's own; here are its parts that the
//! demo shows beside what it alone knows.

use ebbtide::text::report::{runner_cells, runner_columns};
use ebbtide::{RunnerReport, ShutdownReport};

use super::clock;
use super::table::{Cell, Column, Table};
use crate::output::is_coloured;

/// The page of `ebbtide shutdown` and `ebbtide wait`.
pub fn page(report: &ShutdownReport) -> String {
    ebbtide::text::report::page(report, is_coloured(), clock::local) + "\n"
}

/// How long each phase took, and all together.
pub fn phases(report: &ShutdownReport) -> String {
    ebbtide::text::report::phases(report).render(2, is_coloured())
}

/// What the demo knows of a runner beyond its report.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Items begun and finished.
    pub items: Option<(u64, u64)>,
    /// What was done to it; empty for nothing.
    pub fate: String,
}

/// One line per runner, with its extra.
pub fn runners(runners: &[RunnerReport], extras: &[Extra]) -> String {
    let mut columns = runner_columns();
    columns.extend([
        Column::right("BEGUN"),
        Column::right("FINISHED"),
        Column::left("FATE"),
    ]);
    let mut table = Table::new(columns);
    for (index, runner) in runners.iter().enumerate() {
        let extra = extras.get(index);
        let items = extra.and_then(|extra| extra.items);
        let mut row = runner_cells(runner);
        row.extend([
            Cell::or_none(items.map(|items| items.0)),
            Cell::or_none(items.map(|items| items.1)),
            Cell::text(extra.map_or("", |extra| &extra.fate)),
        ]);
        table.row(row);
    }
    table.render(2)
}
