//! `ebbtide ls`: all segments, also those that are refused.

use ebbtide::text::moment::{ago, rfc3339};
use ebbtide::text::size;
use ebbtide::{SegmentError, SegmentOptions, ShutdownOutcome, Status};

use crate::args::Json;
use crate::exit::{Code, Failure, chain};
use crate::output;
use crate::render::json;
use crate::render::table::{Cell, Column, Table};

/// A segment of the list.
struct Row {
    name: String,
    bytes: Option<u64>,
    seen: Result<Status, String>,
}

pub fn run(options: &SegmentOptions, args: Json) -> Result<Code, Failure> {
    let mut all = Vec::new();
    for name in options.list()? {
        match options
            .observe(&name)
            .and_then(|observer| observer.status())
        {
            // Removed since it was listed.
            Err(SegmentError::NotFound { .. }) => {}
            seen => {
                let bytes = options.size(&name).ok();
                let seen = seen.map_err(|error| chain(&error));
                all.push(Row { name, bytes, seen });
            }
        }
    }
    if args.json {
        output::emit_json(&json::Segments {
            segments: all.iter().map(row).collect(),
        })?;
    } else if all.is_empty() {
        output::complain("there are no segments");
    } else {
        output::emit(&page(&all))?;
    }
    Ok(Code::Done)
}

fn row(row: &Row) -> json::Segment<'_> {
    let Row { name, bytes, seen } = row;
    let status = seen.as_ref().ok();
    json::Segment {
        name,
        phase: status.map(|status| status.phase.name()),
        outcome: status.and_then(|status| status.outcome.map(ShutdownOutcome::name)),
        began: status.and_then(|status| status.began.map(rfc3339)),
        ended: status.and_then(|status| status.ended.map(rfc3339)),
        generation: status.map(|status| status.generation),
        runners: status.map(living),
        attached: status.map(|status| status.attached),
        bytes: *bytes,
        refused: seen.as_ref().err().map(String::as_str),
    }
}

fn page(all: &[Row]) -> String {
    let mut table = Table::new(vec![
        Column::left("SEGMENT"),
        Column::left("PHASE"),
        Column::left("OUTCOME"),
        Column::left("ENDED"),
        Column::right("GENERATION"),
        Column::right("RUNNERS"),
        Column::right("ATTACHED"),
        Column::right("SIZE"),
        Column::left("REFUSED"),
    ]);
    for Row { name, bytes, seen } in all {
        let size = Cell::or_none(bytes.map(size::bytes));
        table.row(match seen {
            Ok(status) => vec![
                Cell::text(name),
                Cell::text(status.phase.name()),
                outcome(status.outcome),
                Cell::or_none(status.ended.map(ago)),
                Cell::text(status.generation),
                Cell::text(living(status)),
                Cell::text(status.attached),
                size,
                Cell::text(""),
            ],
            Err(why) => vec![
                Cell::text(name),
                Cell::none(),
                Cell::none(),
                Cell::none(),
                Cell::none(),
                Cell::none(),
                Cell::none(),
                size,
                Cell::text(why).bad(),
            ],
        });
    }
    table.render(0)
}

/// The outcome of a shutdown that is over.
fn outcome(outcome: Option<ShutdownOutcome>) -> Cell {
    match outcome {
        None | Some(ShutdownOutcome::Running) => Cell::none(),
        Some(ShutdownOutcome::Completed) => Cell::text(ShutdownOutcome::Completed.name()).good(),
        Some(other) => Cell::text(other.name()).bad(),
    }
}

fn living(status: &Status) -> usize {
    status.runners.iter().filter(|runner| runner.alive).count()
}
