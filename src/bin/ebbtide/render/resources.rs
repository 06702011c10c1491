//! Resources as text: one line each.

use ebbtide::ResourceReport;
use ebbtide::text::report::resources;

use crate::output::is_coloured;

/// A headed table, or nothing if there are none.
pub fn section(all: &[ResourceReport]) -> String {
    match resources(all) {
        Some((title, table)) => format!("\n{title}\n{}", table.render(2, is_coloured())),
        None => String::new(),
    }
}
