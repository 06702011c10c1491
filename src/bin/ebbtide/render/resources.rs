//! Resources as text: one line each.

use ebbtide::{Leak, Reclaim, ResourceReport, ResourceState};

use super::table::{Cell, Column, Table};
use super::{count, time};

/// A headed table, or nothing if there are none.
pub fn section(all: &[ResourceReport]) -> String {
    if all.is_empty() {
        return String::new();
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
    format!("\n{}\n{}", count(all.len(), "resource"), table.render(2))
}

fn state(state: ResourceState) -> Cell {
    let cell = Cell::text(state.name());
    match state {
        ResourceState::Closed => cell.good(),
        _ if state.is_open() => cell,
        _ => cell.bad(),
    }
}
