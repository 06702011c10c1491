//! Aligned tables, in colours if standard output takes colours.

use ebbtide::text::Style;
pub use ebbtide::text::{Cell, Column};

use crate::output::is_coloured;

fn paint(text: &str, style: Style) -> String {
    if is_coloured() {
        style.paint(text)
    } else {
        text.into()
    }
}

/// A heading line.
pub fn heading(text: &str) -> String {
    paint(text, Style::Heading)
}

/// A text that says that all is well, or that it is not.
pub fn verdict(text: &str, is_good: bool) -> String {
    paint(text, if is_good { Style::Good } else { Style::Bad })
}

/// Rows under headings; columns in which no row has anything are left out.
#[derive(Debug)]
pub struct Table(ebbtide::text::Table);

impl Table {
    pub const fn new(columns: Vec<Column>) -> Self {
        Self(ebbtide::text::Table::new(columns))
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.0.row(cells);
    }

    pub fn render(&self, indent: usize) -> String {
        self.0.render(indent, is_coloured())
    }
}
