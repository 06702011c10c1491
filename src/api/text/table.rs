//! Aligned tables.

use std::fmt::Display;

use super::plain;

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As any other.
    Plain,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// Of less interest.
    Faint,
    /// A heading.
    Heading,
}

impl Style {
    /// The text in its colour, for terminals that take colours.
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.into(),
            Self::Good => "32",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Heading => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text, made harmless for terminals.
    pub fn text(text: impl Display) -> Self {
        Self {
            text: plain(&text.to_string()),
            style: Style::Plain,
        }
    }

    /// Nothing to say.
    #[must_use]
    pub fn none() -> Self {
        Self {
            text: "-".into(),
            style: Style::Faint,
        }
    }

    /// The value, or nothing.
    pub fn or_none<T: Display>(value: Option<T>) -> Self {
        value.map_or_else(Self::none, Self::text)
    }

    /// All is well.
    #[must_use]
    pub fn good(mut self) -> Self {
        self.style = Style::Good;
        self
    }

    /// Something is wrong.
    #[must_use]
    pub fn bad(mut self) -> Self {
        self.style = Style::Bad;
        self
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// A column's heading and side.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    is_right: bool,
}

impl Column {
    /// For texts.
    #[must_use]
    pub const fn left(title: &'static str) -> Self {
        Self {
            title,
            is_right: false,
        }
    }

    /// For numbers.
    #[must_use]
    pub const fn right(title: &'static str) -> Self {
        Self {
            title,
            is_right: true,
        }
    }
}

/// Rows under headings; columns in which no row has anything are left out.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Without rows.
    #[must_use]
    pub const fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row, with a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// The lines, each after so many spaces, in colours or without.
    #[must_use]
    pub fn render(&self, indent: usize, coloured: bool) -> String {
        let shown: Vec<(usize, Column, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widest = cells.map(Cell::width).max().unwrap_or(0);
                let title = column.title.chars().count();
                (widest > 0).then_some((index, *column, widest.max(title)))
            })
            .collect();
        let heads = self.columns.iter().map(|column| Cell {
            text: column.title.into(),
            style: Style::Faint,
        });
        let heads: Vec<Cell> = heads.collect();
        let mut text = String::new();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = " ".repeat(indent);
            for (place, (index, column, width)) in shown.iter().enumerate() {
                let Some(cell) = row.get(*index) else {
                    continue;
                };
                let pad = " ".repeat(width.saturating_sub(cell.width()));
                let painted = match coloured {
                    true => cell.style.paint(&cell.text),
                    false => cell.text.clone(),
                };
                let gap = if place == 0 { "" } else { "  " };
                line.push_str(gap);
                if column.is_right {
                    line.push_str(&pad);
                    line.push_str(&painted);
                } else {
                    line.push_str(&painted);
                    line.push_str(&pad);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(vec![
            Column::left("NAME"),
            Column::right("N"),
            Column::left("NEVER"),
        ]);
        table.row(vec![Cell::text("a"), Cell::text(7), Cell::text("")]);
        table.row(vec![
            Cell::text("long name"),
            Cell::text(123),
            Cell::text(""),
        ]);
        let expected = "  NAME         N\n  a            7\n  long name  123\n";
        assert_eq!(table.render(2, false), expected);
    }

    #[test]
    fn texts_from_a_segment_cannot_steer_the_terminal() {
        let cell = Cell::text("evil\x1b[2J\u{202e}\nline");
        assert_eq!(cell.text, "evil\u{fffd}[2J\u{fffd} line");
    }
}
